/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Backend syscall: one program at the exit of every system call, for kernels that give nothing closer. It walks from
 * the descriptor to the socket. What a racing close by another thread could do is attribute bytes to a socket just
 * closed.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/fd.bpf.h"
#include "attach/syscall_args.bpf.h"
#include "core/core.bpf.h"

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

/* Direction and descriptor of the calls that may move bytes of a socket. False: none of them. */
static __always_inline int socket_call(const struct pt_regs *r, __u8 *dir, int *fd, __u32 *flags)
{
	*flags = 0;
	*fd = (int)r->di;
	switch (r->orig_ax) {
	case NR_sendto:
		*dir = IO_SEND;
		break;
	case NR_sendmsg:
	case NR_write:
	case NR_writev:
	case NR_sendmmsg:
	case NR_sendfile:
	case NR_pwritev2:
		*dir = IO_SEND;
		break;
	case NR_splice: /* one of the two is a pipe */
		*dir = IO_SEND;
		*fd = (int)r->dx;
		break;
	case NR_recvfrom:
		*dir = IO_RECV;
		*flags = r->r10;
		break;
	case NR_recvmsg:
		*dir = IO_RECV;
		*flags = r->dx;
		break;
	case NR_recvmmsg:
		*dir = IO_RECV;
		*flags = r->r10;
		break;
	case NR_read:
	case NR_readv:
	case NR_preadv2:
		*dir = IO_RECV;
		break;
	default:
		return 0;
	}
	return 1;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *r, long ret)
{
	struct io io = {};
	__u32 flags;
	__u8 dir;
	int fd;

	if (ret < 0 || r->cs == USER_CS_32 || !socket_call(r, &dir, &fd, &flags))
		return 0;
	if (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return 0;
	if (!fd_socket(fd, &io.sk, &io.ino)) {
		if (r->orig_ax != NR_splice || !fd_socket((int)r->di, &io.sk, &io.ino))
			return 0;
		dir = IO_RECV;
	}
	if (!ret && dir == IO_SEND)
		return 0;
	io_from_task(&io, dir, ret);
	if (r->orig_ax == NR_sendmmsg || r->orig_ax == NR_recvmmsg) {
		messages_moved(&io, r, ret);
		return 0;
	}
	if (!(flags & MSG_TRUNC))
		io_from_registers(&io, r, 0);
	return core_io(&io);
}
