/* SPDX-License-Identifier: Apache-2.0 */
/* The reference is the lexer's fingerprint: made by other code, from tokens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame/sqlkey.h"
#include "sql/sql.h"

#define STATEMENTS 4000
#define TEXT_MAX 1024

static uint64_t seed = 20240607;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

/* In blocks of the given size, each in its own allocation, so that a byte read too many is seen. */
static __u64 key_of(const char *text, size_t step, int flavour)
{
	size_t n = strlen(text);
	struct sqlkey k;

	sqlkey_init(&k);
	for (size_t at = 0; at < n; at += step) {
		size_t part = n - at < step ? n - at : step;
		char *block = malloc(part);

		assert_non_null(block);
		memcpy(block, text + at, part);
		if (flavour == SQLKEY_MYSQL)
			sqlkey_block_mysql(&k, block, (__u32)part);
		else
			sqlkey_block(&k, block, (__u32)part);
		free(block);
	}
	return sqlkey_final(&k);
}

static __u64 key_by(const char *text, size_t step)
{
	return key_of(text, step, SQLKEY_POSTGRES);
}

static __u64 mysql_key(const char *text)
{
	__u64 k = key_of(text, 16, SQLKEY_MYSQL);

	for (size_t step = 1; step < 16; step++)
		assert_int_equal(key_of(text, step, SQLKEY_MYSQL), k);
	assert_int_not_equal(k, 0);
	return k;
}

static __u64 key(const char *text)
{
	__u64 k = key_by(text, 16);

	for (size_t step = 1; step < 16; step++)
		assert_int_equal(key_by(text, step), k);
	assert_int_not_equal(k, 0);
	return k;
}

static void test_same(void **state)
{
	static const char *const pairs[][2] = {
		{ "SELECT 1", "SELECT 22" },
		{ "SELECT 1", "SELECT -22.5e10" },
		{ "SELECT 1", "SELECT 1;" },
		{ "SELECT 1", "\n SELECT\t\t 'x' " },
		{ "select 'a'", "select 'it''s'" },
		{ "select ''", "select ''''''" },
		{ "select 'a' , b", "select E'it\\'s \\\\' , b" },
		{ "select x'00'", "select X'ffffffffffffffffffffffff'" },
		{ "select a from t", "select  a\n from /* 'x' */ t /*traceparent='00-1'*/" },
		{ "SELECT 1", "SELECT 1/*a='b**'**/" },
		{ "SELECT 1234567", "/* hi */SELECT 5" },
		{ "a b", "a -- it's\nb" },
		{ "a b", "a /*x*/ /*y*/ b" },
		{ "a - 5 b", "a - 1234567890123456789 b" },
		{ "a = -5", "a = +5" },
		{ "x = .5", "x = .77" },
		{ "a=$1", "a=$22" },
		{ "a IN (1,'x')", "a IN (33,'yy')" },
		{ "select $$a'b$$, 1", "select $$c$d$$, 2" },
		{ "select $x$a'b$y$ $$ $x$, 1", "select $x$c$d$x$, 2" },
		{ "select DATE '2020-01-01', 0x1F", "select DATE '1', 1_000" },
		{ "select 'caf\xc3\xa9' from caf\xc3\xa9", "select 'tea' from caf\xc3\xa9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (key(pairs[i][0]) != key(pairs[i][1]))
			fail_msg("not the same: %s | %s", pairs[i][0], pairs[i][1]);
}

static void test_different(void **state)
{
	static const char *const texts[] = {
		"select c3po", "select c4po", "select a+1",  "select a-1", "a/b",    "a b",	"ab",
		"a/ *b",       "a*b",	      "a-b",	     "a - b",	   "a + b",  "a > 5 ",	"a >= 5",
		"a <> 5",      "t.a",	      "t,a",	     "a",	   "b",	     "",	"f(1)",
		"f(1, 2)",     "caf\xc3\xa9", "caf\xc3\xa8", "\"a\"",	   "a::int", "a->>'x'", "a->'x'",
	};
	enum { N = sizeof(texts) / sizeof(texts[0]) };

	(void)state;
	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < i; j++)
			if (key(texts[i]) == key(texts[j]))
				fail_msg("the same: %s | %s", texts[i], texts[j]);
}

static void test_mysql(void **state)
{
	static const char *const pairs[][2] = {
		{ "SELECT 1", "SELECT -22.5e10;" },
		{ "select 'a', b", "select 'it\\'s, \\\\', b" },
		{ "select 'a', b", "select 'it''s a longer one, with \"x\"', b" },
		{ "select 'a', b", "select \"it's\", b" },
		{ "select \"a\", b", "select \"a \\\" longer \"\" string's\", b" },
		{ "a b", "a # it's\nb" },
		{ "a b", "a -- it's\nb" },
		{ "a b", "a --\nb" },
		{ "a b", "a /* it's */ b" },
		{ "select `a1` from `t2` where x = 5", "select `a1` from `t2` where x = 66" },
		{ "a IN (1,'x')", "a IN (33,\"yy\")" },
		{ "select x'00', n'a', b'1'", "select X'ff', N'b', B'0'" },
	};
	static const char *const texts[] = {
		"select `a`",
		"select `b`",
		"select a",
		"a-1",
		"a--b",
		"a--c",
		"/*! set a */",
		"/*! set b */",
		"/*M! c */",
		"select $a from t",
		"select $b from t",
		"`2a`",
		"`3a`",
		"a -- b\n c",
	};
	enum { N = sizeof(texts) / sizeof(texts[0]) };

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (mysql_key(pairs[i][0]) != mysql_key(pairs[i][1]))
			fail_msg("not the same: %s | %s", pairs[i][0], pairs[i][1]);
	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < i; j++)
			if (mysql_key(texts[i]) == mysql_key(texts[j]))
				fail_msg("the same: %s | %s", texts[i], texts[j]);
}

static void append(char *text, const char *more)
{
	assert_true(strlen(text) + strlen(more) < TEXT_MAX);
	strcat(text, more);
}

static void append_literal(char *text)
{
	static const char *const strings[] = { "''", "'abc'", "'it''s -- /* $$ \"'", "'--'",
					       "'longer than a block of 16'" };
	char number[64];

	if (pick(2)) {
		append(text, strings[pick(5)]);
		return;
	}
	snprintf(number, sizeof(number), pick(2) ? "%u" : "%u.5e3", pick(1u << pick(31)));
	append(text, number);
}

/* A statement with the shape that the seed gives, and literals of another seed. */
static void make(char *text, uint64_t shape, uint64_t literals)
{
	static const char *const words[] = {
		"a", "id", "\"shop_order\"", "t1", "SELECT", "FROM", "WHERE", "AND", "x.y", "in", "e", "count(*)", "b2c"
	};
	static const char *const marks[] = { "=", "<", ",", " ", "\n  ", "(", ")", " /* ' */ ", "::" };
	unsigned parts;

	seed = shape;
	text[0] = '\0';
	parts = 1 + pick(24);
	for (unsigned i = 0; i < parts; i++) {
		unsigned what = pick(3);

		append(text, what == 0 ? marks[pick(9)] : " ");
		append(text, words[pick(13)]);
		if (what == 1) {
			uint64_t kept = seed;

			append(text, pick(2) ? " = " : ", ");
			seed = literals += 7919;
			append_literal(text);
			seed = kept * 31 + 1;
		}
	}
}

static uint64_t fingerprint(const char *text)
{
	struct sql s = { 0 };
	uint64_t f;

	sql_read(&s, SQL_POSTGRESQL, bytes_str(text), false, 0);
	f = s.fingerprint;
	sql_free(&s);
	return f;
}

static void test_random(void **state)
{
	static struct {
		__u64 key;
		uint64_t fingerprint;
	} seen[STATEMENTS];
	char a[TEXT_MAX], b[TEXT_MAX];
	unsigned differ = 0;

	(void)state;
	for (unsigned i = 0; i < STATEMENTS; i++) {
		make(a, i * 1000003ULL, 1);
		make(b, i * 1000003ULL, 2 + i);
		differ += strcmp(a, b) != 0;
		seen[i].key = key_by(a, 16);
		seen[i].fingerprint = fingerprint(a);
		if (key_by(b, 1 + i % 16) != seen[i].key)
			fail_msg("not the same: %s | %s", a, b);
		assert_int_equal(fingerprint(b), seen[i].fingerprint);
		for (unsigned j = 0; j < i; j++)
			if (seen[j].key == seen[i].key)
				assert_int_equal(seen[j].fingerprint, seen[i].fingerprint);
	}
	assert_true(differ > STATEMENTS / 2);
}

/* Any bytes: the same key however they are cut. */
static void test_any_bytes(void **state)
{
	static const char alphabet[] = "a1 '\"$$-/*+\\eE.;\n_\xc3x?";
	char text[80];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = pick(sizeof(text) - 1);

		for (unsigned j = 0; j < n; j++)
			text[j] = pick(8) ? alphabet[pick(sizeof(alphabet) - 1)] : (char)(1 + pick(255));
		text[n] = '\0';
		assert_int_equal(key_by(text, 16), key_by(text, 1));
		assert_int_equal(key_by(text, 16), key_by(text, 2 + i % 14));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),   cmocka_unit_test(test_different), cmocka_unit_test(test_mysql),
		cmocka_unit_test(test_random), cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
