/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of one shape read the same; fuzz_sql holds that against any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/sql_cache.h"
#include "sql/shape.h"

/* wanted: NULL when there is none. */
static void check(enum sql_dialect dialect, const char *text, const char *wanted)
{
	size_t n = strlen(text);
	char *exact = malloc(n + !n), *out = malloc(n + !n); /* so that one byte too many is seen */

	memcpy(exact, text, n);
	n = sql_shape(dialect, bytes_of(exact, n), out);
	if (n != (wanted ? strlen(wanted) : 0) || (wanted && memcmp(out, wanted, n) != 0))
		fail_msg("%s: %.*s", text, (int)n, out);
	free(exact);
	free(out);
}

static void both(const char *text, const char *wanted)
{
	check(SQL_POSTGRESQL, text, wanted);
	check(SQL_MYSQL, text, wanted);
}

static void test_literals(void **state)
{
	(void)state;
	both("SELECT abalance FROM accounts WHERE aid = 4711;", "SELECT abalance FROM accounts WHERE aid = 0;");
	both("INSERT INTO t VALUES (1, -2.50, 'O''Hara', '', 'x')", "INSERT INTO t VALUES (0, -0, '', '', '')");
	both("SELECT 'a'::text, 1::int, x[12:34]", "SELECT ''::text, 0::int, x[0:0]");
	both("'a' 'b'\n'c'", "'' ''\n''");
	both("12", "0");
}

static void test_kept(void **state)
{
	(void)state;
	both("SELECT t1.c2, \"it's 5\" FROM a_1", "SELECT t1.c2, \"it's 5\" FROM a_1");
	both("\"\" \"a\"\"b 1\" 1", "\"\" \"a\"\"b 1\" 0");
	both("1e5 0x1F 1_000 .5 1. 1..2 5a", "1e5 0x1F 1_000 .5 1. 1..2 5a"); /* rare */
	both("TRUE FALSE NULL", "TRUE FALSE NULL");
	check(SQL_MYSQL, "`it's 5` = 5", "`it's 5` = 0");
}

static void test_doubt(void **state)
{
	static const char *const texts[] = {
		"SELECT 'cut", "SELECT \"cut", "SELECT '\\'' , 1",
		"'a\\",	       "a /* it's */", "a -- it's",
		"a # it's",    "$$ it's $$",   "$1",
		"E'a'",	       "N'a'",	       "x'1f'",
		"_utf8'a'",    "U&'a'",	       "'",
		"''' ",	       "1'a'",	       "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		both(texts[i], NULL);
	check(SQL_POSTGRESQL, "`it's 5`", NULL);
}

static const char *cached(struct sql_cache *c, const char *text)
{
	const struct sql *s = sql_cache_read(c, SQL_POSTGRESQL, bytes_str(text), false, 100);
	static char ret[128];
	struct bytes b = buf_bytes(&s->text);

	assert_true(b.n < sizeof(ret));
	memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
	return ret;
}

static void test_cache(void **state)
{
	struct sql_cache *c = calloc(1, sizeof(*c));
	unsigned used = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		char text[64];

		snprintf(text, sizeof(text), "SELECT a FROM t WHERE b = %d AND c = '%x'", i, i * i);
		assert_string_equal(cached(c, text), "SELECT a FROM t WHERE b = ? AND c = ?");
	}
	assert_string_equal(cached(c, "SELECT a FROM t WHERE b = 1 AND c = 'secret"),
			    "SELECT a FROM t WHERE b = ? AND c = ?");
	assert_string_equal(cached(c, "SELECT a FROM t1 WHERE b = 1 AND c = ''"),
			    "SELECT a FROM t1 WHERE b = ? AND c = ?");
	for (size_t i = 0; i < SQL_CACHE_SLOTS; i++)
		used += c->slots[i].hash != 0;
	assert_int_equal(used, 3);
	sql_cache_free(c);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
