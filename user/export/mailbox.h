/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest reading of the metrics on its way to a destination, from a thread of its own. A reading that was not sent
 * when the next one comes is replaced by it: readings are cumulative, or the next one covers the time of the lost one.
 */
#ifndef SONDE_EXPORT_MAILBOX_H
#define SONDE_EXPORT_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/retry.h"
#include "util/buf.h"

struct mailbox;

typedef void mailbox_send_fn(void *context, struct bytes body, const struct send_deadline *deadline,
			     struct send_verdict *ret);

struct mailbox_options {
	uint32_t timeout_ms; /* of one reading, waits included; 0 = until the next one comes */
	struct retry_times times;
	mailbox_send_fn *send;
	void *context;
};

struct mailbox *mailbox_new(const struct mailbox_options *o); /* NULL when out of memory */
/*
 * Waits up to wait_ms for what was put last. True when its fate is known: the first *ret_settled of its bodies were
 * accepted or refused, the others were given up.
 */
bool mailbox_settled(struct mailbox *m, uint32_t wait_ms, size_t *ret_settled);
/* Takes the requests of one reading, n bodies that the mailbox frees, in place of any that still wait. */
void mailbox_put(struct mailbox *m, struct buf *bodies, size_t n);
/* Sends what waits for at most timeout_ms. NULL is allowed. */
void mailbox_close(struct mailbox *m, uint32_t timeout_ms);

#endif
