/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"

static void test_appends(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_str(&b, "a");
	buf_char(&b, 'b');
	buf_add(&b, bytes_of("c\0d", 3));
	buf_add(&b, bytes_of(NULL, 0));
	buf_printf(&b, "%05d|%s", 42, "");
	assert_int_equal(b.n, 11);
	assert_memory_equal(b.p, "abc\0d00042|", 12);
	assert_false(b.failed);
	buf_reset(&b);
	assert_int_equal(b.n, 0);
	assert_string_equal(b.p, "");
	buf_str(&b, "again");
	assert_string_equal(b.p, "again");
	buf_free(&b);
	assert_null(b.p);
	buf_str(&b, "usable");
	assert_string_equal(b.p, "usable");
	buf_free(&b);
}

static void test_grows(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		buf_char(&b, (char)('a' + i % 26));
		assert_true(b.n < b.cap);
	}
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	buf_printf(&b, "%5000d", 7);
	assert_int_equal(b.n, 105000);
	assert_int_equal(b.p[104999], '7');
	buf_free(&b);
}

static void test_too_large_fails_and_stays_failed(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_str(&b, "kept");
	assert_false(buf_reserve(&b, SIZE_MAX - 2));
	assert_true(b.failed);
	buf_str(&b, "more");
	assert_string_equal(b.p, "kept");
	buf_reset(&b);
	assert_false(b.failed);
	buf_str(&b, "new");
	assert_string_equal(b.p, "new");
	buf_free(&b);
}

static void assert_json(struct bytes in, const char *expected)
{
	struct buf b = { 0 };

	buf_json(&b, in);
	assert_string_equal(b.n ? b.p : "", expected);
	buf_free(&b);
}

static void test_json_escapes(void **state)
{
	(void)state;
	assert_json(BYTES_LITERAL(""), "");
	assert_json(BYTES_LITERAL("plain"), "plain");
	assert_json(BYTES_LITERAL("a\"b\\c/d"), "a\\\"b\\\\c/d");
	assert_json(BYTES_LITERAL("\n\r\t\x01\x1b[31m\x7f"), "\\n\\r\\t\\u0001\\u001b[31m\\u007f");
	assert_json(bytes_of("\0", 1), "\\u0000");
	assert_json(BYTES_LITERAL("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x98"),
		    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x98");
}

/* The Unicode Standard 15.0, section 3.9, tables 3-8 to 3-11: one U+FFFD for each maximal subpart. */
static void test_json_invalid_utf8(void **state)
{
	(void)state;
	assert_json(BYTES_LITERAL("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
		    "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdA");
	assert_json(BYTES_LITERAL("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
		    "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdA");
	assert_json(BYTES_LITERAL("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
		    "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdA\\ufffd\\ufffdB");
	assert_json(BYTES_LITERAL("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), "\\ufffd\\ufffd\\ufffd\\ufffdA");
	assert_json(BYTES_LITERAL("cut \xe2\x82"), "cut \\ufffd");
}

/* Whatever the bytes, jansson reads the result; and gives the bytes back when they were ASCII. */
static void test_json_is_always_valid(void **state)
{
	unsigned seed = 99;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % 24;
		bool ascii = round % 2;
		struct buf b = { 0 };
		char in[24];
		json_t *j;

		for (size_t i = 0; i < n; i++)
			in[i] = (char)(rand_r(&seed) % (ascii ? 0x80 : 0x100));
		buf_char(&b, '"');
		buf_json(&b, bytes_of(in, n));
		buf_char(&b, '"');
		j = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(j);
		if (ascii) {
			assert_int_equal(json_string_length(j), n);
			assert_memory_equal(json_string_value(j), in, n);
		}
		json_decref(j);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_too_large_fails_and_stays_failed),
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_invalid_utf8),
		cmocka_unit_test(test_json_is_always_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
