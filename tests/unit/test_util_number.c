/* SPDX-License-Identifier: Apache-2.0 */
/* The referee is the C library's printf(). */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/number.h"

static struct buf out;

static uint64_t random_bits(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void assert_double(double v)
{
	char want[64];

	buf_reset(&out);
	snprintf(want, sizeof(want), "%.17g", v);
	number_double(&out, v);
	assert_string_equal(out.p, want);
}

static void assert_integer(uint64_t v)
{
	char want[64], put[10];

	buf_reset(&out);
	snprintf(want, sizeof(want), "%" PRIu64, v);
	number_unsigned(&out, v);
	assert_string_equal(out.p, want);
	buf_reset(&out);
	snprintf(want, sizeof(want), "%" PRId64, (int64_t)v);
	number_signed(&out, (int64_t)v);
	assert_string_equal(out.p, want);
	snprintf(want, sizeof(want), "%09" PRIu64, v % 1000000000);
	memset(put, 'x', sizeof(put));
	assert_ptr_equal(number_put(put, v, 9), put + 9);
	assert_memory_equal(put, want, 9);
	assert_int_equal(put[9], 'x');
	number_put(put, v, 2);
	assert_memory_equal(put, want + 7, 2);
}

static void test_integers(void **state)
{
	uint64_t bits = 88172645463325252ULL;

	(void)state;
	for (uint64_t p = 1, i = 0; i < 20; i++, p *= 10)
		for (uint64_t near = p - 2; near != p + 3; near++)
			assert_integer(near);
	assert_integer(UINT64_MAX);
	assert_integer((uint64_t)INT64_MIN);
	assert_integer((uint64_t)INT64_MIN - 1);
	for (int i = 0; i < 100000; i++)
		assert_integer(random_bits(&bits) >> i % 64);
}

static void test_doubles(void **state)
{
	static const double some[] = { 0.0,
				       -0.0,
				       1.0,
				       -1.5,
				       0.1,
				       1e-4,
				       9.9999999999999991e-5,
				       1e-5,
				       5e-324,
				       0.5,
				       123.0,
				       1e15,
				       1e16,
				       1e17,
				       1e22,
				       1.7976931348623157e308,
				       HUGE_VAL,
				       1e-11,
				       2.5,
				       1e-12,
				       4503599627370497.5,
				       9007199254740992.0,
				       9007199254740993.0,
				       99999999999999984.0 };
	uint64_t bits = 2463534242ULL;
	double v;

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		assert_double(some[i]);
	for (double p = 1e-15; p < 1e20; p *= 10) { /* where the number of digits changes */
		assert_double(p);
		assert_double(nextafter(p, 0));
		assert_double(nextafter(p, HUGE_VAL));
	}
	for (int i = 0; i < 200000; i++) { /* what we have: seconds, of nanoseconds */
		assert_double((double)(random_bits(&bits) >> (4 + i % 60)) / 1e9);
		assert_double(ldexp((double)(random_bits(&bits) >> i % 64), -(i % 80)));
	}
	for (int i = 0; i < 200000; i++) {
		uint64_t any = random_bits(&bits);

		memcpy(&v, &any, sizeof(v));
		if (isfinite(v))
			assert_double(v);
	}
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
