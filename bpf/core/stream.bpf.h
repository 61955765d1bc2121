/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Records of connections that do not speak in turns. */
#ifndef SONDE_CORE_STREAM_BPF_H
#define SONDE_CORE_STREAM_BPF_H

#include "core/conn.bpf.h"

#define STREAM_PIECE EVENT_REQUEST_MAX

struct stream_record {
	struct event_stream s;
	struct capture data;
};

/* n bytes, which are at `at` of the call. */
static __always_inline void stream_describe(struct stream_record *r, struct io *io, struct conn *c, int dir, __u64 at,
					    __u32 n)
{
	struct event_stream *e = &r->s;

	__builtin_memset(e, 0, sizeof(*e));
	e->header.size = sizeof(*e) + n;
	e->header.kind = EVENT_STREAM;
	e->header.version = EVENT_VERSION;
	e->header.time = io->now;
	e->header.conn = c->id;
	e->header.tgid = io->tgid;
	e->header.tid = io->tid;
	e->len = n;
	e->total = n;
	e->position = (dir == STREAM_REQUEST ? c->request_position : c->answer_position) + at;
	e->service = c->ex.service;
	e->dir = dir;
	e->proto = c->proto;
	e->role = c->role;
}

#endif
