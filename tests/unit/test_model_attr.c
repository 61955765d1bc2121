/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "model/attr.h"
#include "model/resource.h"
#include "model/span.h"

#define B(s) BYTES_LITERAL(s)

static void assert_text(const struct attrs *a, const char *key, struct bytes want)
{
	const struct attr *at = attrs_find(a, key);

	assert_non_null(at);
	assert_int_equal(at->type, ATTR_STRING);
	assert_int_equal(at->s.n, want.n);
	assert_memory_equal(at->s.p, want.p, want.n);
}

static void test_set_and_replace(void **state)
{
	struct attrs a = { 0 };

	(void)state;
	assert_null(attrs_find(&a, ATTR_HTTP_ROUTE));
	attrs_str(&a, ATTR_HTTP_ROUTE, B("/a"), 0);
	attrs_int(&a, ATTR_SERVER_PORT, -5);
	attrs_double(&a, "d", 1.5);
	attrs_bool(&a, "b", true);
	assert_int_equal(a.n, 4);
	assert_text(&a, ATTR_HTTP_ROUTE, B("/a"));
	assert_int_equal(attrs_find(&a, ATTR_SERVER_PORT)->i, -5);
	assert_true(attrs_find(&a, "d")->d > 1.4);
	assert_true(attrs_find(&a, "b")->b);
	attrs_str(&a, ATTR_HTTP_ROUTE, B("/longer"), 0);
	attrs_str(&a, ATTR_SERVER_PORT, B("80"), 0); /* the type may change with the value */
	assert_int_equal(a.n, 4);
	assert_text(&a, ATTR_HTTP_ROUTE, B("/longer"));
	assert_text(&a, ATTR_SERVER_PORT, B("80"));
	attrs_str(&a, ATTR_HTTP_ROUTE, B(""), 0);
	attrs_str(&a, "empty", B(""), 0);
	assert_null(attrs_find(&a, "empty"));
	assert_text(&a, ATTR_HTTP_ROUTE, B("/longer"));
	attrs_free(&a);
	assert_int_equal(a.n, 0);
	assert_null(a.text);
}

/* One bit for each key and only 64 of them: most of these share theirs with others. */
static void test_keys_that_share_a_bit(void **state)
{
	struct attrs a = { 0 };
	char key[16];

	(void)state;
	for (int i = 0; i < ATTRS_MAX; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		assert_null(attrs_find(&a, key));
		attrs_str_copy_key(&a, bytes_str(key), i % 2 ? B("odd") : B("even"), 0);
	}
	assert_int_equal(a.n, ATTRS_MAX);
	for (int i = 0; i < ATTRS_MAX; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		assert_text(&a, key, i % 2 ? B("odd") : B("even"));
		attrs_str_copy_key(&a, bytes_str(key), B("again"), 0);
		assert_text(&a, key, B("again"));
	}
	assert_int_equal(a.n, ATTRS_MAX);
	assert_int_equal(a.dropped, 0);
	attrs_free(&a);
}

/* Text is judged eight bytes at a time: each length, and one byte that is not ASCII at each place. */
static void test_text_of_all_lengths(void **state)
{
	char text[41], want[44];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t n = 1; n < sizeof(text); n++)
		for (size_t at = 0; at <= n; at++) { /* at n: none */
			struct span *s = span_new(NULL);

			memset(want, 'x', sizeof(want));
			if (at < n) {
				text[at] = (char)0xff;
				memcpy(want + at, "\xef\xbf\xbd", 3);
			}
			span_name(s, bytes_of(text, n));
			text[at] = 'x';
			assert_int_equal(s->name.n, at < n ? n + 2 : n);
			assert_memory_equal(s->name.p, want, s->name.n);
			assert_int_equal(s->name.p[s->name.n], '\0');
			span_unref(s);
		}
}

static void test_count_limit(void **state)
{
	struct attrs a = { 0 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key.%d", i);
		attrs_str_copy_key(&a, bytes_str(key), B("value"), 0);
	}
	assert_int_equal(a.n, ATTRS_MAX);
	assert_int_equal(a.dropped, 200 - ATTRS_MAX);
	assert_text(&a, "key.0", B("value"));
	assert_text(&a, "key.127", B("value"));
	assert_null(attrs_find(&a, "key.128"));
	attrs_int(&a, "key.7", 7); /* replacing is always possible */
	assert_int_equal(attrs_find(&a, "key.7")->i, 7);
	assert_int_equal(a.dropped, 200 - ATTRS_MAX);
	attrs_free(&a);
}

static void test_copied_keys(void **state)
{
	struct attrs a = { 0 };
	char key[] = "team.name";

	(void)state;
	attrs_str_copy_key(&a, bytes_str(key), B("x"), 0);
	memset(key, 'Z', sizeof(key) - 1);
	assert_text(&a, "team.name", B("x"));
	attrs_str_copy_key(&a, B("team.name"), B("y"), 0);
	assert_int_equal(a.n, 1);
	assert_text(&a, "team.name", B("y"));
	attrs_str_copy_key(&a, B(""), B("y"), 0);
	attrs_str_copy_key(&a, B("a\0b"), B("y"), 0); /* keys are C strings */
	attrs_str_copy_key(&a, B("team"), B("prefix"), 0);
	assert_int_equal(a.n, 2);
	assert_text(&a, "team", B("prefix"));
	attrs_free(&a);
}

/* Expected values: Python's bytes.decode("utf-8", "replace"). */
static void test_utf8(void **state)
{
	static const struct {
		struct bytes in, out;
		size_t max;
	} cases[] = {
		{ B("plain"), B("plain"), 0 },
		{ B("caf\xc3\xa9"), B("caf\xc3\xa9"), 0 },
		{ B("\xff"), B("\xef\xbf\xbd"), 0 },
		{ B("a\xc3"), B("a\xef\xbf\xbd"), 0 },
		{ B("\xe2\x82"), B("\xef\xbf\xbd"), 0 },
		{ B("\xe2\x82x"), B("\xef\xbf\xbdx"), 0 },
		{ B("\xed\xa0\x80"), B("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"), 0 }, /* a surrogate */
		{ B("\xf0\x9f\x98\x80"), B("\xf0\x9f\x98\x80"), 0 },
		{ B("\xf0\x9f\x98"), B("\xef\xbf\xbd"), 0 },
		{ B("\xc0\xaf"), B("\xef\xbf\xbd\xef\xbf\xbd"), 0 }, /* overlong */
		{ B("\xf4\x90\x80\x80"), B("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"), 0 },
		{ B("a\0b"), B("a\0b"), 0 },
		{ B("caf\xc3\xa9s"), B("caf\xc3\xa9"), 4 }, /* characters, not bytes */
		{ B("\xc3\xa9\xc3\xa9"), B("\xc3\xa9"), 1 },
		{ B("\xff\xff\xff"), B("\xef\xbf\xbd\xef\xbf\xbd"), 2 },
		{ B("abc"), B("abc"), 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct attrs a = { 0 };

		attrs_str(&a, "k", cases[i].in, cases[i].max);
		assert_text(&a, "k", cases[i].out);
		attrs_free(&a);
	}
}

static void test_text_larger_than_a_block(void **state)
{
	static char big[100000];
	struct attrs a = { 0 };
	struct bytes copy;

	(void)state;
	memset(big, 'q', sizeof(big));
	attrs_str(&a, "small", B("s"), 0);
	attrs_str(&a, "big", bytes_of(big, sizeof(big)), 0);
	attrs_str(&a, "after", B("t"), 0);
	assert_text(&a, "big", bytes_of(big, sizeof(big)));
	assert_text(&a, "small", B("s"));
	assert_text(&a, "after", B("t"));
	copy = attrs_text(&a, B("kept"));
	assert_true(bytes_eq(copy, B("kept")));
	assert_non_null(attrs_text(&a, B("")).p);
	attrs_free(&a);
}

static void test_resource(void **state)
{
	struct resource *r = resource_new();
	struct span *s;

	(void)state;
	assert_true(bytes_eq(resource_service(r), B("unknown_service")));
	assert_true(bytes_eq(resource_service(NULL), B("unknown_service")));
	attrs_str(&r->attrs, "service.name", B("shop"), 0);
	assert_true(bytes_eq(resource_service(r), B("shop")));
	s = span_new(r);
	assert_int_equal(r->refs, 2);
	resource_unref(r);
	assert_true(bytes_eq(resource_service(s->resource), B("shop")));
	span_unref(s);
	resource_unref(NULL);
	span_unref(NULL);
}

static void test_span(void **state)
{
	struct resource *r = resource_new();
	struct span *s = span_new(r), *same;

	(void)state;
	assert_true(trace_id_zero(&s->trace) && span_id_zero(&s->id) && span_id_zero(&s->parent));
	s->trace.b[15] = 1;
	s->id.b[0] = 1;
	assert_false(trace_id_zero(&s->trace) || span_id_zero(&s->id));
	span_name(s, B("GET /\xff"));
	assert_true(bytes_eq(s->name, B("GET /\xef\xbf\xbd")));
	span_error(s, B(""));
	assert_int_equal(s->status, SPAN_UNSET);
	assert_null(attrs_find(&s->attrs, ATTR_ERROR_TYPE));
	for (int i = 0; i < 60; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		attrs_str_copy_key(&s->attrs, bytes_str(key), B("a value of some length"), 0);
	}
	span_error(s, B("500"));
	assert_int_equal(s->status, SPAN_ERROR);
	assert_text(&s->attrs, ATTR_ERROR_TYPE, B("500"));
	assert_text(&s->attrs, "k0", B("a value of some length"));
	same = span_ref(s);
	span_unref(s);
	assert_true(bytes_eq(same->name, B("GET /\xef\xbf\xbd")));
	span_unref(same);
	resource_unref(r);
}

static void test_error_needs_room(void **state)
{
	struct resource *r = resource_new();
	struct span *s = span_new(r);

	(void)state;
	for (int i = 0; i < ATTRS_MAX; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		attrs_str_copy_key(&s->attrs, bytes_str(key), B("v"), 0);
	}
	span_error(s, B("500")); /* no room for error.type: then no error status either */
	assert_null(attrs_find(&s->attrs, ATTR_ERROR_TYPE));
	assert_int_equal(s->status, SPAN_UNSET);
	span_unref(s);
	resource_unref(r);
}

static void test_hex(void **state)
{
	static const uint8_t raw[] = { 0x00, 0x0f, 0xa0, 0xff };
	uint8_t back[4] = { 9, 9, 9, 9 };
	char text[8];

	(void)state;
	hex_encode(text, raw, 4);
	assert_memory_equal(text, "000fa0ff", 8);
	assert_false(hex_decode(back, B("000fa0f"), 4));
	assert_false(hex_decode(back, B("000fA0ff"), 4));
	assert_false(hex_decode(back, B("000fa0f/"), 4));
	assert_int_equal(back[0], 9); /* untouched on failure */
	assert_true(hex_decode(back, B("000fa0ff"), 4));
	assert_memory_equal(back, raw, 4);
}

enum { MADE = 700 }; /* more than are kept */

static void *let_go(void *spans)
{
	struct span **v = spans;

	for (size_t i = 0; i < MADE; i++)
		span_unref(v[i]);
	return NULL;
}

static void test_made_here_freed_there(void **state)
{
	struct span *v[MADE];
	pthread_t thread;

	(void)state;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < MADE; i++) {
			v[i] = span_new(NULL);
			assert_int_equal(v[i]->refs, 1);
			assert_int_equal(v[i]->attrs.n, 0);
			assert_int_equal(v[i]->start, 0);
			assert_null(v[i]->name.p);
			v[i]->start = i;
			attrs_int(&v[i]->attrs, "i", (int64_t)i);
		}
		for (size_t i = 0; i < MADE; i++) /* none is two */
			assert_int_equal(v[i]->start, attrs_find(&v[i]->attrs, "i")->i);
		assert_int_equal(pthread_create(&thread, NULL, let_go, v), 0);
		pthread_join(thread, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_replace),
		cmocka_unit_test(test_count_limit),
		cmocka_unit_test(test_keys_that_share_a_bit),
		cmocka_unit_test(test_text_of_all_lengths),
		cmocka_unit_test(test_made_here_freed_there),
		cmocka_unit_test(test_copied_keys),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_resource),
		cmocka_unit_test(test_text_larger_than_a_block),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_error_needs_room),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
