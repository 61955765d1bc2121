// SPDX-License-Identifier: Apache-2.0

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.concurrent.*;

/**
 * A web service whose threads take turns at each request, as those of Kotlin's coroutines do: one reads it, another asks the
 * database, another answers: Turns PORT JDBC-URL. /orders/ID/ runs two statements that name the request.
 */
public class Turns {
	static final BlockingQueue<Connection> pool = new LinkedBlockingQueue<>();
	static final ExecutorService threads = Executors.newFixedThreadPool(8);
	static final ConcurrentLinkedQueue<SocketChannel> answered = new ConcurrentLinkedQueue<>();
	static Selector selector;

	/** Runs a step of a request on some thread. */
	interface Step {
		void run() throws Exception;
	}

	static void next(Step step) {
		threads.execute(() -> {
			try {
				step.run();
			} catch (Exception e) {
				throw new IllegalStateException(e);
			}
		});
	}

	static void query(Connection connection, String sql) throws SQLException {
		try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
			while (rows.next()) {
			}
		}
	}

	static void read(SocketChannel client) throws Exception {
		ByteBuffer bytes = ByteBuffer.allocate(4096);
		if (client.read(bytes) <= 0) {
			client.close();
			return;
		}
		String[] path = new String(bytes.array(), 0, bytes.position(), StandardCharsets.ISO_8859_1).split(" ")[1].split("/");
		next(() -> work(client, path));
	}

	static void work(SocketChannel client, String[] path) throws Exception {
		Connection connection = pool.take();
		if (path[1].equals("orders")) {
			query(connection, "SELECT 1 AS id_" + path[2]);
			query(connection, "SELECT 2 AS id_" + path[2]);
		}
		pool.add(connection);
		next(() -> answer(client));
	}

	static void answer(SocketChannel client) throws Exception {
		client.write(ByteBuffer.wrap("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".getBytes()));
		answered.add(client);
		selector.wakeup();
	}

	public static void main(String[] args) throws Exception {
		for (int i = 0; i < 4; i++)
			pool.add(DriverManager.getConnection(args[1]));
		ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
		server.configureBlocking(false);
		selector = Selector.open();
		server.register(selector, SelectionKey.OP_ACCEPT);
		for (;;) {
			selector.select();
			for (SelectionKey key : selector.selectedKeys()) {
				if (key.isAcceptable()) {
					SocketChannel client = server.accept();
					client.configureBlocking(false);
					client.register(selector, SelectionKey.OP_READ);
				} else {
					key.interestOps(0);
					next(() -> read((SocketChannel)key.channel()));
				}
			}
			selector.selectedKeys().clear();
			for (SocketChannel client; (client = answered.poll()) != null;) {
				SelectionKey key = client.keyFor(selector);
				if (key != null && key.isValid())
					key.interestOps(SelectionKey.OP_READ);
			}
		}
	}
}
