/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finished spans on their way to one destination: bounded by number and bytes, sent in batches from a thread of its
 * own, tried again when that may help. Each span ends in exactly one counter of the ledger: spans_exported, queue_full,
 * export_refused, export_failed or shutdown.
 */
#ifndef SONDE_EXPORT_QUEUE_H
#define SONDE_EXPORT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "export/retry.h"
#include "model/span.h"

struct ledger;
struct queue;

/*
 * Sends one request with the first *ret_taken (1..n) spans of v; the verdict is for these. Called from the queue's
 * thread.
 */
typedef void queue_send_fn(void *context, struct span *const *v, size_t n, const struct send_deadline *deadline,
			   size_t *ret_taken, struct send_verdict *ret);

struct queue_options {
	size_t max_spans, max_bytes; /* of all that is held: waiting, under way, to be tried again */
	size_t batch;		     /* sent as soon as so many wait */
	uint32_t schedule_ms;	     /* or the first has waited so long */
	uint32_t timeout_ms;	     /* of one call, waits included; 0 = none */
	uint32_t patience_ms;	     /* how long a push may wait for room, 0 = not at all */
	struct retry_times times;
	struct ledger *ledger;
	queue_send_fn *send;
	void *context;
};

/* NULL when out of memory. The thread starts at the first queue_push(): after the process gave up its rights. */
struct queue *queue_new(const struct queue_options *o);
/*
 * Takes a reference of each span that there is room for; counts the others. Waits for the destination only with
 * patience_ms; once that was in vain, not again before there is room.
 */
void queue_push(struct queue *q, struct span *const *v, size_t n);
/* Sends what is left for at most timeout_ms, counts the rest under shutdown. NULL is allowed. */
void queue_close(struct queue *q, uint32_t timeout_ms);

#endif
