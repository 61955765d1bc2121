/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A strand is what the program's text means by a thread, where the runtime gives its own to the kernel's threads in
 * turn: a goroutine, a task of asyncio or tokio, a greenlet. What one strand does in order is done for one request,
 * however many others its thread serves meanwhile. Known by the address of what the runtime keeps of it, or by its
 * number, which is read at a call from the calling thread's memory.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/python.bpf.h"
#include "core/thread.bpf.h"
#include "core/tokio.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

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

/*
 * Where runtime2.go's struct g has its number and that of the goroutine which started it, by minor version of Go; taken
 * from the debug information of programs.
 */
static const struct {
	__u16 own, starter;
} go_numbers[] = { { 152, 272 }, { 152, 272 }, { 160, 280 }, { 160, 280 }, { 152, 272 }, { 152, 280 }, { 152, 280 } };

#define GO_NUMBER (1ULL << 63) /* in place of an address */

static __always_inline __u64 go_number(const struct proc *p, __u64 g, int of_starter)
{
	__u32 i = p->minor - GO_MINOR_MIN;
	__u64 number;

	if (p->strand != STRAND_GO || i >= sizeof(go_numbers) / sizeof(go_numbers[0]))
		return 0;
	if (bpf_probe_read_user(&number, sizeof(number),
				(void *)(g + (of_starter ? go_numbers[i].starter : go_numbers[i].own))))
		return 0;
	return number ? number | GO_NUMBER : 0;
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
	struct proc *p;

	if (!any_strands)
		return 0;
	p = bpf_map_lookup_elem(&procs, &tgid);
	if (p && p->strand == STRAND_JAVA)
		return strand_virtual(tgid);
	if (!p || !strands_move(p))
		return 0;
	return p->strand == STRAND_GO ? goroutine(p->strand_at) : tokio_task(p->strand_at);
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

/* The PyThreadState of the current thread; it is looked for once. */
static __always_inline __u64 python_state(const struct proc *p, const volatile struct python_layout *l,
					  struct thread *t)
{
	if (!t->runtime || read_word(t->runtime + l->thread_id) != thread_pointer())
		t->runtime = python_thread(p->strand_at, l->threads, l->interpreter, l->thread_id);
	return t->runtime;
}

#define PYTHON_FRAMES 160 /* of a thread's stack: Django with its middleware and ORM has some 70 */
#define PYTHON_LOCALS 12  /* of a frame */
#define PYTHON_CELLS 4	  /* of a closure */
#define PYTHON_OUTER 5	  /* frames: the third of a thread to the seventh */
#define PYTHON_BOTTOM 80  /* in a PyThreadState, from 3.15 on: a frame below all that never runs; before, no frame */

/* The context of the task that awaits a Future of asyncio; 0: it is none, or nobody does. */
static __always_inline __u64 python_awaiter(__u64 future, __u64 type)
{
	__u64 context = future ? read_word(future + PYTHON_AWAITER) : 0;

	return context && read_word(context + PYTHON_TYPE) == type ? context : 0;
}

/*
 * A Future that a task awaits, which a frame has in its local variables. Told by its name too: from 3.14 on a Thread
 * has a context in the same place.
 */
static __noinline __u64 python_awaited(__u64 locals, __u64 type)
{
	__u64 future;
	int i;

	for (i = 0; i < PYTHON_LOCALS; i++) {
		if (bpf_probe_read_user(&future, sizeof(future), (void *)(locals + i * sizeof(future))))
			return 0;
		future &= ~PYTHON_TAGS;
		if (python_awaiter(future, type) && python_type_named(future) == PYTHON_NAMED_ASYNCIO)
			return future;
	}
	return 0;
}

/* Of the variables that a function shares with others: a Future of asyncio. */
static __noinline __u64 python_shared_future(__u64 cells, __u64 type, __u32 items)
{
	__u64 future;
	int i;

	for (i = 0; cells && i < PYTHON_CELLS; i++) {
		future = read_word(read_word(cells + items + i * sizeof(future)) + PYTHON_CELL);
		if (python_awaiter(future, type))
			return future;
	}
	return 0;
}

/*
 * Of the Future that is given the result of an executor's item. What the item's own Future calls when it is done, a
 * function of asyncio.futures, shares that variable. What it calls itself is first a function of asyncio's, to pass a
 * cancellation on, and then what wakes the task, with the task's context; where asyncio.shield() is between them, as in
 * asgiref's sync_to_async(), once more a function, which shares the Future that the task awaits. Where those two are.
 */
static __always_inline __u64 python_item_awaited(const struct proc *p, const volatile struct python_layout *l,
						 __u64 item)
{
	__u64 at = read_word(python_values(item, l->values) + PYTHON_ITEM_FUTURE), functions, pair;
	int i;

	at = read_word(python_values(at, l->values) + python_future_done(p));
	at = read_word(read_word(at + PYTHON_LIST_ITEMS));
	functions = read_word(at + PYTHON_TYPE);
	for (i = 0; i < 2; i++) {
		at = python_shared_future(read_word(at + l->closure), p->context_type, python_tuple_items(p));
		if (!at)
			return 0;
		pair = read_word(read_word(read_word(at + PYTHON_CALLBACKS) + PYTHON_LIST_ITEMS));
		pair += python_tuple_items(p) - PYTHON_CALLBACK; /* as in a Future */
		at = read_word(pair + PYTHON_CALLBACK);
		if (read_word(at + PYTHON_TYPE) == functions)
			continue;
		at = read_word(pair + PYTHON_AWAITER);
		return read_word(at + PYTHON_TYPE) == p->context_type ? pair : 0;
	}
	return 0;
}

/* The outer frames of a thread, its third first, those below bottom left out. False: they are too far. */
static __noinline int python_outer_frames(__u64 frame, __u32 back, __u64 bottom, __u64 *ret)
{
	__u64 first = 0, second = 0;
	int i;

	for (i = 0; i < PYTHON_FRAMES; i++) {
		if (!frame || frame == bottom)
			return 1;
		ret[4] = ret[3];
		ret[3] = ret[2];
		ret[2] = ret[1];
		ret[1] = ret[0];
		ret[0] = second;
		second = first;
		first = frame;
		if (bpf_probe_read_user(&frame, sizeof(frame), (void *)(frame + back)))
			return 0;
	}
	return 0;
}

/*
 * A Future tells what a thread of a pool works for. anyio's threads have it in a variable of their function, which is
 * their third, behind the two with which each thread of Python begins; an executor's have it with the item of which
 * their fifth function is a method. From 3.12 on there is one frame more before all, and from 3.14 on one more where
 * the second function enters a context.
 */
__noinline __u64 strand_awaits(__u32 tgid, struct thread *t)
{
	struct proc *p = strands_of(tgid, STRAND_PYTHON);
	const volatile struct python_layout *l = python_layout(p);
	__u64 at, bottom, outer[PYTHON_OUTER] = {};
	__u32 third;

	if (!l || !t || t->serves || !p->context_type)
		return 0;
	at = python_state(p, l, t);
	if (!at)
		return 0;
	bpf_probe_read_user(outer, sizeof(bottom), (void *)(at + PYTHON_BOTTOM));
	bottom = outer[0];
	outer[0] = 0;
	at = read_word(at + l->frames);
	if (l->frame != PYTHON_NO_CFRAME)
		at = read_word(at + l->frame);
	if (!python_outer_frames(at, l->back, bottom, outer))
		return 0;
	third = (p->minor / 4 - 2 + python_named_fields(p) / 16) & 3; /* 0, 1 from 3.12 on, 2 from 3.14 on */
	if (third + 2 >= PYTHON_OUTER)
		return 0;
	at = python_awaited(outer[third] + l->locals, p->context_type);
	if (!at) {
		at = read_word(outer[third + 2] + l->locals) & ~PYTHON_TAGS;
		at = python_item_awaited(p, l, at);
	}
	if (!at)
		return 0;
	bottom = read_word(at + PYTHON_CALLBACK); /* a method of the task */
	t->task = read_word(bottom + (p->minor < 10 ? PYTHON_WAKEUP_TASK : PYTHON_METHOD_SELF));
	return strand_number(tgid, read_word(at + PYTHON_AWAITER) >> 4 & STRAND_ADDRESS);
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

	l = python_layout(p);
	t = l ? bpf_map_lookup_elem(&threads, &tid) : NULL;
	if (!l || !t || !t->serves)
		return 0; /* a thread of a pool runs each call in a copy of its caller's context, which says nothing */
	at = python_state(p, l, t);
	if (!at)
		return 0;
	context = read_word(at + l->context);
	if (!context || !read_word(context + PYTHON_OUTSIDE))
		context = p->greenlets ? python_greenlet(at, l->chunk) : 0;
	if (!context)
		return 0;
	context = strand_number(tgid, context >> 4 & STRAND_ADDRESS);
	return context == p->later ? 0 : context;
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

/*
 * Has the task just answered another request that was open at the same time? Then those that helped it each answer one
 * by themselves: it only took their connections in. Where it answers both itself it is no task, but what uvloop's loop
 * does in the end of each turn: there it writes what the tasks gave it. Which gave what, core_written_later() tells.
 */
static __always_inline int answers_for_others(__u32 tgid, __u64 task, __u64 start)
{
	struct strand_key key = { .strand = task, .tgid = tgid };
	__u64 *until = bpf_map_lookup_elem(&strands, &key), now = bpf_ktime_get_ns();

	return until && *until <= now + ANSWERED_NS && *until > start + ANSWERED_NS;
}

__noinline int strand_answered(__u64 task, __u64 start, int helped)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct proc *p;

	if (!task)
		return 0;
	p = bpf_map_lookup_elem(&procs, &tgid);
	if (p && answers_for_others(tgid, task, start)) {
		if (helped)
			p->groups_shared = 1;
		else if (!p->greenlets)
			p->later = task;
	}
	if (p && !p->greenlets) {
		if (!any_loops)
			any_loops = 1;
		p->loop = bpf_get_current_pid_tgid();
		if (!p->context_type) /* of the context that the task is told by */
			p->context_type = read_word(strand_address(task) + PYTHON_TYPE);
	}
	own_work(task, ANSWERED_NS);
	return 0;
}

__noinline int strand_begins(struct conn *c)
{
	struct strand_key key = {};
	struct proc *p;
	__u64 id;

	if (!c)
		return 0;
	id = c->ex.id;
	key.tgid = c->ex.header.tgid;
	key.strand = strand_of(key.tgid);
	c->strand = key.strand;
	if (!key.strand)
		return 0;
	bpf_map_update_elem(&strands, &key, &id, BPF_ANY);
	p = bpf_map_lookup_elem(&procs, &key.tgid);
	key.strand = p ? go_number(p, key.strand, 0) : 0;
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

/* The open request of the goroutine that started g, 0 = none. */
static __always_inline __u64 go_started_for(__u32 tgid, __u64 g)
{
	struct strand_key key = { .tgid = tgid };
	struct proc *p = strands_of(tgid, STRAND_GO);
	__u64 *id;

	key.strand = p ? go_number(p, g, 1) : 0;
	id = key.strand ? bpf_map_lookup_elem(&strands, &key) : NULL;
	return id && *id && open_request(*id) ? *id : 0;
}

__noinline __u64 strand_request(void)
{
	struct strand_key key = {};
	__u64 started_for;
	__u64 *id;

	if (!any_strands)
		return 0;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.strand = strand_of(key.tgid);
	if (!key.strand)
		return 0;
	id = bpf_map_lookup_elem(&strands, &key);
	if (id && *id)
		return *id;
	started_for = go_started_for(key.tgid, key.strand);
	if (started_for)
		return started_for;
	if (id)
		return STRAND_ALONE;
	return strands_of(key.tgid, STRAND_TOKIO) ? STRAND_HELPER : STRAND_ALONE;
}

#define GO_FRAME 64		 /* words of a goroutine's first frame */
#define GO_HEAP_MAX (1ULL << 37) /* is not spread farther than this, or that is not found */
#define GO_CHAN_CAPACITY 8
#define GO_CHAN_SIZE 24	    /* of its items, uint16 */
#define GO_CHAN_RECEIVER 64 /* one that waits: recvq.last, and from Go 1.23 on recvq.first */
#define GO_ERROR_SIZE 16

__noinline __u64 strand_receiver(__u32 tgid, __u64 chan)
{
	struct strand_key key = { .tgid = tgid };
	__u64 capacity = read_word(chan + GO_CHAN_CAPACITY), *id;

	if (capacity != 1 || (__u16)read_word(chan + GO_CHAN_SIZE) != GO_ERROR_SIZE)
		return 0;
	key.strand = read_word(read_word(chan + GO_CHAN_RECEIVER));
	if (!key.strand)
		return 0;
	id = bpf_map_lookup_elem(&strands, &key);
	if (id && *id && open_request(*id))
		return *id;
	return go_started_for(tgid, key.strand);
}

/*
 * net/http's client writes a request from a goroutine of the connection, whose first function has in its variables the
 * channel by which it tells the outcome: the goroutine that waits there is the one that asks.
 */
__noinline __u64 strand_awaited(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 g, at, word;
	int i;

	g = strands_of(tgid, STRAND_GO) ? strand_of(tgid) : 0;
	at = g ? read_word(g + sizeof(g)) : 0; /* where its stack ends */
	for (i = 0; at && i < GO_FRAME; i++) {
		at -= sizeof(word);
		if (bpf_probe_read_user(&word, sizeof(word), (void *)at))
			return 0;
		if (word - g + GO_HEAP_MAX > 2 * GO_HEAP_MAX || word & 7)
			continue;
		word = strand_receiver(tgid, word);
		if (word)
			return word;
	}
	return 0;
}
