/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Connections that do not speak in turns. The exchange in flight goes up as it is (END_STREAM: not counted here), then
 * every byte in bounded pieces with its position; user space frames them and fills the same histograms.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/stream.bpf.h"
#include "core/tokio.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

/* What is read here from now on is not among the requests that are open. */
static __always_inline void server_streams(struct conn *c)
{
	__u32 tgid = c->ex.header.tgid;
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	if (p)
		__sync_fetch_and_or(&p->flags, PROC_STREAMS);
	context_server_end(c);
}

/* A text of several statements is all that was asked: Sequelize begins each of its connections with one. */
static __always_inline int one_text(const struct conn *c)
{
	return c->pg.several == PG_SEVERAL && c->pg.walk.queries == 1 && !c->pg.walk.syncs;
}

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
		server_streams(c);
	else
		context_client_end(c);
	if (c->proto != PROTO_HTTP1)
		transaction_append(c);
	c->tx.began = 0;
	ex->flags &= ~EXCHANGE_SKIPPED; /* user space counts what streams */
	if (ex->parent & 1)
		ex->parent = 0;
	if (c->awaits)
		ex->parent = c->late = PARENT_STRAND | core_exchange_id();
	emit_exchange(c);
	c->mode = MODE_STREAM;
	c->phase = PHASE_IDLE;
	c->request_position = ex->request_bytes;
	c->answer_position = ex->answer_bytes;
	__builtin_memset(&c->answers, 0, sizeof(c->answers));
	c->answers.on = c->proto == PROTO_POSTGRES && (!ex->answer_bytes || !ex->first); /* no first: after a Flush */
	c->answers.uncounted = !c->answers.on || c->pg.cut || c->pg.walk.bad;
	c->answers.returns = c->role == ROLE_CLIENT && c->answers.on && !c->answers.uncounted && one_text(c);
	count(KERNEL_conns_streaming);
}

__noinline int stream_switch(struct conn *c, __u64 now)
{
	if (c)
		begin_stream(c, now, 0);
	return 0;
}

/*
 * The same of one whose request is more than one: of a task that asks for others, they may be those of several, if so
 * many are open.
 */
__noinline int stream_walked(struct conn *c, __u64 now)
{
	struct proc *p;
	__u32 tgid;

	if (!c)
		return 0;
	if (c->role == ROLE_CLIENT && c->strand & CONN_HELPER && c->pg.walk.queries + c->pg.walk.syncs > 1) {
		tgid = c->ex.header.tgid;
		p = bpf_map_lookup_elem(&procs, &tgid);
		if (p && p->open > 1)
			c->ex.parent = 0;
	}
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
	if (c->ex.id != c->finished || !c->ex.request_len || c->method == HTTP_CONNECT ||
	    turns_http1_behind(c) <= HTTP1_EMPTY_LINES) {
		if (pass || c->role == ROLE_SERVER)
			c->suspect = 1;
		return 0;
	}
	io_pass(io, pass);
	begin_stream(c, io->now, 1);
	return 1;
}

__noinline int stream_told(struct conn *c)
{
	struct event_parent e = {};

	if (!c)
		return 0;
	event_header(&e.header, sizeof(e), EVENT_PARENT, c->wrote, c->wrote_tgid, c->wrote_tid);
	e.header.conn = c->id;
	e.late = c->late;
	e.parent = c->wrote_parent & 1 ? 0 : c->wrote_parent;
	bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP); /* lost, it counts as not told */
	return 0;
}

static __always_inline void stream_asks(struct io *io, struct conn *c)
{
	context_client_request(c, io->tid, NULL);
	if (c->strand && c->ex.parent)
		strand_streams(io, c);
}

__noinline int stream_io(struct io *io, struct conn *c)
{
	__u64 at = 0, moved;
	__u32 i;
	int dir;

	if (!io || !c || !io->n)
		return 0;
	if (c->role == ROLE_SERVER && c->proto != PROTO_HTTP1)
		return 0; /* statements are told by their client's end */
	dir = stream_direction(io, c);
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
			stream_asks(io, c);
		else
			context_client_answer(c, io->tid);
	}
	for (i = 0; i < STREAM_BLOCKS; i++) { /* as little as can be, for the verifier walks each turn */
		moved = stream_step(io, c, at, i);
		if (!moved)
			break;
		at += moved;
	}
	return stream_moved(io, c, at);
}
