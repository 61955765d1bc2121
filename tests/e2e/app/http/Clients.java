// SPDX-License-Identifier: Apache-2.0
// Clients.java new|old BASE NAME: java.net.http.HttpClient (kept connections) and HttpURLConnection
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;

public class Clients {
	static final HttpClient CLIENT = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();

	static void modern(String method, String url, byte[] body, int ms) throws Exception {
		var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body);
		var request = HttpRequest.newBuilder(URI.create(url)).version(HttpClient.Version.HTTP_1_1).method(method, publisher)
			.timeout(Duration.ofMillis(ms)).build();
		CLIENT.send(request, HttpResponse.BodyHandlers.ofByteArray());
	}

	static void old(String method, String url, byte[] body, int ms) throws Exception {
		var connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
		connection.setRequestMethod(method);
		connection.setReadTimeout(ms);
		if (body != null) {
			connection.setDoOutput(true);
			connection.getOutputStream().write(body);
		}
		var stream = connection.getResponseCode() < 400 ? connection.getInputStream() : connection.getErrorStream();
		if (stream != null)
			stream.readAllBytes();
	}

	public static void main(String[] args) throws Exception {
		String base = args[1], name = args[2];
		var wanted = new ArrayList<Object[]>();
		String[] kinds = { "ok", "big", "chunked", "gzip", "redirect", "nocontent", "notmodified", "missing", "fail", "endless",
			"hints", "cut", "reset", "hangup", "slow", "ok" };
		for (int i = 0; i < kinds.length; i++)
			wanted.add(new Object[] { "GET", "/" + kinds[i] + "/" + name + "-" + i, null });
		wanted.add(new Object[] { "HEAD", "/big/" + name + "-head", null });
		wanted.add(new Object[] { "POST", "/ok/" + name + "-small", new byte[1000] });
		wanted.add(new Object[] { "POST", "/ok/" + name + "-large", new byte[2000000] });
		wanted.add(new Object[] { "PUT", "/fail/" + name + "-put", new byte[20000] });
		wanted.add(new Object[] { "DELETE", "/nocontent/" + name + "-delete", null });
		for (Object[] w : wanted) {
			String path = (String) w[1];
			int ms = path.contains("/slow/") ? 400 : 20000;
			try {
				if (args[0].equals("new"))
					modern((String) w[0], base + path, (byte[]) w[2], ms);
				else
					old((String) w[0], base + path, (byte[]) w[2], ms);
			} catch (Exception error) {
				System.out.println(path + " " + error);
			}
		}
	}
}
