/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef SONDE_CORE_THREAD_BPF_H
#define SONDE_CORE_THREAD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"
#include "proc.h"

/* The thread pointer: set by clone() and arch_prctl(), both of which leave it here, and not changed after that. */
static __always_inline __u64 thread_pointer(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread.fsbase);
}

static __always_inline struct proc *process_of(__u32 tgid)
{
	return bpf_map_lookup_elem(&procs, &tgid);
}

static struct thread no_thread;

/* What is kept of a thread; made when there is nothing yet and make is set. */
static __always_inline struct thread *thread_of(__u32 tid, int make)
{
	struct thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t || !make)
		return t;
	bpf_map_update_elem(&threads, &tid, &no_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* Another of the program's threads may write an HTTP client's requests for all of them: Go's net/http does. */
static __always_inline int has_writer(const struct conn *c)
{
	return c->proto == PROTO_HTTP1 || (c->proto == PROTO_TLS && !c->inner);
}

/* Is asyncio in it, and yet no request answered by a task of it? Then its threads are all there is. */
static __always_inline int is_taskless(const struct proc *p)
{
	return p->flags & PROC_TASKLESS && !p->loop && !p->greenlets;
}

/* Do its strands go on in any of its threads? */
static __always_inline int strands_move(const struct proc *p)
{
	return p->strand == STRAND_GO || p->strand == STRAND_TOKIO;
}

#endif
