/* SPDX-License-Identifier: Apache-2.0 */
#include "session/budget.h"

#include "proc.h"

#define SECOND 1000000000ULL
#define QUIET_SPANS 8

static void refill(struct budget *b, uint64_t now)
{
	uint64_t most = b->per_second * SECOND, passed;

	if (!b->since) {
		b->since = now;
		b->left = most;
	}
	if (now <= b->since)
		return;
	passed = now - b->since;
	b->since = now;
	b->left += passed < SECOND ? passed * b->per_second : most;
	if (b->left > most)
		b->left = most;
}

bool budget_take(struct budget *b, struct budget_share *share, uint64_t now)
{
	uint64_t slice = now >> SPAN_SLICE_SHIFT;

	if (!b->per_second)
		return true;
	refill(b, now);
	if (b->left >= SECOND) {
		b->left -= SECOND;
		return true;
	}
	if (share->slice != slice)
		*share = (struct budget_share){ .slice = slice };
	return share->taken++ < QUIET_SPANS;
}
