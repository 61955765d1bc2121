/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of what is observed: gives each histogram key its name and its service, adds up the keys that turn out to be
 * one series, and keeps the totals for ever. A key counts in the kernel from its first exchange; until its name and
 * service are known here its counts are left there, so none is lost and none gets a wrong name.
 */
#ifndef SONDE_WORKER_METRICS_H
#define SONDE_WORKER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "model/metric.h"
#include "session/trace.h"
#include "worker/processes.h"

#define METRICS_SERIES_MAX                                                                        \
	2000 /* of each metric (OpenTelemetry metrics SDK, "Cardinality limits"), overflow on top \
	      */

struct metrics;

/* start: ns since the Unix epoch, when counting began. max_keys: of the kernel's table. NULL when out of memory. */
struct metrics *metrics_new(struct processes *processes, struct assembly *assembly, size_t max_keys, bool exponential,
			    uint64_t start);
void metrics_free(struct metrics *m); /* NULL is allowed */

/* Takes the names that an earlier worker gave from the file fd (names.h) and adds its own to it. -1: none. */
void metrics_keep_names(struct metrics *m, int fd);
/* A sample to name a key by. */
void metrics_operation(struct metrics *m, const struct event_operation *op);
/* assembly_measure_fn: a duration that user space measured, and the amount beside it. */
void metrics_measure(void *context, const struct hist_key *key, uint64_t ns, uint64_t amount,
		     const struct event_operation *sample);
/* assembly_record_fn: the same where the kernel has no key for it. */
void metrics_record(void *context, enum metric_id metric, uint32_t tgid, uint32_t service, const struct attrs *attrs,
		    uint64_t ns);
/* histmap_grew_fn. False: nobody knows yet whose this is. */
bool metrics_grew(void *context, const struct hist_key *key, const struct hist_value *growth);
/* Time passes: CLOCK_MONOTONIC ns. */
void metrics_tick(struct metrics *m, uint64_t now);
/* From now on keys without a name or service are counted as far as they are known: for the last reading. */
void metrics_last(struct metrics *m);
/* A key will not grow any more. Its counts stay. */
void metrics_forget(struct metrics *m, const struct hist_key *key);
/* Adds a point for each series. */
void metrics_collect(struct metrics *m, struct metric_set *ret);

#endif
