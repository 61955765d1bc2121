/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * libpq as the application calls it, for connections whose wire is encrypted. A call that waits (PQexec and its like)
 * runs from its entry to its return; another one from PQsend* to its last result. Inside a call that waits libpq calls
 * its own PQsendQuery, which is no call of the application, and its own PQgetResult, whose results are those of the
 * statements of a text, one by one. The rows of a COPY are in its command tag; its bytes are counted at the calls that
 * move them, from which the keeper takes the probes when they are many. Where the bytes went over the wire in the
 * clear, a statement was counted there and is forgotten here.
 */
#include "attach/libpq.bpf.h"

struct libpq_calls_map libpq_calls SEC(".maps");

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

static __always_inline int is_connect(__u32 function)
{
	return (function >= LIBPQ_CONNECTDB && function <= LIBPQ_CONNECT_START_PARAMS) ||
	       (function >= LIBPQ_RESET && function <= LIBPQ_CONNECT_POLL) || function == LIBPQ_SETDB_LOGIN;
}

static __always_inline int is_statement(__u32 function)
{
	return function < LIBPQ_RESET && function != LIBPQ_FINISH && !is_connect(function);
}

static __always_inline __u32 function_of(struct pt_regs *ctx)
{
	return bpf_get_attach_cookie(ctx);
}

static __always_inline __u32 file_of(struct pt_regs *ctx)
{
	return bpf_get_attach_cookie(ctx) >> 32;
}

/* What is no statement and does not connect: its return needs the PGconn, when it has one. */
static __always_inline void aside_entry(struct pt_regs *ctx, __u32 function)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, slot = bpf_get_current_pid_tgid() | LIBPQ_ASIDE;
	__u64 first = ctx->di;
	struct call call = { .pgconn = first, .function = function }, *before;

	switch (function) {
	case LIBPQ_FINISH:
		libpq_close(first, 0);
		return;
	case LIBPQ_CANCEL:
	case LIBPQ_CANCEL_BLOCKING:
	case LIBPQ_CANCEL_START:
		libpq_cancel_by(first);
		return;
	case LIBPQ_REQUEST_CANCEL:
		libpq_cancel(libpq_key(first, tgid));
		return;
	case LIBPQ_PUT_COPY_DATA:
		libpq_copied(first, ctx->dx, file_of(ctx));
		return;
	}
	before = bpf_map_lookup_elem(&libpq_calls, &slot);
	if (!before || before->function != function || before->pgconn != first) /* rows come one by one */
		bpf_map_update_elem(&libpq_calls, &slot, &call, BPF_ANY);
}

static __always_inline void aside_return(struct pt_regs *ctx, __u32 function)
{
	__u32 slot = bpf_get_current_pid_tgid() | LIBPQ_ASIDE;
	struct call *c = bpf_map_lookup_elem(&libpq_calls, &slot);

	if (!c || c->function != function)
		return;
	if (function == LIBPQ_GET_COPY_DATA)
		libpq_copied(c->pgconn, ctx->ax, file_of(ctx));
	else
		libpq_cancel_made(c->pgconn, ctx->ax);
}

SEC("?uprobe")
int libpq_entry(struct pt_regs *ctx)
{
	__u32 function = function_of(ctx), tid = bpf_get_current_pid_tgid();
	struct call call = {}, *outer;
	__u64 pgconn = ctx->di;

	if (is_connect(function)) {
		if (function == LIBPQ_RESET || function == LIBPQ_RESET_START)
			libpq_close(pgconn, 1);
		libpq_connect_entry(function, pgconn, ctx->si, ctx->r8, ctx->r9);
		return 0;
	}
	if (!is_statement(function)) {
		aside_entry(ctx, function);
		return 0;
	}
	outer = bpf_map_lookup_elem(&libpq_calls, &tid);
	if (!is_blocking(function) && outer && is_blocking(outer->function) && outer->pgconn == pgconn)
		return 0; /* libpq calls itself */
	if (function != LIBPQ_GET_RESULT && !is_pipeline(function))
		libpq_stage(function, pgconn, ctx->si, ctx->dx);
	call.pgconn = pgconn;
	call.function = function;
	bpf_map_update_elem(&libpq_calls, &tid, &call, BPF_ANY);
	return 0;
}

SEC("?uprobe")
int libpq_return(struct pt_regs *ctx)
{
	__u32 function = function_of(ctx), tid = bpf_get_current_pid_tgid();
	__u64 result = ctx->ax, key;
	struct call *c;

	if (is_connect(function)) {
		libpq_connect_return(function, result);
		return 0;
	}
	if (!is_statement(function)) {
		aside_return(ctx, function);
		return 0;
	}
	c = bpf_map_lookup_elem(&libpq_calls, &tid);
	if (!c)
		return 0;
	key = libpq_key(c->pgconn, bpf_get_current_pid_tgid() >> 32);
	if (function == LIBPQ_GET_RESULT && is_blocking(c->function)) {
		libpq_took(key, result, 1);
		return 0;
	}
	if (c->function != function)
		return 0;
	if (function == LIBPQ_GET_RESULT)
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
