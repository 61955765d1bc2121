/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

static const struct {
	const char *query, *summary;
} cases[] = {
	/* queries */
	{ "SELECT 1", "SELECT" },
	{ "select * from public.users u", "select public.users" },
	{ "SELECT * FROM public . users", "SELECT public.users" },
	{ "SELECT * FROM \"song list\", \"a\".\"b\" x", "SELECT \"song list\" \"a\".\"b\"" },
	{ "SELECT * FROM songs, artists WHERE songs.a = artists.b", "SELECT songs artists" },
	{ "SELECT a, b FROM t1 x LEFT OUTER JOIN t2 USING (id, k), t3 AS y(a, b) ORDER BY 1, 2", "SELECT t1 t2 t3" },
	{ "SELECT * FROM (a JOIN b ON a.x = b.x) JOIN LATERAL f(a.x, 2) g ON true", "SELECT a b f" },
	{ "SELECT * FROM a JOIN b ON a.x = ARRAY[y, z[1]], c CROSS JOIN d", "SELECT a b c d" },
	{ "SELECT * FROM a JOIN b ON a.x = ARRAY[y, (SELECT w FROM e, f), z]", "SELECT a b SELECT e f" },
	{ "SELECT (SELECT max(x) FROM b), 1 FROM a", "SELECT SELECT b a" },
	{ "SELECT * FROM a WHERE x IN (SELECT y FROM b) AND EXISTS (SELECT 1 FROM ONLY c)",
	  "SELECT a SELECT b SELECT c" },
	{ "SELECT EXTRACT(year FROM created), trim(both 'x' FROM n), substring(n FROM 1 FOR 2) FROM t", "SELECT t" },
	{ "SELECT * FROM t WHERE a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM d", "SELECT t" },
	{ "SELECT count(*) FILTER (WHERE x) OVER (PARTITION BY a ORDER BY b) FROM t GROUP BY a, b LIMIT 5",
	  "SELECT t" },
	{ "(SELECT a FROM b) UNION ALL (SELECT c FROM d)", "SELECT b d" },
	{ "SELECT a FROM b UNION SELECT (SELECT c FROM d) FROM e", "SELECT b SELECT d e" },
	{ "WITH x AS (SELECT * FROM a), y AS MATERIALIZED (SELECT 1) SELECT * FROM x, y",
	  "SELECT a SELECT SELECT x y" },
	{ "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", "SELECT t SELECT t" },
	{ "WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d", "DELETE a INSERT b SELECT d" },
	{ "SELECT * FROM t FOR UPDATE OF t SKIP LOCKED", "SELECT t" },
	{ "VALUES (1), (2)", "VALUES" },
	{ "INSERT INTO a (b) SELECT p::VARCHAR FROM (VALUES ($1::VARCHAR, 0), ($2::VARCHAR, 1)) AS s (p, n) ORDER BY n",
	  "INSERT a SELECT" },
	{ "SELECT * FROM (VALUES (1), (2)) v (x), b JOIN c ON true", "SELECT b c" },
	{ "TABLE public.t", "TABLE public.t" },
	/* changes */
	{ "INSERT INTO a (x, y) SELECT z FROM b JOIN c ON true", "INSERT a SELECT b c" },
	{ "INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET y = 1", "INSERT a" },
	{ "INSERT IGNORE INTO a SET x = 1 ON DUPLICATE KEY UPDATE x = 2", "INSERT a" },
	{ "REPLACE LOW_PRIORITY a VALUES (1)", "REPLACE a" },
	{ "UPDATE ONLY a AS x SET y = 1, z = 2 FROM b, c WHERE x.i = b.i", "UPDATE a b c" },
	{ "UPDATE a, b SET a.x = b.y", "UPDATE a b" },
	{ "DELETE FROM a USING b WHERE a.x = b.x", "DELETE a b" },
	{ "DELETE x FROM a x JOIN b ON true", "DELETE a b" },
	{ "MERGE INTO a USING (SELECT * FROM b) s ON s.x = a.x WHEN MATCHED THEN UPDATE SET x = 1 WHEN NOT MATCHED "
	  "THEN "
	  "INSERT VALUES (1)",
	  "MERGE a SELECT b" },
	{ "TRUNCATE TABLE a, b RESTART IDENTITY", "TRUNCATE a b" },
	{ "COPY t (a, b) FROM STDIN", "COPY t" },
	{ "COPY (SELECT * FROM t) TO STDOUT", "COPY SELECT t" },
	/* calls */
	{ "CALL proc('x')", "CALL proc" },
	{ "{call app.some_proc(1)}", "call app.some_proc" },
	{ "EXECUTE stmt(1, 2)", "EXECUTE stmt" },
	/* objects */
	{ "CREATE TABLE IF NOT EXISTS app.t AS SELECT * FROM u", "CREATE TABLE app.t" },
	{ "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", "CREATE INDEX i" },
	{ "CREATE INDEX ON t (a)", "CREATE INDEX t" },
	{ "CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE VIEW v" },
	{ "CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE VIEW v" },
	{ "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()", "CREATE EVENT TRIGGER e" },
	{ "CREATE USER 'joe'@'%' IDENTIFIED BY 'x'", "CREATE USER" },
	{ "DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE a b.c" },
	{ "ALTER TABLE ONLY t ADD COLUMN x int", "ALTER TABLE t" },
	/* one word; names that drivers make up stay out */
	{ "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN" },
	{ "START TRANSACTION READ ONLY", "START TRANSACTION" },
	{ "COMMIT", "COMMIT" },
	{ "ROLLBACK TO SAVEPOINT s1", "ROLLBACK" },
	{ "SAVEPOINT \"s140_x1\"", "SAVEPOINT" },
	{ "RELEASE SAVEPOINT s1", "RELEASE" },
	{ "SET search_path TO x", "SET" },
	{ "SHOW TABLES FROM db", "SHOW" },
	{ "DECLARE \"_django_curs_1\" NO SCROLL CURSOR WITH HOLD FOR SELECT * FROM t", "DECLARE CURSOR SELECT t" },
	{ "FETCH FORWARD 2000 FROM \"_django_curs_1\"", "FETCH" },
	{ "CLOSE c", "CLOSE" },
	{ "PREPARE p AS UPDATE t SET a = $1", "PREPARE UPDATE t" },
	{ "DEALLOCATE p", "DEALLOCATE" },
	{ "EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a = 1", "EXPLAIN UPDATE t" },
	{ "EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN DELETE t" },
	/* not ours to name */
	{ "hunter2 FROM t", "" },
	{ "'x' SELECT a FROM b", "" },
	{ "", "" },
	/* several */
	{ "BEGIN; SELECT * FROM a; ; UPDATE b SET x = ';'; COMMIT", "BEGIN SELECT a UPDATE b COMMIT" },
};

static void test_cases(void **state)
{
	struct sql s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sql_read(&s, strchr(cases[i].query, '\'') ? SQL_MYSQL : SQL_POSTGRESQL, bytes_str(cases[i].query),
			 false, 0);
		if (strcmp(s.summary.n ? s.summary.p : "", cases[i].summary) != 0)
			fail_msg("%s: %s", cases[i].query, s.summary.n ? s.summary.p : "");
	}
	sql_free(&s);
}

static void test_mysql_names(void **state)
{
	struct sql s = { 0 };

	(void)state;
	sql_read(&s, SQL_MYSQL, bytes_str("SELECT * FROM `my db`.`t`, 2fa.tokens JOIN db.2024"), false, 0);
	assert_string_equal(s.summary.p, "SELECT `my db`.`t` 2fa.tokens db.2024");
	sql_free(&s);
}

/* At most 255 characters, ended before the first part that does not fit. */
static void test_length(void **state)
{
	char query[4096] = "SELECT * FROM t0", *end = query + strlen(query);
	struct sql s = { 0 };
	size_t chars = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		end += sprintf(end, ", \"\xc3\xa9\xc3\xa9\xc3\xa9%d\"", 10 + i);
	sql_read(&s, SQL_POSTGRESQL, bytes_str(query), false, 0);
	for (size_t i = 0; i < s.summary.n; i++)
		chars += (s.summary.p[i] & 0xc0) != 0x80;
	assert_true(chars <= 255 && chars > 255 - 8);
	assert_int_equal(s.summary.p[s.summary.n - 1], '"');
	/* One deeper than is followed: nothing wrong, only less. */
	end = query;
	for (int i = 0; i < 100; i++)
		end += sprintf(end, "(SELECT * FROM ");
	sprintf(end, "t");
	sql_read(&s, SQL_POSTGRESQL, bytes_str(query), false, 0);
	assert_int_equal(s.summary.n, 31 * 7 - 1);
	sql_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_mysql_names),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
