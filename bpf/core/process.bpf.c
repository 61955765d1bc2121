/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Threads and processes that come and go, and the service that each process counts under. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

/* What a thread that starts another works on, the other works on too. */
static __always_inline void thread_begins(__u32 tgid, __u32 parent_tid, __u32 tid)
{
	struct thread *from = bpf_map_lookup_elem(&threads, &parent_tid), *to;

	if (!from || !from->exchange)
		return;
	/* a task may start it for any of the open requests, and for a pool, which gives it to others then */
	if (from->open > 1 ? strand_by_task(tgid) : strand_task(tgid, parent_tid))
		return;
	to = thread_of(tid, 1);
	if (!to)
		return;
	to->exchange = from->exchange;
	to->starter = parent_tid;
}

__noinline int core_fork(__u32 parent_tgid, __u32 parent_tid, __u32 tgid, __u32 tid)
{
	struct proc *proc, copy;

	thread_begins(parent_tgid, parent_tid, tid);
	if (parent_tgid == tgid)
		return 0;
	proc = bpf_map_lookup_elem(&procs, &parent_tgid); /* it counts under its parent's service */
	if (proc) {
		copy = *proc;
		copy.open = 0;
		copy.since = 0;
		bpf_map_update_elem(&procs, &tgid, &copy, BPF_ANY);
	}
	return 0;
}

__noinline int core_exit(__u32 tgid, __u32 tid, int last_thread)
{
	bpf_map_delete_elem(&threads, &tid);
	bpf_map_delete_elem(&socket_calls, &tid); /* killed in the middle of one */
	if (last_thread)
		bpf_map_delete_elem(&procs, &tgid);
	return 0;
}

static struct proc no_proc; /* too large for the stack of those who call this */

__noinline int core_service(__u32 tgid, __u32 tid, __u64 now)
{
	struct proc *p = process_of(tgid);
	struct event_process *e;
	__u32 service;

	if (p)
		return p->flags & PROC_IGNORE ? -1 : (int)p->service;
	/* Between the scan of /proc and the hooks, or the table was full: it gets a number now, and user space asks who
	 * it is. */
	service = __sync_fetch_and_add(&next_service, 1) & 0x7fffffff;
	if (bpf_map_update_elem(&procs, &tgid, &no_proc, BPF_NOEXIST))
		return 0;
	p = bpf_map_lookup_elem(&procs, &tgid);
	if (!p)
		return 0;
	p->service = service;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return service;
	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, sizeof(*e), EVENT_PROCESS, now, tgid, tid);
	e->what = PROCESS_SEEN;
	e->service = service;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return service;
}
