/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which request a thread works on. A thread that reads the start of a request works on it until it is answered, and
 * what it sends meanwhile is made for it; so does a thread that it starts. On an event loop one thread has several
 * requests open: there the last message read decides, and an answer brings back the request its question was asked for.
 * Where a connection pool queues, or where the loop reads several messages before it goes on with what they were for
 * (as asyncio does), that rule guesses: then no link is made.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/callback.bpf.h"
#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/thread.bpf.h"
#include "core/tokio.bpf.h"
#include "maps.bpf.h"

#define MOVED_NS 10000000000ULL

/* Which of the open requests asks is not known, until those are answered. own: not one of them. */
static __always_inline void mix(struct thread *t, __u32 own)
{
	t->old = t->open - own;
	t->epoch++;
}

/*
 * The thread turns to a request. One that it leaves before that has asked anything may ask at any time from now on, and
 * before this one.
 */
static __always_inline void turn_to(struct thread *t, __u64 id, __u32 own)
{
	int leaves = t->open > 1 && t->fresh && t->exchange && t->exchange != id;

	if (leaves)
		mix(t, own);
	if (t->exchange != id)
		t->astray = leaves;
	t->exchange = id;
	t->fresh = 1;
	t->starter = 0;
	t->visits = 0;
}

/* A request that the thread has read is over, or another thread's. */
static __always_inline void close_one(struct thread *t, const struct conn *c, int idle)
{
	if (t->open)
		t->open--;
	if (idle && t->idle)
		t->idle--;
	if (t->old && c->epoch != t->epoch)
		t->old--;
	if (!t->open)
		t->old = t->idle = t->blind = 0;
	if (t->blind > t->idle)
		t->blind = t->idle;
	if (t->exchange == c->ex.id)
		t->exchange = 0;
}

static __always_inline __u32 tgid_now(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline struct proc *proc_now(void)
{
	__u32 tgid = tgid_now();

	return bpf_map_lookup_elem(&procs, &tgid);
}

static __always_inline int process_is_mixed(const struct proc *p)
{
	return p && p->flags & PROC_MOVES && p->open > 1 &&
	       (strands_move(p) || bpf_ktime_get_ns() - p->moved < MOVED_NS);
}

/* Asked on a connection (0 = not known) whose own answer was just read, with other requests open: from a queue? */
static __always_inline int is_unsure(__u64 conn, struct thread *t, const struct proc *p)
{
	t->fresh = 0;
	return (t->open > 1 && (t->old || (conn && t->last_answer == conn)) && !others_wait(t)) || process_is_mixed(p);
}

/*
 * A thread of a pool was started when one request came, by a thread that has read others since, and runs for all. Where
 * pools are what threads are started for, it may do so at once.
 */
static __always_inline int is_of_pool(const struct thread *t, const struct proc *p)
{
	const struct thread *starter = t->starter ? thread_of(t->starter, 0) : NULL;

	return t->starter && (!starter || starter->exchange != t->exchange || starter->open != 1 ||
			      (p && p->flags & PROC_POOLS && p->open > 1));
}

/*
 * Is it doubtful that what a connection was made for is what is asked on it? A request that waits for an answer may
 * want another connection; or the thread made it for a client that had said nothing yet, as HAProxy does in TCP mode,
 * and has turned to that one's request by now.
 */
static __always_inline int made_meanwhile(const struct conn *c, __u64 connect_parent, const struct thread *t)
{
	const struct open_request *at = open_request(connect_parent);

	return c && (c->meanwhile || (at && at->waits)) && (!t || t->exchange != connect_parent);
}

/*
 * What the current thread asks is asked for: a request, 0 = none, or PARENT_UNSURE. A strand that read a request works
 * on it, and one that read none may work on any or on none. Otherwise the thread tells; but what it turned to may be
 * over where strands change threads. c: where it asks, NULL = not known, and conn the id of it. p: its process. first:
 * it counts what the connection was made for, which is read late, for the stack is short.
 */
static __always_inline __u64 thread_asks_for(__u64 conn, struct conn *c, int first, struct thread *t,
					     const struct proc *p)
{
	__u64 id = p && strands_move(p) ? strand_request() : 0, awaited, connect_parent;
	int known = id && !(c && has_writer(c));

	connect_parent = c && first ? c->connect_parent : 0;
	if (t && t->handed)
		return gateway_parent(t->handed);
	if (id == STRAND_HELPER)
		return strand_helper(c, connect_parent);
	if (id && id != STRAND_ALONE && open_request(id))
		return id;
	if (id == STRAND_ALONE && !known && (awaited = strand_awaited()))
		return awaited;
	if (!known && connect_parent == PARENT_UNSURE)
		return PARENT_UNSURE;
	if (!known && connect_parent && open_request(connect_parent) && !(id && process_is_mixed(p)))
		return made_meanwhile(c, connect_parent, t) ? PARENT_UNSURE : connect_parent;
	if (!t || !t->exchange || ((id || t->starter || t->visits || !t->serves) && !open_request(t->exchange)))
		return 0;
	return known || is_of_pool(t, p) || is_unsure(c ? c->id : conn, t, p) ? PARENT_UNSURE : t->exchange;
}

/* What the thread does was left to it by a task of an event loop, or of what that does it for. */
static __always_inline __u64 left_by_task(struct thread *t, const struct proc *p)
{
	__u64 task = strand_awaits(tgid_now(), t);
	struct thread *loop;

	if (!task)
		return 0;
	task = strand_above(tgid_now(), task, t->task);
	loop = thread_of(p->loop, 0);
	if (loop && loop->exchange && strand_helps(task, loop) && open_request(loop->exchange))
		return loop->exchange;
	return task;
}

static __always_inline __u64 asks_for(__u64 conn, struct conn *c, int first, struct thread *t, struct proc *p)
{
	__u64 task = 0, guess;

	if (p && p->strand == STRAND_JAVA && (task = strand_virtual_asks(c, tgid_now())))
		return task == STRAND_ALONE ? 0 : task;
	if (p && p->strand == STRAND_PYTHON && !is_taskless(p)) {
		if (t && !t->serves)
			task = left_by_task(t, p);
		else if (!c || !c->given)
			task = strand_above(tgid_now(), strand_task(tgid_now(), bpf_get_current_pid_tgid()), 0);
		else
			task = c->given;
		if (task && (task == PARENT_UNSURE || (t && !t->serves)))
			return task;
	}
	guess = thread_asks_for(conn, c, first, t, p);
	if (task)
		return strand_helps(task, t) && guess && guess != PARENT_UNSURE ? guess : task;
	if (guess && guess != PARENT_UNSURE)
		return guess;
	return strand_only(c, p, t, bpf_get_current_pid_tgid()) ?: strand_thread(p, bpf_get_current_pid_tgid()) ?: guess;
}

__noinline int context_server_request(struct conn *c, __u32 tid, struct proc *p)
{
	struct thread *t = thread_of(tid, 1);
	__u64 id;

	if (!c || !t)
		return 0;
	id = c->ex.id;
	t->open++;
	t->idle++;
	if (!t->serves) {
		t->serves = c->ex.start;
		if (p)
			__sync_fetch_and_or(&p->flags, PROC_SERVES);
	}
	if (t->unanswered || t->turns)
		strand_thread_reads(t, p, c->ex.start);
	turn_to(t, id, 1);
	t->last_answer = 0;
	t->handed = 0;
	c->reader = tid;
	c->epoch = t->epoch;
	callback_asked(&c->ex, t);
	open_request_add(id, tid);
	process_opens(c, p);
	return 0;
}

static __always_inline void task_answers(struct conn *c, struct proc *p, __u32 tgid, __u32 tid)
{
	__u64 task = c->given ? 0 : strand_task(tgid, tid);

	if (c->given)
		c->ex.parent = c->given == PARENT_UNSURE ? 0 : c->given;
	else
		c->ex.parent = task ? strand_above(tgid, task, 0) : 0;
	if (!c->given && !task && !(p->flags & PROC_TASKLESS))
		__sync_fetch_and_or(&p->flags, PROC_TASKLESS);
	strand_answered(c->ex.parent, c->ex.start, c->given ? c->given_helped : task != c->ex.parent);
}

/* The thread writes an answer, or a part of it. */
__noinline int context_server_answer(struct conn *c, __u32 tid)
{
	struct thread *t;
	struct proc *p;
	__u32 tgid;
	int moved;

	if (!c || !c->reader)
		return 0;
	moved = tid != c->reader;
	t = moved || c->verdict == FRAME_COMPLETE ? NULL : thread_of(tid, 0);
	if (t && t->exchange == c->ex.id)
		t->fresh = 0;
	if (c->ex.first == c->ex.end && c->ex.flags & EXCHANGE_CALLBACKS)
		callback_answered(&c->ex, moved ? NULL : thread_of(tid, 0));
	if (c->ex.first != c->ex.end)
		return strand_thread_wrote(c, tid); /* who begins it counts: another thread may write the rest */
	tgid = c->ex.header.tgid;
	p = moved || any_moves || any_strands ? bpf_map_lookup_elem(&procs, &tgid) : NULL;
	if (!p)
		return 0;
	if (p->strand == STRAND_JAVA && strand_virtual_answers(c, tgid))
		return 0;
	if (p->strand == STRAND_PYTHON)
		task_answers(c, p, tgid, tid);
	if (moved) {
		p->moved = c->ex.first;
		if (!(p->flags & PROC_MOVES))
			__sync_fetch_and_or(&p->flags, PROC_MOVES);
		any_moves = 1;
	}
	if (!c->ex.parent && p->flags & PROC_MOVES)
		c->ex.parent = strand_thread_answers(c, tid);
	return strand_thread_wrote(c, tid);
}

/* The thread reads on in a request: an event loop may have read others since, and this one is in its hands again. */
__noinline int context_server_more(struct conn *c, __u32 tid)
{
	struct thread *t, *before;
	struct open_request *at;
	__u64 id;
	int idle;

	if (!c || !c->reader)
		return 0;
	t = thread_of(tid, 1);
	if (!t)
		return 0;
	id = c->ex.id;
	at = open_request(id);
	if (at && at->partial)
		context_body(at, t, tid);
	if (c->reader != tid) {
		before = thread_of(c->reader, 0);
		idle = !at || !at->waits;
		if (before)
			close_one(before, c, idle);
		if (at)
			at->reader = tid;
		t->open++;
		t->idle += idle;
		c->reader = tid;
		c->epoch = t->epoch;
	}
	turn_to(t, id, 0);
	t->last_answer = 0;
	callback_asked(&c->ex, t);
	return 0;
}

__noinline int context_server_end(struct conn *c)
{
	struct open_request *at;
	struct thread *t;
	int idle;

	if (!c)
		return 0;
	if (!c->reader) {
		process_closes(c);
		return 0;
	}
	strand_ends(c);
	at = open_request(c->ex.id);
	idle = !at || !at->waits;
	if (at)
		__sync_val_compare_and_swap(&at->id, c->ex.id, 0);
	process_closes(c);
	t = thread_of(c->reader, 0);
	c->reader = 0;
	if (t)
		close_one(t, c, idle);
	return 0;
}

/* Statements that libpq tells of are counted once: where the bytes are read, there; else the connection is libpq's. */
static __always_inline void libpq_call(struct conn *c, struct thread *t)
{
	struct libpq_conn *s;

	if (!t->pgconn || (c->proto != PROTO_POSTGRES && c->proto != PROTO_TLS))
		return;
	s = bpf_map_lookup_elem(&libpq_conns, &t->pgconn);
	t->pgconn = 0;
	if (!s)
		return;
	s->conn = c->id;
	s->peer = c->peer;
	s->wire = c->proto == PROTO_POSTGRES;
	if (c->mode == MODE_OPAQUE)
		c->plain = PLAIN_LIBPQ;
}

__noinline __u64 context_libpq_request(__u64 pgconn, __u64 conn, __u32 tid)
{
	struct thread *t = thread_of(tid, 1);
	__u64 parent;

	if (!t)
		return 0;
	t->pgconn = pgconn;
	parent = asks_for(conn, NULL, 0, t, proc_now());
	if (parent == PARENT_UNSURE)
		count(KERNEL_parents_unsure);
	return parent;
}

/*
 * Both ends' hooks look for what the other left, for one may run while the other could not have the lock: the client's
 * says what it wrote and then looks whether that is awaited, the server's awaits it and then looks whether it was said.
 */
static __always_inline int claims(struct conn *c)
{
	return c->wrote != c->taken && context_hidden_is_seen(c) && c->awaits &&
	       __sync_lock_test_and_set(&c->awaits, 0);
}

/* Parts of one write, which may be long, are awaited together. */
static __always_inline void await(struct conn *c)
{
	int streams = c->mode == MODE_STREAM;

	if (!c->awaits) {
		c->awaited = bpf_ktime_get_ns();
		c->late = streams ? PARENT_STRAND | core_exchange_id() : 0;
		__sync_lock_test_and_set(&c->awaits, 1);
	}
	if (streams)
		c->ex.parent = c->late;
}

/* Of the connection's own ciphertext, when the server's end tells what is in it. */
static __always_inline void take_parent(struct conn *c)
{
	c->taken = c->wrote;
	c->ex.parent = c->wrote_parent;
	c->ex.flags |= c->wrote_flags;
	if (c->wrote_flags & EXCHANGE_PARENT_UNSURE)
		count(KERNEL_parents_unsure);
}

__noinline __u64 context_asks(struct conn *c, __u32 tid)
{
	__u64 parent;

	if (!c)
		return 0;
	parent = asks_for(0, c, 1, thread_of(tid, 0), proc_now());
	c->connect_parent = 0;
	if (parent != PARENT_UNSURE)
		return parent;
	count(KERNEL_parents_unsure);
	return 0;
}

/* The request that the thread has read waits for the answer of what is asked. */
static __always_inline void waits(struct conn *c, struct thread *t, __u32 tid)
{
	struct open_request *at;

	if (!t || !t->open)
		return;
	at = open_request(c->ex.parent);
	if (!at || at->reader != tid)
		return;
	t->asked++;
	if (at->partial)
		context_hastens(at);
	if (c->mode == MODE_STREAM) /* there nothing tells that it has its answer */
		return;
	if (at->waits)
		t->fans_out = 1;
	else if (t->idle)
		t->idle--;
	at->waits++;
	c->waits = WAITS_REQUEST;
}

/* One of them does: it may be that which the thread turned to. */
static __always_inline void waits_blindly(struct conn *c, struct thread *t)
{
	if (!t || !t->open)
		return;
	t->guessed++;
	if (c->mode == MODE_STREAM)
		return;
	t->blind++;
	if (t->blind > t->idle) /* more than one of a request, for whichever they are */
		t->fans_out = 1;
	t->astray = 1;
	c->waits = WAITS_THREAD;
}

__noinline int context_client_request(struct conn *c, __u32 tid, struct proc *p)
{
	struct thread *t = thread_of(tid, any_loops);
	__u64 parent;

	if (!c)
		return 0;
	if (c->plain == PLAIN_PEER) {
		if (c->wrote == c->taken || !context_hidden_is_seen(c)) {
			await(c);
			if (!claims(c))
				return 0;
		}
		take_parent(c);
		return 0;
	}
	if (t)
		libpq_call(c, t);
	if (c->mode == MODE_OPAQUE)
		return 0;
	if (!p)
		p = proc_now();
	if (p && p->strand == STRAND_TOKIO)
		c->strand &= ~CONN_HELPER;
	parent = asks_for(0, c, 1, t, p);
	if (p && p->strand == STRAND_TOKIO)
		strand_wrote(c);
	c->connect_parent = 0;
	callback_asked(&c->ex, t);
	if (parent == PARENT_UNSURE) {
		c->ex.flags |= EXCHANGE_PARENT_UNSURE;
		count(KERNEL_parents_unsure);
		waits_blindly(c, t);
		return 0;
	}
	c->ex.parent = parent;
	waits(c, t, tid);
	return 0;
}

static __always_inline void process_hops(struct conn *c)
{
	__u32 tgid = c->ex.header.tgid;
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	if (p && !(p->flags & PROC_HOPS))
		__sync_fetch_and_or(&p->flags, PROC_HOPS);
	if (c->ex.parent & PARENT_STRAND && strand_is_thread(c->ex.parent))
		c->ex.parent = 0;
}

static __always_inline void answer_read(struct conn *c, struct thread *t, __u32 tid, __u64 parent)
{
	struct open_request *at;

	if (!t)
		return;
	t->last_answer = c->id;
	if (!t->serves && (c->only || (t->starter && t->exchange == parent) || strand_by_task(tgid_now())))
		return; /* what a thread of a pool asked is over, and the next may be asked for another */
	at = parent ? open_request(parent) : NULL;
	if (at) {
		turn_to(t, parent, 0);
		t->visits = at->reader != tid;
	} else if (t->open) {
		mix(t, 0); /* it was for one of the open ones, which may go on now, and after the next was read */
		t->astray = 1;
	}
}

__noinline int context_client_answer(struct conn *c, __u32 tid)
{
	struct thread *t;

	if (!c || c->plain == PLAIN_PEER)
		return 0;
	if (tid != c->ex.header.tid && c->mode == MODE_TURNS && !(c->strand & CONN_VIRTUAL))
		process_hops(c);
	t = thread_of(tid, 0);
	callback_answered(&c->ex, tid == c->ex.header.tid ? t : NULL);
	if (!(c->strand & CONN_VIRTUAL))
		answer_read(c, t, tid, c->ex.parent);
	if (c->verdict == FRAME_UNSURE) /* its end is not told of, so it is not waited for any longer */
		context_client_end(c);
	return 0;
}

/*
 * What is awaited was written before its answer was read: what is written behind that belongs to the next. It is never
 * known whose it was; the caller ends it.
 */
static __always_inline void await_no_more(struct conn *c)
{
	if (!c->awaits || c->read <= c->awaited || !__sync_lock_test_and_set(&c->awaits, 0))
		return;
	context_hidden_is_lost(c);
	if (c->mode == MODE_STREAM)
		return; /* the record that went up waits for a word that does not come */
	c->ex.flags |= EXCHANGE_PARENT_UNSURE;
	count(KERNEL_parents_unsure);
}

__noinline int context_hidden_request(struct conn *c, __u32 tid)
{
	struct thread *t = thread_of(tid, any_loops);
	__u64 parent;

	if (!c)
		return 0;
	if (t)
		libpq_call(c, t);
	await_no_more(c);
	parent = asks_for(0, c, 0, t, proc_now());
	if (c->awaits && c->wrote > c->awaited && parent != c->wrote_parent) /* one of two, which both are awaited */
		parent = PARENT_UNSURE;
	if (t)
		t->guessed++; /* it says nothing of whether bodies are waited for */
	c->wrote_flags = parent == PARENT_UNSURE ? EXCHANGE_PARENT_UNSURE : 0;
	c->wrote_parent = parent == PARENT_UNSURE ? 0 : parent;
	asm volatile("" ::: "memory"); /* last, by these it is seen */
	c->wrote_to = c->sent;
	__sync_lock_test_and_set(&c->wrote, bpf_ktime_get_ns());
	if (!claims(c))
		return 0;
	take_parent(c);
	if (c->mode == MODE_STREAM)
		stream_told(c);
	else if (c->ex.parent & 1) /* left out, and this with it */
		c->ex.flags |= EXCHANGE_SKIPPED;
	return 0;
}

__noinline int context_hidden_answer(struct conn *c, __u32 tid)
{
	if (c && !(c->strand & CONN_VIRTUAL))
		answer_read(c, thread_of(tid, 0), tid, c->wrote_parent);
	return 0;
}

__noinline __u64 context_connecting(__u32 tgid, __u32 tid, __u8 *ret_waits)
{
	struct thread *t = thread_of(tid, 0);
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);
	__u64 id = p && strands_move(p) ? strand_request() : 0;
	struct open_request *at;

	if (p && p->strand == STRAND_JAVA && (id = strand_virtual_asks(NULL, tgid)))
		return id & PARENT_STRAND ? 0 : id;

	if (id == STRAND_HELPER)
		return strand_helper(NULL, STRAND_CONNECTS);
	if (id && id != STRAND_ALONE)
		return id;
	if (!ret_waits || !t || process_is_mixed(p))
		return 0;
	if (t->exchange && (is_of_pool(t, p) || is_unsure(0, t, p)))
		return PARENT_UNSURE;
	t->fresh = 0; /* that is to ask on it */
	at = open_request(t->exchange);
	*ret_waits = at && at->waits;
	return t->exchange;
}
