/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The statements of a PGconn, in the order in which they are sent. */
#include "attach/libpq.bpf.h"
#include "core/thread.bpf.h"

#define FINISH_MAX 64 /* at once; more are open only in a pipeline whose connection is gone */

static struct libpq_op empty_op;

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
	case LIBPQ_CLOSE_PREPARED:
	case LIBPQ_SEND_CLOSE_PREPARED:
		return PG_PARSE;
	case LIBPQ_FN:
		return PG_FUNCTION;
	}
	return PG_OTHER; /* takes its place in the queue, and is no statement */
}

__noinline int libpq_finish(__u64 key, __u32 number, int gone)
{
	__u64 at = libpq_op_key(key, number);
	struct libpq_op *op = bpf_map_lookup_elem(&libpq_ops, &at);

	if (!op)
		return 0;
	libpq_count(op, gone);
	bpf_map_delete_elem(&libpq_ops, &at);
	return 0;
}

__noinline int libpq_finish_all(__u64 key, int gone)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	int i;

	if (!s)
		return 0;
	for (i = 0; i < FINISH_MAX; i++) {
		__u32 number = *(volatile __u32 *)&s->head;

		if (number == s->tail)
			break;
		libpq_finish(key, number, gone);
		s->head = number + 1;
	}
	s->head = s->tail; /* what is left now is swept, and counted, by the keeper */
	return 0;
}

__noinline int libpq_stage(__u32 function, __u64 pgconn, __u64 first, __u64 second)
{
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns(), key, at, parent;
	__u32 tgid = id >> 32, tid = id;
	struct libpq_conn *s;
	struct libpq_op *op;
	int service;

	key = libpq_key(pgconn, tgid);
	s = libpq_state(key);
	service = core_service(tgid, tid, now);
	if (!s || service < 0)
		return 0;
	parent = context_libpq_request(key, s->conn, tid);
	at = libpq_op_key(key, s->tail);
	if (bpf_map_update_elem(&libpq_ops, &at, &empty_op, BPF_ANY)) {
		count(KERNEL_libpq_pipelines);
		return 0;
	}
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (!op)
		return 0;
	op->owner.conn = key;
	op->owner.tgid = tgid;
	op->owner.number = s->tail;
	event_header(&op->ex.header, 0, EVENT_EXCHANGE, 0, tgid, tid);
	op->ex.id = core_exchange_id();
	if (parent == PARENT_UNSURE) {
		op->ex.flags |= EXCHANGE_PARENT_UNSURE;
		parent = 0;
	}
	op->ex.parent = parent;
	op->ex.start = now;
	op->ex.service = service;
	op->ex.proto = PROTO_POSTGRES;
	op->ex.role = ROLE_CLIENT;
	op->ex.source = SOURCE_LIBPQ;
	op->ex.reason = END_COMPLETE;
	op->ex.method = request_kind(function);
	op->ex.libpq_conn = pgconn;
	op->text[0] = first;
	op->text[1] = function == LIBPQ_CLOSE_PREPARED || function == LIBPQ_SEND_CLOSE_PREPARED ? 0 : second;
	libpq_text(op);
	if (span_skip(process_of(tgid), (__u32)key, parent, now))
		op->ex.flags |= EXCHANGE_SKIPPED;
	return 0;
}

/* Outside of a pipeline libpq takes no statement before it has read all of the one before. */
static __always_inline void sent_before(struct libpq_conn *s, __u64 key)
{
	__u64 at = libpq_op_key(key, s->head);
	struct libpq_op *op;

	if (s->pipeline != LIBPQ_PIPELINE_OFF || s->head == s->tail)
		return;
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (op && !op->result.results && !s->wire) {
		/* a pipeline that began before the probes were there: which results are whose is not known */
		s->pipeline = LIBPQ_PIPELINE_LOST;
		count(KERNEL_libpq_pipelines);
		bpf_map_delete_elem(&libpq_ops, &at);
		s->head = s->tail;
		return;
	}
	libpq_finish_all(key, 0);
}

__noinline int libpq_sent(__u64 key, int sent)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	struct libpq_op *op;
	__u64 at;

	if (!s)
		return 0;
	if (sent)
		sent_before(s, key);
	at = libpq_op_key(key, s->tail);
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (sent && s->pipeline == LIBPQ_PIPELINE_LOST && op && pg_statement_counts(op->ex.method))
		count(KERNEL_libpq_pipelines);
	if (!sent || s->pipeline == LIBPQ_PIPELINE_LOST) {
		bpf_map_delete_elem(&libpq_ops, &at);
		return 0;
	}
	if (op && !op->ex.request_len)
		libpq_text(op); /* a page that nobody touched cannot be read in a probe; libpq has touched it by now */
	s->tail++;
	return 0;
}

__noinline int libpq_answered(__u64 key, __u64 result)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	__u32 number, status;
	struct libpq_op *op;
	__u64 at;

	if (!s)
		return 0;
	number = s->tail;
	at = libpq_op_key(key, number);
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (!op)
		return 0;
	if (!result && !op->result.results) {
		bpf_map_delete_elem(&libpq_ops, &at);
		return 0;
	}
	libpq_finish_all(key, 0);
	if (!op->result.results) /* libpq's own PQgetResult was not seen */
		libpq_add_result(op, result);
	s->pipeline = LIBPQ_PIPELINE_OFF; /* which has no such calls */
	s->tail = number + 1;
	status = op->result.status;
	if (libpq_is_copy(status)) /* its end is still to come */
		return 0;
	libpq_finish(key, number, 0);
	s->head = number + 1;
	return 0;
}

__noinline int libpq_pipeline(__u64 key, int on)
{
	struct libpq_conn *s = libpq_state(key);

	if (!s)
		return 0;
	if (!on || s->pipeline != LIBPQ_PIPELINE_ON)
		libpq_finish_all(key, 0);
	s->pipeline = on ? LIBPQ_PIPELINE_ON : LIBPQ_PIPELINE_OFF;
	return 0;
}

__noinline int libpq_close(__u64 pgconn, int again)
{
	__u64 key = libpq_key(pgconn, bpf_get_current_pid_tgid() >> 32);
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);

	if (!s)
		return 0;
	libpq_finish_all(key, 1);
	libpq_transaction_close(key);
	if (s->connect_start)
		libpq_tell(pgconn, s->connect_start, 1, LIBPQ_CONN_AGAIN);
	if (!again)
		libpq_tell(pgconn, 0, 0, LIBPQ_CONN_GONE);
	bpf_map_delete_elem(&libpq_conns, &key);
	return 0;
}
