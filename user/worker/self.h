/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent says about itself: what it saw, sent and lost, by reason, and what it costs. */
#ifndef SONDE_WORKER_SELF_H
#define SONDE_WORKER_SELF_H

#include <stdint.h>

#include "drops.h"
#include "model/metric.h"
#include "util/ledger.h"
#include "worker/program.h"

struct self;

/*
 * Opens what it will read of both processes, so it must be called before the sandbox closes. name: service.name of the
 * agent's own telemetry, NULL = "sonde". start: ns since the Unix epoch. NULL when out of memory.
 */
struct self *self_new(const char *name, const struct program_host *host, uint64_t start);
void self_free(struct self *s); /* NULL is allowed */

/* Adds the agent's own metrics. kernel: KERNEL_COUNTER_COUNT counters. */
void self_collect(struct self *s, const uint64_t *kernel, const struct ledger *ledger, struct metric_set *ret);
/* CPU seconds and resident bytes of keeper and worker together; 0 where it cannot be read. */
double self_cpu(const struct self *s);
uint64_t self_memory(const struct self *s);

/*
 * The books: every span that was seen is exported (or printed, when no other destination is set), dropped for one of
 * the reasons below, or still on its way. Other losses (bytes, connections, parents) are events, not spans.
 */
bool self_kernel_drops_span(enum kernel_counter c);
bool self_user_drops_span(enum user_counter c);
uint64_t self_spans_seen(const uint64_t *kernel, const struct ledger *ledger);

#endif
