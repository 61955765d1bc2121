/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprint and traceparent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

static uint64_t fingerprint(const char *text)
{
	struct sql s = { 0 };
	uint64_t f;

	sql_read(&s, SQL_POSTGRESQL, bytes_str(text), false, 0);
	f = s.fingerprint;
	sql_free(&s);
	return f;
}

/* As sql.h defines it, of tokens that are given. */
static uint64_t of_tokens(const char *tokens)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *tokens; tokens++)
		h = (h ^ (unsigned char)*tokens) * 0x100000001b3;
	return h;
}

static void test_definition(void **state)
{
	(void)state;
	/* Must stay from release to release: this number is in people's dashboards. */
	assert_int_equal(fingerprint("SELECT a\nFROM t WHERE b=1 /* x */ AND c IN (1, 2);; COMMIT;"),
			 0xd4b92b8bdc6e90d0);
	assert_int_equal(fingerprint("SELECT a\nFROM t WHERE b=1 /* x */ AND c IN (1, 2);; COMMIT;"),
			 of_tokens("SELECT a FROM t WHERE b = ? AND c IN ( ? ) ; COMMIT "));
	assert_int_equal(fingerprint("VALUES ($1, -2.5), ($3, 'x')"), of_tokens("VALUES ( ? , ? ) "));
	assert_int_equal(fingerprint("savepoint \"s1_x2\""), of_tokens("savepoint ? "));
	assert_int_equal(fingerprint("\xff"), of_tokens("\xef\xbf\xbd "));
	assert_int_equal(fingerprint(""), 0);
	assert_int_equal(fingerprint(" /* x */ ;"), 0);
}

static void test_same(void **state)
{
	static const char *const pairs[][2] = {
		{ "SELECT 1", "SELECT  'x' ; " },
		{ "a=1", "a = $1" },
		{ "a IN (1)", "a IN ($1, $2, $3)" },
		{ "INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES ($1, $2), ($3, $4)" },
		{ "DECLARE \"_django_curs_1\" CURSOR FOR SELECT 1", "DECLARE \"_django_curs_2\" CURSOR FOR SELECT 2" },
		{ "FETCH FORWARD 10 FROM c1", "FETCH FORWARD 20 FROM c2" },
		{ "PREPARE s1 AS SELECT a1", "PREPARE s2 AS SELECT a1" },
	};
	static const char *const others[][2] = {
		{ "SELECT a", "SELECT b" },
		{ "SELECT a1", "SELECT a2" },
		{ "SELECT \"a\"", "SELECT \"b\"" },
		{ "SELECT a FROM t", "select a from t" },
		{ "f(1)", "f(1, 2)" },
		{ "PREPARE s1 AS SELECT a1", "PREPARE s1 AS SELECT a2" },
		{ "a <= 1", "a >= 1" },
		{ "ab", "a b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (fingerprint(pairs[i][0]) != fingerprint(pairs[i][1]))
			fail_msg("not the same: %s | %s", pairs[i][0], pairs[i][1]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (fingerprint(others[i][0]) == fingerprint(others[i][1]))
			fail_msg("the same: %s | %s", others[i][0], others[i][1]);
}

/* It is that of the whole text, however much of it is kept. */
static void test_of_whole_text(void **state)
{
	char text[20000] = "SELECT a FROM t WHERE b IN (1";
	struct sql s = { 0 };

	(void)state;
	while (strlen(text) < sizeof(text) - 100)
		strcat(text, ", 2, 'three', -4.5e6, $1, E'\\'', 0x7, 89, 10, 11, 12, 13, 14, 15");
	strcat(text, ") AND c");
	for (size_t keep = 0; keep < 100; keep += 7) {
		sql_read(&s, SQL_POSTGRESQL, bytes_str(text), false, keep);
		assert_int_equal(s.fingerprint, of_tokens("SELECT a FROM t WHERE b IN ( ? ) AND c "));
	}
	sql_free(&s);
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define VALID "00-" TRACE "-" SPAN "-01"

static const struct {
	const char *comment, *traceparent;
} comments[] = {
	{ "/*traceparent='" VALID "'*/", VALID },
	{ "/*traceparent='" VALID "'*/;", VALID },
	{ "/* traceparent = '" VALID "' */ ; \n", VALID },
	{ "/*action='%2Fa*b',db_driver='x\\'y',traceparent='" VALID "',tracestate='congo%3Dt61'*/", VALID },
	{ "/*traceparent='00-" TRACE "%2D" SPAN "%2d01'*/", VALID },
	{ "/*trace%70arent='" VALID "'*/", VALID },
	{ "/*traceparent='cc-" TRACE "-" SPAN "-01-later'*/", "cc-" TRACE "-" SPAN "-01" },
	{ "/*traceparent='00-" TRACE "-" SPAN "-01-later'*/", "" },
	{ "/*traceparent='ff-" TRACE "-" SPAN "-01'*/", "" },
	{ "/*traceparent='00-" TRACE "-0000000000000000-01'*/", "" },
	{ "/*traceparent='00-00000000000000000000000000000000-" SPAN "-01'*/", "" },
	{ "/*traceparent='00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01'*/", "" },
	{ "/*traceparent='" VALID "',traceparent='" VALID "'*/", "" },
	{ "/*traceparent='00-" TRACE "-" SPAN "'*/", "" },
	{ "/*traceparent=" VALID "*/", "" },
	{ "/*traceparent='" VALID "*/", "" },
	{ "/*xtraceparent='" VALID "'*/", "" },
	{ "/*traceparent='%'*/", "" },
	{ "/*traceparent='" VALID "'*/ WHERE a = 1", "" },
	{ "-- traceparent='" VALID "'", "" },
	{ "/**/", "" },
	{ "/*=*/", "" },
};

static void test_traceparent(void **state)
{
	struct sql s = { 0 };
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(comments) / sizeof(comments[0]); i++) {
		strcpy(text, "SELECT * FROM songs ");
		strcat(text, comments[i].comment);
		sql_read(&s, i % 2 ? SQL_MYSQL : SQL_POSTGRESQL, bytes_str(text), false, 1000);
		assert_string_equal(s.traceparent, comments[i].traceparent);
		assert_null(strstr(s.text.p, "trace"));
		assert_null(strstr(s.text.p, "*/"));
	}
	/* The statement before had one; this one has none. */
	sql_read(&s, SQL_POSTGRESQL, bytes_str("SELECT 1 /*traceparent='" VALID "'*/"), false, 1000);
	assert_string_equal(s.traceparent, VALID);
	sql_read(&s, SQL_POSTGRESQL, bytes_str("SELECT 1"), false, 1000);
	assert_string_equal(s.traceparent, "");
	sql_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definition),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_of_whole_text),
		cmocka_unit_test(test_traceparent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
