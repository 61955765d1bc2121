// SPDX-License-Identifier: Apache-2.0
// The workload of the MySQL driver matrix through JDBC: MysqlWorkload URL ROUNDS [FETCH_SIZE].
import java.io.ByteArrayInputStream;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

final class MysqlWorkload {
	private final Connection c;
	private final int size; // of what is fetched at once from a cursor; 0: there is none

	private MysqlWorkload(Connection c, int size) {
		this.c = c;
		this.size = size;
	}

	private PreparedStatement prepare(String sql, Object... values) throws SQLException {
		PreparedStatement s = c.prepareStatement(sql);
		s.setFetchSize(size);
		for (int i = 0; i < values.length; i++)
			s.setObject(i + 1, values[i]);
		return s;
	}

	private static int count(ResultSet rows) throws SQLException {
		int n = 0;
		while (rows.next())
			n++;
		return n;
	}

	private void fetch(int wanted, String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			int n = count(s.executeQuery());
			if (n != wanted)
				throw new IllegalStateException(n + " rows of " + sql);
		}
	}

	private void run(String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			s.executeUpdate();
		}
	}

	private void fails(int number, String sql, Object... values) throws SQLException {
		try (PreparedStatement s = prepare(sql, values)) {
			s.execute();
		} catch (SQLException e) {
			if (e.getErrorCode() == number)
				return;
			throw e;
		}
		throw new IllegalStateException("no error");
	}

	private void transaction() throws SQLException {
		c.setAutoCommit(false);
		run("INSERT INTO log (t) VALUES (?)", "gone");
		run("DELETE FROM log WHERE t = ?", "gone");
		c.rollback();
		fetch(40, "SELECT a, b FROM things WHERE a > ?", 60);
		c.commit();
		c.setAutoCommit(true);
	}

	private void batch() throws SQLException {
		try (PreparedStatement s = c.prepareStatement("INSERT INTO log (t) VALUES (?)")) {
			for (int i = 0; i < 5; i++) {
				s.setString(1, "batch " + i);
				s.addBatch();
			}
			s.executeBatch();
		}
	}

	private void several() throws SQLException {
		try (Statement s = c.createStatement()) {
			s.execute("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT COUNT(*) FROM things; " +
				  "UPDATE things SET b = 'multi' WHERE a = 1");
			while (s.getMoreResults() || s.getUpdateCount() != -1) {
			}
		}
	}

	private void longValues() throws SQLException {
		try (PreparedStatement s = c.prepareStatement("INSERT INTO log (t) VALUES (?)")) {
			byte[] value = new byte[70000];
			java.util.Arrays.fill(value, (byte)'l');
			s.setBinaryStream(1, new ByteArrayInputStream(value), value.length);
			s.executeUpdate();
		}
	}

	// Given up before its last row.
	private void leaves() throws SQLException {
		try (PreparedStatement s = prepare("SELECT a FROM things WHERE a < ? ORDER BY a", 90)) {
			ResultSet rows = s.executeQuery();
			rows.next();
		}
	}

	private void round(int n) throws SQLException {
		fetch(n % 7, "SELECT a, b FROM things WHERE a <= ? ORDER BY a", n % 7);
		run("INSERT INTO log (t) VALUES (?)", "it's \"x\" \\");
		run("UPDATE things SET b = ? WHERE a < ?", "x" + n, n);
		fails(1054, "SELECT nothing FROM things");
		fails(1062, "INSERT INTO things (a) VALUES (?)", 1);
		transaction();
		try (PreparedStatement s = prepare("SELECT b FROM things WHERE a = ?", 0)) {
			for (int i = 0; i < 8; i++) {
				s.setInt(1, i);
				count(s.executeQuery());
			}
		}
		several();
		batch();
		longValues();
		try (PreparedStatement s = c.prepareStatement("CALL two_sets()")) { // prepareCall() wants to read mysql.proc
			s.execute();
			while (s.getMoreResults()) {
			}
		}
		if (size > 0)
			leaves();
		fetch(2000, "SELECT seq, 'some text for a row' AS t FROM seq_1_to_2000 WHERE seq > ?", 0);
		fetch(1, "SELECT SLEEP(0.03) AS timed");
	}

	public static void main(String[] arguments) throws SQLException {
		int size = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 0;
		try (Connection c = DriverManager.getConnection(arguments[0])) {
			MysqlWorkload w = new MysqlWorkload(c, size);
			for (int n = 0; n < Integer.parseInt(arguments[1]); n++)
				w.round(n);
		}
	}
}
