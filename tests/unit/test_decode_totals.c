/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode/totals.h"
#include "event.h"

static uint64_t random_ns(void)
{
	return (uint64_t)1 << (rand() % 42) | ((uint64_t)rand() << 11 & 0x3fffff);
}

/* Sparse totals against a plain array that counts the same values. */
static void test_sums_like_a_plain_array(void **state)
{
	uint64_t slots[HIST_SLOTS] = { 0 }, explicits[HIST_EXPLICIT_MAX] = { 0 }, sum = 0, count = 0;
	struct hist_totals t = { 0 };

	(void)state;
	srand(1);
	for (int round = 0; round < 200; round++) {
		struct hist_value v = { 0 };

		for (int i = 0; i < round % 7; i++)
			hist_value_count(&v, HIST_DB, random_ns(), HIST_NO_AMOUNT);
		assert_int_equal(hist_totals_add(&t, &v), 0);
		for (size_t i = 0; i < HIST_SLOTS; i++)
			slots[i] += v.slots[i];
		for (size_t i = 0; i < HIST_EXPLICIT_MAX; i++)
			explicits[i] += v.explicit_counts[i];
		sum += v.sum;
		count += v.count;
	}
	assert_true(t.count == count && t.sum == sum);
	assert_memory_equal(t.explicit_counts, explicits, sizeof(explicits));
	for (uint32_t i = 0; i < HIST_SLOTS; i++)
		assert_int_equal(i >= t.first && i < t.first + t.n ? t.slots[i - t.first] : 0, slots[i]);
	assert_true(t.n > 0 && t.slots[0] && t.slots[t.n - 1]);
	hist_totals_free(&t);
}

static void test_merge(void **state)
{
	struct hist_totals a = { 0 }, b = { 0 }, both = { 0 };

	(void)state;
	srand(2);
	for (int i = 0; i < 300; i++) {
		struct hist_value v = { 0 };

		hist_value_count(&v, HIST_HTTP, random_ns(), HIST_NO_AMOUNT);
		assert_int_equal(hist_totals_add(i % 3 ? &a : &b, &v), 0);
		assert_int_equal(hist_totals_add(&both, &v), 0);
	}
	assert_int_equal(hist_totals_merge(&a, &b), 0);
	assert_true(a.count == both.count && a.sum == both.sum && a.first == both.first && a.n == both.n);
	assert_memory_equal(a.slots, both.slots, a.n * sizeof(*a.slots));
	assert_memory_equal(a.explicit_counts, both.explicit_counts, sizeof(a.explicit_counts));
	assert_int_equal(hist_totals_merge(&a, &(struct hist_totals){ 0 }), 0);
	hist_totals_free(&a);
	hist_totals_free(&b);
	hist_totals_free(&both);
}

static void test_nothing(void **state)
{
	struct hist_totals t = { 0 };
	struct hist_value v = { 0 };

	(void)state;
	assert_int_equal(hist_totals_add(&t, &v), 0);
	assert_true(t.n == 0 && t.count == 0);
	hist_totals_free(&t);
}

/* Upper bounds are inclusive (semantic conventions, "http.server.request.duration"; metrics data model, "Histogram").
 */
static void test_bounds(void **state)
{
	static const struct {
		enum hist_bounds bounds;
		uint64_t ns;
		unsigned bucket;
	} cases[] = {
		{ HIST_HTTP, 0, 0 },
		{ HIST_HTTP, 5000000, 0 },
		{ HIST_HTTP, 5000001, 1 },
		{ HIST_HTTP, 10000000000, 13 },
		{ HIST_HTTP, 10000000001, 14 },
		{ HIST_DB, 1000000, 0 },
		{ HIST_DB, 1000001, 1 },
		{ HIST_DB, 10000000000, 8 },
		{ HIST_DB, 10000000001, 9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hist_value v = { 0 };

		hist_value_count(&v, cases[i].bounds, cases[i].ns, HIST_NO_AMOUNT);
		assert_int_equal(v.explicit_counts[cases[i].bucket], 1);
	}
	assert_int_equal(hist_bounds_of(PROTO_POSTGRES), HIST_DB);
	assert_int_equal(hist_bounds_of(PROTO_HTTP1), HIST_HTTP);
}

static void test_clamped(void **state)
{
	struct hist_value v = { 0 };
	struct hist_totals t = { 0 };

	(void)state;
	hist_value_count(&v, HIST_DB, 0, HIST_NO_AMOUNT);
	hist_value_count(&v, HIST_DB, 5000000000000, HIST_NO_AMOUNT);
	assert_int_equal(v.clamped, 2);
	assert_int_equal(hist_totals_add(&t, &v), 0);
	assert_true(t.first == 0 && t.n == HIST_SLOTS && t.clamped == 2);
	hist_totals_free(&t);
}

/* Upper bounds of amounts are inclusive, too; no amount is none, and nothing is an amount. */
static void test_amounts(void **state)
{
	static const struct {
		uint64_t amount;
		unsigned bucket;
	} cases[] = { { 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 2 }, { 10000, 12 }, { 10001, 13 }, { 5000000, 13 } };
	struct hist_totals t = { 0 }, other = { 0 };
	uint64_t sum = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hist_value v = { 0 };

		hist_value_count(&v, HIST_DB, 1000, cases[i].amount);
		assert_int_equal(v.amounts[cases[i].bucket], 1);
		assert_int_equal(hist_totals_add(&t, &v), 0);
		sum += cases[i].amount;
		hist_value_count(&v, HIST_DB, 1000, HIST_NO_AMOUNT);
		assert_int_equal(v.count, 2);
		assert_true(v.amount == cases[i].amount);
	}
	assert_true(t.amount == sum);
	assert_int_equal(hist_totals_merge(&other, &t), 0);
	assert_int_equal(hist_totals_merge(&other, &t), 0);
	assert_true(other.amount == 2 * sum && other.amounts[0] == 4 && other.amounts[13] == 4);
	hist_totals_free(&t);
	hist_totals_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_like_a_plain_array),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_clamped),
		cmocka_unit_test(test_amounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
