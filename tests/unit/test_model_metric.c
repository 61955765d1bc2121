/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hist.h"
#include "model/metric.h"

static void test_definitions(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		assert_true(metric_defs[i].name && *metric_defs[i].name);
		assert_true(metric_defs[i].unit && *metric_defs[i].unit);
		assert_true(metric_defs[i].help && *metric_defs[i].help);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(metric_defs[i].name, metric_defs[j].name);
	}
	assert_int_equal(metric_defs[METRIC_HTTP_SERVER_REQUEST_DURATION].kind, METRIC_HISTOGRAM);
}

/* The kernel counts by the bounds of hist.h: both lists must say the same. */
static void test_bounds(void **state)
{
	static const uint64_t http[] = { HIST_HTTP_BOUNDS }, db[] = { HIST_DB_BOUNDS };
	uint32_t n;

	(void)state;
	for (n = 0; http[n]; n++)
		assert_true(fabs(metric_bounds_http[n] * 1e9 - (double)http[n]) < 1e-3);
	assert_int_equal(n, metric_bounds_http_n);
	assert_true(n + 1 <= HIST_EXPLICIT_MAX);
	for (n = 0; db[n]; n++)
		assert_true(fabs(metric_bounds_db[n] * 1e9 - (double)db[n]) < 1e-3);
	assert_int_equal(n, metric_bounds_db_n);
}

static void test_set(void **state)
{
	struct metric_set set = { 0 };
	struct resource *r = resource_new();

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct metric_point *p =
			metric_set_add(&set, i % 2 ? METRIC_SONDE_EVENTS : METRIC_DB_CLIENT_OPERATION_DURATION, r);

		assert_non_null(p);
		assert_int_equal(p->histogram.count, 0);
		attrs_str(&p->attrs, ATTR_REASON, BYTES_LITERAL("because"), 0);
		if (i % 2)
			p->counter = (uint64_t)i;
		else
			p->histogram.slots = calloc(10, sizeof(uint64_t));
	}
	assert_int_equal(r->refs, 101);
	assert_int_equal(set.v[99].counter, 99);
	metric_set_free(&set);
	assert_int_equal(r->refs, 1);
	assert_int_equal(set.n, 0);
	assert_non_null(metric_set_add(&set, METRIC_SONDE_EVENTS, NULL));
	metric_set_free(&set);
	resource_unref(r);
}

/* The reference is the sorted list of the values themselves: the quantile is at most one bucket (2^(1/8)) above. */
static void test_quantile(void **state)
{
	static const double qs[] = { 0, 0.01, 0.5, 0.9, 0.95, 0.99, 1 };
	enum { N = 10000 };
	uint64_t slots[HIST_SLOTS] = { 0 };
	struct metric_histogram h = {
		.scale = HIST_SCALE, .offset = HIST_MIN_INDEX, .slots_n = HIST_SLOTS, .slots = slots
	};
	uint64_t ns = 1000000;
	__u32 clamped;

	(void)state;
	assert_true(metric_quantile(&h, 0.5) == 0);
	for (int i = 1; i <= N; i++) /* 1 ms, 2 ms ... 10 s: the value of rank i is i ms */
		slots[hist_slot(ns * (uint64_t)i, &clamped)]++;
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
		double exact = fmax(ceil(qs[i] * N), 1) / 1000, got = metric_quantile(&h, qs[i]);

		assert_true(got >= exact * 0.999);
		assert_true(got <= exact * 1.0906);
	}
	assert_true(metric_quantile(&h, 2) == metric_quantile(&h, 1));
	assert_true(metric_quantile(&h, -1) == metric_quantile(&h, 0));
}

static void test_quantile_of_one_value(void **state)
{
	uint64_t slot = 5;
	struct metric_histogram h = { .scale = 0, .offset = 3, .slots_n = 1, .slots = &slot };

	(void)state;
	assert_true(fabs(metric_quantile(&h, 0.5) - 16) < 1e-9); /* (8, 16] */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definitions),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_quantile_of_one_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
