/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Backend fentry: entry and exit of the functions that every send and receive of TCP and of Unix stream sockets goes
 * through, whatever the system call, io_uring and kernel threads included. For kernels before the tracepoints of 6.3.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/iter.bpf.h"

static __always_inline void enter(struct sock *sk, struct msghdr *msg, __u8 dir, __u32 flags)
{
	struct socket_call c = { .sk = (__u64)sk, .dir = dir, .flags = flags };
	__u32 tid = bpf_get_current_pid_tgid();
	struct socket *socket = sk->sk_socket;
	struct file *file;

	if (socket) {
		file = socket->file;
		if (file)
			c.ino = file->f_inode->i_ino;
	}
	if (msg)
		call_buffer(&c, msg_iter_of(msg));
	bpf_map_update_elem(&socket_calls, &tid, &c, BPF_ANY);
}

/* The exit knows socket and result by itself: what the entry could not leave only costs the bytes. */
static __always_inline void leave(struct sock *sk, long ret, __u8 dir, __u32 flags, int truncates)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct socket_call *kept = bpf_map_lookup_elem(&socket_calls, &tid);
	struct socket_call c = { .sk = (__u64)sk, .dir = dir, .flags = flags };

	if (kept && kept->sk == c.sk && kept->dir == dir)
		c = *kept;
	if (kept)
		bpf_map_delete_elem(&socket_calls, &tid);
	call_ends(&c, ret, truncates);
}

SEC("?fentry/tcp_sendmsg")
int BPF_PROG(fentry_tcp_send, struct sock *sk, struct msghdr *msg)
{
	__u64 addr = (__u64)sk;

	core_send_begins(&addr);
	enter(sk, msg, IO_SEND, 0);
	return 0;
}

SEC("?fexit/tcp_sendmsg")
int BPF_PROG(fexit_tcp_send, struct sock *sk, struct msghdr *msg, unsigned long size, int ret)
{
	leave(sk, ret, IO_SEND, 0, 0);
	return 0;
}

SEC("?fentry/tcp_recvmsg")
int BPF_PROG(fentry_tcp_recv, struct sock *sk, struct msghdr *msg)
{
	__u64 flags;

	if (recvmsg_parameters == 6) {
		flags = ctx[4];
		asm volatile("" : "+r"(flags));
	} else {
		flags = ctx[3];
	}
	enter(sk, msg, IO_RECV, flags);
	return 0;
}

SEC("?fexit/tcp_recvmsg")
int BPF_PROG(fexit_tcp_recv, struct sock *sk)
{
	__u64 flags, ret;

	/* The result follows the parameters. Else clang chooses the place, which the verifier forbids: */
	if (recvmsg_parameters == 6) {
		flags = ctx[4];
		ret = ctx[6];
		asm volatile("" : "+r"(flags), "+r"(ret));
	} else if (recvmsg_parameters == 5) {
		flags = ctx[3];
		ret = ctx[5];
		asm volatile("" : "+r"(flags), "+r"(ret));
	} else {
		flags = ctx[3];
		ret = ctx[4];
	}
	leave(sk, (int)ret, IO_RECV, flags, 1);
	return 0;
}

SEC("?fentry/unix_stream_sendmsg")
int BPF_PROG(fentry_unix_send, struct socket *socket, struct msghdr *msg)
{
	enter(socket->sk, msg, IO_SEND, 0);
	return 0;
}

SEC("?fexit/unix_stream_sendmsg")
int BPF_PROG(fexit_unix_send, struct socket *socket, struct msghdr *msg, unsigned long len, int ret)
{
	leave(socket->sk, ret, IO_SEND, 0, 0);
	return 0;
}

SEC("?fentry/unix_stream_recvmsg")
int BPF_PROG(fentry_unix_recv, struct socket *socket, struct msghdr *msg, unsigned long size, int flags)
{
	enter(socket->sk, msg, IO_RECV, flags);
	return 0;
}

SEC("?fexit/unix_stream_recvmsg")
int BPF_PROG(fexit_unix_recv, struct socket *socket, struct msghdr *msg, unsigned long size, int flags, int ret)
{
	leave(socket->sk, ret, IO_RECV, flags, 0);
	return 0;
}

/* sendfile and splice, until 6.5 took them through sendmsg (commit dc97391e6610, "sock: Remove ->sendpage*()"). */
SEC("?fexit/tcp_sendpage")
int BPF_PROG(fexit_tcp_sendpage, struct sock *sk, void *page, int offset, unsigned long size, int flags, int ret)
{
	leave(sk, ret, IO_SEND, 0, 0);
	return 0;
}

SEC("?fexit/unix_stream_sendpage")
int BPF_PROG(fexit_unix_sendpage, struct socket *socket, void *page, int offset, unsigned long size, int flags,
	     long ret)
{
	leave(socket->sk, ret, IO_SEND, 0, 0);
	return 0;
}
