/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * PostgreSQL's answers on connections that do not speak in turns: a walk over their messages, so that rows, which are
 * nearly all of their bytes, stay here.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/stream.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

/* Rows of seven bytes, which is the least there is, and other messages of five: so many are in EVENT_REQUEST_MAX. */
#define ROW_STEPS 148
#define MESSAGE_STEPS 208

/*
 * Messages like the last one from the front of s on: how many of its n bytes they are. What the last one lacks is to be
 * skipped. A row costs some ten instructions here, and small ones come by the million.
 */
__noinline __u32 pg_pass_rows(struct pg_answer_walk *w, struct capture *s, __u32 n)
{
	__u32 at = 0, k;
	__u8 type;

	if (!w || !s || n < 5)
		return 0;
	type = w->type;
	for (k = 0; k < ROW_STEPS; k++) {
		__u32 i = at, len;

		asm volatile("" : "+r"(i));
		if (i > n - 5)
			break;
		len = pg_row(&s->b[frame_inside(i, EVENT_REQUEST_MAX - 1)], type);
		if (!len)
			break;
		at = i + len;
	}
	if (type == 'D')
		w->rows += k;
	if (at <= n)
		return at;
	w->skip = at - n;
	return n;
}

#define READY_MAX 255 /* where struct pg_request_walk stops to count */

/*
 * How many ReadyForQuery are to come is counted, so that it is known when none is. A statement that is asked for then,
 * by itself, is as one of a connection that speaks in turns: its end is found without a look at its rows.
 */
__noinline int stream_asked(struct io *io, struct conn *c)
{
	struct pg_request_walk *asked;
	struct pg_answer_walk *w;
	int rest, several;

	if (!io || !c || !io->n)
		return 0;
	w = &c->answers;
	asked = &c->pg.walk;
	if (w->blind) { /* the client did not wait for the end, or it was not seen */
		w->on = w->passed = w->rows = w->blind = 0;
		w->uncounted = 1;
	}
	w->alone = 0;
	if (w->uncounted || c->role != ROLE_CLIENT)
		return 0;
	rest = stream_rests(c);
	w->returns &= rest;
	if (rest) {
		__builtin_memset(&c->pg, 0, sizeof(c->pg));
		w->ready = 0;
	} else {
		c->pg.several = PG_SEVERAL; /* no need to look */
	}
	c->ex.request_len = 0;
	c->ex.request_bytes = 0;
	several = turns_pg_request(io, c);
	if (c->pg.cut || asked->bad || asked->queries == READY_MAX || asked->syncs == READY_MAX)
		w->uncounted = 1;
	else
		w->alone = rest && !several && !asked->skip && !asked->head_n && !c->pg.limited && !c->pg.flush &&
			   asked->queries + asked->syncs == 1 && pg_statement_counts(c->pg.request);
	return 0;
}

/* Moves the last bytes of the answer to c->tail; a call may bring fewer. */
static __always_inline int keep_end(struct io *io, struct conn *c, struct capture *s)
{
	__u32 n = io->n > PG_TAIL ? PG_TAIL : io->n;

	__builtin_memcpy(s->b, c->tail, PG_TAIL);
	if (io_copy(io, io->n - n, s, PG_TAIL, n) < (int)n)
		return 0;
	asm volatile("" : "+r"(n));
	if (n > PG_TAIL)
		return 0;
	return !bpf_probe_read_kernel(c->tail, PG_TAIL, s->b + n);
}

/*
 * The call ends the answer, or may: a record of its last bytes. tag: where in c->tail its CommandComplete begins, 0 =
 * it was not found, and bytes from at on are sent. False: it was lost.
 */
static __always_inline int send_end(struct io *io, struct conn *c, __u64 at, __u32 tag)
{
	struct stream_record *r = stream_record();
	__u64 rest, end = c->answer_position + io->n, sent = c->answers.sent;
	__u32 n, flags = STREAM_ROWS;

	if (!r)
		return 0;
	if (tag && sent < end && sent > end - (PG_TAIL - tag)) { /* its beginning went up, being cut */
		tag = PG_TAIL - (__u32)(end - sent);
		flags = 0;
	}
	asm volatile("" : "+r"(tag));
	if (tag && tag < PG_TAIL) {
		n = PG_TAIL - tag;
		stream_describe(r, io, c, STREAM_ANSWER, io->n - n, n);
		r->s.flags = flags;
		if (bpf_probe_read_kernel(r->data.b, frame_inside(n, PG_TAIL - 1),
					  &c->tail[frame_inside(tag, PG_TAIL - 1)]))
			n = 0;
	} else {
		rest = io->n - at;
		n = rest > STREAM_PIECE ? STREAM_PIECE : rest;
		stream_describe(r, io, c, STREAM_ANSWER, io->n - n, n);
		c->answers.sent = end;
		if (io_copy(io, io->n - n, &r->data, 0, n) < (int)n)
			n = 0;
	}
	if (n && stream_send(r))
		return 1;
	count(KERNEL_stream_gap);
	return 0;
}

/* Rows of the one statement that is waited for, or its end, from at on. False: what came is lost. */
static __always_inline int blind(struct io *io, struct conn *c, struct capture *s, __u64 at)
{
	struct pg_answer_walk *w = &c->answers;
	int ready, kept;

	if (!keep_end(io, c, s))
		return 0;
	w->blind = w->passed = 1;
	ready = pg_ready_at_end(&c->tail[PG_TAIL_READY]);
	/* An ErrorResponse, which comes before ReadyForQuery by itself, ends with two. */
	if (!ready && (c->tail[PG_TAIL - 1] || c->tail[PG_TAIL - 2]))
		return 1;
	kept = send_end(io, c, at, ready ? pg_command_at_end(c->tail) : 0);
	w->passed = w->rows = 0;
	if (ready && kept) {
		w->skip = w->head_n = w->alone = w->blind = 0;
		w->type = 'Z';
		w->ready++;
	}
	return kept;
}

/* How many bytes from at on are rows that user space need not see; 0: it must see what begins there. */
static __always_inline __u64 stream_rows(struct io *io, struct conn *c, __u64 at)
{
	struct capture *s = io_scratch();
	struct pg_answer_walk *w;
	__u64 rest, took;

	if (!s)
		return 0;
	w = &c->answers;
	if (!pg_is_row(w->type) || w->head_n)
		return 0;
	rest = io->n - at;
	if (w->alone) {
		if (blind(io, c, s, at))
			return rest;
		w->on = w->alone = w->blind = 0;
		w->uncounted = 1;
		return 0;
	}
	took = w->skip < rest ? w->skip : rest;
	w->skip -= took;
	rest -= took;
	if (rest > EVENT_REQUEST_MAX)
		rest = EVENT_REQUEST_MAX;
	if (rest && io_copy(io, at + took, s, 0, rest) == (int)rest)
		took += pg_pass_rows(w, s, rest);
	if (took)
		w->passed = 1;
	return took;
}

/* Takes what is at `at` of s: bytes of a header, and of what follows it. Where the next begins, which may be behind n.
 */
__noinline __u32 stream_walk_step(struct pg_answer_walk *w, struct capture *s, __u32 at, __u32 n)
{
	__u32 k, i, len;

	if (!w || !s)
		return n;
	for (k = 0; k < 5; k++) {
		__u32 to = w->head_n;

		i = at + k;
		asm volatile("" : "+r"(i));
		asm volatile("" : "+r"(to));
		if (i >= n || i > EVENT_REQUEST_MAX || to > 4)
			break;
		w->head[to] = s->b[i];
		w->head_n = to + 1;
		if (to == 4) {
			w->head_n = 0;
			len = pg_answer_begins(w, (const char *)w->head);
			return len ? i + len - 4 : n;
		}
	}
	return n;
}

__noinline int stream_walk(struct pg_answer_walk *w, struct capture *s, __u32 n)
{
	__u32 at, k;

	if (!w || !s)
		return 0;
	at = w->skip < n ? w->skip : n;
	w->skip -= at;
	for (k = 0; k < MESSAGE_STEPS && at < n; k++)
		at = stream_walk_step(w, s, at, n);
	w->skip += at - n;
	return 0;
}

__noinline __u64 stream_step(struct io *io, struct conn *c, __u64 at, __u32 i)
{
	__u64 moved = 0;

	if (!io || !c || at >= io->n)
		return 0;
	if (c->answers.on && stream_direction(io, c) == STREAM_ANSWER)
		moved = stream_rows(io, c, at);
	return moved ?: stream_piece(io, c, at, i);
}

/* Where messages begin is not known: does one with the next call? */
static __always_inline void resync(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();

	if (!s || io->n < 6 || io_copy(io, io->n - 6, s, 0, 6) < 6 || !pg_ready_at_end(s->b))
		return;
	__builtin_memset(&c->answers, 0, sizeof(c->answers));
	c->answers.on = 1;
	c->answers.uncounted = 1;
}

/* The last byte of a ReadyForQuery. */
static __always_inline void keep_status(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();

	if (s && io_copy(io, io->n - 1, s, 0, 1) == 1)
		c->status = s->b[0];
}

__noinline int stream_moved(struct io *io, struct conn *c, __u64 at)
{
	if (!io || !c)
		return 0;
	if (at < io->n && c->answers.on) {
		c->answers.on = 0;
		c->answers.uncounted = 1;
	}
	if (stream_direction(io, c) == STREAM_REQUEST) {
		c->request_position += io->n;
		return 0;
	}
	if (c->proto == PROTO_POSTGRES && !c->answers.on)
		resync(io, c);
	if (c->answers.returns && stream_rests(c))
		keep_status(io, c);
	c->answer_position += io->n;
	return 0;
}
