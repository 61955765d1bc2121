/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of include/hist.h added up in 64 bits, with only the range of slots that holds something. Both views of a
 * reading and of what user space counts itself end here.
 */
#ifndef SONDE_DECODE_TOTALS_H
#define SONDE_DECODE_TOTALS_H

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"

struct hist_totals {
	uint64_t count, sum, clamped; /* sum in nanoseconds */
	uint64_t explicit_counts[HIST_EXPLICIT_MAX];
	uint64_t amount, amounts[HIST_AMOUNT_MAX];
	uint32_t first, n; /* slots[i] counts slot first + i; slots[0] and slots[n - 1] are not 0 */
	uint64_t *slots;   /* owned */
};

void hist_totals_free(struct hist_totals *t); /* frees what it holds; zeroed is empty */
/* Adds what value counts. -ENOMEM: nothing was added. */
int hist_totals_add(struct hist_totals *t, const struct hist_value *value);
int hist_totals_merge(struct hist_totals *t, const struct hist_totals *other);

/* Counts one duration, and an amount (HIST_NO_AMOUNT: none), as the kernel does. */
void hist_value_count(struct hist_value *v, enum hist_bounds bounds, uint64_t ns, uint64_t amount);
/* Which list of bounds a protocol is counted with. */
enum hist_bounds hist_bounds_of(uint8_t proto);

#endif
