/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * libpq as the application calls it, for connections whose wire is encrypted. A call that waits (PQexec and its like)
 * runs from its entry to its return; another one from PQsend* to its last result. Inside a call that waits libpq calls
 * its own PQsendQuery, which is no call of the application, and its own PQgetResult, whose results are those of the
 * statements of a text, one by one. Nothing is probed that is called for each row of a COPY: its rows are in the
 * command tag. Where the bytes went over the wire in the clear, a statement was counted there and is forgotten here.
 */
#include "attach/libpq.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct call);
} libpq_calls SEC(".maps");

static __always_inline int is_connect(__u32 function)
{
	return function >= LIBPQ_CONNECTDB && function <= LIBPQ_CONNECT_START_PARAMS;
}

/* Returns when the answer is there. */
static __always_inline int is_blocking(__u32 function)
{
	return (function >= LIBPQ_EXEC && function <= LIBPQ_EXEC_PREPARED) || function == LIBPQ_DESCRIBE_PREPARED ||
	       function == LIBPQ_DESCRIBE_PORTAL || function == LIBPQ_CLOSE_PREPARED ||
	       function == LIBPQ_CLOSE_PORTAL || function == LIBPQ_FN;
}

static __always_inline int is_pipeline(__u32 function)
{
	return function == LIBPQ_ENTER_PIPELINE || function == LIBPQ_EXIT_PIPELINE;
}

static __always_inline __u32 function_of(struct pt_regs *ctx)
{
	return bpf_get_attach_cookie(ctx);
}

SEC("?uprobe")
int libpq_entry(struct pt_regs *ctx)
{
	__u32 function = function_of(ctx), tid = bpf_get_current_pid_tgid();
	struct call call = {}, *outer;
	__u64 pgconn = ctx->di;

	if (function == LIBPQ_FINISH || function == LIBPQ_RESET || function == LIBPQ_RESET_START) {
		libpq_close(libpq_key(pgconn, bpf_get_current_pid_tgid() >> 32));
		return 0;
	}
	outer = bpf_map_lookup_elem(&libpq_calls, &tid);
	if (is_connect(function)) {
		if (outer && is_connect(outer->function))
			return 0; /* PQconnectdb calls PQconnectStart */
		call.argument = pgconn;
		call.values = ctx->si;
	} else {
		if (!is_blocking(function) && outer && is_blocking(outer->function) && outer->pgconn == pgconn)
			return 0; /* libpq calls itself */
		if (function != LIBPQ_GET_RESULT && !is_pipeline(function))
			libpq_stage(function, pgconn, ctx->si, ctx->dx);
	}
	call.pgconn = pgconn;
	call.function = function;
	call.start = bpf_ktime_get_ns();
	bpf_map_update_elem(&libpq_calls, &tid, &call, BPF_ANY);
	return 0;
}

SEC("?uprobe")
int libpq_return(struct pt_regs *ctx)
{
	__u32 function = function_of(ctx), tid = bpf_get_current_pid_tgid();
	__u64 result = ctx->ax, key;
	struct call *c = bpf_map_lookup_elem(&libpq_calls, &tid);

	if (!c)
		return 0;
	key = libpq_key(c->pgconn, bpf_get_current_pid_tgid() >> 32);
	if (function == LIBPQ_GET_RESULT && is_blocking(c->function)) {
		libpq_took(key, result, 1);
		return 0;
	}
	if (c->function != function)
		return 0;
	if (is_connect(function))
		libpq_connected(c, result);
	else if (function == LIBPQ_GET_RESULT)
		libpq_took(key, result, 0);
	else if (is_blocking(function))
		libpq_answered(key, result);
	else if (!is_pipeline(function))
		libpq_sent(key, (int)result != 0);
	else if ((int)result)
		libpq_pipeline(key, function == LIBPQ_ENTER_PIPELINE);
	bpf_map_delete_elem(&libpq_calls, &tid);
	return 0;
}
