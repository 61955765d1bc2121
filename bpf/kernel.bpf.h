/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What changed in the kernel under us, each with the commit that changed it. */
#ifndef SONDE_KERNEL_BPF_H
#define SONDE_KERNEL_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* 6.13, commit 90ee6ed776c0 ("fs: port files to file_ref"): f_count became f_ref, whose 0 stands for one reference. */
struct file___count {
	long f_count;
} __attribute__((preserve_access_index));

typedef struct {
	long refcnt;
} file_ref_t___ref;

struct file___ref {
	file_ref_t___ref f_ref;
} __attribute__((preserve_access_index));

static __always_inline int file_is_last_reference(struct file *file)
{
	struct file___ref *now = (struct file___ref *)file;
	struct file___count *before = (struct file___count *)file;
	long n = 0;

	if (bpf_core_field_exists(now->f_ref)) {
		bpf_probe_read_kernel(&n, sizeof(n), (char *)file + bpf_core_field_offset(now->f_ref));
		return n == 0;
	}
	if (bpf_core_field_exists(before->f_count)) {
		bpf_probe_read_kernel(&n, sizeof(n), (char *)file + bpf_core_field_offset(before->f_count));
		return n == 1;
	}
	return 0;
}

/*
 * iov_iter. 5.14, commit 8cd54c1c8480 ("iov_iter: separate direction from flavour"): type became iter_type. 6.0, commit
 * fcb14cb1bdac ("new iov_iter flavour - ITER_UBUF"): one user buffer without an iovec. 6.4, commit de4f5fed3f23
 * ("iov_iter: add iter_iovec() helper"): iov became __iov. The numbers of the flavours moved several times.
 */
struct iov_iter___now {
	__u8 iter_type;
	unsigned long iov_offset;
	const struct iovec *__iov;
	void *ubuf;
	unsigned long nr_segs;
} __attribute__((preserve_access_index));

struct iov_iter___before {
	unsigned int type;
	const struct iovec *iov;
} __attribute__((preserve_access_index));

enum iter_type___any { ITER_IOVEC___any = 1, ITER_UBUF___any = 2 };

static __always_inline __u32 iter_type_of(const void *iter)
{
	const struct iov_iter___now *now = iter;
	const struct iov_iter___before *before = iter;

	if (bpf_core_field_exists(now->iter_type))
		return BPF_CORE_READ(now, iter_type);
	if (bpf_core_field_exists(before->type))
		return BPF_CORE_READ(before, type) & ~1u; /* the lowest bit is the direction */
	return ~0u;
}

static __always_inline int iter_is_ubuf(__u32 type)
{
	return bpf_core_enum_value_exists(enum iter_type___any, ITER_UBUF___any) &&
	       type == bpf_core_enum_value(enum iter_type___any, ITER_UBUF___any);
}

static __always_inline int iter_is_iovec(__u32 type)
{
	return bpf_core_enum_value_exists(enum iter_type___any, ITER_IOVEC___any) &&
	       type == bpf_core_enum_value(enum iter_type___any, ITER_IOVEC___any);
}

static __always_inline __u64 iter_offset(const void *iter)
{
	return BPF_CORE_READ((const struct iov_iter___now *)iter, iov_offset);
}

static __always_inline __u64 iter_ubuf(const void *iter)
{
	const struct iov_iter___now *now = iter;

	return bpf_core_field_exists(now->ubuf) ? (__u64)BPF_CORE_READ(now, ubuf) : 0;
}

static __always_inline __u64 iter_iovecs(const void *iter)
{
	const struct iov_iter___now *now = iter;
	const struct iov_iter___before *before = iter;

	if (bpf_core_field_exists(now->__iov))
		return (__u64)BPF_CORE_READ(now, __iov);
	return bpf_core_field_exists(before->iov) ? (__u64)BPF_CORE_READ(before, iov) : 0;
}

static __always_inline __u32 iter_segments(const void *iter)
{
	return BPF_CORE_READ((const struct iov_iter___now *)iter, nr_segs);
}

struct msghdr___iter {
	struct iov_iter___now msg_iter;
} __attribute__((preserve_access_index));

static __always_inline const void *msg_iter_of(const void *msg)
{
	return (const char *)msg + bpf_core_field_offset(struct msghdr___iter, msg_iter);
}

/* What a send or receive of io_uring keeps of its call; NULL: nothing yet, or before 6.10 while the call can be made.
 */
struct io_async_msghdr___iter {
	struct msghdr___iter msg;
} __attribute__((preserve_access_index));

struct io_kiocb___async {
	void *async_data;
} __attribute__((preserve_access_index));

/* Where what was just received into one flat buffer begins; 0 = not known. n: bytes received. */
static __always_inline __u64 uring_received(const void *req, __u64 n)
{
	const char *call = BPF_CORE_READ((const struct io_kiocb___async *)req, async_data), *iter;

	if (!call)
		return 0;
	iter = msg_iter_of(call + bpf_core_field_offset(struct io_async_msghdr___iter, msg));
	return iter_is_ubuf(iter_type_of(iter)) ? iter_ubuf(iter) + iter_offset(iter) - n : 0;
}

/*
 * Files that a ring of io_uring has registered. 6.13, commit 3597f2786b68 ("io_uring/rsrc: unify file and buffer
 * resource tables"): the table of files became one of nodes.
 */
struct io_fixed_file___before {
	unsigned long file_ptr;
} __attribute__((preserve_access_index));

struct io_file_table___before {
	struct io_fixed_file___before *files;
} __attribute__((preserve_access_index));

struct io_ring_ctx___before {
	struct io_file_table___before file_table;
} __attribute__((preserve_access_index));

struct io_rsrc_node___now {
	unsigned long file_ptr;
} __attribute__((preserve_access_index));

struct io_rsrc_data___now {
	unsigned int nr;
	struct io_rsrc_node___now **nodes;
} __attribute__((preserve_access_index));

struct io_file_table___now {
	struct io_rsrc_data___now data;
} __attribute__((preserve_access_index));

struct io_ring_ctx___now {
	struct io_file_table___now file_table;
} __attribute__((preserve_access_index));

#define URING_FILES_MAX 65536
#define URING_FILE_MASK (~7UL) /* the lowest bits say what the file can */

static __always_inline struct file *uring_fixed_file(struct io_ring_ctx *ctx, __u32 index)
{
	struct io_ring_ctx___now *now = (void *)ctx;
	struct io_ring_ctx___before *before = (void *)ctx;
	struct io_rsrc_node___now *node = NULL, **nodes;
	struct io_fixed_file___before *file;
	unsigned long at = 0;

	if (index >= URING_FILES_MAX)
		return NULL;
	if (bpf_core_field_exists(now->file_table.data.nodes)) {
		nodes = BPF_CORE_READ(now, file_table.data.nodes);
		if (index >= BPF_CORE_READ(now, file_table.data.nr) ||
		    bpf_probe_read_kernel(&node, sizeof(node), nodes + index) || !node)
			return NULL;
		at = BPF_CORE_READ(node, file_ptr);
	} else if (bpf_core_field_exists(before->file_table.files)) {
		file = BPF_CORE_READ(before, file_table.files);
		file = (void *)((char *)file + index * bpf_core_type_size(struct io_fixed_file___before));
		at = BPF_CORE_READ(file, file_ptr);
	}
	return (struct file *)(at & URING_FILE_MASK);
}

/*
 * How many parameters tcp_recvmsg has; the keeper asks the kernel's BTF. 5.19, commit ec095263a965 ("net: remove
 * noblock parameter from recvmsg() entities"): six became five, and flags the fourth. 7.x took the last one, addr_len:
 * four.
 */
extern const volatile __u32 recvmsg_parameters;

/*
 * Per-CPU memory is one hook's own only while no other can run on this CPU. Up to 6.19 tracepoints saw to it; from 7.0
 * on
 * ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast") their programs are preempted like those
 * of fentry, fexit and uprobes on kernels with preemption. The functions: 6.10 ("bpf: Introduce
 * bpf_preempt_[disable,enable] kfuncs"). Global functions may be called between them from 6.15 on ("bpf: Summarize
 * sleepable global subprogs"); the loader sets the switch there, and without it the calls are dead code.
 */
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;
extern const volatile __u8 hold_cpu_wanted;

static __always_inline void hold_cpu(void)
{
	if (hold_cpu_wanted)
		bpf_preempt_disable();
}

static __always_inline void release_cpu(void)
{
	if (hold_cpu_wanted)
		bpf_preempt_enable();
}

#endif
