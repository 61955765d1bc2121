/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * io_uring, for hooks that tell what moved but not where: a request is noted by its socket when it is submitted, and
 * asked for its buffer when bytes have moved. It may wait for long before that, and move several times (multishot), in
 * any thread of the program or in one of the kernel's. It is not followed to its end: one that is over, whose memory
 * serves another by now, is no request for this socket and direction any more, or one that is asked as well.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "attach/fd.bpf.h"
#include "attach/syscall_args.bpf.h"
#include "attach/uring.bpf.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"

/* include/uapi/linux/io_uring.h */
enum uring_opcode {
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_SENDMSG = 9,
	OP_RECVMSG = 10,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_SEND = 26,
	OP_RECV = 27,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_READ_MULTISHOT = 49,
};
#define SR_BUNDLE (1 << 4)	/* IORING_RECVSEND_BUNDLE: many buffers, which the request does not name */
#define REQ_FIXED_FILE (1 << 0) /* the bits of IOSQE_* */
#define REQ_BUFFER_SELECT (1 << 5)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);   /* address of the struct sock, which is even; and 1 for what is received */
	__type(value, __u64); /* address of the struct io_kiocb */
} uring_requests SEC(".maps");

static __always_inline __u64 key_of(__u64 sk, __u8 dir)
{
	return sk | (dir == IO_RECV);
}

static __always_inline int direction(__u8 opcode)
{
	switch (opcode) {
	case OP_READV:
	case OP_READ_FIXED:
	case OP_RECVMSG:
	case OP_READ:
	case OP_RECV:
	case OP_READ_MULTISHOT:
		return IO_RECV;
	case OP_WRITEV:
	case OP_WRITE_FIXED:
	case OP_SENDMSG:
	case OP_WRITE:
	case OP_SEND:
	case OP_SEND_ZC:
	case OP_SENDMSG_ZC:
		return IO_SEND;
	}
	return -1;
}

static __always_inline __u32 flags_of(const struct io_kiocb *req)
{
	__u32 low = 0; /* 64 bits from 6.10 on */

	bpf_probe_read_kernel(&low, sizeof(low), __builtin_preserve_access_index(&req->flags));
	return low;
}

SEC("?tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submit, struct io_kiocb *req)
{
	int dir = direction(req->opcode), fd;
	struct file *file;
	__u64 sk, ino, key, at = (__u64)req;

	if (dir < 0)
		return 0;
	fd = req->cqe.fd;
	file = flags_of(req) & REQ_FIXED_FILE ? uring_fixed_file(req->ctx, fd) : fd_file(fd);
	if (!file || !file_socket(file, &sk, &ino))
		return 0;
	if (!any_uring)
		any_uring = 1;
	key = key_of(sk, dir);
	bpf_map_update_elem(&uring_requests, &key, &at, BPF_ANY);
	return 0;
}

/* Is the task in a system call that moves this? io_uring also works at the end of any other. */
static __always_inline int by_registers(__u64 sk, __u8 dir)
{
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct io io = {};
	__u64 other, ino;

	io_from_registers(&io, r, 0);
	return io.source != IO_NONE && is_receive(r) == (dir == IO_RECV) && fd_socket(r->di, &other, &ino) &&
	       other == sk;
}

static __always_inline void flat(struct io *io, __u64 buffer)
{
	io->source = IO_FLAT;
	io->buffer = buffer;
}

/* Into which buffer of a pool: newer kernels do not note it in the request. */
static __always_inline __u64 received(const struct io *io, const struct io_sr_msg *sr, struct io_kiocb *req)
{
	__u64 at = flags_of(req) & REQ_BUFFER_SELECT ? uring_received(req, io->n) : 0;

	return at ?: (__u64)BPF_CORE_READ(sr, buf);
}

static __always_inline void from_request(struct io *io, struct io_kiocb *req, __u8 opcode)
{
	const struct io_sr_msg *sr = (void *)req;
	const struct io_rw *rw = (void *)req;

	switch (opcode) {
	case OP_SEND:
	case OP_SEND_ZC:
		if (!(BPF_CORE_READ(sr, flags) & SR_BUNDLE))
			flat(io, (__u64)BPF_CORE_READ(sr, buf));
		break;
	case OP_RECV:
		if (!(BPF_CORE_READ(sr, flags) & SR_BUNDLE))
			flat(io, received(io, sr, req));
		break;
	case OP_RECVMSG:
		if (flags_of(req) & REQ_BUFFER_SELECT)
			break; /* with a head of the kernel's before the bytes */
			       /* fallthrough */
	case OP_SENDMSG:
	case OP_SENDMSG_ZC:
		io_from_msghdr(io, (__u64)BPF_CORE_READ(sr, umsg));
		break;
	case OP_READV:
	case OP_WRITEV:
		io->source = IO_IOVEC;
		io->buffer = BPF_CORE_READ(rw, addr);
		io->iovecs = BPF_CORE_READ(rw, len);
		break;
	default:
		flat(io, BPF_CORE_READ(rw, addr));
	}
}

__noinline int uring_buffer(struct io *io)
{
	struct io_kiocb *req;
	struct file *file;
	struct sock *sk;
	__u64 key, *at;
	__u8 opcode;

	if (!io)
		return 0;
	sk = (struct sock *)io->sk;
	key = key_of((__u64)sk, io->dir);
	at = bpf_map_lookup_elem(&uring_requests, &key);
	if (!at)
		return 0;
	req = (struct io_kiocb *)*at;
	opcode = BPF_CORE_READ(req, opcode);
	file = BPF_CORE_READ(sk, sk_socket, file);
	if (!file || BPF_CORE_READ(req, file) != file || direction(opcode) != io->dir ||
	    by_registers((__u64)sk, io->dir))
		return 0;
	from_request(io, req, opcode);
	return 1;
}
