/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Transactions of databases, on connections that speak in turns: from the first byte of the exchange after which the
 * server said that one is open, to the last byte of that after which it said that none is. Counted here, so that it
 * does not matter which spans go up.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

__noinline int transaction_append(struct conn *c)
{
	__u32 at;

	if (!c)
		return 0;
	at = c->ex.request_len + c->ex.answer_len + c->ex.tail_len;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX + EVENT_ANSWER_MAX + EVENT_TAIL_MAX)
		return 0;
	__builtin_memcpy(&c->data.b[at], &c->tx, sizeof(c->tx));
	c->ex.flags |= EXCHANGE_TRANSACTION;
	return 0;
}

/* A COMMIT and a ROLLBACK say so; of what ends it without them, a failure is the sign. */
static __always_inline __u8 outcome(const struct conn *c, __u8 before)
{
	if (c->proto == PROTO_POSTGRES && c->pg.tag == PG_TAG_COMMIT)
		return TRANSACTION_COMMIT;
	if (c->proto == PROTO_POSTGRES && c->pg.tag == PG_TAG_ROLLBACK)
		return TRANSACTION_ROLLBACK;
	if (c->proto == PROTO_MYSQL && c->my.rolls_back)
		return TRANSACTION_ROLLBACK;
	return before == 'E' || c->ex.flags & EXCHANGE_FAILED ? TRANSACTION_ROLLBACK : TRANSACTION_COMMIT;
}

/* The caller counts it: calls nest eight deep at most. */
__noinline int transaction_exchange(struct conn *c)
{
	struct event_transaction *tx;
	int chained;
	__u8 before;

	if (!c)
		return 0;
	tx = &c->tx;
	before = tx->status;
	tx->status = c->status;
	if (!tx->began && (before != 'I' || c->status == 'I'))
		return 0;
	if (!tx->began) {
		tx->began = c->ex.start;
		tx->busy = 0;
		tx->statements = 0;
	}
	if (c->ex.end > c->ex.start)
		tx->busy += c->ex.end - c->ex.start;
	tx->statements += frame_counts(c->ex.proto, c->ex.method) != 0;
	/* COMMIT AND CHAIN. That of ROLLBACK looks like ROLLBACK TO, and is taken for it. */
	chained = c->status == 'T' && c->proto == PROTO_POSTGRES && c->pg.tag == PG_TAG_COMMIT;
	if (c->status != 'I' && !chained)
		return 0;
	tx->outcome = outcome(c, before);
	transaction_append(c);
	return chained ? TRANSACTION_CHAINED : TRANSACTION_ENDED;
}

__noinline int transaction_close(struct conn *c, __u64 now)
{
	if (!c || !c->tx.began)
		return 0;
	c->tx.outcome = TRANSACTION_ROLLBACK;
	hist_transaction(&c->ex, &c->data, c->peer ^ c->database, &c->tx, now);
	c->tx.began = 0;
	return 0;
}
