/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The server requests that are not answered yet, by id. */
#ifndef SONDE_CORE_OPEN_REQUESTS_BPF_H
#define SONDE_CORE_OPEN_REQUESTS_BPF_H

#include "core/core.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

/* Where the open request id is noted. */
static __always_inline struct open_request *open_request(__u64 id)
{
	struct open_request *at;
	int k;

	for (k = 0; k < OPEN_PROBES; k++) {
		__u32 place = ((id >> 1) + k) & (OPEN_REQUESTS - 1);

		at = bpf_map_lookup_elem(&open_requests, &place);
		if (at && at->id == id)
			return at;
	}
	return NULL;
}

/* Where all places are taken, by requests open for very long, the oldest of them loses its: then no link is made. */
static __always_inline void open_request_add(__u64 id, __u32 tid)
{
	struct open_request *at;
	__u32 place;
	int k;

	for (k = 0; k < OPEN_PROBES; k++) {
		place = ((id >> 1) + k) & (OPEN_REQUESTS - 1);
		at = bpf_map_lookup_elem(&open_requests, &place);
		if (at && __sync_val_compare_and_swap(&at->id, 0, id) == 0)
			goto found;
	}
	place = (id >> 1) & (OPEN_REQUESTS - 1);
	at = bpf_map_lookup_elem(&open_requests, &place);
	if (!at)
		return;
	at->id = id;
found:
	at->reader = tid;
	at->waits = 0;
	at->partial = 0;
}

/*
 * The request that a process has open when it has no other, 0 = none, or that is over. One that ends may be the last
 * that began while an older one goes on: it counts until it is not in the table any more, so it is looked for there
 * last, and was counted if it is there.
 */
static __always_inline __u64 open_request_only(const struct proc *p)
{
	const volatile struct proc *shared = p;
	__u64 id = shared->last;

	if (shared->open != 1)
		return 0;
	asm volatile("" ::: "memory");
	return open_request(id) ? id : 0;
}

static __always_inline void process_opens(struct conn *c, struct proc *p)
{
	c->strand = 0;
	if (!p)
		return;
	if (!p->since)
		p->since = c->ex.start;
	p->began = c->ex.start;
	__sync_fetch_and_add(&p->open, 1);
	*(volatile __u64 *)&p->last = c->ex.id; /* see open_request_only() */
	c->counted = 1;
	if (strands_move(p) || p->strand == STRAND_JAVA)
		strand_begins(c);
}

static __always_inline void process_closes(struct conn *c)
{
	__u32 tgid = c->ex.header.tgid;
	struct proc *p;

	if (!c->counted)
		return;
	c->counted = 0;
	p = bpf_map_lookup_elem(&procs, &tgid);
	if (p && p->open) /* a new program in the process knows nothing of it */
		__sync_fetch_and_add(&p->open, -1);
}

/*
 * Do all of the thread's requests but the one that it turned to wait for answers? Then none of theirs is in a queue:
 * not where requests ask for several things at once (Promise.all), of which some have their answers and one is queued
 * still.
 */
static __always_inline int others_wait(const struct thread *t)
{
	const struct open_request *at;

	if (t->fans_out || t->astray || t->idle - t->blind != 1)
		return 0;
	at = open_request(t->exchange);
	return at && !at->waits;
}

#endif
