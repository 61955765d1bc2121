/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace and span ids. A span's id is a keyed hash of its exchange id, so that a child knows its parent's span id before
 * the parent's record comes; the key is new in each run. Trace ids are random (W3C Trace Context, random flag).
 */
#ifndef SONDE_SESSION_IDS_H
#define SONDE_SESSION_IDS_H

#include <stdint.h>

#include "model/span.h"

struct ids {
	uint64_t key;
	uint64_t state[4]; /* xoshiro256** */
	uint64_t counter;
};

void ids_init(struct ids *s);					 /* seeded by the kernel */
struct span_id ids_span(const struct ids *s, uint64_t exchange); /* never zero */
struct span_id ids_fresh_span(struct ids *s);			 /* for what has no exchange id */
struct trace_id ids_trace(struct ids *s);			 /* never zero */

#endif
