/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A call of a socket function from its entry to its result. The iov_iter says where the bytes are and moves on while
 * they are copied, so it is read at the entry.
 */
#ifndef SONDE_ATTACH_ITER_BPF_H
#define SONDE_ATTACH_ITER_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "attach/syscall_args.bpf.h"
#include "core/core.bpf.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

static __always_inline void call_buffer(struct socket_call *c, const void *iter)
{
	__u32 type = iter_type_of(iter);
	struct iovec v;

	c->skip = iter_offset(iter);
	if (iter_is_ubuf(type)) {
		c->source = IO_FLAT;
		c->buffer = iter_ubuf(iter) + c->skip;
		c->skip = 0;
	} else if (iter_is_iovec(type)) {
		c->source = IO_KERNEL_IOVEC;
		c->buffer = iter_iovecs(iter);
		c->iovecs = iter_segments(iter);
		/* Kernels before 6.4 make one iovec of every buffer. */
		if (c->iovecs == 1 && !bpf_probe_read_kernel(&v, sizeof(v), (void *)c->buffer)) {
			c->source = IO_FLAT;
			c->buffer = (__u64)v.iov_base + c->skip;
			c->skip = 0;
		}
	}
	/* else: bytes of the kernel's own (kvec), or pages (bvec: sendfile, splice) */
}

static __always_inline int call_counts(const struct socket_call *c, long ret)
{
	return ret >= 0 && (ret || c->dir == IO_RECV) && !(c->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE));
}

/* MSG_TRUNC copies nothing on TCP and is ignored on a Unix stream. */
static __always_inline void io_from_call(struct io *io, const struct socket_call *c, long ret, int truncates)
{
	io_from_task(io, c->dir, ret);
	io->sk = c->sk;
	io->ino = c->ino;
	if (truncates && c->flags & MSG_TRUNC)
		return;
	io->source = c->source;
	io->buffer = c->buffer;
	io->iovecs = c->iovecs;
	io->skip = c->skip;
}

/* Its result: progress of the connection. */
static __always_inline void call_ends(const struct socket_call *c, long ret, int truncates)
{
	struct io io = {};

	if (!call_counts(c, ret))
		return;
	io_from_call(&io, c, ret, truncates);
	core_io(&io);
}

#endif
