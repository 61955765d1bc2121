/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Records of connections that do not speak in turns. */
#ifndef SONDE_CORE_STREAM_BPF_H
#define SONDE_CORE_STREAM_BPF_H

#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

#define STREAM_PIECE EVENT_REQUEST_MAX
#define STREAM_PIECES 16
/*
 * Of 256 KiB, as asyncio reads. MySQL's servers do not tell how many rows there were: they are counted in user space.
 * And where in a call of HTTP the next head begins, only user space knows.
 */
#define STREAM_PIECES_ALL 272
/* Rows of PostgreSQL are walked over in blocks of this call: libpq's buffer may have grown to megabytes. */
#define STREAM_BLOCKS 2048

/* Where a record is put together: how long it is, and so its place in the ring, is known only then. */
static __always_inline struct stream_record *stream_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&stream_records, &zero);
}

/* False: the ring was full. */
static __always_inline int stream_send(struct stream_record *r)
{
	__u32 n = r->s.len;

	asm volatile("" : "+r"(n));
	if (n > STREAM_PIECE)
		return 0;
	r->s.header.size = sizeof(r->s) + n;
	return !bpf_ringbuf_output(&events, r, sizeof(r->s) + n, BPF_RB_NO_WAKEUP);
}

/* n bytes, which are at `at` of the call. */
static __always_inline void stream_describe(struct stream_record *r, struct io *io, struct conn *c, int dir, __u64 at,
					    __u32 n)
{
	struct event_stream *e = &r->s;

	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, 0, EVENT_STREAM, io->now, io->tgid, io->tid);
	e->header.conn = c->id;
	e->len = n;
	e->total = n;
	e->position = (dir == STREAM_REQUEST ? c->request_position : c->answer_position) + at;
	e->service = c->ex.service;
	e->dir = dir;
	e->proto = c->proto;
	e->role = c->role;
}

static __always_inline int stream_direction(const struct io *io, const struct conn *c)
{
	return (c->role == ROLE_SERVER) == (io->dir == IO_RECV) ? STREAM_REQUEST : STREAM_ANSWER;
}

/* All that was asked for has its answer, ReadyForQuery too. */
static __always_inline int stream_rests(const struct conn *c)
{
	const struct pg_answer_walk *w = &c->answers;

	return w->on && !w->skip && !w->head_n && w->ready == c->pg.walk.queries + c->pg.walk.syncs;
}

/* Does the connection of a client that waits for its answers speak in turns again? */
static __always_inline int stream_returns(const struct conn *c)
{
	return c->answers.returns && !c->answers.uncounted && !c->answers.blind && stream_rests(c) && c->status == 'I';
}

static __always_inline __u32 stream_pieces(const struct conn *c, int dir)
{
	if (dir == STREAM_ANSWER && c->answers.on)
		return STREAM_BLOCKS;
	return c->proto == PROTO_POSTGRES ? STREAM_PIECES : STREAM_PIECES_ALL;
}

/* What the record says of answers that were passed over before it, and the walk over those in it. */
static __always_inline void stream_answers(struct stream_record *r, struct conn *c, __u32 n, int cut)
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
static __always_inline __u64 stream_piece(struct io *io, struct conn *c, __u64 at, __u32 i)
{
	struct stream_record *r = stream_record();
	__u64 rest, total;
	__u32 n, wanted;
	int got, dir;

	if (!r)
		return 0;
	rest = io->n - at;
	n = rest > STREAM_PIECE ? STREAM_PIECE : rest;
	dir = stream_direction(io, c);
	total = i >= stream_pieces(c, dir) - 2 && rest > 2 * STREAM_PIECE ? rest - STREAM_PIECE : n;
	wanted = n;
	got = io_copy(io, at, &r->data, 0, n);
	n = got > 0 ? got : 0;
	stream_describe(r, io, c, dir, at, n);
	r->s.total = total;
	if (dir == STREAM_REQUEST && c->role == ROLE_CLIENT && !(c->ex.parent & 1))
		r->s.parent = c->ex.parent;
	if (dir == STREAM_ANSWER && c->answers.on)
		stream_answers(r, c, n, total != n || n != wanted);
	if (stream_send(r))
		return total;
	count(KERNEL_stream_gap);
	return 0;
}

#endif
