// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.sql.*;
import java.util.concurrent.*;

/**
 * A web service whose threads leave the database to threads of a pool and wait for them: Handover PORT JDBC-URL [late].
 * late: the pool's threads are started by the first requests.
 * /orders/ID/ runs two statements that name the request; a job runs one that names none.
 */
public class Handover {
	static ThreadLocal<Statement> statement = ThreadLocal.withInitial(Handover::connect);
	static String url;

	static Statement connect() {
		try {
			return DriverManager.getConnection(url).createStatement();
		} catch (SQLException e) {
			throw new IllegalStateException(e);
		}
	}

	static void run(String sql) {
		try (ResultSet rows = statement.get().executeQuery(sql)) {
			while (rows.next()) {
			}
		} catch (SQLException e) {
			throw new IllegalStateException(e);
		}
	}

	public static void main(String[] args) throws Exception {
		url = args[1];
		ThreadPoolExecutor work = new ThreadPoolExecutor(4, 4, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
		if (args.length < 3)
			work.prestartAllCoreThreads();
		Executors.newScheduledThreadPool(1).scheduleAtFixedRate(() -> run("SELECT 0 AS id_r0"), 0, 20, TimeUnit.MILLISECONDS);
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
		server.setExecutor(Executors.newFixedThreadPool(8));
		server.createContext("/", exchange -> {
			String[] path = exchange.getRequestURI().getPath().split("/");
			try {
				if (path[1].equals("orders"))
					work.submit(() -> {
						run("SELECT 1 AS id_" + path[2]);
						run("SELECT 2 AS id_" + path[2]);
					}).get();
				Thread.sleep(40); // so that the process is known well before the end
			} catch (InterruptedException | ExecutionException e) {
				throw new IllegalStateException(e);
			}
			exchange.sendResponseHeaders(200, 2);
			exchange.getResponseBody().write("ok".getBytes());
			exchange.close();
		});
		server.start();
	}
}
