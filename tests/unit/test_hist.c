/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hist.h"

/* The definition: index i holds (2^(i/8), 2^((i+1)/8)] seconds. */
static int by_definition(uint64_t ns)
{
	return (int)ceil(log2((double)ns / 1e9) * 8) - 1 - HIST_MIN_INDEX;
}

static void test_against_log2(void **state)
{
	unsigned off = 0, n = 0;
	uint64_t x = 88172645463325252ULL;

	(void)state;
	for (int i = 0; i < 2000000; i++) {
		uint32_t clamped;
		uint64_t ns;
		int d;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		ns = (x >> 24) >> (x & 31); /* all magnitudes alike */
		if (ns < 8000)
			continue;
		d = (int)hist_slot(ns, &clamped) - by_definition(ns);
		assert_false(clamped);
		assert_in_range(d + 1, 0, 2); /* never two off */
		off += d != 0;
		n++;
	}
	assert_true(n > 500000);
	assert_true(off * 2000 < n); /* boundaries are 30-bit fractions of a second: 1 in 10,000 lands beside */
}

static void test_bounds(void **state)
{
	uint32_t clamped;

	(void)state;
	assert_int_equal(hist_slot(999999900, &clamped), -1 - HIST_MIN_INDEX); /* 1 s ends index -1 */
	assert_int_equal(hist_slot(1000000100, &clamped), 0 - HIST_MIN_INDEX);
	assert_int_equal(hist_slot(1999999900, &clamped), 7 - HIST_MIN_INDEX);
	assert_int_equal(clamped, 0);
	assert_int_equal(hist_slot(0, &clamped), 0);
	assert_int_equal(clamped, 1);
	assert_int_equal(hist_slot(UINT64_MAX, &clamped), HIST_SLOTS - 1);
	assert_int_equal(clamped, 1);
}

static void test_monotone(void **state)
{
	uint32_t last = 0, clamped;

	(void)state;
	for (uint64_t ns = 1000; ns < 4000000000000ULL; ns += ns / 64) {
		uint32_t slot = hist_slot(ns, &clamped);

		assert_true(slot >= last && slot < HIST_SLOTS);
		last = slot;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_log2),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_monotone),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
