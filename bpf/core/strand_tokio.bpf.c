/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Tasks of Rust's tokio that read no request. A request's task may start others (tokio::spawn, spawn_blocking, Rocket's
 * handlers), which work for it while it is open. Or it hands what it asks to the task of a connection (tokio-postgres,
 * hyper's client) by a channel, which wakes that task; so what that writes next is for who woke it. Probes tell of
 * both, see include/tokio_functions.def.
 *
 * A channel takes the waker that its receiver left there: who sends while none is there wakes nobody. But then another
 * has, since the receiver last looked, and what both sent is written in one go: of several questions, none is linked.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/thread.bpf.h"
#include "core/tokio.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

/* tokio's runtime/task: the Header of a task, and its Vtable, as they are from tokio 1.28 to 1.54 */
#define HEADER_STATE 0
#define HEADER_VTABLE 16
#define VTABLE_ID 72 /* where the task has its number, from its Header on */
#define STATE_RUNNING 1
#define STATE_NOTIFIED 4
#define ID_OFFSET_MAX 4096

/* In struct tokio_task.given, of a request, whose number is even: it may be of this turn of the task, or of its next.
 */
#define GIVEN_MEANWHILE 1

static __always_inline __u64 word_at(__u64 at)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)at);
	return word;
}

static __always_inline struct proc *tokio_process(__u32 tgid)
{
	struct proc *p = any_strands ? bpf_map_lookup_elem(&procs, &tgid) : NULL;

	return p && p->strand == STRAND_TOKIO ? p : NULL;
}

static __always_inline __u64 task_of_header(__u64 header)
{
	__u64 at = word_at(word_at(header + HEADER_VTABLE) + VTABLE_ID), id;

	if (!at || at > ID_OFFSET_MAX)
		return 0;
	id = word_at(header + at);
	return id < TOKIO_TASKS ? id : 0;
}

static __always_inline __u64 if_open(__u64 id)
{
	return id && id != PARENT_UNSURE && open_request(id) ? id : 0;
}

/* The open request that a task has read, or works for; 0: none. */
static __always_inline __u64 works_for(struct strand_key *key)
{
	__u64 *own = bpf_map_lookup_elem(&strands, key), id;
	struct tokio_task *t;

	id = own ? if_open(*own) : 0;
	if (id)
		return id;
	t = bpf_map_lookup_elem(&tokio_tasks, key);
	return t ? if_open(t->started) : 0;
}

static __always_inline void give(struct tokio_task *t, __u64 by, __u64 state)
{
	__u64 given = t->given == PARENT_UNSURE ? PARENT_UNSURE : t->given & ~(__u64)GIVEN_MEANWHILE;

	if (by)
		t->woken = 1;
	if (!(state & (STATE_RUNNING | STATE_NOTIFIED)))
		t->given = by; /* it waits: what it was given before, it has written */
	else if (by && given && given != by)
		t->given = PARENT_UNSURE;
	else if (by)
		t->given = by | (state & STATE_RUNNING ? GIVEN_MEANWHILE : 0);
}

/* A task is woken: by the current one, or by the runtime, for a socket or a timer. */
__noinline int core_task_woken(__u64 header)
{
	struct strand_key by = {}, key = {};
	struct tokio_task fresh = {}, *t;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct proc *p = tokio_process(tgid);
	__u64 request = 0;

	if (!p)
		return 0;
	by.tgid = key.tgid = tgid;
	by.strand = tokio_task(p->strand_at);
	key.strand = task_of_header(header);
	if (!key.strand || key.strand == by.strand)
		return 0;
	if (by.strand)
		request = works_for(&by) ?: PARENT_UNSURE;
	t = bpf_map_lookup_elem(&tokio_tasks, &key);
	if (t) {
		give(t, request, word_at(header + HEADER_STATE));
		return 0;
	}
	if (!request || request == PARENT_UNSURE || bpf_map_lookup_elem(&strands, &key))
		return 0; /* nothing to learn, or it reads requests itself */
	fresh.given = word_at(header + HEADER_STATE) & (STATE_RUNNING | STATE_NOTIFIED) ? PARENT_UNSURE : request;
	fresh.woken = 1;
	bpf_map_update_elem(&tokio_tasks, &key, &fresh, BPF_NOEXIST);
	return 0;
}

/* The current task starts another. */
__noinline int core_task_started(__u64 header)
{
	struct strand_key key = {};
	struct tokio_task fresh = {};
	struct proc *p;

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	p = tokio_process(key.tgid);
	if (!p)
		return 0;
	key.strand = tokio_task(p->strand_at);
	fresh.started = key.strand ? works_for(&key) : 0;
	if (!fresh.started)
		return 0;
	key.strand = task_of_header(header);
	if (key.strand)
		bpf_map_update_elem(&tokio_tasks, &key, &fresh, BPF_ANY);
	return 0;
}

/* What the task was given to write: it is written now. */
static __always_inline __u64 take_given(struct tokio_task *t)
{
	__u64 given = t->given;

	if (!given || given == PARENT_UNSURE)
		return given;
	t->given = given & GIVEN_MEANWHILE ? given & ~(__u64)GIVEN_MEANWHILE : 0;
	return if_open(given & ~(__u64)GIVEN_MEANWHILE) ?: PARENT_UNSURE;
}

/* Something, and not what a connection begins with; its first bytes are all that is known of it by now. */
static __always_inline int asks(const struct conn *c)
{
	if (c->proto == PROTO_POSTGRES)
		return c->mode == MODE_STREAM || c->data.b[0];
	return c->proto != PROTO_MYSQL || !c->my.starting;
}

/*
 * A task that reads no request asks: for which one? 0: nothing tells; PARENT_UNSURE: one of several. Is it a
 * connection's own task, or one that asks for itself, on a connection of its own or of a pool? What others gave it
 * counts in the first case only; there is but one task that asks on it, and it did not make the connection.
 */
static __always_inline __u64 task_asks_for(struct conn *c, struct strand_key *key)
{
	struct tokio_task *t = bpf_map_lookup_elem(&tokio_tasks, key);
	__u64 given, started, own;

	if (!t)
		return 0;
	given = take_given(t);
	started = if_open(t->started);
	if (!c)
		return started;
	own = c->strand & CONN_TASK;
	if (c->strand & CONN_SHARED || (c->strand & CONN_ASKED && own != key->strand))
		return started;
	if (given == PARENT_UNSURE)
		return PARENT_UNSURE;
	if (!(c->strand & CONN_ASKED) && (!started || (!given && own != key->strand && !has_writer(c))))
		return given ? PARENT_UNSURE : 0;
	if (given && started && given != started)
		return PARENT_UNSURE;
	if (given) {
		c->strand |= CONN_GIVEN;
		return given;
	}
	return started && t->woken && c->strand & CONN_ASKED ? PARENT_UNSURE : started;
}

__noinline int strand_wrote(struct conn *c)
{
	__u64 flags, id;
	struct proc *p;

	if (!c || c->role != ROLE_CLIENT)
		return 0;
	p = tokio_process(bpf_get_current_pid_tgid() >> 32);
	if (!p)
		return 0;
	id = tokio_task(p->strand_at);
	flags = c->strand & ~CONN_TASK;
	if (flags & CONN_ASKED && (c->strand & CONN_TASK) != id)
		flags |= CONN_SHARED;
	if (asks(c))
		flags |= CONN_ASKED;
	c->strand = id | flags;
	return 0;
}

#define QUESTION_MESSAGES 16

/* Is what was just written one question and all of it? Those of several tasks may go out together. */
static __always_inline int is_one_question(const struct io *io, const struct conn *c)
{
	__u64 at = 0, left;
	__u8 head[5];
	int i;

	if (c->proto != PROTO_POSTGRES || io->source != IO_FLAT)
		return 0;
	for (i = 0; i < QUESTION_MESSAGES; i++) {
		if (bpf_probe_read_user(head, sizeof(head), (void *)(io->buffer + at)))
			return 0;
		at += 1 + ((__u64)head[1] << 24 | (__u64)head[2] << 16 | (__u64)head[3] << 8 | head[4]);
		left = io->n - at;
		if (at >= io->n || head[0] == 'S' || head[0] == 'Q')
			return !left;
	}
	return 0;
}

__noinline int strand_streams(struct io *io, struct conn *c)
{
	struct proc *p;

	if (!io || !c || !(c->strand & CONN_GIVEN) || is_one_question(io, c))
		return 0;
	p = tokio_process(io->tgid);
	if (p && p->open > 1)
		c->ex.parent = 0;
	return 0;
}

#define LONELY_NS 1000000000ULL

/*
 * Where nothing tells for which of the open requests such a task asks, it is known when there is one, and the program
 * does not also ask for none; and of what the task of a request connected.
 */
__noinline __u64 strand_helper(struct conn *c, __u64 connect_parent)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct proc *p = tokio_process(tgid);
	struct strand_key key = {};
	__u64 known = 0;

	if (!p)
		return 0;
	key.tgid = tgid;
	key.strand = tokio_task(p->strand_at);
	if (c)
		c->strand = (c->strand & ~CONN_GIVEN) | CONN_HELPER;
	if (key.strand && connect_parent != STRAND_CONNECTS)
		known = task_asks_for(c, &key);
	if (known && known != PARENT_UNSURE)
		return known;
	if (!known && connect_parent && connect_parent < STRAND_CONNECTS && !(c && has_writer(c)) &&
	    open_request(connect_parent))
		return connect_parent;
	if (!p->open) {
		if (c && frame_counts(c->proto, c->ex.method))
			p->lonely = bpf_ktime_get_ns();
		return 0;
	}
	if (bpf_ktime_get_ns() - p->lonely < LONELY_NS)
		return PARENT_UNSURE;
	return open_request_only(p) ?: PARENT_UNSURE;
}
