// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.sql.*;
import java.util.concurrent.*;

/**
 * A web service with a virtual thread for each request, which take turns at a pool of connections: Virtual PORT JDBC-URL.
 * /orders/ID/ runs two statements that name the request; a job in a virtual thread of its own runs one that names none.
 * Compiled by an older javac, so what is new is found by its name. Garbage is made, so that objects move.
 */
public class Virtual {
	static final BlockingQueue<Connection> pool = new LinkedBlockingQueue<>();
	static volatile byte[] garbage;

	static void query(Connection connection, String sql) throws SQLException {
		try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
			while (rows.next()) {
			}
		}
	}

	static void work(String id) throws Exception {
		for (int i = 1; i <= 2; i++) {
			for (int k = 0; k < 20; k++)
				garbage = new byte[50_000];
			Connection connection = pool.take();
			query(connection, "SELECT " + i + " AS id_" + id);
			pool.add(connection);
			Thread.sleep(1);
		}
	}

	static void job(Connection own) {
		try {
			for (int i = 0; i < 150; i++) { // it is over when the service is stopped
				query(own, "SELECT 0 AS id_r0");
				Thread.sleep(20);
			}
		} catch (Exception e) {
			throw new IllegalStateException(e);
		}
	}

	public static void main(String[] args) throws Exception {
		for (int i = 0; i < 4; i++)
			pool.add(DriverManager.getConnection(args[1]));
		Connection own = DriverManager.getConnection(args[1]);
		ExecutorService threads = (ExecutorService)Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
		server.setExecutor(threads);
		server.createContext("/", exchange -> {
			String[] path = exchange.getRequestURI().getPath().split("/");
			try {
				if (path[1].equals("orders"))
					work(path[2]);
			} catch (Exception e) {
				throw new IllegalStateException(e);
			}
			exchange.sendResponseHeaders(200, 2);
			exchange.getResponseBody().write("ok".getBytes());
			exchange.close();
		});
		threads.execute(() -> job(own));
		server.start();
	}
}
