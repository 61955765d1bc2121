/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Connections that do not speak in turns. The exchange in flight goes up as it is (END_STREAM: not counted here), then
 * every byte in bounded pieces with its position; user space frames them and fills the same histograms.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/stream.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

#define STREAM_PIECES 16
/*
 * Of 256 KiB, as asyncio reads. MySQL's servers do not tell how many rows there were: they are counted in user space.
 * And where in a call of HTTP the next head begins, only user space knows.
 */
#define STREAM_PIECES_ALL 272
/* Rows of PostgreSQL are walked over in blocks of this call: libpq's buffer may have grown to megabytes. */
#define STREAM_BLOCKS 2048

static __always_inline void begin_stream(struct conn *c, __u64 now, int answered)
{
	struct event_exchange *ex = &c->ex;

	ex->reason = END_STREAM;
	ex->header.time = now;
	if (c->proto == PROTO_POSTGRES)
		ex->method = c->pg.request;
	else if (c->proto == PROTO_MYSQL)
		turns_mysql_carry(c);
	else if (c->proto == PROTO_HTTP1)
		turns_http1_carry(c, answered);
	if (c->role == ROLE_SERVER)
		context_server_end(c);
	else
		context_client_end(c);
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
	__builtin_memset(&c->answers, 0, sizeof(c->answers));
	c->answers.on = c->proto == PROTO_POSTGRES && (!ex->answer_bytes || !ex->first); /* no first: after a Flush */
	c->answers.uncounted = !c->answers.on || c->pg.cut || c->pg.walk.bad;
	count(KERNEL_conns_streaming);
}

__noinline int stream_switch(struct conn *c, __u64 now)
{
	if (c)
		begin_stream(c, now, 0);
	return 0;
}

/*
 * The same as a call brings several requests, which the record cannot hold: the bytes of the call are to be streamed.
 * before: bytes of the first request that came earlier. Calls nest eight deep at most, so the caller goes on.
 */
__noinline int stream_call(struct io *io, struct conn *c, __u32 before)
{
	if (!io || !c)
		return 0;
	c->ex.request_len = before;
	c->ex.request_bytes = before;
	c->asked = 0;
	begin_stream(c, io->now, 0);
	io->now = c->ex.start;
	return 0;
}

/*
 * An answer of HTTP/1 that no request is open for: all of the call, or its last c->left bytes. Where the turn before
 * held several requests, the rest of them wait for it: true, and those bytes, which are what is left of the call, are
 * to be streamed.
 */
__noinline int stream_unasked(struct io *io, struct conn *c)
{
	__u64 pass;

	if (!io || !c || c->phase != PHASE_IDLE || !c->ex.id)
		return 0;
	pass = c->left ? io->n - c->left : 0;
	c->left = 0;
	if (c->ex.id != c->finished || c->method == HTTP_CONNECT || turns_http1_behind(c) <= HTTP1_EMPTY_LINES) {
		if (pass || c->role == ROLE_SERVER)
			c->suspect = 1;
		return 0;
	}
	io_pass(io, pass);
	begin_stream(c, io->now, 1);
	return 1;
}

static __always_inline int direction(const struct io *io, const struct conn *c)
{
	return (c->role == ROLE_SERVER) == (io->dir == IO_RECV) ? STREAM_REQUEST : STREAM_ANSWER;
}

static __always_inline __u32 pieces(const struct conn *c, int dir)
{
	if (dir == STREAM_ANSWER && c->answers.on)
		return STREAM_BLOCKS;
	return c->proto == PROTO_POSTGRES ? STREAM_PIECES : STREAM_PIECES_ALL;
}

/* What the record says of answers that were passed over before it, and the walk over those in it. */
static __always_inline void answers(struct stream_record *r, struct conn *c, __u32 n, int cut)
{
	struct pg_answer_walk *w = &c->answers;

	if (w->passed) {
		r->s.flags = STREAM_ROWS;
		r->s.rows = w->rows;
	}
	w->passed = 0;
	w->rows = 0;
	stream_walk(w, &r->data, n);
	if (cut)
		w->on = 0;
}

/*
 * The piece at offset at of the call. The last piece is the end, where the answer says what became of the statement;
 * the one before says how many bytes between them are not sent up. How many bytes are behind it now, 0 = it was lost.
 */
__noinline __u64 stream_piece(struct io *io, struct conn *c, __u64 at, __u32 i)
{
	struct stream_record *r = stream_record();
	__u64 rest, total;
	__u32 n, wanted;
	int got, dir;

	if (!io || !c || !r)
		return 0;
	rest = io->n - at;
	n = rest > STREAM_PIECE ? STREAM_PIECE : rest;
	dir = direction(io, c);
	total = i >= pieces(c, dir) - 2 && rest > 2 * STREAM_PIECE ? rest - STREAM_PIECE : n;
	wanted = n;
	got = io_copy(io, at, &r->data, 0, n);
	n = got > 0 ? got : 0;
	stream_describe(r, io, c, dir, at, n);
	r->s.total = total;
	if (dir == STREAM_REQUEST && c->role == ROLE_CLIENT && !(c->ex.parent & 1))
		r->s.parent = c->ex.parent;
	if (dir == STREAM_ANSWER && c->answers.on)
		answers(r, c, n, total != n || n != wanted);
	if (stream_send(r))
		return total;
	count(KERNEL_stream_gap);
	return 0;
}

__noinline int stream_io(struct io *io, struct conn *c)
{
	__u64 at = 0;
	__u32 i;
	int dir;

	if (!io || !c || !io->n)
		return 0;
	if (c->role == ROLE_SERVER && c->proto != PROTO_HTTP1)
		return 0; /* statements are told by their client's end */
	dir = direction(io, c);
	if (c->mark && dir == STREAM_REQUEST) {
		if (c->mark < io->now)
			io->now = c->mark;
		c->mark = 0;
	}
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
	for (i = 0; i < STREAM_BLOCKS && at < io->n; i++) {
		__u64 moved = 0;

		if (dir == STREAM_ANSWER && c->answers.on)
			moved = stream_rows(io, c, at);
		if (!moved)
			moved = stream_piece(io, c, at, i);
		if (!moved)
			break;
		at += moved;
	}
	if (at < io->n && c->answers.on) {
		c->answers.on = 0;
		c->answers.uncounted = 1;
	}
	if (dir == STREAM_ANSWER && c->proto == PROTO_POSTGRES && !c->answers.on)
		stream_resync(io, c);
	if (dir == STREAM_REQUEST)
		c->request_position += io->n;
	else
		c->answer_position += io->n;
	return 0;
}
