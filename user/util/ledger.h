/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of drops.def that user space keeps, in memory shared by keeper and worker, so that nothing is forgotten
 * when the worker dies. All updates are atomic.
 */
#ifndef SONDE_UTIL_LEDGER_H
#define SONDE_UTIL_LEDGER_H

#include <stdint.h>

#include "drops.h"

struct ledger {
	uint64_t user[USER_COUNTER_COUNT];
};

/* Shared anonymous memory, zeroed; NULL when there is none. Lives as long as the processes that inherited it. */
struct ledger *ledger_new(void);

static inline void ledger_add(struct ledger *l, enum user_counter c, uint64_t n)
{
	__atomic_fetch_add(&l->user[c], n, __ATOMIC_RELAXED);
}

static inline uint64_t ledger_get(const struct ledger *l, enum user_counter c)
{
	return __atomic_load_n(&l->user[c], __ATOMIC_RELAXED);
}

/* Names and help texts of both lists; is_drop tells a loss from a plain counter. */
struct counter_def {
	const char *name, *help;
	int is_drop;
};

extern const struct counter_def kernel_counters[KERNEL_COUNTER_COUNT];
extern const struct counter_def user_counters[USER_COUNTER_COUNT];

#endif
