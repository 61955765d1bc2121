/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/uuid5.h"

static void hex_of(struct bytes b, size_t piece, char ret[41])
{
	uint8_t h[SHA1_SIZE];
	struct sha1 s;

	sha1_init(&s);
	while (b.n) {
		sha1_add(&s, bytes_head(b, piece));
		b = bytes_tail(b, piece);
	}
	sha1_end(&s, h);
	for (int i = 0; i < SHA1_SIZE; i++)
		sprintf(ret + 2 * i, "%02x", h[i]);
}

/* RFC 3174, section 7.3, and the empty text. */
static void test_published(void **state)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	char h[41], *million = malloc(1000000);

	(void)state;
	hex_of(bytes_str("abc"), 64, h);
	assert_string_equal(h, "a9993e364706816aba3e25717850c26c9cd0d89d");
	hex_of(bytes_str(two), 64, h);
	assert_string_equal(h, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	hex_of(bytes_str(""), 64, h);
	assert_string_equal(h, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	memset(million, 'a', 1000000);
	hex_of(bytes_of(million, 1000000), 977, h);
	assert_string_equal(h, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	free(million);
}

/* sha1sum is the referee at every length around the borders of a block. */
static void test_lengths(void **state)
{
	char text[131];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int n = 50; n <= 130; n++) {
		char command[256], want[64] = { 0 }, got[41];
		FILE *p;

		snprintf(command, sizeof(command), "printf '%.*s' | sha1sum", n, text);
		p = popen(command, "r");
		assert_non_null(p);
		assert_int_equal(fread(want, 1, 40, p), 40);
		pclose(p);
		hex_of(bytes_of(text, (size_t)n), 7, got);
		assert_string_equal(got, want);
	}
}

/* RFC 9562, appendix A.4: www.example.com in the DNS namespace. */
static void test_uuid(void **state)
{
	static const uint8_t dns[16] = { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
					 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	char text[UUID_TEXT];

	(void)state;
	uuid5(dns, bytes_str("www.example.com"), text);
	assert_string_equal(text, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
