/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * OpenSSL as programs call it: plaintext on its way to and from a TLS connection. The call is noted at its entry, so
 * that what the thread then sends and receives on a socket says which connection the SSL object belongs to; what it
 * moved is known at its return. No field of an SSL object is read, so every version that has these functions will do
 * (1.0.2 to 3.x, and BoringSSL or LibreSSL under the same names).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

enum openssl_function {
#define OPENSSL_FUNCTION(id, number, symbol, entry, ret) OPENSSL_##id = number,
#include "openssl_functions.def"
#undef OPENSSL_FUNCTION
};

static __always_inline __u32 probed_function(void *ctx)
{
	return bpf_get_attach_cookie(ctx);
}

/* Probes come one by one: calls that only read, or only write, would tell half of what is said. */
static __always_inline int is_whole(void *ctx)
{
	return probed_files[bpf_get_attach_cookie(ctx) >> 32 & (PROBED_FILES_MAX - 1)].whole;
}

/* A file is probed for all of its processes. */
static __always_inline int is_observed(__u32 tgid)
{
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	return !p || !(p->flags & PROC_IGNORE);
}

/* Where a compiler is left to choose between two fields, it computes a pointer, which the verifier refuses. */
static __always_inline __u64 fifth_argument(const struct pt_regs *ctx)
{
	__u64 r8;

	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(r8) : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, r8)));
	return r8;
}

SEC("?uprobe")
int openssl_entry(struct pt_regs *ctx)
{
	__u32 function = probed_function(ctx), tid = bpf_get_current_pid_tgid();
	struct ssl_call call = {};

	call.key.ssl = ctx->di;
	call.key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (function == OPENSSL_FREE) {
		tls_forget(&call.key);
		return 0;
	}
	if (!is_whole(ctx) || !is_observed(call.key.tgid))
		return 0;
	call.function = function;
	call.buffer = ctx->si;
	call.moved = ctx->cx;
	if (function == OPENSSL_WRITE_EX2)
		call.moved = fifth_argument(ctx);
	call.begun = bpf_ktime_get_ns();
	bpf_map_update_elem(&ssl_calls, &tid, &call, BPF_ANY);
	return 0;
}

static __always_inline bool is_write(__u32 function)
{
	return function == OPENSSL_WRITE || function == OPENSSL_WRITE_EX || function == OPENSSL_WRITE_EX2;
}

/* Bytes that the call moved; 0: none, or it failed. */
static __always_inline __u64 bytes_moved(const struct ssl_call *call, int result)
{
	__u64 n = 0;

	if (result <= 0)
		return 0;
	if (call->function == OPENSSL_READ || call->function == OPENSSL_WRITE)
		return result;
	if (call->function != OPENSSL_READ_EX && !is_write(call->function))
		return 0;
	return bpf_probe_read_user(&n, sizeof(n), (void *)call->moved) ? 0 : n;
}

SEC("?uprobe")
int openssl_return(struct pt_regs *ctx)
{
	__u32 function = probed_function(ctx), tid = bpf_get_current_pid_tgid();
	struct ssl_call *call = bpf_map_lookup_elem(&ssl_calls, &tid);
	struct conn_ref ref = {};
	struct ssl_key key;
	struct io io = {};

	if (!call || call->function != function)
		return 0;
	key = call->key;
	io.n = bytes_moved(call, ctx->ax);
	io.buffer = call->buffer;
	io.begun = call->begun;
	io.now = call->io;
	bpf_map_delete_elem(&ssl_calls, &tid);
	if (!io.n && io.now)
		return 0;
	if (!tls_connection(&key, &ref)) {
		if (!io.now)
			tls_call_alone(&key, tid);
		if (io.n)
			count(KERNEL_tls_unlinked);
		return 0;
	}
	if (!io.n)
		return 0;
	io.sk = ref.sk;
	io.source = IO_FLAT;
	io.dir = is_write(function) ? IO_SEND : IO_RECV;
	io.tgid = key.tgid;
	io.tid = tid;
	if (io.dir == IO_RECV || !io.now) /* what was sent, the peer has since then */
		io.now = bpf_ktime_get_ns();
	core_plain(&io);
	return 0;
}
