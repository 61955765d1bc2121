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

enum libpq_function {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) LIBPQ_##id = number,
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
};

/* ExecStatusType (libpq-fe.h). */
enum libpq_status {
	PGRES_EMPTY_QUERY = 0,
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
	__u64 argument; /* connection string, or the arrays of PQconnectdbParams */
	__u64 values;
	__u64 start;
	__u32 function;
	__u32 pad;
};

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
/* PQfinish or PQreset. */
int libpq_close(__u64 key);
int libpq_finish(__u64 key, __u32 number, int gone);
int libpq_finish_all(__u64 key, int gone);

/* --- libpq_result.bpf.c */

/* PQgetResult returned; inside: of a call that waits for the statement it staged. */
int libpq_took(__u64 key, __u64 result, int inside);
/* Adds a result (not NULL) to its statement. */
int libpq_add_result(struct libpq_op *op, __u64 result);
/* A statement is over: counts it, and sends it up. gone: because its connection is. */
int libpq_count(struct libpq_op *op, int gone);

/* --- libpq_connect.bpf.c */

/* PQconnect* returned pgconn (0 = out of memory). */
int libpq_connected(struct call *call, __u64 pgconn);

#endif
