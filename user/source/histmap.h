/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the kernel's per-CPU histograms and says by how much each key grew since its growth was last taken.
 *
 * The kernel's buckets are 32 bits and wrap. Sums over the CPUs, taken modulo 2^32, grow by exactly what was counted as
 * long as no bucket moves 2^32 between two readings, so nothing per CPU has to be remembered and totals are exact.
 */
#ifndef SONDE_SOURCE_HISTMAP_H
#define SONDE_SOURCE_HISTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hist.h"

struct histmap;

/*
 * What a key counted since its growth was last taken (announced is 0). True: taken. False: not yet, it stays in the
 * next reading.
 */
typedef bool histmap_grew_fn(void *context, const struct hist_key *key, const struct hist_value *growth);
/* Each key that changed since the last reading, with the sum of all CPUs as it stands in the map: for recordings. */
typedef void histmap_value_fn(void *context, const struct hist_key *key, const struct hist_value *value);
/* True when no process can count under this key any more: it is read once more, exactly, and then forgotten. */
typedef bool histmap_dead_fn(void *context, const struct hist_key *key);

/* map_fd -1: values come by histmap_feed() only (replay). max_keys bounds what is remembered. Descriptor stays the
 * caller's. */
int histmap_new(int map_fd, size_t max_keys, struct histmap **ret);
void histmap_free(struct histmap *m); /* NULL is allowed */
/* value and dead may be NULL. last: also hand over values that a CPU was in the middle of writing. 0 or negative errno.
 */
int histmap_read(struct histmap *m, bool last, histmap_grew_fn *grew, histmap_value_fn *value, histmap_dead_fn *dead,
		 void *context);
/* As if the map held this value. *ret_taken (may be NULL): false when grew() said not yet. -ENOMEM. */
int histmap_feed(struct histmap *m, const struct hist_key *key, const struct hist_value *value, histmap_grew_fn *grew,
		 void *context, bool *ret_taken);

/* Adds up the buckets of one CPU; wraps as the kernel does. */
void histmap_merge(struct hist_value *sum, const struct hist_value *cpu);
/* True when both views hold as many values as count says, so no CPU was in the middle of counting. */
bool histmap_whole(const struct hist_value *v);

#endif
