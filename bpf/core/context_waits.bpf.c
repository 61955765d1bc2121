/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Requests that wait: for their own body, or for the answer of what was asked for them. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

/* How often the current thread has waited in the kernel. */
static __always_inline __u32 waited(void)
{
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), nvcsw);
}

static __always_inline void learn(__u32 flag)
{
	struct proc *p = process_of(bpf_get_current_pid_tgid() >> 32);

	if (p && !(p->flags & flag))
		__sync_fetch_and_or(&p->flags, flag);
}

/*
 * Only the head of a request came. Most servers ask for nothing before its body does; proxies do, they hand the head on
 * as soon as they have it. Until a process was seen to wait for a body it may be either.
 */
__noinline int context_server_waits(struct conn *c)
{
	struct thread *t = c ? thread_of(c->reader, 0) : NULL;
	struct open_request *at;
	struct proc *p;

	if (!t || t->exchange != c->ex.id)
		return 0;
	at = open_request(c->ex.id);
	if (at) {
		at->partial = 1;
		at->asked = t->asked;
		at->guessed = t->guessed;
		at->slept = waited();
	}
	p = process_of(bpf_get_current_pid_tgid() >> 32);
	if (p && (p->flags & (PROC_HASTENS | PROC_PATIENT)) == PROC_PATIENT)
		t->fresh = 0;
	return 0;
}

/*
 * The body of a request that has asked nothing: was that waited for? A thread that asked for another since, or had
 * nothing to do, has gone on with all that it had read.
 */
__noinline int context_body(struct open_request *at, const struct thread *t, __u32 tid)
{
	if (!at || !t)
		return 0;
	at->partial = 0;
	if (at->reader == tid && at->guessed == t->guessed && (at->asked != t->asked || at->slept != waited()))
		learn(PROC_PATIENT);
	return 0;
}

/* It asks, and its body was not waited for. */
__noinline int context_hastens(struct open_request *at)
{
	if (!at)
		return 0;
	at->partial = 0;
	learn(PROC_HASTENS);
	return 0;
}

__noinline int context_client_end(struct conn *c)
{
	struct open_request *at;
	struct thread *t;

	if (!c || !c->waits)
		return 0;
	if (c->waits == WAITS_THREAD) {
		c->waits = WAITS_NOT;
		t = thread_of(c->ex.header.tid, 0);
		if (t && t->blind)
			t->blind--;
		return 0;
	}
	c->waits = WAITS_NOT;
	at = open_request(c->ex.parent);
	if (!at || !at->waits || --at->waits)
		return 0;
	t = thread_of(at->reader, 0);
	if (t)
		t->idle++;
	return 0;
}
