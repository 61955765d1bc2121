/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Durations counted where they happen: in this CPU's copy, so that nothing can be lost on the way to user space. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/emit.bpf.h"
#include "maps.bpf.h"

static struct hist_value no_value;
static const volatile __u64 bounds[HIST_BOUNDS_COUNT][HIST_EXPLICIT_MAX - 1] = { { HIST_HTTP_BOUNDS },
										 { HIST_DB_BOUNDS } };

static const volatile __u64 amount_bounds[HIST_AMOUNT_MAX] = { HIST_AMOUNT_BOUNDS };

/* Last: from each bucket on the way is checked again, and behind it there is not much. */
static __always_inline void add_amount(struct hist_value *v, __u64 amount)
{
	__u32 i;

	if (amount == HIST_NO_AMOUNT)
		return;
	v->amount += amount;
	for (i = 0; i < HIST_AMOUNT_MAX - 1; i++)
		if (amount <= amount_bounds[i])
			break;
	v->amounts[i]++;
}

static __always_inline void add(struct hist_value *v, __u32 which, __u64 ns, __u64 amount)
{
	__u32 clamped, slot = hist_slot(ns, &clamped), i;

	v->count++;
	v->sum += ns;
	if (clamped) {
		v->clamped++;
		count(KERNEL_histogram_clamped);
	}
	if (slot < HIST_SLOTS)
		v->slots[slot]++;
	for (i = 0; i < HIST_EXPLICIT_MAX - 1; i++) {
		__u64 bound = bounds[which & 1][i];

		if (!bound || ns <= bound)
			break;
	}
	v->explicit_counts[i & (HIST_EXPLICIT_MAX - 1)]++;
	add_amount(v, amount);
}

#define SAMPLE_SHORT 256 /* most statements; a power of two, as is the longest */

/* The record of the operation with room for a sample of so many bytes, whose data is all zeros. */
static __always_inline int announce_in(struct event_operation *op, __u32 room, const struct hist_key *key,
				       struct event_exchange *ex, struct capture *data)
{
	if (!op)
		return 0;
	__builtin_memset(op, 0, sizeof(*op));
	event_header(&op->header, sizeof(*op) + room, EVENT_OPERATION, ex->end, ex->header.tgid, ex->header.tid);
	op->header.conn = ex->header.conn;
	op->key = *key;
	op->source = ex->source;
	op->libpq_conn = ex->source == SOURCE_LIBPQ ? ex->libpq_conn : 0;
	op->part = ex->part;
	op->len = ex->request_len < room ? ex->request_len : room;
	/* What is behind the request is of an answer, or of a request before. */
	__builtin_memset(op->data, 0, room);
	bpf_probe_read_kernel(op->data, op->len & (2 * room - 1), data->b);
	bpf_ringbuf_submit(op, BPF_RB_NO_WAKEUP);
	return 1;
}

/* A key that is new on this CPU goes to user space with what it counts, until that succeeded. */
static __always_inline void announce(struct hist_value *v, const struct hist_key *key, struct event_exchange *ex,
				     struct capture *data)
{
	int told;

	if (emit_is_crowded()) /* it is told when it is counted again */
		return;
	if (ex->request_len <= SAMPLE_SHORT)
		told = announce_in(bpf_ringbuf_reserve(&events, sizeof(struct event_operation) + SAMPLE_SHORT, 0),
				   SAMPLE_SHORT, key, ex, data);
	else
		told = announce_in(bpf_ringbuf_reserve(&events, sizeof(struct event_operation) + EVENT_REQUEST_MAX, 0),
				   EVENT_REQUEST_MAX, key, ex, data);
	if (told)
		v->announced = generation;
}

/*
 * Operations are many; what is counted without one (HTTP, and the overflow of each service) must always find room: the
 * last quarter of the table is theirs.
 */
static __always_inline struct hist_value *value_of(struct hist_key *key)
{
	struct hist_value *v = bpf_map_lookup_elem(&histograms, key);

	if (v)
		return v;
	if (key->operation && key->operation != HIST_OPERATION_OVERFLOW && histogram_keys >= histogram_keys_soft)
		return NULL;
	if (bpf_map_update_elem(&histograms, key, &no_value, BPF_NOEXIST) == 0)
		__sync_fetch_and_add(&histogram_keys, 1);
	return bpf_map_lookup_elem(&histograms, key);
}

/* What finds no room is counted together, by service; or, when not even that fits, under a key that the loader made. */
static __always_inline struct hist_value *overflow_of(struct hist_key *key)
{
	struct hist_value *v;

	count(KERNEL_histogram_overflow);
	key->operation = HIST_OPERATION_OVERFLOW;
	key->peer = 0;
	key->status = 0;
	/* That of HTTP goes, what databases count stays. Without a branch, behind which all would be checked twice. */
	key->method *= ((key->proto ^ PROTO_HTTP1) + 255) >> 8;
	key->version = 0;
	v = value_of(key);
	if (v)
		return v;
	key->service = 0;
	return bpf_map_lookup_elem(&histograms, key);
}

__noinline int hist_count(struct hist_key *of, __u64 ns, __u64 amount, struct event_exchange *ex, struct capture *data)
{
	struct hist_key key;
	struct hist_value *v;

	if (!of || !ex || !data)
		return 0;
	key = *of; /* maps are asked by what is on the stack */
	v = value_of(&key);
	if (!v)
		v = overflow_of(&key);
	if (v) {
		add(v, key.proto == PROTO_HTTP1 ? HIST_HTTP : HIST_DB, ns, amount);
		if (v->announced != generation)
			announce(v, &key, ex, data);
	}
	return 0;
}
