/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Backend tp_btf: the tracepoints sock_send_length and sock_recv_length (kernel 6.3, commit 6e6eda44b939). They fire
 * inside every socket send and receive, whatever the system call, with a trusted socket and the result, and cost
 * nothing elsewhere.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/syscall_args.bpf.h"
#include "attach/uring.bpf.h"
#include "core/core.bpf.h"
#include "maps.bpf.h"

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

/*
 * sendmmsg and recvmmsg fire once a message and the registers do not say for which: count them, by thread. A new call
 * is known by its other arguments or by a full vector.
 */
struct message_index {
	__u64 vector;
	__u32 next, count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct message_index);
} message_indices SEC(".maps");

static __always_inline __u32 message_of(const struct pt_regs *r, __u32 tid)
{
	struct message_index *m, fresh = {};
	__u32 index;

	if (r->orig_ax != NR_sendmmsg && r->orig_ax != NR_recvmmsg)
		return 0;
	m = bpf_map_lookup_elem(&message_indices, &tid);
	if (!m || m->vector != r->si || m->next >= r->dx) {
		fresh.vector = r->si;
		fresh.next = 1;
		bpf_map_update_elem(&message_indices, &tid, &fresh, BPF_ANY);
		return 0;
	}
	index = m->next;
	m->next++;
	return index;
}

static __always_inline __u64 inode_of(struct sock *sk)
{
	struct socket *socket = sk->sk_socket;
	struct file *file;

	if (!socket)
		return 0;
	file = socket->file;
	return file ? file->f_inode->i_ino : 0;
}

static __always_inline int moved(struct sock *sk, int ret, int flags, __u8 dir)
{
	__u64 key = (__u64)sk, ino = inode_of(sk);
	struct conn *c = bpf_map_lookup_elem(&conns, &key);
	struct io io = {};
	struct pt_regs *r;

	/* Half of a busy database's calls are those of its own end. */
	if (c && conn_is_passed_over(c) && (!ino || ino == c->ino))
		return 0;
	io.sk = key;
	io.ino = ino;
	io_from_task(&io, dir, ret);
	if (ret > 0 && !(flags & MSG_TRUNC) && !(any_uring && uring_buffer(&io))) {
		r = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
		io_from_registers(&io, r, message_of(r, io.tid));
	}
	return core_io_on(&io, c);
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(tp_btf_send, struct sock *sk, int ret, int flags)
{
	if (ret <= 0)
		return 0;
	return moved(sk, ret, flags & ~MSG_TRUNC, IO_SEND);
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(tp_btf_recv, struct sock *sk, int ret, int flags)
{
	if (ret < 0 || flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return 0;
	return moved(sk, ret, flags, IO_RECV);
}

/* Kernel 6.16: before the bytes go to the peer. The send hook runs after, on loopback up to 10 us late. */
SEC("?tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tp_btf_send_begins, const struct sock *sk)
{
	__u64 addr = (__u64)sk;

	return core_send_begins(&addr);
}
