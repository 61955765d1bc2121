/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Pairing: one end speaks, then the other. A request's time runs from the first byte of its turn to the last byte of
 * the answer's, so the time of the last byte is kept, and the framing says whether more is to come. What cannot be
 * paired in turns (pipelines) makes the connection stream.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/thread.bpf.h"
#include "core/turns.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

/* --- each protocol in its own way, see core/turns.bpf.h */

static __always_inline void turn_init(struct conn *c, __u8 method)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		http1_answer_init(&c->http, method);
		c->asked = 0;
		break;
	case PROTO_POSTGRES:
		__builtin_memset(&c->pg, 0, sizeof(c->pg));
		break;
	case PROTO_MYSQL:
		mysql_answer_init(&c->my.answer, c->my.request.command);
		break;
	}
}

static __always_inline int turn_begins(struct io *io, struct conn *c, __u32 n)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		return turns_http1_begins(c, n);
	case PROTO_POSTGRES:
		return turns_pg_begins(c);
	case PROTO_MYSQL:
		return turns_mysql_begins(io, c, n);
	}
	return -1;
}

static __always_inline int turn_request(struct io *io, struct conn *c, __u32 n)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		return turns_http1_request(io, c, n);
	case PROTO_POSTGRES:
		return turns_pg_request(io, c);
	case PROTO_MYSQL:
		return turns_mysql_request(c);
	}
	return 0;
}

static __always_inline int turn_more(struct io *io, struct conn *c, struct capture *s)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		return turns_http1_more(io, c, s);
	case PROTO_POSTGRES:
		return turns_pg_more(c, s);
	case PROTO_MYSQL:
		return turns_mysql_more(io, c, s);
	}
	return MORE_COUNT;
}

static __always_inline int turn_answer(struct io *io, struct conn *c)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		return turns_http1_answer(io, c);
	case PROTO_POSTGRES:
		return turns_pg_answer(io, c);
	case PROTO_MYSQL:
		return turns_mysql_answer(io, c);
	}
	return FRAME_UNSURE;
}

static __always_inline void turn_finish(struct conn *c)
{
	switch (c->proto) {
	case PROTO_HTTP1:
		turns_http1_finish(c);
		break;
	case PROTO_POSTGRES:
		turns_pg_finish(c);
		texts_learn(c);
		break;
	case PROTO_MYSQL:
		turns_mysql_finish(c);
		break;
	}
}

/* --- what is the same for all */

static __always_inline void begin(struct io *io, struct conn *c, __u8 method)
{
	struct event_exchange *ex = &c->ex;
	int client = c->role == ROLE_CLIENT;

	__builtin_memset(ex, 0, sizeof(*ex));
	event_header(&ex->header, 0, EVENT_EXCHANGE, 0, io->tgid, io->tid);
	ex->header.conn = c->id;
	ex->id = core_exchange_id();
	ex->start = client && c->mark && c->mark <= io->now ? c->mark : io->now;
	ex->proto = c->proto;
	ex->role = c->role;
	ex->flags = c->plain ? EXCHANGE_TLS : 0;
	ex->method = method;
	c->mark = 0;
	c->method = method;
	c->reset = 0;
	c->verdict = FRAME_OPEN;
	c->reader = 0;
	c->awaits = 0;
	turn_init(c, method);
}

/*
 * Keeps more of a request: [have, have + room) of c->data. Where an answer to its first part came (Flush), the head of
 * that answer stands there, and moves on. How many bytes.
 */
static __noinline int request_more(struct io *io, struct conn *c, __u32 have, __u32 room)
{
	struct capture *s = io_scratch();
	__u32 at;
	int n;

	if (!io || !c || !s || have > EVENT_REQUEST_MAX)
		return 0;
	if (!c->ex.answer_len)
		return io_copy(io, 0, &c->data, have, room);
	asm volatile("" : "+r"(have));
	if (have > EVENT_REQUEST_MAX)
		return 0;
	__builtin_memcpy(s->b, &c->data.b[have], EVENT_ANSWER_MAX);
	n = io_copy(io, 0, &c->data, have, room);
	at = have + (n > 0 ? n : 0);
	asm volatile("" : "+r"(at));
	if (at <= EVENT_REQUEST_MAX)
		__builtin_memcpy(&c->data.b[at], s->b, EVENT_ANSWER_MAX);
	return n;
}

/* Is more of the request wanted than is kept? Of HTTP only the head is: a body would but fill the ring. */
static __always_inline int wants_fragments(struct conn *c)
{
	return c->ex.request_bytes > c->ex.request_len && !(c->ex.flags & EXCHANGE_SKIPPED) &&
	       (c->proto != PROTO_HTTP1 || !turns_http1_head_kept(c));
}

/* Keeps what fits of the request's bytes; the rest, where it is wanted, goes up in fragments. */
static __always_inline void keep_request(struct io *io, struct conn *c, int first)
{
	struct event_exchange *ex = &c->ex;
	__u64 before = ex->request_bytes;
	__u32 have = ex->request_len;
	int n;

	ex->request_bytes += io->n;
	if (!first && have < EVENT_REQUEST_MAX && have == before) {
		__u32 room = EVENT_REQUEST_MAX - have;

		if (room > FRAME_BLOCK)
			room = FRAME_BLOCK;
		if (room > io->n)
			room = io->n;
		n = request_more(io, c, have, room);
		if (n > 0)
			ex->request_len = have + n;
	}
	if (before < fragment_limit && wants_fragments(c))
		emit_fragments(io, c, before);
}

/* Values of a statement, authentication. */
static __always_inline void hide_request(struct io *io, struct conn *c)
{
	c->ex.request_bytes = io->n;
	turns_mysql_hide(c, c->ex.request_len);
}

/*
 * A request whose answer was seen before it: its sender was held up between handing over the bytes and its hook. The
 * pair is complete; its duration is known where the kernel told of the send's begin.
 */
static __noinline int late_request(struct io *io, struct conn *c)
{
	struct event_exchange *ex = &c->ex;
	int method, n = io_copy(io, 0, &c->data, 0, io->n > EVENT_REQUEST_MAX ? EVENT_REQUEST_MAX : io->n);

	ex->start = c->mark && c->mark <= ex->first ? c->mark : ex->first;
	if (ex->start == ex->first)
		ex->flags |= EXCHANGE_NO_DURATION;
	c->mark = 0;
	ex->request_len = n > 0 ? n : 0;
	ex->request_bytes = io->n;
	count(KERNEL_early_answers);
	context_client_request(c, io->tid, NULL);
	relay_asks(io, c);
	if (span_skip(process_of(io->tgid), c->pair, ex->parent, io->now))
		ex->flags |= EXCHANGE_SKIPPED;
	if (c->proto == PROTO_POSTGRES) {
		turn_request(io, c, ex->request_len);
	} else if (n >= FRAME_DETECT) {
		method = turn_begins(io, c, n);
		ex->method = method < 0 ? 0 : method;
	}
	if (c->proto == PROTO_MYSQL && mysql_hides(ex->method))
		hide_request(io, c);
	else if (wants_fragments(c))
		emit_fragments(io, c, 0);
	c->phase = PHASE_ANSWER;
	if (c->verdict == FRAME_COMPLETE)
		exchange_finish(c, END_COMPLETE, io->now);
	return 0;
}

#define BEGINNING_BLOCKS 4

/* The call's first bytes to the front of c->data, behind a beginning that came by itself. How many there are then. */
static __noinline int first_bytes(struct io *io, struct conn *c)
{
	__u32 have, k, all;
	int n = 0;

	if (!io || !c)
		return -1;
	have = c->partial;
	if (!have)
		return io_copy(io, 0, &c->data, 0, io->n > EVENT_REQUEST_MAX ? EVENT_REQUEST_MAX : io->n);
	all = have;
	for (k = 0; k < BEGINNING_BLOCKS - 1; k++) {
		__u32 from = k * FRAME_BLOCK;
		__u64 rest;

		if (from >= io->n)
			break;
		rest = io->n - from;
		n = io_copy(io, from, &c->data, have + from, rest > FRAME_BLOCK ? FRAME_BLOCK : rest);
		if (n <= 0)
			break;
		all += n;
	}
	return all;
}

/*
 * Too few bytes to tell: the servers of Go's net/http read one byte ahead, to see a client that goes away. Kept until
 * more come.
 */
static __always_inline int keeps_beginning(const struct io *io, struct conn *c, __u32 n)
{
	if (c->proto != PROTO_HTTP1 || turns_http1_beginning(&c->data, 0, n) == HTTP1_BEGINS_NOT)
		return 0;
	if (!c->partial)
		c->partial_at = c->role == ROLE_CLIENT && c->mark ? c->mark : io->now;
	c->partial = n;
	return 1;
}

/* A turn holds several requests; what its record cannot hold is streamed. before: bytes that came earlier. */
static __always_inline int several_requests(struct io *io, struct conn *c, __u32 before)
{
	if (c->proto != PROTO_HTTP1 || c->ex.request_bytes <= c->ex.request_len)
		return stream_walked(c, io->now);
	stream_call(io, c, before);
	return stream_io(io, c);
}

/* What is kept of the process that asks or is asked, which may not be observed. A function of its own for the stack. */
static __noinline struct proc *process_that_counts(struct io *io, struct conn *c)
{
	struct proc *p = process_of(io->tgid);

	if (!p) {
		core_service(io->tgid, io->tid, io->now);
		p = process_of(io->tgid);
	}
	if (p && p->flags & PROC_IGNORE)
		c->mode = MODE_IGNORE;
	return p;
}

/* First bytes of a turn on an idle connection. */
static __noinline int request_begins(struct io *io, struct conn *c)
{
	struct event_exchange *ex = &c->ex;
	int method, n = first_bytes(io, c);
	__u32 before = c->partial;
	struct proc *p;

	ex->request_len = 0; /* nothing is kept any more of the turn before */
	if (n < 1) {
		count(KERNEL_io_without_buffer);
		return 0;
	}
	method = turn_begins(io, c, n);
	if (method < 0 && keeps_beginning(io, c, n)) {
		c->mark = 0;
		return 0;
	}
	c->partial = 0;
	if (method < 0 && before) { /* it was none */
		before = 0;
		n = first_bytes(io, c);
		method = n < 1 ? -1 : turn_begins(io, c, n);
	}
	if (method < 0) {
		c->mark = 0;
		return 0;
	}
	p = process_that_counts(io, c);
	if (c->mode == MODE_IGNORE)
		return 0;
	begin(io, c, method);
	if (before) {
		ex->start = c->partial_at;
		ex->request_bytes = before;
	}
	ex->service = p ? p->service : 0;
	ex->request_len = n;
	c->phase = PHASE_REQUEST;
	if (c->generation != generation)
		conn_announce(c, io->sk, io->tgid, io->tid, io->now);
	if (c->role == ROLE_CLIENT) {
		context_client_request(c, io->tid, p);
		relay_asks(io, c);
	}
	if (span_skip(p, c->pair, ex->parent, io->now)) {
		ex->flags |= EXCHANGE_SKIPPED;
		if (c->role == ROLE_SERVER)
			ex->id |= 1;
	}
	if (c->role == ROLE_SERVER)
		context_server_request(c, io->tid, p);
	if (c->proto == PROTO_MYSQL && mysql_hides(method) && c->my.request.commands == 1)
		hide_request(io, c);
	else
		keep_request(io, c, 1);
	if (turn_request(io, c, n))
		return several_requests(io, c, before);
	if (c->proto == PROTO_POSTGRES && c->pg.request == PG_CANCEL) /* it has no answer */
		exchange_finish(c, END_COMPLETE, io->now);
	return 0;
}

/* More from the client while an exchange is open. */
static __noinline int request_goes_on(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();

	if (!s)
		return 0;
	__builtin_memset(s->b, 0, FRAME_DETECT);
	io_copy(io, 0, s, 0, io->n > FRAME_DETECT ? FRAME_DETECT : io->n);
	switch (turn_more(io, c, s)) {
	case MORE_STREAM:
		if (c->proto == PROTO_POSTGRES)
			turns_pg_request(io, c); /* what is to come is counted, see stream_asked() */
		stream_switch(c, io->now);
		stream_io(io, c);
		break;
	case MORE_COUNT:
		c->ex.request_bytes += io->n;
		break;
	case MORE_TLS:
		exchange_finish(c, END_UPGRADE, io->now);
		c->inner = c->proto;
		tls_begins(io, c);
		break;
	case MORE_KEEP:
		keep_request(io, c, 0);
		break;
	case MORE_WALK:
		keep_request(io, c, 0);
		if (turn_request(io, c, 0))
			stream_walked(c, io->now);
		break;
	}
	return 0;
}

__noinline int exchange_request(struct io *io, struct conn *c)
{
	if (!io || !c)
		return 0;
	if (c->phase == PHASE_EARLY)
		return late_request(io, c);
	/* An answer of unknown length is over when the client speaks again; a request that begins is the sign. */
	if (c->phase == PHASE_ANSWER && c->verdict == FRAME_UNSURE)
		exchange_finish(c, END_TURN, io->now);
	else if (exchange_awaits_sender(c))
		exchange_finish(c, END_COMPLETE, io->now);
	if (turns_http1_body_may_come(c) && turns_http1_body(io, c))
		return 0;
	if (c->phase == PHASE_IDLE)
		return request_begins(io, c);
	return request_goes_on(io, c);
}

/* Keeps the head of the answer behind the request's head; that of HTTP is kept where it is looked at. */
static __always_inline void keep_answer(struct io *io, struct conn *c)
{
	struct event_exchange *ex = &c->ex;
	__u32 room = EVENT_ANSWER_MAX - ex->answer_len;
	int n;

	if (c->proto != PROTO_POSTGRES || ex->answer_len >= EVENT_ANSWER_MAX || ex->answer_bytes != ex->answer_len)
		return;
	if (room > io->n)
		room = io->n;
	n = io_copy(io, 0, &c->data, ex->request_len + ex->answer_len, room);
	if (n > 0)
		ex->answer_len += n;
}

/*
 * An answer to no request. It may be the rest of something that began before we looked, or word that nobody asked for.
 * But when it is a whole answer, on a connection whose client has asked before, the sender of its request may just not
 * have reached its hook yet: remember it.
 */
static __noinline int early_answer(struct io *io, struct conn *c)
{
	__u64 mark = c->mark;

	count(KERNEL_answers_after_end);
	if (c->role != ROLE_CLIENT || !c->ex.id || c->plain) /* calls of OpenSSL come in order */
		return 0;
	begin(io, c, c->method);
	c->mark = mark; /* of the request that is to come */
	c->ex.first = io->now;
	c->ex.end = io->now;
	c->verdict = turn_answer(io, c);
	c->left = 0;
	c->ex.answer_bytes = io->n;
	c->ex.answer_len = 0; /* the request takes the place of the head */
	if (c->verdict != FRAME_COMPLETE)
		return 0;
	c->ex.service = core_service(io->tgid, io->tid, io->now);
	c->phase = PHASE_EARLY;
	return 0;
}

/* The server speaks first: an exchange that no request begins. */
static __noinline int greeting(struct io *io, struct conn *c)
{
	int service = core_service(io->tgid, io->tid, io->now);

	if (service < 0) {
		c->mode = MODE_IGNORE;
		return 0;
	}
	begin(io, c, MYSQL_HANDSHAKE);
	c->ex.service = service;
	c->ex.first = io->now;
	c->ex.end = io->now;
	c->phase = PHASE_ANSWER;
	turns_mysql_greeting(io, c);
	conn_announce(c, io->sk, io->tgid, io->tid, io->now);
	context_client_request(c, io->tid, NULL);
	return 0;
}

__noinline int exchange_answer(struct io *io, struct conn *c)
{
	struct event_exchange *ex;

	if (!io || !c)
		return 0;
	ex = &c->ex;
	if (c->proto == PROTO_MYSQL && c->my.starting && c->phase == PHASE_IDLE)
		return greeting(io, c);
	if (c->phase == PHASE_IDLE || c->phase == PHASE_EARLY || exchange_awaits_sender(c)) {
		if (c->proto == PROTO_HTTP1 && stream_unasked(io, c))
			return stream_io(io, c);
		return early_answer(io, c);
	}
	c->phase = PHASE_ANSWER;
	if (!ex->first)
		ex->first = io->now;
	ex->end = io->now;
	keep_answer(io, c);
	c->verdict = turn_answer(io, c);
	if (c->verdict == FRAME_STREAM) {
		stream_switch(c, io->now);
		return stream_io(io, c);
	}
	ex->answer_bytes += io->n;
	if (c->role == ROLE_CLIENT) {
		context_client_answer(c, io->tid);
		if (any_relays)
			relay_answered(c, io->tid);
	} else {
		context_server_answer(c, io->tid);
	}
	if (c->verdict == FRAME_COMPLETE) {
		if (!c->awaits || c->left)
			exchange_finish(c, END_COMPLETE, io->now);
		if (c->left && stream_unasked(io, c))
			stream_io(io, c);
	} else if (c->verdict == FRAME_UPGRADE) {
		exchange_finish(c, END_UPGRADE, io->now);
		c->mode = MODE_IGNORE;
		c->proto = PROTO_OTHER;
	}
	return 0;
}

static __always_inline __u32 hist_version(const struct conn *c)
{
	if (c->proto != PROTO_HTTP1)
		return 0;
	return c->http.version | (c->plain ? HIST_VERSION_TLS : 0);
}

/* How many rows came back. */
static __always_inline __u64 returned_rows(const struct conn *c)
{
	if (c->proto == PROTO_POSTGRES && c->pg.returns)
		return c->pg.rows;
	if (c->proto == PROTO_MYSQL && c->my.answer.set && !c->my.answer.error && mysql_rows_known(&c->my.answer))
		return c->my.answer.rows;
	return HIST_NO_AMOUNT;
}

static __always_inline void transaction(struct conn *c)
{
	int step = transaction_exchange(c);

	c->ex.transaction_goes_on = c->status == 'T' || c->status == 'E';
	if (!step)
		return;
	hist_transaction(&c->ex, &c->data, c->peer ^ c->database, &c->tx, c->ex.end);
	c->tx.began = step == TRANSACTION_CHAINED ? c->ex.end : 0;
	c->tx.busy = 0;
	c->tx.statements = 0;
}

__noinline int exchange_finish(struct conn *c, __u32 reason, __u64 now)
{
	struct event_exchange *ex;
	int counts;

	if (!c || c->phase == PHASE_IDLE)
		return 0;
	ex = &c->ex;
	/* Two hooks come here where one had to go on without the lock: the second ends nothing. */
	if (__sync_lock_test_and_set(&c->finished, ex->id) == ex->id) {
		c->phase = PHASE_IDLE;
		return 0;
	}
	ex->reason = reason;
	ex->header.time = now;
	if (!ex->first) {
		ex->flags |= EXCHANGE_NO_ANSWER;
		ex->end = now;
	} else if (c->verdict == FRAME_OPEN && reason != END_COMPLETE) {
		ex->flags |= EXCHANGE_PARTIAL;
	}
	if (c->awaits) {
		c->awaits = 0;
		ex->flags |= EXCHANGE_PARENT_UNSURE;
		count(KERNEL_parents_unsure);
	}
	turn_finish(c);
	if (frame_opens(ex->proto, ex->method))
		conn_opened(c);
	if (c->role == ROLE_SERVER)
		context_server_end(c);
	else
		context_client_end(c);
	c->phase = PHASE_IDLE;
	counts = frame_counts(ex->proto, ex->method);
	if (counts) {
		count(KERNEL_spans_seen);
		hist_exchange(ex, &c->data, c->peer, hist_version(c), returned_rows(c));
	}
	if (c->proto != PROTO_HTTP1)
		transaction(c);
	if (!span_left_out(ex, counts) || frame_always_told(ex->proto, ex->method))
		emit_exchange(c);
	return 0;
}
