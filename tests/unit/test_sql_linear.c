/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile texts cost what their length is: eight times the text may take eight times as long, and is let take 24, where
 * the square would be 64. By the thread's own clock, the best of several runs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sql/sql.h"

#define SMALL 4000
#define FACTOR 8
#define RUNS 3

static const struct {
	const char *head, *unit, *tail;
} texts[] = {
	{ "SELECT ", "'", "" },
	{ "SELECT ", "''", "x" },
	{ "SELECT ", "E'\\'", "" },
	{ "SELECT ", "'\\'", "" },
	{ "SELECT ", "'\\';", "" },
	{ "SELECT ", "\\", "'" },
	{ "SELECT ", "$a", "" },
	{ "SELECT ", "$a$b", "" },
	{ "SELECT ", "$a$b$a$", "" },
	{ "SELECT $aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$", "$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "" },
	{ "SELECT $", "a", "" },
	{ "SELECT ", "$ ", "" },
	{ "SELECT ", "/*", "" },
	{ "SELECT ", "/* */", "" },
	{ "SELECT ", "/*!", "" },
	{ "SELECT ", "/*!1*/", "" },
	{ "SELECT ", "''\n--", "" },
	{ "SELECT ", "''\n", "" },
	{ "SELECT ", "'' -- '' ", "" },
	{ "SELECT ", "--\n", "" },
	{ "SELECT ", "- ", "1" },
	{ "SELECT ", "1e", "" },
	{ "SELECT ", ".1", "" },
	{ "SELECT ", "1+", "" },
	{ "SELECT ", "(", "" },
	{ "SELECT * FROM ", "(", "" },
	{ "SELECT * FROM ", "(a,", "" },
	{ "SELECT * FROM ", "a.", "" },
	{ "SELECT * FROM ", "a,", "" },
	{ "", "(SELECT * FROM ", "" },
	{ "SELECT a IN (", "1,", "" },
	{ "SELECT a IN (", "b,1,", "" },
	{ "SELECT ", "IN (1,", "" },
	{ "SELECT ", "IN (1),", "" },
	{ "INSERT INTO t VALUES ", "(1, 'a'),", "(1)" },
	{ "INSERT INTO t VALUES ", "(1),(a),", "(1)" },
	{ "", ";", "" },
	{ "", "a;", "" },
	{ "CREATE FUNCTION f ", "BEGIN ", ";" },
	{ "CREATE ", "a ", "" },
	{ "SELECT ", "\xff", "" },
	{ "SELECT \"", "\"\"", "" },
	{ "SELECT 1 /*", "a='b',", "*/" },
	{ "SELECT 1 /*", "%2", "='x'*/" },
	{ "SELECT 1 /*", "a=", "*/" },
};

static double now(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char *make(size_t i, size_t size, size_t *ret_n)
{
	size_t unit = strlen(texts[i].unit), n = strlen(texts[i].head);
	char *text = malloc(size + 256);

	assert_non_null(text);
	memcpy(text, texts[i].head, n);
	for (; n < size; n += unit)
		memcpy(text + n, texts[i].unit, unit);
	memcpy(text + n, texts[i].tail, strlen(texts[i].tail));
	*ret_n = n + strlen(texts[i].tail);
	return text;
}

/* Statement by statement as well, where that is not the square of it by itself. */
static double cost(enum sql_dialect dialect, size_t i, size_t size)
{
	double best = 1e9;
	size_t n;
	char *text = make(i, size, &n);
	struct sql s = { 0 };

	for (int run = 0; run < RUNS; run++) {
		struct bytes rest = bytes_of(text, n), one;
		double start = now();

		sql_read(&s, dialect, rest, false, 4096);
		while (sql_next_statement(dialect, &rest, &one))
			;
		start = now() - start;
		if (start < best)
			best = start;
	}
	sql_free(&s);
	free(text);
	return best;
}

static void check(enum sql_dialect dialect)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		double small = cost(dialect, i, SMALL), large = cost(dialect, i, (size_t)SMALL * FACTOR);

		if (large > small * FACTOR * 3)
			fail_msg("%s%s...: %.0f us, eight times it: %.0f us", texts[i].head, texts[i].unit, small * 1e6,
				 large * 1e6);
	}
}

static void test_postgresql(void **state)
{
	(void)state;
	check(SQL_POSTGRESQL);
}

static void test_mysql(void **state)
{
	(void)state;
	check(SQL_MYSQL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgresql),
		cmocka_unit_test(test_mysql),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
