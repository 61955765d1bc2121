/* SPDX-License-Identifier: Apache-2.0 */
#include "util/clock.h"

#include <time.h>

#define TRIES 5

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t); /* cannot fail for these two clocks */
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t clock_realtime(void)
{
	return now(CLOCK_REALTIME);
}

/* The try with the shortest time between the two readings of the monotonic clock was disturbed least. */
int64_t clock_offset(void)
{
	uint64_t shortest = UINT64_MAX;
	int64_t offset = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = clock_monotonic();
		uint64_t wall = clock_realtime();
		uint64_t took = clock_monotonic() - before;

		if (took < shortest) {
			shortest = took;
			offset = (int64_t)(wall - (before + took / 2));
		}
	}
	return offset;
}
