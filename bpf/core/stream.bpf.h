/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Records of connections that do not speak in turns. */
#ifndef SONDE_CORE_STREAM_BPF_H
#define SONDE_CORE_STREAM_BPF_H

#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

#define STREAM_PIECE EVENT_REQUEST_MAX

/* Where a record is put together: how long it is, and so its place in the ring, is known only then. */
static __always_inline struct stream_record *stream_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&stream_records, &zero);
}

/* False: the ring was full. */
static __always_inline int stream_send(struct stream_record *r)
{
	__u32 n = r->s.len;

	asm volatile("" : "+r"(n));
	if (n > STREAM_PIECE)
		return 0;
	r->s.header.size = sizeof(r->s) + n;
	return !bpf_ringbuf_output(&events, r, sizeof(r->s) + n, BPF_RB_NO_WAKEUP);
}

/* n bytes, which are at `at` of the call. */
static __always_inline void stream_describe(struct stream_record *r, struct io *io, struct conn *c, int dir, __u64 at,
					    __u32 n)
{
	struct event_stream *e = &r->s;

	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, 0, EVENT_STREAM, io->now, io->tgid, io->tid);
	e->header.conn = c->id;
	e->len = n;
	e->total = n;
	e->position = (dir == STREAM_REQUEST ? c->request_position : c->answer_position) + at;
	e->service = c->ex.service;
	e->dir = dir;
	e->proto = c->proto;
	e->role = c->role;
}

#endif
