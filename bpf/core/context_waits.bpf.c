/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Requests that wait: for their own body, or for the answer of what was asked for them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

/*
 * Only the head of a request came: before its body does it will hardly ask for anything. Proxies do: they hand the head
 * on as soon as they have it.
 */
__noinline int context_server_waits(struct conn *c)
{
	struct thread *t = c ? thread_of(c->reader, 0) : NULL;
	struct open_request *at;
	struct proc *p;

	if (!t || t->exchange != c->ex.id)
		return 0;
	at = open_request(c->ex.id);
	if (at)
		at->partial = 1;
	p = process_of(bpf_get_current_pid_tgid() >> 32);
	if (!p || !(p->flags & PROC_HASTENS))
		t->fresh = 0;
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
