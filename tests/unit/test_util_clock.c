/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "util/clock.h"

static void test_monotonic_moves_forward(void **state)
{
	uint64_t before = clock_monotonic();

	(void)state;
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	assert_true(clock_monotonic() - before >= 2000000);
}

static void test_realtime_is_the_calendar(void **state)
{
	uint64_t now = (uint64_t)time(NULL), ours = clock_realtime() / 1000000000ULL;

	(void)state;
	assert_true(ours >= now && ours <= now + 5);
}

/* The offset turns one clock into the other: within 10 ms even when this process is interrupted between the readings.
 */
static void test_offset_joins_them(void **state)
{
	int64_t best = INT64_MAX;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t error = (int64_t)clock_monotonic() + clock_offset() - (int64_t)clock_realtime();

		if (llabs(error) < best)
			best = llabs(error);
	}
	assert_true(best < 10000000);
}

static void test_offset_is_steady(void **state)
{
	int64_t low = INT64_MAX, high = INT64_MIN;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t offset = clock_offset();

		low = offset < low ? offset : low;
		high = offset > high ? offset : high;
	}
	assert_true(high - low < 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotonic_moves_forward),
		cmocka_unit_test(test_realtime_is_the_calendar),
		cmocka_unit_test(test_offset_joins_them),
		cmocka_unit_test(test_offset_is_steady),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
