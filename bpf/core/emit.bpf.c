/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Records to user space: one copy of their exact size, never a wake-up (user space looks every few milliseconds). */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/emit.bpf.h"
#include "frame/protocols.h"
#include "maps.bpf.h"

__noinline int emit_exchange(struct conn *c)
{
	struct event_exchange *ex;
	__u32 len;
	int span;

	if (!c)
		return 0;
	ex = &c->ex;
	len = ex->request_len + ex->answer_len + ex->tail_len;
	if (len > EVENT_REQUEST_MAX + EVENT_ANSWER_MAX + EVENT_TAIL_MAX)
		return 0;
	len += sizeof(*ex);
	if (ex->flags & EXCHANGE_TRANSACTION)
		len += sizeof(c->tx);
	ex->header.size = len;
	asm volatile("" : "+r"(len));
	if (len > sizeof(*ex) + EVENT_REQUEST_MAX + EVENT_ANSWER_MAX + EVENT_TAIL_MAX + sizeof(c->tx))
		return 0;
	span = ex->reason != END_STREAM && frame_counts(ex->proto, ex->method);
	if (emit_record(ex, len, span) && span)
		count(KERNEL_ring_full);
	return 0;
}

#define FRAGMENT_PIECES 64

#define FRAGMENT_PIECE EVENT_REQUEST_MAX

struct fragment_record {
	struct event_fragment f;
	struct capture data;
};

/*
 * n bytes at `at` of this call, which are at offset of the request. Global: in a loop, kernels before 6.2 take each
 * reservation for a state anew.
 */
__noinline int emit_fragment(struct io *io, struct conn *c, __u64 at, __u32 n, __u32 offset)
{
	struct fragment_record *r;

	if (!io || !c || n > FRAGMENT_PIECE || emit_is_crowded())
		return -1;
	r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r)
		return -1;
	__builtin_memset(&r->f, 0, sizeof(r->f));
	event_header(&r->f.header, sizeof(r->f) + n, EVENT_FRAGMENT, io->now, io->tgid, io->tid);
	r->f.header.conn = c->id;
	r->f.exchange = c->ex.id;
	r->f.offset = offset;
	r->f.len = n;
	if (io_copy(io, at, &r->data, 0, n) < (int)n) {
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
		return -1;
	}
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	c->ex.flags |= EXCHANGE_FRAGMENTED;
	return 0;
}

/* Request bytes of this call that the exchange record does not hold, up to the limit. request_offset is that of the
 * call. */
__noinline int emit_fragments(struct io *io, struct conn *c, __u64 request_offset)
{
	__u64 skip;
	int i;

	if (!io || !c)
		return 0;
	/* What the record holds of this call: its first bytes, when nothing was lost before. */
	skip = c->ex.request_len > request_offset ? c->ex.request_len - request_offset : 0;
	for (i = 0; i < FRAGMENT_PIECES; i++) {
		__u64 at = skip + i * FRAGMENT_PIECE;
		__u32 n;

		if (at >= io->n || request_offset + at >= fragment_limit)
			break;
		n = io->n - at > FRAGMENT_PIECE ? FRAGMENT_PIECE : io->n - at;
		if (emit_fragment(io, c, at, n, request_offset + at) < 0)
			break;
	}
	return 0;
}
