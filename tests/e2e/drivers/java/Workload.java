// SPDX-License-Identifier: Apache-2.0
// The workload of the driver matrix through JDBC: Workload ROUNDS; where to is in libpq's variables.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

final class Workload {
	private final Connection c;

	private Workload(Connection c) {
		this.c = c;
	}

	private PreparedStatement prepare(String sql, Object... values) throws SQLException {
		PreparedStatement s = c.prepareStatement(sql);
		for (int i = 0; i < values.length; i++)
			s.setObject(i + 1, values[i]);
		return s;
	}

	private int fetch(String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			return count(s.executeQuery());
		}
	}

	private static int count(ResultSet rows) throws SQLException {
		int n = 0;
		while (rows.next())
			n++;
		return n;
	}

	private void run(String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			s.executeUpdate();
		}
	}

	private void fails(String state, String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			s.execute();
		} catch (SQLException e) {
			if (e.getSQLState().equals(state))
				return;
			throw e;
		}
		throw new IllegalStateException("no error");
	}

	private void transaction() throws SQLException {
		c.setAutoCommit(false);
		fetch("INSERT INTO log (t) VALUES (?) RETURNING t", "kept");
		run("DELETE FROM log WHERE t = ?", "kept");
		c.rollback();
		try (PreparedStatement s = prepare("SELECT a, b FROM things WHERE a > ?", 60)) {
			s.setFetchSize(15);
			if (count(s.executeQuery()) != 40)
				throw new IllegalStateException("rows");
		}
		c.commit();
		c.setAutoCommit(true);
	}

	private void batch() throws SQLException {
		try (PreparedStatement s = c.prepareStatement("INSERT INTO log (t) VALUES (?)")) {
			for (int i = 0; i < 5; i++) {
				s.setString(1, Integer.toString(i));
				s.addBatch();
			}
			s.executeBatch();
		}
	}

	private void round(int n) throws SQLException {
		fetch("SELECT a, b FROM things WHERE a <= ? ORDER BY a", n % 7);
		run("INSERT INTO log (t) VALUES (?)", "x");
		run("UPDATE things SET b = ? WHERE a < ?", "x", n);
		fails("22012", "SELECT 1 / ?::int AS zero", 0);
		fails("23505", "INSERT INTO things (a) VALUES (?)", 1);
		transaction();
		try (PreparedStatement s = c.prepareStatement("SELECT b FROM things WHERE a = ?")) {
			for (int i = 0; i < 8; i++) {
				s.setInt(1, i);
				count(s.executeQuery());
			}
		}
		try (Statement s = c.createStatement()) {
			s.execute("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT count(*) FROM things; " +
				  "UPDATE things SET b = 'multi' WHERE a = 1");
		}
		batch();
		fetch("SELECT n, 'some text for a row' AS t FROM generate_series(1, ?) n", 2000);
		fetch("SELECT pg_sleep(0.03) AS timed");
	}

	public static void main(String[] arguments) throws SQLException {
		String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" +
			     System.getenv("PGDATABASE") + "?user=" + System.getenv("PGUSER") + "&sslmode=" + System.getenv("PGSSLMODE");
		try (Connection c = DriverManager.getConnection(url)) {
			Workload w = new Workload(c);
			for (int n = 0; n < Integer.parseInt(arguments[0]); n++)
				w.round(n);
		}
	}
}
