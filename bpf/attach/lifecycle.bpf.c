/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Sockets and processes: when they come and go, and which are there already. */
#include <asm-generic/errno-base.h>

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/fd.bpf.h"
#include "core/core.bpf.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, const struct sock *sk, int before, int after)
{
	__u64 addr = (__u64)sk, now = bpf_ktime_get_ns();

	if (after == TCP_SYN_SENT || after == TCP_ESTABLISHED || after == TCP_CLOSE)
		core_connection(&addr, after, bpf_get_current_pid_tgid() >> 32, bpf_get_current_pid_tgid(), now);
	return core_state(&addr, after, now);
}

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_destroy, struct sock *sk)
{
	__u64 addr = (__u64)sk;

	return core_destroy(&addr, bpf_ktime_get_ns());
}

/* A Unix socket has no such hooks: the close of its last descriptor is its end. */
SEC("?tp/syscalls/sys_enter_close")
int socket_close(struct trace_event_raw_sys_enter *ctx)
{
	__u64 sk, ino;
	struct file *file;
	int fd = (int)ctx->args[0];

	if (!fd_socket(fd, &sk, &ino))
		return 0;
	if (BPF_CORE_READ((struct sock *)sk, __sk_common.skc_family) != AF_UNIX)
		return 0;
	file = fd_file(fd);
	if (file && file_is_last_reference(file))
		core_destroy(&sk, bpf_ktime_get_ns());
	return 0;
}

static __always_inline void process_header(struct event_process *e, __u32 what, __u32 tgid, __u32 tid)
{
	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, sizeof(*e), EVENT_PROCESS, bpf_ktime_get_ns(), tgid, tid);
	e->what = what;
}

static __always_inline void process_facts(struct event_process *e, struct task_struct *t)
{
	struct pid *pid = BPF_CORE_READ(t, group_leader, thread_pid);
	struct upid u = {};
	__u32 level = BPF_CORE_READ(pid, level);

	e->parent = BPF_CORE_READ(t, real_parent, tgid);
	e->start = BPF_CORE_READ(t, group_leader, start_boottime);
	bpf_probe_read_kernel(&u, sizeof(u),
			      (char *)pid + bpf_core_field_offset(struct pid, numbers) + level * sizeof(struct upid));
	e->nspid = u.nr;
	BPF_CORE_READ_STR_INTO(&e->comm, t, comm);
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 ptgid = parent->tgid, ptid = parent->pid, tgid = child->tgid, tid = child->pid;
	struct event_process *e;
	struct proc *proc;

	core_fork(ptgid, ptid, tgid, tid);
	if (tgid == ptgid)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	process_header(e, PROCESS_FORK, tgid, tid);
	process_facts(e, child);
	e->parent = ptgid;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (proc)
		e->service = proc->service;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("?syscall")
int process_told(struct proc_told *t)
{
	__u32 tgid = t->tgid;
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	if (!p)
		return -ESRCH;
	if (p->flags & PROC_SELF)
		return -EPERM;
	__sync_fetch_and_and(&p->flags, ~t->clear);
	__sync_fetch_and_or(&p->flags, t->set);
	if (t->strand == STRAND_THREAD)
		return 0;
	p->told = bpf_ktime_get_ns();
	if (t->strand == STRAND_GREENLETS) {
		p->greenlets = 1;
		return 0;
	}
	p->strand_at = t->strand_at;
	p->minor = t->minor;
	__builtin_memcpy(p->java, t->java, sizeof(p->java));
	__builtin_memset(p->offsets, 0, sizeof(p->offsets));
	p->strand = t->strand;
	return 0;
}

struct exec_record {
	struct event_process e;
	char data[EVENT_ARGS_MAX + EVENT_ENV_MAX];
};

/* A record is put together here, so that it takes no more of the ring than it has: most environments are small. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_record);
} exec_records SEC(".maps");

/*
 * Arguments and environment are taken here, before the program can overwrite them. A new program is a new service until
 * user space says whose it is.
 */
SEC("?tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *t)
{
	__u32 tgid = t->tgid, tid = t->pid, args, env, zero = 0;
	struct exec_record *r;
	struct proc *old, proc = {};
	struct mm_struct *mm = t->mm;
	__u64 start;

	old = bpf_map_lookup_elem(&procs, &tgid);
	proc.service = __sync_fetch_and_add(&next_service, 1) & 0x7fffffff;
	if (old)
		proc.flags = old->flags & PROC_IGNORE;
	/* its file was mapped, and may have been looked at, before this */
	if (old && bpf_ktime_get_ns() - old->told < PROC_MAPPED_NS) {
		proc.flags |= old->flags & PROC_MOVES;
		proc.strand = old->strand;
		proc.minor = old->minor;
		proc.strand_at = old->strand_at;
		proc.told = old->told;
	}
	bpf_map_update_elem(&procs, &tgid, &proc, BPF_ANY);
	r = bpf_map_lookup_elem(&exec_records, &zero);
	if (!r)
		return 0;
	process_header(&r->e, PROCESS_EXEC, tgid, tid);
	process_facts(&r->e, t);
	r->e.service = proc.service;
	start = BPF_CORE_READ(mm, arg_start);
	args = BPF_CORE_READ(mm, arg_end) - start;
	if (args > EVENT_ARGS_MAX) {
		args = EVENT_ARGS_MAX;
		r->e.flags |= PROCESS_ARGS_CUT;
	}
	if (bpf_probe_read_user(r->data, args, (void *)start))
		args = 0;
	start = BPF_CORE_READ(mm, env_start);
	env = BPF_CORE_READ(mm, env_end) - start;
	if (env > EVENT_ENV_MAX) {
		env = EVENT_ENV_MAX;
		r->e.flags |= PROCESS_ENV_CUT;
	}
	asm volatile("" : "+r"(args));
	asm volatile("" : "+r"(env));
	if (args > EVENT_ARGS_MAX || env > EVENT_ENV_MAX)
		return 0;
	if (bpf_probe_read_user(r->data + args, env, (void *)start))
		env = 0;
	r->e.args_len = args;
	r->e.env_len = env;
	r->e.header.size += args + env;
	bpf_ringbuf_output(&events, r, sizeof(r->e) + args + env, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *t)
{
	__u32 tgid = t->tgid, tid = t->pid;
	int last = BPF_CORE_READ(t, signal, live.counter) == 0;
	struct event_process *e;

	core_exit(tgid, tid, last);
	if (!last)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	process_header(e, PROCESS_EXIT, tgid, tid);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The sweep: user space reads this iterator every second. */
SEC("?iter/bpf_map_elem")
int sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key, sk;

	if (!key)
		return 0;
	sk = *key;
	core_sweep(&sk, bpf_ktime_get_ns());
	return 0;
}

/* Sockets that were open before us: who listens where, who talks to whom. The reader knows the layout. */
struct socket_record {
	__u32 tgid;
	__u32 state;
	struct event_connection conn;
};

SEC("?iter/task_file")
int sockets(struct bpf_iter__task_file *ctx)
{
	struct socket_record r;
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;
	struct socket *socket;
	struct in6_addr a;
	struct sock *sk;
	__u32 v4;

	if (!file || !task)
		return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return 0;
	__builtin_memset(&r, 0, sizeof(r));
	r.tgid = BPF_CORE_READ(task, tgid);
	r.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	r.conn.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	r.conn.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	r.conn.local_ino = BPF_CORE_READ(file, f_inode, i_ino);
	if (r.conn.family == AF_INET || r.conn.family == AF_INET6) {
		r.conn.local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		r.conn.remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
	if (r.conn.family == AF_INET) {
		v4 = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__builtin_memcpy(r.conn.local_addr, &v4, 4);
		v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(r.conn.remote_addr, &v4, 4);
	} else if (r.conn.family == AF_INET6) {
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_rcv_saddr);
		__builtin_memcpy(r.conn.local_addr, &a, 16);
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(r.conn.remote_addr, &a, 16);
	}
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
