/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Virtual threads of Java (HotSpot, JDK 21 and newer): a few threads of the kernel's, their carriers, take turns at
 * what any of them does. Which of them a carrier has mounted is told by its JavaThread: that is in r15 while Java's
 * code runs (and the few instructions of C by which java.nio and java.net call the kernel leave it there), and it is
 * the same as long as the thread lives. Objects move; a virtual thread's number does not change.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/python.bpf.h"
#include "core/thread.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

/* VMStructEntry: vmStructs.hpp. */
#define VM_ENTRY 48
#define VM_ENTRY_OFFSET 32

/* ZGC's pointers: zAddress.hpp. Their lower bits say by how many they are shifted; without generations they are plain.
 */
#define Z_PLAIN_BITS 47
#define Z_REMAPPED_SHIFT 12
#define Z_REMAPPED 15

#define JAVA_NUMBERS (1ULL << 40) /* threads are numbered from 1 on */
#define JAVA_NUMBER (1ULL << 42)  /* set in those of virtual threads, as strands: see strand_is_thread() */

/* What is in the entries: it is there when the machine runs. False: it is not, or makes no sense. */
static __always_inline int java_offsets(struct proc *p)
{
	__u64 offset;
	int i;

	if (p->offsets[JAVA_VTHREAD])
		return 1;
	for (i = 0; i < JAVA_FIELDS; i++) {
		offset = p->java[i] ? read_word(p->strand_at + p->java[i] * VM_ENTRY + VM_ENTRY_OFFSET) : 0;
		if (offset > 0x7fff)
			return 0;
		if (i != JAVA_VTHREAD)
			p->offsets[i] = offset;
		else if (!offset)
			return 0;
	}
	p->offsets[JAVA_VTHREAD] = read_word(p->strand_at + p->java[JAVA_VTHREAD] * VM_ENTRY + VM_ENTRY_OFFSET);
	return 1;
}

static __always_inline int is_java_thread(const struct proc *p, __u64 at)
{
	__u64 self;

	if (!at || at & 7)
		return 0;
	self = read_word(at + p->offsets[JAVA_OSTHREAD]);
	return self && read_word(self + p->offsets[JAVA_PTHREAD]) == thread_pointer();
}

/* The JavaThread of the current thread; 0: it is none, or is in code that uses the register for something else. */
static __always_inline __u64 java_thread(const struct proc *p, struct thread *t)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u64 at = t->runtime;

	if (is_java_thread(p, at))
		return at;
	at = BPF_CORE_READ(regs, r15);
	if (!is_java_thread(p, at))
		return 0;
	t->runtime = at;
	return at;
}

static __always_inline __u64 java_object(__u64 pointer)
{
	__u64 bits = pointer >> Z_REMAPPED_SHIFT & Z_REMAPPED;

	if (!(pointer >> Z_PLAIN_BITS))
		return pointer;
	return pointer >> (bits & 1 ? 13 : bits & 2 ? 14 : bits & 4 ? 15 : 16);
}

/*
 * java.lang.Thread begins, behind its head of 16 bytes, or 8 where that is compact (JDK 24), with eetop, which is the
 * address of the JavaThread, 0 for a virtual thread; and tid. Before JDK 24 only that is its number.
 */
static __always_inline __u64 java_mounted(const struct proc *p, struct thread *t, __u64 thread)
{
	__u64 object, number = 0, of[3] = {};

	if (p->offsets[JAVA_OWNER])
		number = read_word(thread + p->offsets[JAVA_OWNER]);
	if (number && t->carrier)
		return number;
	object = java_object(read_word(read_word(thread + p->offsets[JAVA_VTHREAD])));
	if (!object || bpf_probe_read_user(of, sizeof(of), (void *)(object + 8)))
		return 0;
	if (!p->offsets[JAVA_OWNER])
		return of[1] ? 0 : of[2];
	if ((of[1] || of[2] != number) && (of[0] || of[1] != number))
		return 0;
	t->carrier = 1;
	return number;
}

/* The virtual thread that the current thread carries, 0 = none. */
__noinline __u64 strand_virtual(__u32 tgid)
{
	struct proc *p = any_strands ? process_of(tgid) : NULL;
	__u64 thread, number;
	struct thread *t;

	if (!p || p->strand != STRAND_JAVA || !java_offsets(p))
		return 0;
	t = thread_of(bpf_get_current_pid_tgid(), 1);
	thread = t ? java_thread(p, t) : 0;
	number = thread ? java_mounted(p, t, thread) : 0;
	return number < JAVA_NUMBERS ? number : 0;
}

/* Which of its carriers writes says nothing. */
__noinline int strand_virtual_answers(struct conn *c, __u32 tgid)
{
	__u64 virtual = strand_virtual(tgid);

	if (c && virtual && virtual != c->strand)
		c->ex.parent = strand_number(tgid, JAVA_NUMBER | virtual);
	return virtual != 0;
}

#define WATCHED_NS 1000000000ULL /* so long a process must have served before what such threads do alone is known */
#define ONLY_NS 10000000000ULL
#define OWN_NS 3600000000000ULL
#define STARTED_NS 60000000000ULL

/*
 * What a virtual thread asks is asked for the request that it read, while that is open. One that read none may work for
 * what another thread has read, as a server's event loop: then it may be the one that answers it. While one request is
 * open it is that; but not where such threads ask for none (jobs, each in a thread of its own). What they asked before
 * the process served at all may have been to set it up: that counts for less.
 */
__noinline __u64 strand_virtual_asks(struct conn *c, __u32 tgid)
{
	struct strand_key key = { .strand = strand_virtual(tgid), .tgid = tgid };
	__u64 *id, now = bpf_ktime_get_ns(), none = 0, until;
	struct proc *p;

	if (c)
		c->strand = key.strand ? key.strand | CONN_VIRTUAL : 0;
	if (!key.strand)
		return 0;
	id = bpf_map_lookup_elem(&strands, &key);
	if (id)
		return *id && open_request(*id) ? *id : STRAND_ALONE;
	p = process_of(tgid);
	if (!p)
		return STRAND_ALONE;
	if (!p->open) {
		if (c && !frame_opens(c->proto, c->ex.method)) {
			until = now + (p->since ? OWN_NS : STARTED_NS);
			if (p->lonely < until)
				p->lonely = until;
			bpf_map_update_elem(&strands, &key, &none, BPF_ANY);
		}
		return STRAND_ALONE;
	}
	if (p->open == 1 && !(p->flags & PROC_STREAMS) && now > p->since + WATCHED_NS && now < p->began + ONLY_NS &&
	    now > p->lonely)
		none = open_request_only(p);
	return none ?: strand_number(tgid, JAVA_NUMBER | key.strand);
}
