/* SPDX-License-Identifier: Apache-2.0 */
/* What is held to be the same text must have the same key, whatever the text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "frame/postgres.h"
#include "frame/sqlkey.h"
#include "frame/sqlsame.h"

#define TEXT_MAX 64

static uint64_t seed = 20261130;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

static __u64 key(const char *text, size_t n, bool mysql)
{
	struct sqlkey k;

	sqlkey_init(&k);
	for (size_t at = 0; at < n; at += 16) {
		char block[16] = { 0 };
		size_t part = n - at < 16 ? n - at : 16;

		memcpy(block, text + at, part);
		if (mysql)
			sqlkey_block_mysql(&k, block, (__u32)part);
		else
			sqlkey_block(&k, block, (__u32)part);
	}
	return sqlkey_final(&k);
}

/* Texts of TEXT_MAX bytes; what is not used of them is NULs. */
static bool same(const char *text, const char *before)
{
	__u64 open = 0, differs = 0;

	for (size_t at = 0; at < TEXT_MAX; at += 8)
		differs |= sqlsame_differs(frame_load64(text + at), sqlsame_kept(frame_load64(before + at), &open));
	return !differs;
}

static bool same_texts(const char *a, const char *b)
{
	char text[TEXT_MAX] = { 0 }, before[TEXT_MAX] = { 0 };

	assert_true(strlen(a) < TEXT_MAX && strlen(b) < TEXT_MAX);
	memcpy(text, a, strlen(a));
	memcpy(before, b, strlen(b));
	return same(text, before);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_true(same_texts("SELECT a FROM t WHERE id = 12345;", "SELECT a FROM t WHERE id = 90210;"));
	assert_true(same_texts("SELECT 1,23,(4567890123456789)", "SELECT 9,87,(1111111111111111)"));
	assert_true(same_texts("SELECT a FROM t WHERE id=1 AND b='x 17'", "SELECT a FROM t WHERE id=2 AND b='x 18'"));
	assert_true(same_texts("SELECT 'caf'", "SELECT 'caf'"));
	assert_false(same_texts("SELECT a FROM t1 WHERE id = 1", "SELECT a FROM t2 WHERE id = 1"));
	assert_false(same_texts("SELECT $1", "SELECT $2"));
	assert_false(same_texts("SELECT a FROM t WHERE id = 12x", "SELECT a FROM t WHERE id = 12y"));
	assert_false(same_texts("SELECT 1", "SELECT a"));
	assert_false(same_texts("SELECT :", "SELECT 1"));
	assert_false(same_texts("SELECT /", "SELECT 1"));
	assert_false(same_texts("SELECT \xff", "SELECT 1"));
	assert_false(same_texts("SELECT 12", "SELECT 1"));
}

/* Hostile: any bytes, and one or two of them changed. Most differ, but none may be taken for the same that is not. */
static void test_any_bytes(void **state)
{
	static const char alphabet[] = "aE1 2=3,(4'\"$$-/*+\\.;\n_09#`!";
	unsigned sames = 0;

	(void)state;
	for (unsigned i = 0; i < 400000; i++) {
		char text[TEXT_MAX] = { 0 }, before[TEXT_MAX] = { 0 };
		unsigned n = 1 + pick(TEXT_MAX - 1);
		__u8 several = PG_ONE, several_before = PG_ONE;

		for (unsigned k = 0; k < n; k++)
			before[k] = alphabet[pick(sizeof(alphabet) - 1)];
		memcpy(text, before, sizeof(text));
		for (unsigned k = 1 + pick(3); k; k--) {
			unsigned at = pick(n);

			for (unsigned tries = pick(16); tries && (before[at] < '0' || before[at] > '9'); tries--)
				at = pick(n);
			text[at] = pick(16) ? (char)('0' + pick(10)) : (char)pick(256);
		}
		if (!same(text, before))
			continue;
		sames += memcmp(text, before, n) != 0;
		assert_int_equal(key(text, n, false), key(before, n, false));
		assert_int_equal(key(text, n, true), key(before, n, true));
		for (unsigned k = 0; k < n; k += 8) {
			several = pg_several(several, text + k, n - k);
			several_before = pg_several(several_before, before + k, n - k);
		}
		assert_int_equal(several, several_before);
		assert_int_equal(pg_text_counts(text), pg_text_counts(before));
	}
	assert_true(sames > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_numbers), cmocka_unit_test(test_any_bytes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
