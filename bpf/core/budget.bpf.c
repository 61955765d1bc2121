/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How many spans go up (spans_per_slice, 0 = all). Time is cut into slices; how many spans the last one saw decides
 * what part of the connections is kept in the next. A connection is kept or not by a hash that both of its ends have,
 * so that a client's span and its server's stay together; children go with their parent.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

#define KEEP_ALL (1ULL << 32)
#define BURST_SLICES 8 /* what was not used stays for about a second */
#define QUIET_SPANS 8

struct spans_counted {
	__u64 seen; /* exchanges that got a number */
	__u64 kept; /* not counted while all are */
};

/*
 * Each CPU counts in a cache line of its own: one word to which all add at each exchange costs more than most of what
 * is done for it. What is read at each exchange is written for each slice only.
 */
static struct {
	struct spans_counted n;
	__u64 unused[6];
} __attribute__((aligned(64))) of_cpu[1 << EXCHANGE_CPU_BITS];

static struct {
	__u64 slice;		    /* number of the current one */
	__u64 keep;		    /* connections whose hash is below */
	__s64 room;		    /* spans not used so far; negative: used in advance */
	struct spans_counted first; /* at the slice's begin */
} budget = { .keep = KEEP_ALL };

#define SHARED(member) (*(volatile typeof(budget.member) *)&budget.member)

static __always_inline __u32 this_cpu(void)
{
	return bpf_get_smp_processor_id() & ((1U << exchange_cpu_bits) - 1) & ((1 << EXCHANGE_CPU_BITS) - 1);
}

/*
 * Above its lowest bit stands the place in open_requests: those of one CPU lie one behind the other there, which its
 * cache likes, and those of each begin elsewhere.
 */
__noinline __u64 core_exchange_id(void)
{
	__u32 cpu = this_cpu();
	__u64 n = __sync_fetch_and_add(&of_cpu[cpu].n.seen, 1) + 1, place;

	place = (n + ((__u64)cpu * OPEN_REQUESTS >> exchange_cpu_bits)) & (OPEN_REQUESTS - 1);
	n = (n / OPEN_REQUESTS << exchange_cpu_bits | cpu) * OPEN_REQUESTS | place;
	return n << 1 & ((1ULL << STRAND_PROCESS_SHIFT) - 1);
}

static __always_inline void count_kept(void)
{
	if (SHARED(keep) != KEEP_ALL)
		__sync_fetch_and_add(&of_cpu[this_cpu()].n.kept, 1);
}

static __noinline void count_all(struct spans_counted *ret)
{
	const volatile struct spans_counted *n;
	int i;

	for (i = 0; i < 1 << EXCHANGE_CPU_BITS && i < 1 << exchange_cpu_bits; i++) {
		n = &of_cpu[i].n;
		ret->seen += n->seen;
		ret->kept += n->kept;
	}
}

/* One CPU gets here for each slice; another may count a few spans of it in the next. */
static __always_inline void next_slice(__u64 old, __u64 slice)
{
	__s64 passed = slice - old, most = (__s64)spans_per_slice * BURST_SLICES, room = SHARED(room);
	struct spans_counted n = {};
	__u64 seen, kept;

	count_all(&n);
	seen = n.seen - SHARED(first.seen);
	kept = SHARED(keep) == KEEP_ALL ? seen : n.kept - SHARED(first.kept);
	SHARED(first.seen) = n.seen;
	SHARED(first.kept) = n.kept;
	if (passed > BURST_SLICES)
		passed = BURST_SLICES;
	room += passed * spans_per_slice - (__s64)kept;
	if (room > most)
		room = most;
	if (room < -most)
		room = -most;
	SHARED(room) = room;
	if (room >= (__s64)seen)
		SHARED(keep) = KEEP_ALL;
	else
		SHARED(keep) = room > 0 ? ((__u64)room << 32) / seen : 0;
}

static __always_inline int within(__u32 pair, __u64 now)
{
	__u64 slice = now >> SPAN_SLICE_SHIFT, old = SHARED(slice), h;

	if (old < slice && __sync_val_compare_and_swap(&budget.slice, old, slice) == old)
		next_slice(old, slice);
	h = (pair ^ slice << 32) * 0x9E3779B97F4A7C15ULL;
	h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9ULL;
	return h >> 32 < SHARED(keep);
}

/* Beyond the budget each process still has a few, so that a busy one does not hide the others. */
static __always_inline int quiet(struct proc *p, __u64 now)
{
	__u32 window = now >> SPAN_SLICE_SHIFT;

	if (!p)
		return 0;
	if (p->window != window) {
		p->window = window;
		p->extra = 0;
	}
	return p->extra++ < QUIET_SPANS;
}

__noinline int span_skip(struct proc *p, __u32 pair, __u64 parent, __u64 now)
{
	if (!spans_wanted)
		return 1;
	if (!spans_per_slice)
		return 0;
	if (parent && !(parent & PARENT_STRAND) ? parent & 1 : !within(pair, now) && !quiet(p, now))
		return 1;
	count_kept();
	return 0;
}

__noinline int span_left_out(struct event_exchange *ex, int counts)
{
	if (!ex || !(ex->flags & EXCHANGE_SKIPPED))
		return 0;
	if (spans_wanted && ex->flags & (EXCHANGE_FAILED | EXCHANGE_NO_ANSWER | EXCHANGE_PARTIAL)) {
		count_kept();
		ex->flags &= ~EXCHANGE_SKIPPED;
		if (ex->parent & 1)
			ex->parent = 0;
		return 0;
	}
	if (!counts && ex->method == (ex->proto == PROTO_POSTGRES ? PG_STARTUP : MYSQL_HANDSHAKE))
		return 0; /* it names the database that metrics are of */
	if (counts)
		count(spans_wanted ? KERNEL_over_budget : KERNEL_not_wanted);
	return 1;
}
