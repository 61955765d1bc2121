/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

struct pair {
	const char *query, *text; /* NULL: as the query */
};

static void check(enum sql_dialect dialect, const struct pair *pairs, size_t n)
{
	struct sql s = { 0 };

	for (size_t i = 0; i < n; i++) {
		sql_read(&s, dialect, bytes_str(pairs[i].query), false, 10000);
		assert_string_equal(s.text.p, pairs[i].text ? pairs[i].text : pairs[i].query);
		if (s.unsure)
			fail_msg("unsure of: %s", pairs[i].query);
	}
	sql_free(&s);
}

#define CHECK(dialect, pairs) check(dialect, pairs, sizeof(pairs) / sizeof(pairs[0]))

static void test_postgresql(void **state)
{
	static const struct pair pairs[] = {
		/* strings; a backslash escapes only where E says so */
		{ "SELECT 'a''b', E'a\\'b', e'\\\\', B'0101', X'1F', x'1f', N'n'", "SELECT ?, ?, ?, ?, ?, ?, ?" },
		{ "SELECT 'a\\' , b FROM t WHERE c LIKE 'x' ESCAPE '\\'",
		  "SELECT ? , b FROM t WHERE c LIKE ? ESCAPE ?" },
		{ "SELECT U&'d\\0061t' UESCAPE '!', U&\"d\\0061t\" FROM t",
		  "SELECT ? UESCAPE ?, U&\"d\\0061t\" FROM t" },
		{ "SELECT 'a'\n  'b', 'c' \n -- it's\n'd' FROM t", "SELECT ?, ? FROM t" },
		{ "SELECT E'a'\n'b\\'c' FROM t", "SELECT ? FROM t" },
		{ "SELECT 'a' 'b'", "SELECT ? ?" },
		{ "SELECT $$a'b$$, $x$ $$ ' $y$ $x$, $$$$, $\xc3\xa9$x$\xc3\xa9$ FROM t", "SELECT ?, ?, ?, ? FROM t" },
		{ "SELECT a$1$b, $1, $2::int FROM t", NULL },
		/* numbers */
		{ "SELECT 1, 1., .5, 1.5e-3, 1e5, 0x1F, 0o17, 0b01, 1_000, 5.e5",
		  "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?" },
		{ "SELECT a-1, a -1, (a)-1, a[1]-2, $1-1, -1, - 1, 1-1, 'x'+1 FROM c3po",
		  "SELECT a-?, a ?, (a)-?, a[?]-?, $1-?, ?, - ?, ?"
		  "?, ?"
		  "? FROM c3po" },
		{ "SELECT 1abc, a1b2, _1, t1.c1, 1..2, t.5", "SELECT ?, a1b2, _1, t1.c1, ?..?, t.?" },
		{ "SELECT 10.1.2.3, 2024-01-02", "SELECT ?, ?"
						 "?"
						 "?" },
		/* booleans, NULL, typed literals, casts */
		{ "SELECT true, FALSE, NULL, t.true FROM t WHERE a IS TRUE AND b IS NOT FALSE AND c = True",
		  "SELECT ?, ?, NULL, t.true FROM t WHERE a IS TRUE AND b IS NOT FALSE AND c = ?" },
		{ "SELECT DATE '2020-01-01', interval '1 day', point '(1,2)', 'x'::text, '5'::int4[]",
		  "SELECT DATE ?, interval ?, point ?, ?::text, ?::int4[]" },
		/* operators */
		{ "SELECT a->>'k', b #>> '{a}', c @> d, e ? 'f', g ?| h, i ?& j, k || l, m <-> n, o # p, q !~~* r",
		  "SELECT a->>?, b #>> ?, c @> d, e ? ?, g ?| h, i ?& j, k || l, m <-> n, o # p, q !~~* r" },
		/* identifiers */
		{ "SELECT \"it's\", \"a\"\"b\", \xc3\xa9t\xc3\xa9, \"1\" FROM public.\"T 1\"", NULL },
		/* comments */
		{ "SELECT a -- it's\n, b /* /* 'x' */ ' */ FROM t -- end", "SELECT a \n, b  FROM t" },
		{ "SELECT a/**/b, 1/**/2, -/**/-5, a/* */+b", "SELECT a b, ? ?, - ?, a +b" },
		{ "/* x */ SELECT 1 -- 'y", "SELECT ?" },
		{ "SELECT 5--1", "SELECT ?" },
		/* what MySQL has and PostgreSQL has not */
		{ "SELECT /*! 'x' */ a", "SELECT  a" },
		/* parameters and placeholders */
		{ "SELECT * FROM t WHERE a = ? AND b = :name AND c = %s AND d = @p", NULL },
		{ "ALTER ROLE joe PASSWORD 'hunter2'; CREATE USER x PASSWORD E'a\\'b' VALID UNTIL 'x'",
		  "ALTER ROLE joe PASSWORD ?; CREATE USER x PASSWORD ? VALID UNTIL ?" },
	};

	(void)state;
	CHECK(SQL_POSTGRESQL, pairs);
}

static void test_mysql(void **state)
{
	static const struct pair pairs[] = {
		{ "SELECT 'a''b', 'a\\'b', \"a\"\"b\", \"a\\\"b\", 'it\\\\' FROM t", "SELECT ?, ?, ?, ?, ? FROM t" },
		{ "SELECT _utf8'x', _binary\"y\", N'n', x'1f', X'1F', b'01', 0x1F, 0b01, _utf8 'z'",
		  "SELECT ?, ?, ?, ?, ?, ?, ?, ?, _utf8 ?" },
		{ "SELECT `a``b`, `it's`, `1` FROM `my db`.`t`", NULL },
		{ "SELECT 2fa_tokens.id, t.5, db.2024, $x, a$b FROM 2fa_tokens", NULL },
		{ "SELECT 1_000, 1e5, 1.5, 12e, 12ef, 0xZZ, 5e-3 FROM t", "SELECT ?, ?, ?, ?, 12ef, ?, ? FROM t" },
		{ "SELECT 5--1, a -- it's\n, b # it's\n, c --\tit's\n FROM t", "SELECT ?-?, a \n, b \n, c \n FROM t" },
		{ "SELECT /*+ MAX_EXECUTION_TIME(1000) */ a FROM t USE INDEX (i)", "SELECT  a FROM t USE INDEX (i)" },
		{ "/*!40101 SET NAMES 'utf8' */", "SET NAMES ?" },
		{ "SELECT /*!50000 STRAIGHT_JOIN*/ a/*!, 'b' /* it's */ */ FROM t",
		  "SELECT  STRAIGHT_JOIN a , ?   FROM t" },
		{ "SELECT /*M!100 a */ FROM t", "SELECT  a  FROM t" },
		{ "SELECT * FROM t /* /* */ WHERE a = 'b' -- */", "SELECT * FROM t  WHERE a = ?" },
		{ "SELECT @v, @@session.x, @'u', u@'h', \\N", "SELECT @v, @@session.x, @?, u@?, \\N" },
		{ "SELECT $$ a $$", NULL },
		{ "GRANT ALL ON *.* TO 'u'@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO ?@? IDENTIFIED BY ?" },
	};

	(void)state;
	CHECK(SQL_MYSQL, pairs);
}

/* What other lexers trip over. */
static void test_mysql_hard(void **state)
{
	static const struct pair pairs[] = {
		{ "SELECT /*!50000 a, /*!80000 'b', */ 'c' */ FROM t", "SELECT  a,  ?,  ?  FROM t" },
		{ "SELECT /*M!100100 'a' */ 'b' /*! */ FROM t", "SELECT  ?  ?   FROM t" },
		{ "SELECT 'a' /* it's */ 'b' /*'*/, 'c'", "SELECT ?  ? , ?" },
		{ "SELECT a--1, b --c, 3 --", "SELECT a-?, b - -c, ? - -" },
		{ "SELECT a --\n, 'b' --", "SELECT a \n, ? - -" },
		{ "SELECT _utf8mb4 x'c3a9', _latin1 0xe9, _utf8mb4'x' COLLATE utf8mb4_bin",
		  "SELECT _utf8mb4 ?, _latin1 ?, ? COLLATE utf8mb4_bin" },
		{ "SELECT n'x', B'01', 0xDEADBEEF, 0b11, x'0a' + 1", "SELECT ?, ?, ?, ?, ? + ?" },
		{ "SELECT 'a' 'b' \"c\", 'it''s', \"say \"\"x\"\"\"", "SELECT ? ? ?, ?, ?" },
		{ "SELECT '\\\\', 'a\\\\', 'b' FROM t", "SELECT ?, ?, ? FROM t" },
		{ "SELECT '\xe2\x80\x99', '%\\_x', 'tab\\t' LIKE 'y' ESCAPE '|' FROM t",
		  "SELECT ?, ?, ? LIKE ? ESCAPE ? FROM t" },
		{ "SELECT {d '2026-01-01'}, DATE'2026-01-01', INTERVAL '1' DAY",
		  "SELECT {d ?}, DATE?, INTERVAL ? DAY" },
		{ "ALTER USER u@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD('secret')",
		  "ALTER USER u@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD(?)" },
		{ "SET PASSWORD FOR 'u'@'%' = PASSWORD(\"secret\")", "SET PASSWORD FOR ?@? = PASSWORD(?)" },
		{ "CREATE USER u IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'",
		  "CREATE USER u IDENTIFIED BY PASSWORD ?" },
		{ "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='secret'",
		  "CHANGE MASTER TO MASTER_HOST=?, MASTER_PASSWORD=?" },
		{ "LOAD DATA LOCAL INFILE '/tmp/x' INTO TABLE t FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY "
		  "'|'",
		  "LOAD DATA LOCAL INFILE ? INTO TABLE t FIELDS TERMINATED BY ? ENCLOSED BY ? ESCAPED BY ?" },
		{ "PREPARE p FROM 'SELECT \"secret\"'", "PREPARE p FROM ?" },
		/* sql_mode ANSI_QUOTES: a name that might be a value is not shown. */
		{ "SELECT \"name\" FROM \"t\"", "SELECT ? FROM ?" },
	};

	(void)state;
	CHECK(SQL_MYSQL, pairs);
}

static void test_folding(void **state)
{
	static const struct pair pairs[] = {
		{ "a IN (1, 2,'x' , 3)", "a IN (?)" },
		{ "a NOT IN\n(1, /* one */ 2)", "a NOT IN\n(?)" },
		{ "a IN ('x'::uuid, 'y'::uuid)", "a IN (?::uuid)" },
		{ "a IN (?, ?, ?) AND b IN (1)", "a IN (?) AND b IN (?)" },
		{ "a IN (1, NULL, 2, NULL)", "a IN (?, NULL, NULL)" },
		{ "a IN ($1, $2, $3)", NULL },
		{ "(a, b) IN ((1, 'x'), (2, 'y'))", "(a, b) IN ((?, ?))" },
		{ "a IN (SELECT 1, 2 FROM t WHERE b IN (3, 4))", "a IN (SELECT ?, ? FROM t WHERE b IN (?))" },
		{ "a IN (b, b, c)", NULL },
		{ "f(1, 2)", "f(?, ?)" },
		{ "a = ANY(ARRAY[1, 2, 3])", "a = ANY(ARRAY[?])" },
		{ "t.in (1, 2)", "t.in (?, ?)" },
		{ "INSERT INTO t (a, b) VALUES (1, 'a'), (2, 'b') , (3,'c') RETURNING id",
		  "INSERT INTO t (a, b) VALUES (?, ?)  RETURNING id" },
		{ "INSERT INTO t VALUES (1, now()), (2, now()), (3, NULL)",
		  "INSERT INTO t VALUES (?, now()), (?, NULL)" },
		{ "VALUES (1), (2) UNION SELECT 3", "VALUES (?) UNION SELECT ?" },
		{ "INSERT INTO t VALUES (1), (2) ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b)",
		  "INSERT INTO t VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b)" },
	};

	(void)state;
	CHECK(SQL_POSTGRESQL, pairs);
	CHECK(SQL_MYSQL, pairs);
}

static const struct {
	enum sql_dialect dialect;
	const char *query, *text;
} doubts[] = {
	/* what does not end */
	{ SQL_POSTGRESQL, "SELECT a, 'secret", "SELECT a, ?" },
	{ SQL_POSTGRESQL, "SELECT a, E'secret\\'", "SELECT a, ?" },
	{ SQL_POSTGRESQL, "SELECT a, 'b'\n'secret", "SELECT a, ?" },
	{ SQL_POSTGRESQL, "SELECT a, $x$secret$x", "SELECT a, ?" },
	{ SQL_POSTGRESQL, "SELECT a, \"secret", "SELECT a," },
	{ SQL_POSTGRESQL, "SELECT a /* /* secret */", "SELECT a" },
	{ SQL_MYSQL, "SELECT a, \"secret", "SELECT a, ?" },
	{ SQL_MYSQL, "SELECT a, `secret", "SELECT a," },
	/* standard_conforming_strings = off, seen by what the other reading would leave */
	{ SQL_POSTGRESQL, "SELECT 'it\\'s secret'", "SELECT ?" },
	{ SQL_POSTGRESQL, "SELECT 'a\\' secret', b", "SELECT ?" },
	{ SQL_POSTGRESQL, "SELECT 'a\\' secret', 'b\\' more secret'", "SELECT ?" },
	/* sql_mode NO_BACKSLASH_ESCAPES */
	{ SQL_MYSQL, "SELECT 'c:\\', 'secret', 'd'", "SELECT ?" },
	{ SQL_MYSQL, "SELECT '\\' , secret, 'b'", "SELECT ?" },
	{ SQL_MYSQL, "SELECT \"a\\\", \"secret\", 'd'", "SELECT ?" },
	{ SQL_MYSQL, "SELECT \"\\\" , secret, \"b\"", "SELECT ?" },
	{ SQL_MYSQL, "SELECT a /*! 'secret", "SELECT a  ?" },
	{ SQL_MYSQL, "SELECT a /* secret", "SELECT a" },
	{ SQL_MYSQL, "SELECT _utf8'secret", "SELECT ?" },
};

static void test_doubt(void **state)
{
	struct sql s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(doubts) / sizeof(doubts[0]); i++) {
		sql_read(&s, doubts[i].dialect, bytes_str(doubts[i].query), false, 10000);
		assert_string_equal(s.text.p, doubts[i].text);
		assert_true(s.unsure);
	}
	sql_free(&s);
}

static void test_copy_data(void **state)
{
	const char *text = "COPY t (a, b) FROM STDIN WITH (FORMAT csv); 1\tsecret\n\\.\n";
	struct sql s = { 0 };

	(void)state;
	sql_read(&s, SQL_POSTGRESQL, bytes_str(text), false, 1000);
	assert_string_equal(s.text.p, "COPY t (a, b) FROM STDIN WITH (FORMAT csv);");
	assert_string_equal(s.summary.p, "COPY t");
	assert_int_equal(s.statements, 1);
	sql_free(&s);
}

static void test_truncation(void **state)
{
	struct sql s = { 0 };

	(void)state;
	sql_read(&s, SQL_POSTGRESQL, bytes_str("SELECT \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z FROM t"), false, 10);
	assert_string_equal(s.text.p, "SELECT \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_false(s.unsure);
	assert_string_equal(s.summary.p, "SELECT t");
	sql_read(&s, SQL_POSTGRESQL, bytes_str("SELECT a"), false, 0);
	assert_int_equal(s.text.n, 0);
	/* Cut by the capture: the name may go on. */
	sql_read(&s, SQL_POSTGRESQL, bytes_str("SELECT a FROM b JOIN cust"), true, 100);
	assert_string_equal(s.summary.p, "SELECT b");
	sql_free(&s);
}

static void test_not_utf8(void **state)
{
	static const struct pair pairs[] = {
		{ "SELECT \xff\xfe FROM t\xc3", "SELECT \xef\xbf\xbd\xef\xbf\xbd FROM t\xef\xbf\xbd" },
		{ "SELECT \xed\xa0\x80, \xc0\xaf, \xf5", /* surrogate, overlong, beyond */
		  "SELECT \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd, \xef\xbf\xbd\xef\xbf\xbd, \xef\xbf\xbd" },
		{ "SELECT\x01"
		  "a\x7f\x1b[0m FROM \"x\x02y\"",
		  "SELECT a  [? FROM \"x y\"" },
	};

	(void)state;
	CHECK(SQL_POSTGRESQL, pairs);
	check(SQL_MYSQL, pairs, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgresql), cmocka_unit_test(test_mysql),    cmocka_unit_test(test_mysql_hard),
		cmocka_unit_test(test_folding),	   cmocka_unit_test(test_doubt),    cmocka_unit_test(test_copy_data),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
