/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* PostgreSQL: include/frame/postgres.h driven over the bytes of one call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

#define PG_MESSAGES 32

__noinline int turns_pg_begins(struct conn *c)
{
	char t;

	if (!c)
		return -1;
	t = c->data.b[0];
	return t == 'X' || t == 'p' || t == 'd' || t == 'c' || t == 'f' || (t && !pg_frontend_type(t)) ? -1 : 0;
}

/* Takes bytes of a message's header; a whole one begins the message. Negative: it makes no sense. */
__noinline int pg_header_bytes(struct pg_request_walk *w, struct capture *s, __u32 take)
{
	__u32 k;

	if (!w || !s)
		return -1;
	if (!w->head_n && take == 5) {
		__builtin_memcpy(w->head, s->b, 5);
	} else {
		for (k = 0; k < 5; k++) {
			__u32 at = w->head_n;

			asm volatile("" : "+r"(at));
			if (k >= take || at > 4)
				break;
			w->head[at] = s->b[k];
			w->head_n = at + 1;
		}
		if (w->head_n < 5)
			return 0;
	}
	w->head_n = 0;
	pg_walk_message(w, (const char *)w->head);
	return w->bad ? -1 : 0;
}

#define PG_TEXT_BLOCKS 64

/* Looks for several statements in [at, at + 8 * STEP) of s, up to end. */
__noinline int pg_several_step(struct conn *c, struct capture *s, __u32 at, __u32 end)
{
	__u32 k;

	if (!c || !s)
		return 0;
	for (k = 0; k < STEP; k++) {
		__u32 i = at + 8 * k;

		asm volatile("" : "+r"(i));
		if (i >= end)
			break;
		if (c->pg.several == PG_ONE && !pg_has_semicolon(&s->b[i & (PG_SEVERAL_BLOCK - 1)]))
			continue;
		c->pg.several = pg_several(c->pg.several, &s->b[i & (PG_SEVERAL_BLOCK - 1)], end - i);
		asm volatile("" ::: "memory");
	}
	return 0;
}

/* The same in [at, at + n), all in the first PG_SEVERAL_BLOCK bytes of s, which are at off of the call. Where they end.
 */
__noinline __u64 pg_several_block(struct conn *c, struct capture *s, __u32 at, __u32 n, __u64 off)
{
	__u32 k;

	if (!c)
		return 0;
	off += n;
	for (k = 0; k < PG_SEVERAL_BLOCK; k += 8 * STEP) {
		if (k >= n || c->pg.several == PG_SEVERAL)
			break;
		pg_several_step(c, s, at + k, at + n);
	}
	asm volatile(""
		     : "+r"(off)); /* the caller is to use this one, which is any to the verifier: one path goes on */
	return off;
}

/* More text of a simple query: [off, off + len) of the call. What the record keeps is looked at there. */
__noinline int pg_query_text(struct io *io, struct conn *c, __u64 off, __u64 len)
{
	struct capture *s = io_scratch();
	__u64 end = off + len;
	__u32 i;

	if (!io || !c || !s)
		return 0;
	if (c->ex.request_bytes == io->n && c->ex.request_len >= end) {
		pg_several_block(c, &c->data, off, len, off);
		return 0;
	}
	for (i = 0; i < PG_TEXT_BLOCKS && c->pg.several != PG_SEVERAL; i++) {
		__u64 n = end - off;

		if (!n)
			return 0;
		if (n > PG_SEVERAL_BLOCK)
			n = PG_SEVERAL_BLOCK;
		if (io_copy(io, off, s, 0, n) < (int)n)
			break;
		off = pg_several_block(c, s, 0, n, off);
	}
	c->pg.several = PG_SEVERAL; /* or not all of it was seen */
	return 0;
}

/* The body of an Execute begins at off and is len long: portal, NUL, how many rows at the most (0 = all, mostly). */
static __always_inline void execute_limit(struct io *io, struct conn *c, struct capture *s, __u64 off, __u64 len)
{
	if (len < 5 || off + len > io->n || io_copy(io, off + len - 4, s, 0, 4) < 4 || frame_be32(s->b))
		c->pg.limited = 1;
}

/* One simple query, all of it kept, as one that was walked over before. */
static __always_inline int known_query(struct io *io, struct conn *c)
{
	struct pg_request_walk *w = &c->pg.walk;

	c->pg.place = 0;
	c->pg.operation = 0;
	if (w->first || c->data.b[0] != 'Q' || c->ex.request_bytes != io->n || c->ex.request_len != io->n)
		return 0;
	if (!texts_know(c))
		return 0;
	w->first = w->last = 'Q';
	w->queries = 1;
	c->pg.request = PG_QUERY;
	return 1;
}

/*
 * Walks the messages of a request. True: not lock-step. A header that the captured head holds is read there, else from
 * the call's bytes.
 */
__noinline int turns_pg_request(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	struct pg_request_walk *w;
	__u64 off = 0;
	int i;

	if (!io || !c || !s)
		return 0;
	w = &c->pg.walk;
	if (!w->first && c->ex.request_bytes == io->n && c->data.b[0] == 0) {
		c->pg.request = pg_detect(c->data.b, c->ex.request_len, io->n);
		c->pg.ssl = c->pg.request == PG_SSL;
		c->pg.starting = c->pg.request == PG_STARTUP;
		return 0;
	}
	if (known_query(io, c))
		return 0;
	for (i = 0; i < PG_MESSAGES && off < io->n; i++) {
		__u64 rest = io->n - off;
		__u32 have = w->head_n, take;

		if (w->skip) {
			if (rest > w->skip)
				rest = w->skip;
			w->skip -= rest;
			if (w->last == 'Q')
				pg_query_text(io, c, off, rest);
			off += rest;
			continue;
		}
		if (have > 4)
			have = 0;
		take = 5 - have;
		if (take > rest)
			take = rest;
		if (io_copy(io, off, s, 0, take) < (int)take) {
			w->bad = 1;
			break;
		}
		off += take;
		if (pg_header_bytes(w, s, take) < 0)
			break;
		if (w->last == 'E' && !w->head_n)
			execute_limit(io, c, s, off, w->skip);
	}
	if (w->bad) { /* not understood, so nothing is claimed: the turn still ends with ReadyForQuery */
		c->pg.request = PG_OTHER;
		return 0;
	}
	c->pg.request = pg_walk_request(w);
	c->pg.flush = w->last == 'H';
	c->pg.cut |= off < io->n;
	/* A portal outlives its turn where a transaction is open, or no Sync ends it: its portions are one statement.
	 */
	if (c->pg.limited && (c->status != 'I' || c->pg.flush))
		return 1;
	return off < io->n || pg_walk_pipelined(w) || c->pg.several == PG_SEVERAL;
}

__noinline int turns_pg_more(struct conn *c, struct capture *s)
{
	char t;

	if (!c || !s)
		return MORE_COUNT;
	t = s->b[0];
	if (c->phase == PHASE_ANSWER) {
		/* COPY data, authentication: never kept. libpq writes data in pieces, which need not begin with a
		 * message. */
		if (t == 'd' || t == 'c' || t == 'f' || t == 'p' || t == 'X' || c->pg.starting || c->pg.copy) {
			c->pg.copy |= t == 'd';
			return MORE_COUNT;
		}
		if (!c->pg.flush)
			return MORE_STREAM;
		c->pg.flush = 0;
		c->ex.first = 0; /* what came answered the Parse */
	}
	return MORE_WALK;
}

/* Moves the last EVENT_TAIL_MAX bytes of the answer to c->tail; a call may bring fewer. */
static __always_inline void keep_tail(struct io *io, struct conn *c, struct capture *s)
{
	__u64 before = c->ex.answer_bytes;
	__u32 n = io->n, at;

	if (io->n >= EVENT_TAIL_MAX) {
		if (io_copy(io, io->n - EVENT_TAIL_MAX, s, 0, EVENT_TAIL_MAX) == EVENT_TAIL_MAX)
			__builtin_memcpy(c->tail, s->b, EVENT_TAIL_MAX);
		else
			__builtin_memset(c->tail, 0, EVENT_TAIL_MAX);
		return;
	}
	if (before <= EVENT_ANSWER_MAX && before >= EVENT_TAIL_MAX) {
		/* until now the head held all: its end is the old tail */
		at = c->ex.request_len + (__u32)before - EVENT_TAIL_MAX;
		asm volatile("" : "+r"(at));
		if (at <= EVENT_REQUEST_MAX + EVENT_ANSWER_MAX)
			__builtin_memcpy(c->tail, &c->data.b[at], EVENT_TAIL_MAX);
	}
	__builtin_memcpy(s->b, c->tail, EVENT_TAIL_MAX);
	if (io_copy(io, 0, s, EVENT_TAIL_MAX, n) < (int)n)
		return;
	asm volatile("" : "+r"(n));
	if (n > EVENT_TAIL_MAX)
		return;
	bpf_probe_read_kernel(c->tail, EVENT_TAIL_MAX, s->b + n);
}

#define PG_ERROR_WINDOW 512

/*
 * Position of the body of a message of that type that begins in [base, base + 4 * STEP) and ends at end, else 0. Its
 * length field says where it must begin, so a chance match is one in 2^32.
 */
__noinline int pg_find_last_step(struct capture *s, __u32 base, __u32 end, char type)
{
	__u32 k;

	if (!s)
		return 0;
	for (k = 0; k < 4 * STEP; k++) {
		__u32 at = base + k;

		asm volatile("" : "+r"(at));
		if (at > PG_ERROR_WINDOW || at + 6 > end)
			break;
		if (s->b[at] == type && frame_be32(&s->b[at + 1]) == end - at - 1)
			return at + 5;
	}
	return 0;
}

/* SQLSTATE in the fields at base: letter, text, NUL; the code is third, after the severities. */
__noinline int pg_find_code(struct capture *s, __u32 base)
{
	__u32 k;

	if (!s)
		return 0;
	for (k = 0; k < 4 * STEP; k++) {
		__u32 at = base + k;

		asm volatile("" : "+r"(at));
		if (at > PG_ERROR_WINDOW)
			break;
		if (s->b[at] == 0 && s->b[at + 1] == 'C')
			return at + 2;
	}
	return 0;
}

/* Position of the body of the message that ends at end, if it is of that type, else 0. */
__noinline int pg_find_last(struct capture *s, __u32 end, char type)
{
	__u32 k, at = 0;

	if (!s || end < 6 || end > PG_ERROR_WINDOW)
		return 0;
	for (k = 0; k < PG_ERROR_WINDOW / (4 * STEP) && !at; k++)
		at = pg_find_last_step(s, k * 4 * STEP, end, type);
	return at;
}

/* Packed SQLSTATE of an ErrorResponse that ends at end, else 0. */
static __noinline __u32 pg_find_error(struct capture *s, __u32 end)
{
	__u32 at = pg_find_last(s, end, 'E');

	if (!at)
		return 0;
	at = pg_find_code(s, at);
	asm volatile("" : "+r"(at));
	if (!at || at > PG_ERROR_WINDOW)
		return 0;
	return pg_sqlstate_pack(&s->b[at]);
}

/*
 * The last bytes of the answer so far to the front of s: of all of it where that is in its head, for a client's buffer
 * may have ended in the middle of a message; else of this call. How many.
 */
static __noinline int pg_last_bytes(struct io *io, struct conn *c, struct capture *s)
{
	__u32 at = c->ex.request_len, n = c->ex.answer_len;

	if (c->ex.answer_bytes && n == c->ex.answer_bytes + io->n) {
		asm volatile("" : "+r"(at));
		asm volatile("" : "+r"(n));
		if (at > EVENT_REQUEST_MAX || n > EVENT_ANSWER_MAX)
			return 0;
		return bpf_probe_read_kernel(s->b, n, &c->data.b[at]) ? 0 : n;
	}
	n = io->n > PG_ERROR_WINDOW ? PG_ERROR_WINDOW : io->n;
	return io_copy(io, io->n - n, s, 0, n) == (int)n ? n : 0;
}

#define PG_FIRST_MESSAGES 8

/* What the head of the answer says: pg_brings_rows() of the first message that tells. */
__noinline int pg_head_brings_rows(struct conn *c)
{
	__u32 at = 0, k;

	if (!c)
		return -1;
	for (k = 0; k < PG_FIRST_MESSAGES && at + 5 <= c->ex.answer_len; k++) {
		__u32 i = c->ex.request_len + at;
		int brings;

		asm volatile("" : "+r"(i));
		if (i > EVENT_REQUEST_MAX + EVENT_ANSWER_MAX)
			break;
		brings = pg_brings_rows(c->data.b[i]);
		if (brings >= 0)
			return brings;
		at += 1 + frame_be32(&c->data.b[i + 1]);
	}
	return -1;
}

/* The answer is complete, and the PG_TAG_WINDOW bytes before its end are in s. */
__noinline int pg_answer_tag(struct conn *c, struct capture *s)
{
	__u64 rows;
	int brings;

	if (!c || !s)
		return 0;
	c->pg.tag = pg_tag_at_end(s->b, &rows);
	c->pg.rows = rows;
	if (c->pg.tag != PG_TAG_RETURNS && c->pg.tag != PG_TAG_CHANGES)
		return 0;
	brings = pg_head_brings_rows(c);
	/* Where its head does not tell, or a statement described before has no rows: SELECT alone brings some. */
	c->pg.returns = brings > 0 || (c->pg.tag == PG_TAG_RETURNS && (brings < 0 || !rows));
	return 0;
}

/*
 * The server's process, of the BackendKeyData in front of the ReadyForQuery that ends the call: its secret is of 4
 * bytes, or of up to 256 since 18. A call of its own, for the stack of turns_pg_answer() is at its limit.
 */
static __noinline int pg_find_process(struct io *io, struct conn *c, struct capture *s)
{
	__u32 n = io->n > PG_ERROR_WINDOW ? PG_ERROR_WINDOW : io->n;
	__u64 at; /* of 32 bits, verifiers before 6.13 check a copy */

	if (io_copy(io, io->n - n, s, 0, n) < (int)n)
		return 0;
	at = (__u32)pg_find_last(s, n - 6, 'K');
	asm volatile("" : "+r"(at));
	if (!at || at > PG_ERROR_WINDOW)
		return 0;
	asm volatile("" : "+r"(at));
	c->backend = frame_be32(&s->b[at & (2 * PG_ERROR_WINDOW - 1)]);
	return 0;
}

/*
 * last11: the last bytes of the answer so far. The server flushes an ErrorResponse before it says ReadyForQuery, so
 * each may come by itself. It ends with two NULs, where a command tag has text before its one.
 */
static __always_inline int pg_answer_end(struct io *io, struct conn *c, struct capture *s, const char *last11)
{
	int ready = pg_ready_at_end(last11 + 5);
	const char *last8 = last11 + 3;

	if (ready ? last8[0] == 0 && last8[1] == 0 : last8[6] == 0 && last8[7] == 0) {
		int n = pg_last_bytes(io, c, s);
		__u32 status = n > 6 ? pg_find_error(s, ready ? n - 6 : n) : 0;

		if (status) {
			c->ex.status = status;
			c->ex.flags |= EXCHANGE_FAILED;
		}
	}
	if (ready && c->pg.request == PG_STARTUP)
		pg_find_process(io, c, s);
	if (ready) {
		/* ReadyForQuery ends it, CloseComplete may stand before. What is before a short answer is of the
		 * request, or of struct conn. */
		const char *tag_end = last11[0] == '3' && frame_be32(last11 + 1) == 4 ? last11 : last11 + 5;

		if (!bpf_probe_read_kernel(s->b, PG_TAG_WINDOW, tag_end - PG_TAG_WINDOW))
			pg_answer_tag(c, s);
		c->status = ready;
		c->pg.empty = last11[0] == 'I' && frame_be32(last11 + 1) == 4;
	}
	return ready ? FRAME_COMPLETE : FRAME_OPEN;
}

__noinline int turns_pg_answer(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	__u64 total;
	__u32 at;

	if (!io || !c || !s)
		return FRAME_UNSURE;
	if (c->pg.ssl) { /* one byte: S or G goes on encrypted, N in the clear */
		if (io_copy(io, 0, s, 0, 1) == 1 && (s->b[0] == 'S' || s->b[0] == 'G')) {
			c->inner = PROTO_POSTGRES;
			c->phase = PHASE_IDLE;
			tls_begins(io, c);
			return FRAME_OPEN;
		}
		c->pg.ssl = 0;
		return FRAME_COMPLETE;
	}
	total = c->ex.answer_bytes + io->n;
	if (c->ex.answer_len == total && total >= 8) {		/* all of it is in the head */
		at = c->ex.request_len + c->ex.answer_len - 11; /* of so short an answer, three are the request's */
		asm volatile("" : "+r"(at));
		if (at > EVENT_REQUEST_MAX + EVENT_ANSWER_MAX)
			return FRAME_OPEN;
		return pg_answer_end(io, c, s, &c->data.b[at]);
	}
	if (total < 8) {
		at = c->ex.request_len;
		asm volatile("" : "+r"(at));
		if (at > EVENT_REQUEST_MAX || total != 6 || c->ex.answer_len != 6)
			return FRAME_OPEN;
		c->status = pg_ready_at_end(&c->data.b[at]);
		return c->status ? FRAME_COMPLETE : FRAME_OPEN; /* to a Sync alone */
	}
	keep_tail(io, c, s);
	return pg_answer_end(io, c, s, &c->tail[EVENT_TAIL_MAX - 11]);
}

#define PG_PARSE_SEARCH 4

/* Operation key and prepared statements of a finished exchange. */
static __always_inline int pg_operation(struct conn *c)
{
	struct event_exchange *ex;
	struct prepared_key key = {};
	__u32 off = 0, len, name_len = 0;
	__u64 name = 0, *known;
	int k;
	char t = 0;

	if (!c)
		return 0;
	ex = &c->ex;
	len = ex->request_len;
	if (ex->method == PG_QUERY) {
		ex->operation = c->pg.operation;
		if (!ex->operation)
			ex->operation = turns_text_key(&c->data, &c->key, 5, len > 6 ? len - 6 : 0);
		if (!pg_text_counts(&c->data.b[5]))
			ex->method = PG_PARSE;
		return 0;
	}
	if (ex->method != PG_EXTENDED && ex->method != PG_EXECUTE && ex->method != PG_PARSE)
		return 0;
	/* The first Parse or Bind; a Close or Describe may stand before it. */
	for (k = 0; k < PG_PARSE_SEARCH; k++) {
		asm volatile("" : "+r"(off));
		if (off > EVENT_REQUEST_MAX - 8 || off + 8 > len)
			return 0;
		t = c->data.b[off];
		if (t == 'P' || t == 'B')
			break;
		off += 1 + frame_be32(&c->data.b[off + 1]);
	}
	off += 5;
	if (t == 'B') /* portal name first */
		off += (__u32)turns_name(c, off) + 1;
	name = turns_name(c, off);
	name_len = (__u32)name;
	key.conn = c->id;
	key.name = name;
	if (t == 'P') {
		__u32 text = off + name_len + 1, text_len = 0;

		if (text < len)
			text_len = len - text;
		ex->operation = turns_text_key(&c->data, &c->key, text, text_len);
		asm volatile("" : "+r"(text));
		if (text <= EVENT_REQUEST_MAX && !pg_text_counts(&c->data.b[text]))
			ex->method = PG_PARSE;
		if (name_len)
			remember_prepared(&key, ex->operation);
	} else if (t == 'B') {
		known = bpf_map_lookup_elem(&prepared, &key);
		if (known)
			ex->operation = *known;
	}
	return 0;
}

#define PG_READY 6
#define PG_KEY_MIN 13 /* BackendKeyData: type, length, process, secret of 4 bytes or more */

/*
 * The same where the client read the end of the answer in pieces, of a secret that is short. It, and all else of the
 * answer, stays here.
 */
static __always_inline void pg_let_in(struct conn *c)
{
	struct event_exchange *ex = &c->ex;
	__u32 at, k;

	if (ex->answer_bytes == ex->answer_len && ex->answer_len >= EVENT_TAIL_MAX) {
		at = ex->request_len + ex->answer_len - EVENT_TAIL_MAX;
		asm volatile("" : "+r"(at));
		if (at <= EVENT_REQUEST_MAX + EVENT_ANSWER_MAX)
			__builtin_memcpy(c->tail, &c->data.b[at], EVENT_TAIL_MAX);
	}
	for (k = 0; ex->answer_bytes >= EVENT_TAIL_MAX && k <= EVENT_TAIL_MAX - PG_READY - PG_KEY_MIN; k++)
		if (c->tail[k] == 'K' && frame_be32(&c->tail[k + 1]) == EVENT_TAIL_MAX - PG_READY - 1 - k)
			c->backend = frame_be32(&c->tail[k + 5]);
	ex->answer_len = 0;
}

/* The answer's last bytes, when they are not all in its head. */
__noinline int turns_pg_finish(struct conn *c)
{
	struct event_exchange *ex;
	__u32 at;

	if (!c)
		return 0;
	ex = &c->ex;
	ex->method = c->pg.empty ? PG_OTHER : c->pg.request;
	if (ex->method == PG_PARSE && c->pg.walk.parses && ex->flags & EXCHANGE_FAILED)
		ex->method = PG_EXTENDED; /* what cannot be prepared is not run after it: the statement failed */
	if (ex->method == PG_STARTUP) {
		pg_let_in(c);
		return turns_pg_startup(c);
	}
	if (ex->method == PG_CANCEL && ex->request_len > PG_CANCEL_NAMED) {
		ex->request_len = PG_CANCEL_NAMED;
		return 0;
	}
	if (ex->answer_bytes > ex->answer_len && ex->answer_bytes >= EVENT_TAIL_MAX) {
		at = ex->request_len + ex->answer_len;
		if (at <= EVENT_REQUEST_MAX + EVENT_ANSWER_MAX) {
			asm volatile("" : "+r"(at));
			if (at <= EVENT_REQUEST_MAX + EVENT_ANSWER_MAX) {
				__builtin_memcpy(&c->data.b[at], c->tail, EVENT_TAIL_MAX);
				ex->tail_len = EVENT_TAIL_MAX;
			}
		}
	}
	pg_operation(c);
	return 0;
}
