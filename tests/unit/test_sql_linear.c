/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile texts of up to 1 MiB cost what their length is: sixteen times the text may take sixteen times the steps, and
 * is let take 24, where the square would be 256. Steps are counted, not timed: the Makefile has the lexer compiled so
 * that every block of code in it tells us, and links us what copies, compares or searches bytes; each byte is a step.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

#define FACTOR 16

static uint64_t steps;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

#define WRAP(type, name, parameters, arguments, n) \
	type __real_##name parameters;             \
	type __wrap_##name parameters;             \
	type __wrap_##name parameters              \
	{                                          \
		steps += n;                        \
		return __real_##name arguments;    \
	}

void *__real_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n)
{
	char *found = __real_memchr(s, c, n);

	steps += found ? (size_t)(found - (const char *)s) + 1 : n;
	return found;
}

WRAP(void *, memcpy, (void *to, const void *from, size_t n), (to, from, n), n)
WRAP(void *, memmove, (void *to, const void *from, size_t n), (to, from, n), n)
WRAP(int, memcmp, (const void *a, const void *b, size_t n), (a, b, n), n)
WRAP(void *, memset, (void *to, int c, size_t n), (to, c, n), n)

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
static uint64_t cost(enum sql_dialect dialect, size_t i, size_t size)
{
	size_t n;
	char *text = make(i, size, &n);
	struct bytes rest = bytes_of(text, n), one;
	struct sql s = { 0 };

	steps = 0;
	sql_read(&s, dialect, rest, false, 4096);
	while (sql_next_statement(dialect, &rest, &one))
		;
	sql_free(&s);
	free(text);
	return steps;
}

static void check(enum sql_dialect dialect, size_t length)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t small = cost(dialect, i, length / FACTOR), large = cost(dialect, i, length);

		if (large > small * FACTOR * 3 / 2 || large < length / 64)
			fail_msg("%s%s...: %llu steps, %u times it: %llu", texts[i].head, texts[i].unit,
				 (unsigned long long)small, FACTOR, (unsigned long long)large);
	}
}

static void test_postgresql(void **state)
{
	(void)state;
	check(SQL_POSTGRESQL, 1u << 20);
}

static void test_mysql(void **state)
{
	(void)state;
	check(SQL_MYSQL, 1u << 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgresql),
		cmocka_unit_test(test_mysql),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
