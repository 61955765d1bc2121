/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * libpq as the application calls it, for connections whose wire is encrypted. A blocking call (PQexec and its like)
 * runs from its entry to its return; an asynchronous one from PQsend* to the PQgetResult that returns NULL, with the
 * time of the last result. Inside a blocking call libpq calls its own PQsendQuery and PQgetResult: those are not calls
 * of the application. Where the bytes of a call went over the wire in the clear, it was counted there and is forgotten
 * here.
 *
 * What is read of a PGresult stands at the same place since libpq 9.2 (libpq-int.h, struct pg_result): the counts, the
 * status and the command tag at its head, the error's fields as a list.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

enum libpq_function {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) LIBPQ_##id = number,
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
};

#define PGRES_FATAL_ERROR 7
#define PGRES_BAD_RESPONSE 5
#define RESULT_STATUS 40
#define RESULT_TAG 44
#define RESULT_ERROR_FIELDS 168
#define FIELD_CODE 8
#define FIELD_TEXT 9
#define FIELDS_MAX 16
#define TEXT_OFFSET_MAX 256

static struct libpq_op empty_op;

/* What the entry of a call leaves for its return. */
struct call {
	__u64 pgconn;
	__u64 argument; /* connection string, or the arrays of PQconnectdbParams */
	__u64 values;
	__u64 start;
	__u32 function;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct call);
} libpq_calls SEC(".maps");

/* PGconn addresses repeat between processes. */
static __always_inline __u64 op_key(__u64 pgconn, __u32 tgid)
{
	return pgconn ^ (__u64)tgid << 40;
}

static __always_inline __u8 request_kind(__u32 function)
{
	switch (function) {
	case LIBPQ_EXEC:
	case LIBPQ_SEND_QUERY:
		return PG_QUERY;
	case LIBPQ_EXEC_PARAMS:
	case LIBPQ_SEND_QUERY_PARAMS:
		return PG_EXTENDED;
	case LIBPQ_EXEC_PREPARED:
	case LIBPQ_SEND_QUERY_PREPARED:
		return PG_EXECUTE;
	case LIBPQ_PREPARE:
	case LIBPQ_SEND_PREPARE:
		return PG_PARSE;
	}
	return PG_OTHER;
}

static __always_inline int is_blocking(__u32 function)
{
	return function == LIBPQ_EXEC || function == LIBPQ_EXEC_PARAMS || function == LIBPQ_PREPARE ||
	       function == LIBPQ_EXEC_PREPARED || function == LIBPQ_DESCRIBE_PREPARED;
}

/* A user string at data + at, without its NUL; its length. The capture has room behind EVENT_REQUEST_MAX. */
static __always_inline __u32 read_text(struct capture *d, __u64 from)
{
	long n = bpf_probe_read_user_str(d->b, EVENT_REQUEST_MAX, (void *)from);

	return n > 0 ? n - 1 : 0;
}

/* The statement goes where a wire request would have it: text; for PG_PARSE name NUL text; for PG_EXECUTE the name. */
static __noinline int op_text(struct libpq_op *op, __u64 first, __u64 second)
{
	struct event_exchange *ex;
	struct prepared_key key = {};
	__u32 n = 0, hash = 2166136261u, k;
	__u64 *known;
	long more;

	if (!op)
		return 0;
	ex = &op->ex;
	if (ex->method == PG_QUERY || ex->method == PG_EXTENDED) {
		n = read_text(&op->data, first);
		ex->request_len = n;
		ex->request_bytes = n == EVENT_REQUEST_MAX - 1 ? n + 1 : n; /* one more than is kept: it was cut */
		ex->operation = turns_text_key(&op->data, &op->key, 0, n);
		return 0;
	}
	if (ex->method != PG_PARSE && ex->method != PG_EXECUTE)
		return 0;
	more = bpf_probe_read_user_str(op->data.b, TEXT_OFFSET_MAX, (void *)first);
	n = more > 0 ? more : 1;
	for (k = 0; k < 64; k++) {
		if (k + 1 >= n || !op->data.b[k])
			break;
		hash = (hash ^ (__u8)op->data.b[k]) * 16777619u;
	}
	key.conn = ex->libpq_conn ^ (__u64)ex->header.tgid << 32;
	key.name = hash;
	if (ex->method == PG_EXECUTE) {
		ex->request_len = n - 1;
		ex->request_bytes = n - 1;
		known = bpf_map_lookup_elem(&prepared, &key);
		if (known)
			ex->operation = *known;
		return 0;
	}
	asm volatile("" : "+r"(n));
	if (n > TEXT_OFFSET_MAX)
		return 0;
	more = bpf_probe_read_user_str(op->data.b + n, EVENT_REQUEST_MAX - TEXT_OFFSET_MAX, (void *)second);
	ex->request_len = n + (more > 0 ? more - 1 : 0);
	ex->request_bytes = ex->request_len;
	ex->operation = turns_text_key(&op->data, &op->key, n, more > 0 ? more - 1 : 0);
	remember_prepared(&key, ex->operation);
	return 0;
}

static __noinline int op_emit(struct libpq_op *op)
{
	struct event_exchange *ex;
	__u32 at, len;

	if (!op)
		return 0;
	ex = &op->ex;
	at = ex->request_len;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX)
		return 0;
	__builtin_memcpy(&op->data.b[at], &op->result, sizeof(op->result));
	ex->tail_len = sizeof(op->result);
	len = sizeof(*ex) + at + sizeof(op->result);
	ex->header.size = len;
	ex->header.time = ex->end;
	if (bpf_ringbuf_output(&events, ex, len, BPF_RB_NO_WAKEUP) && pg_statement_counts(ex->method))
		count(KERNEL_ring_full);
	return 0;
}

static __noinline int op_finish(__u64 key)
{
	struct libpq_op *op = bpf_map_lookup_elem(&libpq_ops, &key);
	struct event_exchange *ex;
	int counts;

	if (!op)
		return 0;
	ex = &op->ex;
	if (op->wire) {
		count(KERNEL_wire_and_libpq);
	} else if (op->pipelined) {
		count(KERNEL_libpq_pipelines);
	} else {
		if (!ex->end)
			ex->flags |= EXCHANGE_NO_ANSWER;
		if (!ex->end)
			ex->end = bpf_ktime_get_ns();
		ex->status = op->result.sqlstate[0] ? pg_sqlstate_pack(op->result.sqlstate) : 0;
		if (op->result.status == PGRES_FATAL_ERROR || op->result.status == PGRES_BAD_RESPONSE)
			ex->flags |= EXCHANGE_FAILED;
		counts = pg_statement_counts(ex->method);
		if (counts) {
			count(KERNEL_spans_seen);
			hist_exchange(ex, &op->data, op->peer, 0);
		}
		if (!span_left_out(ex, counts))
			op_emit(op);
	}
	bpf_map_delete_elem(&libpq_ops, &key);
	return 0;
}

/* A statement begins; one that was open on the same PGconn is over, as far as its results were read. */
static __noinline int op_begin(__u32 function, __u64 pgconn, __u64 first, __u64 second)
{
	__u64 id = bpf_get_current_pid_tgid(), key, now = bpf_ktime_get_ns();
	__u32 tgid = id >> 32, tid = id;
	struct libpq_op *op;
	struct thread *t;
	int service, pipelined = 0;

	key = op_key(pgconn, tgid);
	op = bpf_map_lookup_elem(&libpq_ops, &key);
	if (op && op->sync)
		return 0; /* libpq calling itself */
	if (op && !op->ex.end && op->ex.method != PG_OTHER) {
		/* pipeline mode: where the wire can be read it is followed there */
		pipelined = 1;
		bpf_map_delete_elem(&libpq_ops, &key);
	} else if (op) {
		op_finish(key);
	}
	service = core_service(tgid, tid, now);
	if (service < 0 || bpf_map_update_elem(&libpq_ops, &key, &empty_op, BPF_ANY))
		return 0;
	op = bpf_map_lookup_elem(&libpq_ops, &key);
	if (!op)
		return 0;
	op->sync = is_blocking(function);
	op->pipelined = pipelined;
	op->ex.header.kind = EVENT_EXCHANGE;
	op->ex.header.version = EVENT_VERSION;
	op->ex.header.tgid = tgid;
	op->ex.header.tid = tid;
	op->ex.id = core_exchange_id();
	op->ex.start = now;
	op->ex.service = service;
	op->ex.proto = PROTO_POSTGRES;
	op->ex.role = ROLE_CLIENT;
	op->ex.source = SOURCE_LIBPQ;
	op->ex.reason = END_COMPLETE;
	op->ex.method = request_kind(function);
	op->ex.libpq_conn = pgconn;
	op->text[0] = first;
	op->text[1] = second;
	op_text(op, first, second);
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t) {
		struct thread fresh = {};

		fresh.pgconn = key;
		bpf_map_update_elem(&threads, &tid, &fresh, BPF_ANY);
	} else {
		op->ex.parent = t->exchange;
		t->pgconn = key;
	}
	if (span_skip(tgid, (__u32)key, op->ex.parent, now))
		op->ex.flags |= EXCHANGE_SKIPPED;
	return 0;
}

/* SQLSTATE of an error: the field 'C' in the list. */
static __noinline int result_sqlstate(struct libpq_result *r, __u64 result)
{
	__u64 field = 0;
	int i;

	if (!r || bpf_probe_read_user(&field, sizeof(field), (void *)(result + RESULT_ERROR_FIELDS)))
		return 0;
	for (i = 0; i < FIELDS_MAX && field; i++) {
		char code = 0;

		if (bpf_probe_read_user(&code, 1, (void *)(field + FIELD_CODE)))
			break;
		if (code == 'C') {
			bpf_probe_read_user_str(r->sqlstate, 6, (void *)(field + FIELD_TEXT));
			break;
		}
		if (bpf_probe_read_user(&field, sizeof(field), (void *)field))
			break;
	}
	return 0;
}

/* A result came (never NULL). */
static __noinline int op_took_result(__u64 key, __u64 result)
{
	struct libpq_op *op = bpf_map_lookup_elem(&libpq_ops, &key);
	__u32 rows = 0, status = 0;
	__u64 now;

	if (!op)
		return 0;
	now = bpf_ktime_get_ns();
	if (!op->ex.first)
		op->ex.first = now;
	op->ex.end = now;
	if (op->wire)
		return 0;
	bpf_probe_read_user(&rows, sizeof(rows), (void *)result);
	bpf_probe_read_user(&status, sizeof(status), (void *)(result + RESULT_STATUS));
	op->result.rows += rows;
	op->result.results++;
	op->result.status = status;
	bpf_probe_read_user_str(op->result.tag, sizeof(op->result.tag), (void *)(result + RESULT_TAG));
	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
		result_sqlstate(&op->result, result);
	return 0;
}

struct conn_record {
	struct event_libpq_conn e;
	char data[512];
};

/* Which of the wanted settings a key names: offset of its text in setting_names, or negative. Never a password. */
static __always_inline int setting(const char *name)
{
	__u32 w = frame_load32(name);

	if (w == HTTP1_WORD('d', 'b', 'n', 'a'))
		return 0;
	if (w == HTTP1_WORD('u', 's', 'e', 'r'))
		return 8;
	if (w == HTTP1_WORD('h', 'o', 's', 't') && !name[4])
		return 16;
	if (w == HTTP1_WORD('p', 'o', 'r', 't'))
		return 24;
	return -1;
}

static const volatile char setting_names[33] = "dbname\0\0user\0\0\0\0host\0\0\0\0port\0\0\0\0";

#define PARAMS_MAX 24
#define PARAM_VALUE_MAX 64

/*
 * "key NUL value NUL" of the arrays that PQconnectdbParams takes: what names the database. The place is kept in the
 * record (e.len), so that the verifier sees one state.
 */
static __noinline int read_params(struct conn_record *r, __u64 keys, __u64 values)
{
	volatile __u32 *place;
	int i, k;

	if (!r)
		return 0;
	place = &r->e.len;
	for (i = 0; i < PARAMS_MAX; i++) {
		__u64 key = 0, value = 0;
		char name[8] = {};
		int which;
		__u32 at;
		long n;

		if (bpf_probe_read_user(&key, sizeof(key), (void *)(keys + i * 8)) || !key)
			break;
		bpf_probe_read_user(&value, sizeof(value), (void *)(values + i * 8));
		bpf_probe_read_user_str(name, sizeof(name), (void *)key);
		which = setting(name);
		if (which < 0 || !value)
			continue;
		at = *place;
		asm volatile("" : "+r"(at));
		if (at > sizeof(r->data) - 8 - PARAM_VALUE_MAX)
			break;
		for (k = 0; k < 7; k++)
			r->data[at + k] = setting_names[(which + k) & 31];
		at += which ? 5 : 7; /* with its NUL */
		n = bpf_probe_read_user_str(&r->data[at], PARAM_VALUE_MAX, (void *)value);
		if (n > 0)
			*place = at + n;
	}
	return 0;
}

static __noinline int connected(struct call *call, __u64 pgconn)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct conn_record *r;
	long n;

	if (!call || !pgconn)
		return 0;
	r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r)
		return 0;
	__builtin_memset(r, 0, sizeof(*r));
	r->e.header.kind = EVENT_LIBPQ_CONN;
	r->e.header.version = EVENT_VERSION;
	r->e.header.time = bpf_ktime_get_ns();
	r->e.header.tgid = id >> 32;
	r->e.header.tid = id;
	r->e.libpq_conn = pgconn;
	r->e.start = call->start;
	r->e.end = r->e.header.time;
	if (call->function == LIBPQ_CONNECTDB_PARAMS || call->function == LIBPQ_CONNECT_START_PARAMS) {
		read_params(r, call->argument, call->values);
	} else {
		r->e.form = 1;
		n = bpf_probe_read_user_str(r->data, sizeof(r->data), (void *)call->argument);
		r->e.len = n > 0 ? n - 1 : 0;
	}
	r->e.header.size = sizeof(r->e) + r->e.len;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline int is_connect(__u32 function)
{
	return function >= LIBPQ_CONNECTDB && function <= LIBPQ_CONNECT_START_PARAMS;
}

SEC("?uprobe")
int libpq_entry(struct pt_regs *ctx)
{
	__u32 function = bpf_get_attach_cookie(ctx), tid = bpf_get_current_pid_tgid();
	struct call call = {}, *outer;
	__u64 pgconn = ctx->di;

	if (function == LIBPQ_FINISH) {
		op_finish(op_key(pgconn, bpf_get_current_pid_tgid() >> 32));
		return 0;
	}
	if (is_connect(function)) {
		outer = bpf_map_lookup_elem(&libpq_calls, &tid);
		if (outer && is_connect(outer->function))
			return 0; /* PQconnectdb calls PQconnectStart */
		call.argument = pgconn;
		call.values = ctx->si;
	} else if (function != LIBPQ_GET_RESULT && function != LIBPQ_DESCRIBE_PREPARED) {
		op_begin(function, pgconn, ctx->si, ctx->dx);
		if (!is_blocking(function))
			return 0; /* has no return probe */
	}
	if (function == LIBPQ_GET_RESULT) {
		/* inside a blocking call its own return ends it */
		outer = bpf_map_lookup_elem(&libpq_calls, &tid);
		if (outer && is_blocking(outer->function))
			return 0;
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
	__u32 function = bpf_get_attach_cookie(ctx), tid = bpf_get_current_pid_tgid();
	__u64 result = ctx->ax, key;
	struct libpq_op *op;
	struct call *c = bpf_map_lookup_elem(&libpq_calls, &tid);

	if (!c || c->function != function)
		return 0;
	key = op_key(c->pgconn, bpf_get_current_pid_tgid() >> 32);
	if (is_connect(function)) {
		connected(c, result);
	} else if (function == LIBPQ_GET_RESULT) {
		if (result)
			op_took_result(key, result);
		else
			op_finish(key);
	} else if (function != LIBPQ_DESCRIBE_PREPARED) {
		/* a page that nobody touched cannot be read in a probe; libpq has touched it by now */
		op = bpf_map_lookup_elem(&libpq_ops, &key);
		if (op && !op->ex.request_len)
			op_text(op, op->text[0], op->text[1]);
		if (result)
			op_took_result(key, result);
		op_finish(key);
	}
	bpf_map_delete_elem(&libpq_calls, &tid);
	return 0;
}
