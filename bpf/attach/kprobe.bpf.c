/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Backend kprobe: where the kernel has neither the tracepoints nor trampolines. The entry of the socket functions tells
 * socket and buffer. The result is that of the system call, at its exit: a kretprobe is lost without a word while many
 * calls block, and no count may rest on it. Only what io_uring does has no system call; there it is a kretprobe, and
 * what it loses is counted.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/fd.bpf.h"
#include "attach/iter.bpf.h"

#define NR_io_uring_enter 426
#define PF_IO_WORKER 0x10 /* a thread that works for io_uring */

/* The socket that a system call moves bytes of. splice has it at either end; one that is received from is never here.
 */
static __always_inline int call_is_for(const struct pt_regs *r, __u64 sk)
{
	__u64 of = 0, ino = 0;
	int fd = r->orig_ax == NR_splice ? (int)r->dx : (int)r->di;

	return fd_socket(fd, &of, &ino) && of == sk;
}

/*
 * Its own call tells, or its thread. Once it is in use it may also do its work at the end of any other system call:
 * what that does for another socket, or in the other direction.
 */
static __always_inline int is_uring(__u64 sk, __u8 dir)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(t);

	if (t->flags & PF_IO_WORKER || r->orig_ax == NR_io_uring_enter) {
		any_uring = 1;
		return 1;
	}
	return any_uring && r->cs != USER_CS_32 && (is_receive(r) != (dir == IO_RECV) || !call_is_for(r, sk));
}

static __always_inline __u64 inode_of(__u64 sk)
{
	return BPF_CORE_READ((struct sock *)sk, sk_socket, file, f_inode, i_ino);
}

static __always_inline __u64 socket_sock(__u64 socket)
{
	return (__u64)BPF_CORE_READ((struct socket *)socket, sk);
}

static __always_inline int is_unix_call(const struct socket_call *c)
{
	__u64 sk = c->sk;

	return BPF_CORE_READ((struct sock *)sk, __sk_common.skc_family) == AF_UNIX;
}

static __always_inline int enter(__u64 sk, __u64 msg, __u8 dir, __u32 flags)
{
	struct socket_call c = { .sk = sk, .dir = dir, .flags = flags }, *lost;
	__u32 tid = bpf_get_current_pid_tgid();

	c.ino = inode_of(sk);
	c.uring = is_uring(sk, dir);
	call_buffer(&c, msg_iter_of((const void *)msg));
	lost = bpf_map_lookup_elem(&socket_calls, &tid);
	if (lost && lost->uring)
		count(KERNEL_returns_lost);
	if (bpf_map_update_elem(&socket_calls, &tid, &c, BPF_ANY))
		count(KERNEL_call_table_full);
	return 0;
}

SEC("?kprobe/tcp_sendmsg")
int kprobe_tcp_send(struct pt_regs *ctx)
{
	__u64 sk = ctx->di;

	core_send_begins(&sk);
	return enter(sk, ctx->si, IO_SEND, 0);
}

SEC("?kprobe/tcp_recvmsg")
int kprobe_tcp_recv(struct pt_regs *ctx)
{
	__u64 fourth = ctx->cx, fifth = ctx->r8;

	asm volatile("" : "+r"(fourth), "+r"(fifth)); /* the choice is of values, not of places in the context */
	return enter(ctx->di, ctx->si, IO_RECV, recvmsg_parameters == 6 ? fifth : fourth);
}

SEC("?kprobe/unix_stream_sendmsg")
int kprobe_unix_send(struct pt_regs *ctx)
{
	return enter(socket_sock(ctx->di), ctx->si, IO_SEND, 0);
}

SEC("?kprobe/unix_stream_recvmsg")
int kprobe_unix_recv(struct pt_regs *ctx)
{
	return enter(socket_sock(ctx->di), ctx->si, IO_RECV, ctx->cx);
}

/* sendfile and splice before 6.5: by the first page of a call. */
static __always_inline int enter_page(__u64 sk)
{
	struct socket_call c = { .sk = sk, .dir = IO_SEND };
	__u32 tid = bpf_get_current_pid_tgid();

	c.ino = inode_of(c.sk);
	if (bpf_map_update_elem(&socket_calls, &tid, &c, BPF_ANY))
		count(KERNEL_call_table_full);
	return 0;
}

SEC("?kprobe/tcp_sendpage")
int kprobe_tcp_sendpage(struct pt_regs *ctx)
{
	return enter_page(ctx->di);
}

SEC("?kprobe/unix_stream_sendpage")
int kprobe_unix_sendpage(struct pt_regs *ctx)
{
	return enter_page(socket_sock(ctx->di));
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(kprobe_result, struct pt_regs *r, long ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct socket_call *c = bpf_map_lookup_elem(&socket_calls, &tid);
	struct io io = {};
	int counts;

	if (!c || c->uring)
		return 0;
	counts = call_counts(c, ret);
	if (counts && !call_is_for(r, c->sk)) { /* closed and opened anew by another thread while this one waited */
		count(KERNEL_call_unsure);
		counts = 0;
	}
	io_from_call(&io, c, ret, !is_unix_call(c));
	bpf_map_delete_elem(&socket_calls, &tid);
	if (!counts)
		return 0;
	if (r->orig_ax == NR_sendmmsg || r->orig_ax == NR_recvmmsg) {
		io.skip = 0;
		messages_moved(&io, r, ret);
		return 0;
	}
	if (r->orig_ax == NR_sendfile || r->orig_ax == NR_splice) {
		io.source = IO_NONE;
	} else if (io.source == IO_KERNEL_IOVEC) { /* the kernel's copy of the array is gone by now */
		io.skip = 0;
		io_from_registers(&io, r, 0);
	}
	core_io(&io);
	return 0;
}

static __always_inline int uring_result(long ret, int truncates)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct socket_call *c = bpf_map_lookup_elem(&socket_calls, &tid);

	if (!c || !c->uring)
		return 0;
	call_ends(c, (int)ret, truncates);
	bpf_map_delete_elem(&socket_calls, &tid);
	return 0;
}

SEC("?kretprobe/tcp_sendmsg")
int kretprobe_tcp_send(struct pt_regs *ctx)
{
	return uring_result(ctx->ax, 0);
}

SEC("?kretprobe/tcp_recvmsg")
int kretprobe_tcp_recv(struct pt_regs *ctx)
{
	return uring_result(ctx->ax, 1);
}

SEC("?kretprobe/unix_stream_sendmsg")
int kretprobe_unix_send(struct pt_regs *ctx)
{
	return uring_result(ctx->ax, 0);
}

SEC("?kretprobe/unix_stream_recvmsg")
int kretprobe_unix_recv(struct pt_regs *ctx)
{
	return uring_result(ctx->ax, 0);
}
