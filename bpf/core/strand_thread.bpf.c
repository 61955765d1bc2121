/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Threads of a program whose requests others read or answer: which they work for. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/python.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

#define UNANSWERED_MAX 4096
#define STRAY_WEIGHT 16
#define STRAYS_MAX 96 /* not by six of them at once: Puma has five */

#define TURN_BEGUN 0x80 /* in thread.turns: it has asked while it had read several */
#define TURNS_SURE 16	/* it is taken at its word until it reads with that */
#define LENT_SURE 8
#define LENT_MAX 64

/*
 * A thread that has read several requests may be an event loop, which works on all of them. Or it reads a client's next
 * as soon as it has answered that, and leaves it to the threads of its pool (Puma 8): then it answers after it
 * has asked, before it reads another, each time, and others answer most of what it reads.
 */
static __always_inline int reads_ahead(const struct thread *t)
{
	return (t->turns & ~TURN_BEGUN) == TURNS_SURE;
}

/* Does the thread do one thing after the other, for others too? Not where tasks change threads, nor an event loop. */
static __always_inline int works_in_turn(const struct proc *p, const struct thread *t, __u32 flag)
{
	if (!p || !(p->flags & flag) || p->flags & PROC_HOPS || strands_move(p))
		return 0;
	return !t || !t->open || (p->flags & PROC_MOVES && (t->open == 1 || reads_ahead(t)));
}

/*
 * One thread may read requests and leave the work to others, each of which writes the answer of the request that it
 * worked on (waitress; Puma, where it may have read that itself): what it asked before was asked for that. Not of a
 * thread that never answers.
 */
__noinline __u64 strand_thread(struct proc *p, __u32 tid)
{
	struct thread *t;

	if (!p || !(p->flags & PROC_SERVES))
		return 0;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (t && t->open > 1)
		t->turns |= TURN_BEGUN;
	if (!works_in_turn(p, t, PROC_SERVES) || (t && t->unanswered++ > UNANSWERED_MAX))
		return 0;
	return strand_number(bpf_get_current_pid_tgid() >> 32, tid);
}

/*
 * Threads of Java that all read requests, and answer each other's, take turns at what any request does (Kotlin's
 * coroutines, virtual threads): which of them asked tells nothing. Puma's threads do that as well, and work in turn.
 */
static __always_inline int takes_turns(const struct conn *c, const struct proc *p, const struct thread *t, __u32 tid)
{
	return p && p->flags & PROC_POOLS && t && t->serves && c->reader != tid;
}

/*
 * A thread that has asked, and reads a request before it has answered one, did not ask for what it answers next: what
 * it asked is some other thread's to answer. Threads that take turns at all that can go on (Boost.Asio, cpprestsdk) do
 * that all the time, and also answer what they did not ask for: then which of them asked tells nothing. But a thread
 * that works in turn does it too, when a client has left before its answer; hence as often as sixteen others answer.
 */
__noinline int strand_thread_reads(struct thread *t, struct proc *p, __u64 now)
{
	if (!t || !p)
		return 0;
	if (t->turns & TURN_BEGUN)
		t->turns = 0;
	if (!t->unanswered || !(p->flags & PROC_MOVES))
		return 0;
	t->unanswered = 0;
	t->wrote = now;
	p->strays += STRAY_WEIGHT;
	if (p->strays > STRAYS_MAX && !(p->flags & PROC_HOPS))
		__sync_fetch_and_or(&p->flags, PROC_HOPS);
	return 0;
}

/* Who reads a request and who answers it, and whether that one asked before. */
static __always_inline void turn_ends(const struct conn *c, struct thread *t, __u32 tid)
{
	struct thread *reader = c->reader == tid ? t : thread_of(c->reader, 0);

	if (reader && reader != t && reader->lent < LENT_MAX)
		reader->lent++;
	else if (reader == t && t && t->lent)
		t->lent--;
	if (!t || !(t->turns & TURN_BEGUN))
		return;
	t->turns &= ~TURN_BEGUN;
	if (t->turns < TURNS_SURE - 1 || (t->turns < TURNS_SURE && t->lent >= LENT_SURE))
		t->turns++;
}

__noinline __u64 strand_thread_answers(struct conn *c, __u32 tid)
{
	struct thread *t = bpf_map_lookup_elem(&threads, &tid);
	struct proc *p;
	__u32 tgid;

	if (!c)
		return 0;
	tgid = c->ex.header.tgid;
	p = bpf_map_lookup_elem(&procs, &tgid);
	turn_ends(c, t, tid);
	if (takes_turns(c, p, t, tid))
		__sync_fetch_and_or(&p->flags, PROC_HOPS);
	if (t) {
		if (t->unanswered && p && p->strays)
			p->strays--;
		t->unanswered = 0;
		t->own = ~0ULL; /* strand_thread() knows better */
	}
	return works_in_turn(p, t, PROC_MOVES) ? strand_number(tgid, tid) : 0;
}

static __always_inline __u32 micros(__u64 ns)
{
	ns /= 1000;
	return ns > 0xffffffff ? 0xffffffff : ns;
}

/*
 * What the thread asks between its last byte for one request and its last for the next was asked for the next, however
 * late others write the rest of either. Not what it asks when it has gone on with another's answer in between.
 */
__noinline int strand_thread_wrote(struct conn *c, __u32 tid)
{
	struct event_exchange *ex;
	struct thread *t;

	if (!c)
		return 0;
	ex = &c->ex;
	if (ex->parent != strand_number(ex->header.tgid, tid))
		return 0;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t)
		return 0;
	ex->flags &= ~EXCHANGE_CALLBACKS; /* it stands in the same place */
	if (ex->first == ex->end)
		ex->worked.since = t->wrote > ex->start ? micros(t->wrote - ex->start + 999) : 0;
	else if (t->wrote_id != ex->id)
		return 0;
	ex->worked.until = micros(ex->end - ex->start);
	t->wrote = ex->end;
	t->wrote_id = ex->id;
	return 0;
}

#define ONLY_NS 10000000000ULL
#define OWN_NS 3600000000000ULL
#define STARTED_NS 60000000000ULL
#define SETTLED_NS 1000000000ULL /* so long a process must have served before its threads' own work is known */

/*
 * A thread that reads no requests may work for those that others have read: another loop of Netty's, which has the
 * database's connections, a thread of an executor. For which of several, nothing tells. While there is but one it is
 * that, unless the thread also asks when there is none (jobs, consumers of a queue), or answers requests itself. What
 * it asked before the process served at all may have been for a job, or to set the process up: that counts for less.
 */
__noinline __u64 strand_only(struct conn *c, struct proc *p, struct thread *t, __u32 tid)
{
	__u64 now, id, own;

	if (c)
		c->only = 0;
	if (!p || p->flags & PROC_STREAMS || (p->strand && p->strand != STRAND_JAVA && !is_taskless(p)) || p->open > 1)
		return 0;
	if (!t)
		t = thread_of(tid, 1);
	if (!t || t->serves || t->handed)
		return 0;
	now = c && c->mode == MODE_TURNS ? c->last : bpf_ktime_get_ns(); /* of the bytes that moved just now */
	if (!p->open) {
		own = now + (p->since ? OWN_NS : STARTED_NS);
		if (t->own < own)
			t->own = own;
		return 0;
	}
	if (now < t->own || now < p->since + SETTLED_NS || now > p->began + ONLY_NS)
		return 0;
	id = open_request_only(p);
	if (c)
		c->only = id != 0;
	return id;
}
