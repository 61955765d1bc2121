/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Results, and which statement they are of. What is read of a PGresult stands at the same place since libpq 9.2
 * (libpq-int.h, struct pg_result): the counts, the status and the command tag at its head, the error's fields as a
 * list.
 */
#include "attach/libpq.bpf.h"
#include "core/emit.bpf.h"

#define RESULT_STATUS 40
#define RESULT_TAG 44
#define RESULT_ERROR_FIELDS 168
#define FIELD_CODE 8
#define FIELD_TEXT 9
#define FIELDS_MAX 16

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

static __noinline int op_emit(struct libpq_op *op, int counts)
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
	if (ex->flags & EXCHANGE_TRANSACTION) {
		__builtin_memcpy(&op->data.b[at + sizeof(op->result)], &op->tx, sizeof(op->tx));
		len += sizeof(op->tx);
	}
	ex->header.size = len;
	ex->header.time = ex->end;
	if (emit_record(ex, len, counts) && counts)
		count(KERNEL_ring_full);
	return 0;
}

/* The key of one statement of a text with several. */
static __always_inline __u64 part_key(const struct libpq_op *op, int more)
{
	return op->ex.part || more ? op->operation ^ (op->ex.part + 1ULL) * 0xD6E8FEB86659FD93ULL : op->operation;
}

/* Some of the rows: single row mode, and since 17 chunks. */
static __always_inline int is_piece(__u32 status)
{
	return status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_CHUNK;
}

static __always_inline int is_failure(const struct libpq_op *op)
{
	return op->result.status == PGRES_FATAL_ERROR || op->result.status == PGRES_BAD_RESPONSE;
}

/*
 * Names of prepared statements stand for texts since the answer said so, until they are closed. SQL may do the same: of
 * it only is known that it did, so then no name that was given before is relied on. DEALLOCATE of one name needs
 * nothing, since it must be given again before it is used.
 */
static __noinline int learn_names(struct libpq_op *op)
{
	struct prepared_key key = {};
	__u64 operation, *known;
	struct libpq_conn *s;
	__u32 w;

	if (!op || is_failure(op))
		return 0;
	key.conn = op->owner.conn;
	s = bpf_map_lookup_elem(&libpq_conns, &key.conn);
	if (!s)
		return 0;
	w = frame_load32(op->result.tag);
	if ((w == HTTP1_WORD('D', 'I', 'S', 'C') && op->result.tag[8] == 'A') ||
	    (w == HTTP1_WORD('D', 'E', 'A', 'L') && op->result.tag[10]) ||
	    (w == HTTP1_WORD('P', 'R', 'E', 'P') && !op->result.tag[7]))
		s->epoch = bpf_ktime_get_ns();
	if (op->ex.method != PG_PARSE && op->ex.method != PG_EXECUTE)
		return 0;
	key.conn += s->epoch;
	key.name = op->name;
	if (op->ex.method == PG_EXECUTE) {
		known = bpf_map_lookup_elem(&prepared, &key);
		if (known)
			op->operation = *known;
	} else if (op->text[1]) {
		operation = op->operation; /* kernels before 6.2 take values for a map from the stack or a map only */
		bpf_map_update_elem(&prepared, &key, &operation, BPF_ANY);
	} else {
		bpf_map_delete_elem(&prepared, &key);
	}
	return 0;
}

/* Were all bytes of a COPY counted? */
static __always_inline void copy_counted(struct libpq_op *op)
{
	if (frame_load32(op->result.tag) != HTTP1_WORD('C', 'O', 'P', 'Y'))
		return;
	if (op->result.copy_bytes ? !probed_files[op->file & (PROBED_FILES_MAX - 1)].copies_unseen
				  : op->result.tag[5] == '0')
		return;
	op->result.copy_bytes = LIBPQ_COPY_UNKNOWN;
	count(KERNEL_libpq_copies_uncounted);
}

/* PREPARE and DEALLOCATE are none that the server counts (frame/postgres.h). */
static __always_inline int tag_counts(const char *tag)
{
	__u32 w = frame_load32(tag);

	if (w == HTTP1_WORD('D', 'E', 'A', 'L'))
		return 0;
	return w != HTTP1_WORD('P', 'R', 'E', 'P') || tag[7];
}

/* What the exchange's record says of the result. */
static __always_inline void fill_exchange(struct libpq_op *op, int gone, int more)
{
	struct event_exchange *ex = &op->ex;

	if (!ex->end) {
		ex->end = bpf_ktime_get_ns();
		if (gone)
			ex->flags |= EXCHANGE_NO_ANSWER;
	}
	/* Results of a text come together: which of it ran when it was cancelled is not known, the last did. */
	if (op->cancelled && !more)
		ex->flags |= EXCHANGE_CANCEL_ASKED;
	ex->operation = part_key(op, more);
	ex->status = op->result.sqlstate[0] ? pg_sqlstate_pack(op->result.sqlstate) : 0;
	if (is_failure(op))
		ex->flags |= EXCHANGE_FAILED;
}

/* A statement that cannot be prepared is not run after it: it failed, and stands for itself without the name. */
static __noinline int prepare_failed(struct libpq_op *op)
{
	struct event_exchange *ex;
	__u32 len;
	long name;

	if (!op)
		return 0;
	ex = &op->ex;
	if (ex->method != PG_PARSE || !op->text[1] || !is_failure(op))
		return 0;
	name = bpf_probe_read_kernel_str(op->data.b, EVENT_REQUEST_MAX, op->data.b); /* in its place: how long it is */
	len = ex->request_len;
	if (name <= 0 || name > len)
		return 0;
	len -= name;
	ex->method = PG_EXTENDED;
	ex->request_len = len;
	ex->request_bytes -= name;
	asm volatile("" : "+r"(len));
	if (len <= EVENT_REQUEST_MAX)
		bpf_probe_read_kernel(op->data.b, len, op->data.b + name);
	return 1;
}

static __noinline int count_one(struct libpq_op *op, int gone, int more)
{
	__u64 key;
	struct libpq_conn *s;
	struct event_exchange *ex;
	int counts;

	if (!op)
		return 0;
	key = op->owner.conn;
	s = bpf_map_lookup_elem(&libpq_conns, &key);
	ex = &op->ex;
	counts = pg_statement_counts(ex->method);
	if (counts && !tag_counts(op->result.tag)) {
		__u8 method = ex->method;

		learn_names(op);
		ex->method = PG_OTHER; /* user space has names of its own to forget */
		if (s && !s->wire)
			op_emit(op, 0);
		ex->method = method;
		return 0;
	}
	if (s && s->wire) {
		if (counts)
			count(KERNEL_wire_and_libpq);
		return 0;
	}
	if (op->result.status == PGRES_PIPELINE_ABORTED) {
		if (counts)
			count(KERNEL_libpq_aborted);
		return 0;
	}
	if (op->result.results && op->result.status == PGRES_EMPTY_QUERY)
		return 0; /* the server does not count it either */
	if (s) {
		ex->header.conn = s->conn;
		op->peer = s->peer;
	}
	learn_names(op);
	copy_counted(op);
	fill_exchange(op, gone, more);
	if (prepare_failed(op))
		counts = 1;
	if (counts) {
		if (libpq_transaction(op))
			hist_transaction(ex, &op->data, op->peer, &op->tx, ex->end);
		count(KERNEL_spans_seen);
		hist_exchange(ex, &op->data, op->peer, 0,
			      op->result.status == PGRES_TUPLES_OK ? op->result.rows : HIST_NO_AMOUNT);
	}
	if (!counts || !span_left_out(ex, counts)) /* names of prepared statements are always of use */
		op_emit(op, counts);
	return 0;
}

__noinline int libpq_count(struct libpq_op *op, int gone)
{
	return count_one(op, gone, 0);
}

/* Another statement of the same text: it begins where the one before it ended. */
static __noinline int next_part(struct libpq_op *op)
{
	if (!op)
		return 0;
	count_one(op, 0, 1);
	op->ex.id = core_exchange_id();
	op->ex.start = op->ex.end;
	op->ex.first = 0;
	op->ex.end = 0;
	op->ex.part++;
	op->ex.flags &= EXCHANGE_SKIPPED;
	__builtin_memset(&op->result, 0, sizeof(op->result));
	return 0;
}

__noinline int libpq_add_result(struct libpq_op *op, __u64 result)
{
	__u32 rows = 0, status = 0;
	__u64 now;

	if (!op)
		return 0;
	if (!op->ex.request_len)
		libpq_text(op); /* a page that nobody touched cannot be read in a probe; libpq has touched it by now */
	if (op->ex.method == PG_QUERY && op->result.tag[0] && !is_piece(op->result.status))
		next_part(op);
	now = bpf_ktime_get_ns();
	if (!op->ex.first)
		op->ex.first = now;
	op->ex.end = now;
	bpf_probe_read_user(&rows, sizeof(rows), (void *)result);
	bpf_probe_read_user(&status, sizeof(status), (void *)(result + RESULT_STATUS));
	op->result.rows += rows;
	op->result.results++;
	op->result.status = status;
	if (!op->result.tag[0]) /* the last chunk may have it, and not the result that ends them */
		bpf_probe_read_user_str(op->result.tag, sizeof(op->result.tag), (void *)(result + RESULT_TAG));
	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
		result_sqlstate(&op->result, result);
	return 0;
}

/*
 * In a pipeline each statement has one result (but for single rows and chunks, whose last one says that it is), then a
 * NULL; a synchronisation point has a result of its own. Else a NULL ends what was sent, which may be several
 * statements.
 */
__noinline int libpq_took(__u64 key, __u64 result, int inside)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	__u32 status = 0, number;
	struct libpq_op *op;
	__u64 at;

	if (!s)
		return 0;
	number = s->head;
	if (!result) {
		if (s->pipeline == LIBPQ_PIPELINE_OFF && number != s->tail)
			libpq_finish_all(key, 0);
		return 0;
	}
	bpf_probe_read_user(&status, sizeof(status), (void *)(result + RESULT_STATUS));
	if (status == PGRES_PIPELINE_SYNC || (number == s->tail && !inside))
		return 0;
	at = libpq_op_key(key, number);
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (op)
		libpq_add_result(op, result);
	if (s->pipeline == LIBPQ_PIPELINE_ON && !is_piece(status)) {
		libpq_finish(key, number, 0);
		s->head = number + 1;
	}
	return 0;
}
