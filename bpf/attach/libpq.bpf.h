/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the files of the libpq probes share. A PGconn has a state (libpq_conns), and its statements are numbered in the
 * order in which they were sent: those of [head, tail) wait for results, the one that is being sent has the number
 * tail. Functions are global, so the verifier checks each once.
 */
#ifndef SONDE_ATTACH_LIBPQ_BPF_H
#define SONDE_ATTACH_LIBPQ_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

/* ExecStatusType (libpq-fe.h). */
enum libpq_status {
	PGRES_EMPTY_QUERY = 0,
	PGRES_TUPLES_OK = 2,
	PGRES_COPY_OUT = 3,
	PGRES_COPY_IN = 4,
	PGRES_BAD_RESPONSE = 5,
	PGRES_FATAL_ERROR = 7,
	PGRES_COPY_BOTH = 8,
	PGRES_SINGLE_TUPLE = 9,
	PGRES_PIPELINE_SYNC = 10,
	PGRES_PIPELINE_ABORTED = 11,
	PGRES_TUPLES_CHUNK = 12,
};

/* What the entry of a call leaves for its return. */
struct call {
	__u64 pgconn;
	__u64 argument; /* connection string, or the arrays of PQconnectdbParams; host and port of PQsetdbLogin */
	__u64 values;
	__u64 database, user; /* of PQsetdbLogin */
	__u64 start;
	__u32 function;
	__u32 polled; /* calls that connect: what PQconnectPoll returned in them, and 1; 0 = nothing yet */
};

struct libpq_calls_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* thread id, with LIBPQ_ASIDE for calls that are no statements */
	__type(value, struct call);
};

extern struct libpq_calls_map libpq_calls SEC(".maps");

#define LIBPQ_ASIDE (1U << 31) /* connecting calls those that send statements */

/* Of a PGconn and its process: addresses repeat between processes. Well mixed, so that sums with it are, too. */
static __always_inline __u64 libpq_key(__u64 pgconn, __u32 tgid)
{
	__u64 h = (pgconn ^ (__u64)tgid << 40) * 0x9E3779B97F4A7C15ULL;

	return h ^ h >> 29;
}

static __always_inline __u64 libpq_op_key(__u64 key, __u32 number)
{
	return key + (number + 1ULL) * 0xD6E8FEB86659FD93ULL;
}

/* The state of a PGconn; it is made when there is none. */
static __always_inline struct libpq_conn *libpq_state(__u64 key)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key), fresh = {};

	if (s)
		return s;
	fresh.epoch = bpf_ktime_get_ns();
	bpf_map_update_elem(&libpq_conns, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&libpq_conns, &key);
}

static __always_inline int libpq_is_copy(__u32 status)
{
	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* --- libpq_text.bpf.c */

/* Reads the statement of op, and its operation key, from where the application has it. */
int libpq_text(struct libpq_op *op);

/* --- libpq_queue.bpf.c: statements of a PGconn; key is libpq_key() */

/* A statement is about to be sent; first and second are the addresses of its text or name. */
int libpq_stage(__u32 function, __u64 pgconn, __u64 first, __u64 second);
/* PQsend* returned. */
int libpq_sent(__u64 key, int sent);
/* A call that waits for its answer returned with the last result, 0: nothing was sent. */
int libpq_answered(__u64 key, __u64 result);
int libpq_pipeline(__u64 key, int on);
/* PQfinish, or (again) PQreset. */
int libpq_close(__u64 pgconn, int again);

int libpq_finish(__u64 key, __u32 number, int gone);
int libpq_finish_all(__u64 key, int gone);

/* --- libpq_result.bpf.c */

/* PQgetResult returned; inside: of a call that waits for the statement it staged. */
int libpq_took(__u64 key, __u64 result, int inside);
/* Adds a result (not NULL) to its statement. */
int libpq_add_result(struct libpq_op *op, __u64 result);
/* A statement is over: counts it, and sends it up. gone: because its connection is. */
int libpq_count(struct libpq_op *op, int gone);

/* --- libpq_transaction.bpf.c */

/* A statement is over. True: with it a transaction is, see op->tx; the caller counts it. */
int libpq_transaction(struct libpq_op *op);
/* The connection is: counts the transaction that it was in. */
int libpq_transaction_close(__u64 key);

/* --- libpq_connect.bpf.c */

/* PQconnect*, PQreset and PQconnectPoll, by the arguments and the result that they have. */
int libpq_connect_entry(__u32 function, __u64 first, __u64 second, __u64 fifth, __u64 sixth);
int libpq_connect_return(__u32 function, __u64 result);
/* PQconnect* returned pgconn; goes_on: PQconnectPoll will say how it ends. */
int libpq_told(struct call *call, __u64 pgconn, int failed, int goes_on);
/* The attempt to connect is over, or the PGconn is, by form (enum libpq_conn_form). */
int libpq_tell(__u64 pgconn, __u64 start, __u32 failed, __u32 form);

/* --- libpq_aside.bpf.c: what goes on beside statements */

/* PQgetCancel and PQcancelCreate made what cancels statements of pgconn. */
int libpq_cancel_made(__u64 pgconn, __u64 cancel);
/* The statement that the PGconn of this key waits for is to be cancelled. */
int libpq_cancel(__u64 key);
/* PQcancel, PQcancelBlocking and PQcancelStart. */
int libpq_cancel_by(__u64 cancel);
/* n bytes went through PQputCopyData or PQgetCopyData of this file. */
int libpq_copied(__u64 pgconn, int n, __u32 file);

#endif
