/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Transactions of a PGconn. What libpq keeps of the server's word (PQtransactionStatus) stands at a place that differs
 * between its versions; the command tags of results say when a transaction begins and ends.
 */
#include "attach/libpq.bpf.h"

#define WORD HTTP1_WORD
#define LETTERS 0x20202020u

static __always_inline int is_begin(const char *tag)
{
	__u32 w = frame_load32(tag);

	return w == WORD('B', 'E', 'G', 'I') ||
	       (w == WORD('S', 'T', 'A', 'R') && tag[5] == ' '); /* START TRANSACTION */
}

/* Not COMMIT PREPARED, nor COMMENT. */
static __always_inline int is_commit(const char *tag)
{
	return frame_load32(tag) == WORD('C', 'O', 'M', 'M') && tag[4] == 'I' && !tag[6];
}

/* Not ROLLBACK PREPARED. */
static __always_inline int is_rollback(const char *tag)
{
	return frame_load32(tag) == WORD('R', 'O', 'L', 'L') && !tag[8];
}

/* ROLLBACK TO a savepoint has the same tag. */
static __always_inline int is_to_savepoint(const struct libpq_op *op)
{
	const char *text = op->data.b;

	return (frame_load32(text) | LETTERS) == WORD('r', 'o', 'l', 'l') &&
	       (frame_load32(text + 8) | LETTERS) == WORD(' ', 't', 'o', ' ');
}

/* A COMMIT that fails has no tag, and ends it all the same. */
static __always_inline int is_failed_commit(const struct libpq_op *op)
{
	return op->ex.flags & EXCHANGE_FAILED && (frame_load32(op->data.b) | LETTERS) == WORD('c', 'o', 'm', 'm');
}

static __always_inline __u8 outcome(const struct libpq_op *op)
{
	const char *tag = op->result.tag;

	if (is_commit(tag))
		return TRANSACTION_COMMIT;
	if (is_rollback(tag) && !is_to_savepoint(op))
		return TRANSACTION_ROLLBACK;
	return is_failed_commit(op) ? TRANSACTION_ROLLBACK : 0;
}

__noinline int libpq_transaction(struct libpq_op *op)
{
	struct event_transaction *tx;
	struct libpq_conn *s;
	__u64 key;

	if (!op)
		return 0;
	key = op->owner.conn;
	s = bpf_map_lookup_elem(&libpq_conns, &key);
	if (!s)
		return 0;
	tx = &s->tx;
	if (!tx->began) {
		if (!is_begin(op->result.tag))
			return 0;
		tx->began = op->ex.start;
		tx->busy = 0;
		tx->statements = 0;
	}
	if (op->ex.end > op->ex.start)
		tx->busy += op->ex.end - op->ex.start;
	tx->statements++;
	tx->outcome = outcome(op);
	if (!tx->outcome)
		return 0;
	op->tx = *tx;
	op->ex.flags |= EXCHANGE_TRANSACTION;
	tx->began = 0;
	return 1;
}

__noinline int libpq_transaction_close(__u64 key)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct event_exchange ex = {};
	static struct capture none;
	int service;

	if (!s || !s->tx.began)
		return 0;
	service = core_service(id >> 32, id, now);
	if (service < 0)
		return 0;
	ex.header.conn = s->conn;
	ex.header.tgid = id >> 32;
	ex.header.tid = id;
	ex.end = now;
	ex.service = service;
	ex.proto = PROTO_POSTGRES;
	ex.role = ROLE_CLIENT;
	ex.source = SOURCE_LIBPQ;
	s->tx.outcome = TRANSACTION_ROLLBACK;
	hist_transaction(&ex, &none, s->peer, &s->tx, now);
	s->tx.began = 0;
	return 0;
}
