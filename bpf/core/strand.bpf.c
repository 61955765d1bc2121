/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A strand is what the program's text means by a thread, where the runtime gives its own to the kernel's threads in
 * turn: a goroutine, a task of asyncio, a greenlet. What one strand does in order is done for one request, however many
 * others its thread serves meanwhile. Known by the address of what the runtime keeps of it, which is read at a call
 * from the calling thread's memory.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "core/core.bpf.h"
#include "core/python.bpf.h"
#include "maps.bpf.h"

/* The thread pointer: set by clone() and arch_prctl(), both of which leave it here, and not changed after that. */
static __always_inline __u64 thread_pointer(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread.fsbase);
}

/*
 * A struct g begins with the bounds of its stack. The calling thread is on that stack, or it is no g: C code of the
 * same program may keep anything in that place.
 */
static __always_inline __u64 goroutine(__u64 at)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u64 sp = BPF_CORE_READ(regs, sp), g, stack[2];

	if (bpf_probe_read_user(&g, sizeof(g), (void *)(thread_pointer() + at)) || !g ||
	    bpf_probe_read_user(stack, sizeof(stack), (void *)g))
		return 0;
	return sp > stack[0] && sp <= stack[1] ? g : 0;
}

static __always_inline struct proc *strands_of(__u32 tgid, __u8 kind)
{
	struct proc *p;

	if (!any_strands)
		return NULL;
	p = bpf_map_lookup_elem(&procs, &tgid);
	return p && p->strand == kind ? p : NULL;
}

__noinline int strand_by_task(__u32 tgid)
{
	return strands_of(tgid, STRAND_PYTHON) != NULL;
}

static __always_inline __u64 strand_of(__u32 tgid)
{
	struct proc *p = strands_of(tgid, STRAND_GO);

	return p ? goroutine(p->strand_at) : 0;
}

static __always_inline __u64 read_word(__u64 at)
{
	__u64 word = 0;

	if (!at || bpf_probe_read_user(&word, sizeof(word), (void *)at))
		return 0;
	return word;
}

static __always_inline __u64 strand_number(__u32 tgid, __u64 n)
{
	return PARENT_STRAND | (__u64)(tgid & 0x7ffff) << STRAND_PROCESS_SHIFT | n << 1;
}

#define UNANSWERED_MAX 4096

/* Does the thread do one thing after the other, for others too? Not where tasks change threads, nor an event loop. */
static __always_inline int works_in_turn(const struct proc *p, const struct thread *t, __u32 flag)
{
	if (!p || !(p->flags & flag) || p->flags & PROC_HOPS || p->strand == STRAND_GO)
		return 0;
	return !t || !t->open || (t->open == 1 && p->flags & PROC_MOVES);
}

/*
 * One thread may read requests and leave the work to others, each of which writes the answer of the request that it
 * worked on (waitress; Puma, where it may have read that itself): what it asked before was asked for that. Not of a
 * thread that never answers.
 */
__noinline __u64 strand_thread(__u32 tgid, __u32 tid)
{
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);
	struct thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (!works_in_turn(p, t, PROC_SERVES) || (t && t->unanswered++ > UNANSWERED_MAX))
		return 0;
	return strand_number(tgid, tid);
}

__noinline __u64 strand_thread_answers(__u32 tgid, __u32 tid)
{
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);
	struct thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t)
		t->unanswered = 0;
	return works_in_turn(p, t, PROC_MOVES) ? strand_number(tgid, tid) : 0;
}

#define PYTHON_THREADS 48

/* The PyThreadState of the calling thread, 0 = not found: it is told by pthread_self(), which is its thread pointer. */
static __noinline __u64 python_thread(__u64 runtime, __u32 threads, __u32 interpreter, __u32 thread_id)
{
	__u64 self = thread_pointer(), at, id;
	int i;

	at = read_word(read_word(runtime + interpreter) + threads);
	for (i = 0; i < PYTHON_THREADS; i++) { /* one way through it: the verifier walks each turn */
		if (bpf_probe_read_user(&id, sizeof(id), (void *)(at + thread_id)))
			return 0;
		if (id == self)
			return at;
		if (bpf_probe_read_user(&at, sizeof(at), (void *)(at + PYTHON_NEXT)))
			return 0;
	}
	return 0;
}

#define PYTHON_CHUNKS 8

/*
 * The greenlet that runs: each has a chain of chunks for its frames, which greenlet (from 2.0 on) puts into the
 * PyThreadState when it switches. The oldest stays as long as the greenlet lives.
 */
static __always_inline __u64 python_greenlet(__u64 thread, __u32 field)
{
	__u64 chunk, older;
	int i;

	if (!field || bpf_probe_read_user(&chunk, sizeof(chunk), (void *)(thread + field)))
		return 0;
	for (i = 0; i < PYTHON_CHUNKS; i++) {
		if (bpf_probe_read_user(&older, sizeof(older), (void *)(chunk + PYTHON_OLDER)))
			return 0;
		if (!older)
			return chunk;
		chunk = older;
	}
	return 0;
}

/*
 * A task of asyncio runs in a context of its own, and so does every callback of its loop, entered from the one that the
 * loop runs in. Other code runs in none, or in one that was entered from none; there it may be a greenlet of gevent.
 */
__noinline __u64 strand_task(__u32 tgid, __u32 tid)
{
	struct proc *p = strands_of(tgid, STRAND_PYTHON);
	const volatile struct python_layout *l;
	struct thread *t;
	__u64 at, context;

	if (!p || p->python < PYTHON_MINOR_MIN || p->python > PYTHON_MINOR_MAX)
		return 0;
	l = &python_layouts[(p->python - PYTHON_MINOR_MIN) & (PYTHON_LAYOUTS - 1)];
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t || !t->serves)
		return 0; /* a thread of a pool runs each call in a copy of its caller's context, which says nothing */
	at = t->python;
	if (!at || read_word(at + l->thread_id) != thread_pointer()) {
		at = python_thread(p->strand_at, l->threads, l->interpreter, l->thread_id);
		t->python = at;
		if (!at)
			return 0;
	}
	context = read_word(at + l->context);
	if (!context || !read_word(context + PYTHON_OUTSIDE))
		context = p->greenlets ? python_greenlet(at, l->chunk) : 0;
	if (!context)
		return 0;
	/* objects are 16 bytes apart; bit 0 of a parent means something else */
	return strand_number(tgid, context >> 4 & 0x7ffffffffffULL);
}

#define ALONE_NS 600000000000ULL
#define ANSWERED_NS 1000000000ULL
#define WATCHED_NS 1000000000ULL /* so long a thread must have served before what its tasks do alone is known */

/* Until when a task is known to work for no request, or for one that it has answered; see strands. */
static __always_inline void own_work(__u64 task, __u64 ns)
{
	struct strand_key key = { .strand = task };
	__u64 until = bpf_ktime_get_ns() + ns;

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_map_update_elem(&strands, &key, &until, BPF_ANY);
}

/*
 * A task that answers no request may be one that a request waits for (asyncio.gather, Starlette's BaseHTTPMiddleware),
 * or a program's own. While its thread has one request open it is the former, unless it asked when none was open, or
 * has just answered another.
 */
__noinline int strand_helps(__u64 task, struct thread *t)
{
	struct strand_key key = { .strand = task };
	__u64 *until, now = bpf_ktime_get_ns();

	if (!t)
		return 0;
	if (!t->open) {
		own_work(task, ALONE_NS);
		return 0;
	}
	if (t->open > 1 || now < t->serves + WATCHED_NS)
		return 0;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	until = bpf_map_lookup_elem(&strands, &key);
	return !until || *until < now;
}

__noinline int strand_answered(__u64 task)
{
	if (task)
		own_work(task, ANSWERED_NS);
	return 0;
}

__noinline int strand_begins(struct conn *c)
{
	struct strand_key key = {};
	__u64 id;

	if (!c)
		return 0;
	id = c->ex.id;
	key.tgid = c->ex.header.tgid;
	key.strand = strand_of(key.tgid);
	c->strand = key.strand;
	if (key.strand)
		bpf_map_update_elem(&strands, &key, &id, BPF_ANY);
	return 0;
}

/* Its address may be another strand's by the next time that it is met. */
__noinline int strand_ends(struct conn *c)
{
	struct strand_key key = {};
	__u64 *id;

	if (!c || !c->strand)
		return 0;
	key.tgid = c->ex.header.tgid;
	key.strand = c->strand;
	c->strand = 0;
	id = bpf_map_lookup_elem(&strands, &key);
	if (id && *id == c->ex.id)
		*id = 0;
	return 0;
}

__noinline __u64 strand_request(void)
{
	struct strand_key key = {};
	__u64 *id;

	if (!any_strands)
		return 0;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.strand = strand_of(key.tgid);
	if (!key.strand)
		return 0;
	id = bpf_map_lookup_elem(&strands, &key);
	return id && *id ? *id : STRAND_ALONE;
}
