/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A strand is what the program's text means by a thread, where the runtime gives its own to the kernel's threads in
 * turn: a goroutine. What one strand does in order is done for one request, however many others its thread serves
 * meanwhile. Known by the address of what the runtime keeps of it, which is read at a call from the calling thread's
 * memory.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "core/core.bpf.h"
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

__noinline __u64 strand_of(__u32 tgid)
{
	struct proc *p;

	if (!any_strands)
		return 0;
	p = bpf_map_lookup_elem(&procs, &tgid);
	return p && p->strand == STRAND_GO ? goroutine(p->strand_at) : 0;
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
