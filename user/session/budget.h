/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many spans of connections that stream are made in a second (traces.spans_per_second). The kernel leaves its own
 * out before they go up (bpf/core/budget.bpf.c); what it does not frame it does not count either. The same rules: about
 * a second of what was not used is kept, and beyond the budget each connection still has a few.
 */
#ifndef SONDE_SESSION_BUDGET_H
#define SONDE_SESSION_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint32_t per_second; /* 0 = as many as there are */
	uint64_t since;	     /* up to when there was a share, ns; 0 = the budget is full */
	uint64_t left;	     /* spans times 10^9 */
};

/* Of one connection. */
struct budget_share {
	uint64_t slice;
	unsigned taken;
};

/* May a span be made? now: CLOCK_MONOTONIC, of its record; an older one than before is of the same moment. */
bool budget_take(struct budget *b, struct budget_share *share, uint64_t now);

#endif
