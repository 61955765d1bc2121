/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a statement is that an event loop of Node.js asked. Such a loop runs one callback after the other, each for one
 * thing that happened, and the kernel side numbers them (struct event_exchange.callbacks). From the numbers follows:
 *
 * - What is asked in the callback that read a request is asked for that.
 * - An answer's callback goes on with what had asked. When it begins to answer a request, it was asked for that one;
 * what it asks on another connection, or in the same transaction, is for the same.
 * - What it asks on the same connection may be what waited longest in the queue of a pool. So the queue is followed, in
 *   both ways in which programs use one: each statement gets its connection from the pool, or each request does, for
 * all that it asks. What that says is believed of a request when it foretold which statement's callback would answer
 * it, and was right of all others since that one began.
 *
 * - Where callbacks leave what they ask to the end of the loop's turn, as postgres.js does, it is asked there in the
 * order in which they came, if there are as many; that is believed as a queue is.
 *
 * Everything is bounded; what is not known in time is told to have no parent.
 */
#ifndef SONDE_SESSION_CALLBACKS_H
#define SONDE_SESSION_CALLBACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct callbacks;

/* The exchange that waits was asked for this server request, by their ids; 0: for none that is known. */
typedef void callbacks_told_fn(void *ctx, uint64_t exchange, uint64_t request);

struct callbacks *callbacks_new(callbacks_told_fn *told, void *ctx); /* NULL: no memory */
void callbacks_free(struct callbacks *c);			     /* without telling; NULL is allowed */

/*
 * An exchange that has EXCHANGE_CALLBACKS, of a client or a server, also one that makes no span. True: it waits, and
 * the function will be called for it, by a later call.
 */
bool callbacks_exchange(struct callbacks *c, const struct event_exchange *e);
/* Now and then. now: CLOCK_MONOTONIC ns. */
void callbacks_tick(struct callbacks *c, uint64_t now);
/* All that wait are told. */
void callbacks_flush(struct callbacks *c);

#endif
