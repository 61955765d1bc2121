/* SPDX-License-Identifier: Apache-2.0 */
/* How many spans of connections that stream are made: the rate, what is saved up, and what each connection has anyway.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session/budget.h"

#define MS 1000000ULL
#define BEGIN (1000 * 1000 * MS)

/* Of n that come in ms from `from` on, at even distances: how many are made. */
static unsigned made(struct budget *b, struct budget_share *share, uint64_t from, uint64_t ms, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += budget_take(b, share, from + i * (ms * MS / n));
	return count;
}

static void all_without_a_budget(void **state)
{
	struct budget b = { 0 };
	struct budget_share share = { 0 };

	(void)state;
	assert_int_equal(made(&b, &share, BEGIN, 1, 100000), 100000);
}

static void a_second_is_saved_up(void **state)
{
	struct budget b = { .per_second = 1000 };
	struct budget_share share = { 0 };

	(void)state;
	assert_in_range(made(&b, &share, BEGIN, 1, 5000), 1000, 1000 + 2 * 8);
	assert_in_range(made(&b, &share, BEGIN + 10000 * MS, 1, 5000), 1000, 1000 + 1 + 2 * 8);
}

static void the_rate_is_kept(void **state)
{
	struct budget b = { .per_second = 1000 };
	struct budget_share share = { 0 };

	(void)state;
	made(&b, &share, BEGIN, 1000, 100000);
	/* ten seconds of 100,000 a second: 1,000 each, and 8 of each slice of 134 ms for the connection */
	assert_in_range(made(&b, &share, BEGIN + 1000 * MS, 10000, 1000000), 10000, 10000 + 8 * 76);
}

static void a_quiet_connection_goes_on(void **state)
{
	struct budget b = { .per_second = 10 };
	struct budget_share busy = { 0 }, quiet = { 0 };

	(void)state;
	made(&b, &busy, BEGIN, 1000, 100000);
	for (unsigned i = 0; i < 20; i++)
		assert_true(budget_take(&b, &quiet, BEGIN + 1000 * MS + i * 50 * MS));
}

static void an_older_record_takes_nothing_back(void **state)
{
	struct budget b = { .per_second = 1 };
	struct budget_share share = { 0 };

	(void)state;
	assert_true(budget_take(&b, &share, BEGIN));
	for (unsigned i = 0; i < 100; i++)
		budget_take(&b, &share, BEGIN - i * MS);
	assert_int_equal(b.left, 0);
	assert_int_equal(b.since, BEGIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_without_a_budget),
		cmocka_unit_test(a_second_is_saved_up),
		cmocka_unit_test(the_rate_is_kept),
		cmocka_unit_test(a_quiet_connection_goes_on),
		cmocka_unit_test(an_older_record_takes_nothing_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
