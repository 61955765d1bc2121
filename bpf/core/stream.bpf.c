/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Connections that do not speak in turns. The exchange in flight goes up as it is (END_STREAM: not counted here), then
 * every byte in bounded pieces with its position; user space frames them and fills the same histograms.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

#define STREAM_PIECES 16
/* The server does not tell how many rows there were: they are counted, in the 64 KiB that node reads. */
#define STREAM_PIECES_MYSQL 80

#define STREAM_PIECE EVENT_REQUEST_MAX

struct stream_record {
	struct event_stream s;
	struct capture data;
};

__noinline int stream_switch(struct conn *c, __u64 now)
{
	struct event_exchange *ex;

	if (!c)
		return 0;
	ex = &c->ex;
	ex->reason = END_STREAM;
	ex->header.time = now;
	if (c->proto == PROTO_POSTGRES)
		ex->method = c->pg.request;
	else if (c->proto == PROTO_MYSQL)
		turns_mysql_carry(c);
	if (c->role == ROLE_SERVER)
		context_server_end(c);
	if (c->proto != PROTO_HTTP1)
		transaction_append(c);
	c->tx.began = 0;
	ex->flags &= ~EXCHANGE_SKIPPED; /* user space counts what streams */
	if (ex->parent & 1)
		ex->parent = 0;
	emit_exchange(c);
	c->mode = MODE_STREAM;
	c->phase = PHASE_IDLE;
	c->request_position = ex->request_bytes;
	c->answer_position = ex->answer_bytes;
	count(KERNEL_conns_streaming);
	return 0;
}

static __always_inline int direction(const struct io *io, const struct conn *c)
{
	return (c->role == ROLE_SERVER) == (io->dir == IO_RECV) ? STREAM_REQUEST : STREAM_ANSWER;
}

/*
 * The piece at offset at of the call. The last piece is the end, where the answer says what became of the statement;
 * the one before says how many bytes between them are not sent up. How many bytes are behind it now, 0 = it was lost.
 * Global: in a loop, kernels before 6.2 take each reservation for a state anew.
 */
__noinline __u64 stream_piece(struct io *io, struct conn *c, __u64 at, __u32 i)
{
	struct stream_record *r;
	__u64 rest, total;
	__u32 tid, n, most;
	int got, dir;

	if (!io || !c)
		return 0;
	rest = io->n - at;
	n = rest > STREAM_PIECE ? STREAM_PIECE : rest;
	most = c->proto == PROTO_MYSQL ? STREAM_PIECES_MYSQL : STREAM_PIECES;
	total = i == most - 2 && rest > 2 * STREAM_PIECE ? rest - STREAM_PIECE : n;
	tid = io->tid;
	dir = direction(io, c);
	r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count(KERNEL_stream_gap);
		return 0;
	}
	__builtin_memset(&r->s, 0, sizeof(r->s));
	r->s.header.kind = EVENT_STREAM;
	r->s.header.version = EVENT_VERSION;
	r->s.header.time = io->now;
	r->s.header.conn = c->id;
	r->s.header.tgid = io->tgid;
	r->s.header.tid = tid;
	got = io_copy(io, at, &r->data, 0, n);
	n = got > 0 ? got : 0;
	r->s.header.size = sizeof(r->s) + n;
	r->s.len = n;
	r->s.total = total;
	r->s.position = (dir == STREAM_REQUEST ? c->request_position : c->answer_position) + at;
	r->s.service = c->ex.service;
	r->s.dir = dir;
	r->s.proto = c->proto;
	r->s.role = c->role;
	if (dir == STREAM_REQUEST && c->role == ROLE_CLIENT && !(c->ex.parent & 1))
		r->s.parent = c->ex.parent;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return total;
}

__noinline int stream_io(struct io *io, struct conn *c)
{
	__u64 at = 0;
	__u32 i;
	int dir;

	if (!io || !c || !io->n)
		return 0;
	dir = direction(io, c);
	if (c->role == ROLE_CLIENT) {
		/* No exchange is open: its parent is that of the bytes. Which of those asked for gets an answer is not
		 * known here. */
		c->ex.parent = 0;
		c->ex.flags &= ~EXCHANGE_PARENT_UNSURE;
		if (dir == STREAM_REQUEST)
			context_client_request(c, io->tid);
		else
			context_client_answer(c, io->tid);
	}
	for (i = 0; i < STREAM_PIECES_MYSQL && at < io->n; i++) {
		__u64 moved = stream_piece(io, c, at, i);

		if (!moved)
			break;
		at += moved;
	}
	if (dir == STREAM_REQUEST)
		c->request_position += io->n;
	else
		c->answer_position += io->n;
	return 0;
}
