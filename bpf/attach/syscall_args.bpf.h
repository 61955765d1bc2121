/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From the registers of a system call to where its bytes lie. On x86-64 they keep its arguments until it returns. */
#ifndef SONDE_ATTACH_SYSCALL_ARGS_BPF_H
#define SONDE_ATTACH_SYSCALL_ARGS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

enum syscall_number {
	NR_read = 0,
	NR_write = 1,
	NR_close = 3,
	NR_pread64 = 17,
	NR_pwrite64 = 18,
	NR_readv = 19,
	NR_writev = 20,
	NR_sendfile = 40,
	NR_sendto = 44,
	NR_recvfrom = 45,
	NR_sendmsg = 46,
	NR_recvmsg = 47,
	NR_splice = 275,
	NR_recvmmsg = 299,
	NR_sendmmsg = 307,
	NR_preadv2 = 327,
	NR_pwritev2 = 328,
};

#define USER_CS_32 0x23 /* a 32-bit program's system call: other numbers, other registers */

/* A struct user_msghdr in user memory; one iovec is as good as flat. */
static __always_inline void io_from_msghdr(struct io *io, unsigned long msg)
{
	struct user_msghdr h;
	struct iovec v;

	if (bpf_probe_read_user(&h, sizeof(h), (void *)msg))
		return;
	if (h.msg_iovlen == 1) {
		if (bpf_probe_read_user(&v, sizeof(v), h.msg_iov))
			return;
		io->source = IO_FLAT;
		io->buffer = (__u64)v.iov_base;
		return;
	}
	io->source = IO_IOVEC;
	io->buffer = (__u64)h.msg_iov;
	io->iovecs = h.msg_iovlen;
}

/* Fills source, buffer and iovecs; IO_NONE where the registers do not tell. message: index in sendmmsg and recvmmsg. */
static __always_inline void io_from_registers(struct io *io, const struct pt_regs *r, __u32 message)
{
	io->source = IO_NONE;
	if (r->cs == USER_CS_32)
		return;
	switch (r->orig_ax) {
	case NR_read:
	case NR_write:
	case NR_sendto:
	case NR_recvfrom:
		io->source = IO_FLAT;
		io->buffer = r->si;
		break;
	case NR_readv:
	case NR_writev:
	case NR_preadv2:
	case NR_pwritev2:
		io->source = IO_IOVEC;
		io->buffer = r->si;
		io->iovecs = r->dx;
		break;
	case NR_sendmsg:
	case NR_recvmsg:
		io_from_msghdr(io, r->si);
		break;
	case NR_sendmmsg:
	case NR_recvmmsg:
		io_from_msghdr(io, r->si + message * sizeof(struct mmsghdr));
		break;
	}
}

/* Does the system call receive? Of those whose registers tell where the bytes lie. */
static __always_inline int is_receive(const struct pt_regs *r)
{
	switch (r->orig_ax) {
	case NR_read:
	case NR_readv:
	case NR_preadv2:
	case NR_recvfrom:
	case NR_recvmsg:
	case NR_recvmmsg:
		return 1;
	}
	return 0;
}

static __always_inline void io_from_task(struct io *io, __u8 dir, __u64 n)
{
	__u64 id = bpf_get_current_pid_tgid();

	io->dir = dir;
	io->n = n;
	io->tgid = id >> 32;
	io->tid = id;
	io->now = bpf_ktime_get_ns();
}

/* Each message of sendmmsg and recvmmsg by itself; the kernel wrote how many bytes each moved. */
#define MESSAGES_MAX 16

static __always_inline void messages_moved(struct io *io, const struct pt_regs *r, long ret)
{
	int i;

	for (i = 0; i < MESSAGES_MAX; i++) {
		struct mmsghdr *m = (struct mmsghdr *)(r->si + i * sizeof(*m));
		__u32 len = 0;

		if (i >= ret || bpf_probe_read_user(&len, sizeof(len), &m->msg_len))
			break;
		io->n = len;
		io->skip = 0;
		io->walk.begin = 0;
		io->walk.i = 0;
		io_from_registers(io, r, i);
		core_io(io);
	}
	if (i < ret)
		count_n(KERNEL_messages_cut, ret - i);
}

#endif
