/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol's parser: bytes in, facts out. No allocation, log, clock, errno or globals; cut bytes are normal input.
 * One `const struct proto proto_<name>` per file and one line in protocols.def.
 *
 * exchange(): one request and its answer as the kernel paired them (head of the request, head and tail of the answer).
 * stream(): bytes of a connection that does not speak in turns; calls back for each operation it finds complete.
 */
#ifndef SONDE_PROTO_PROTO_H
#define SONDE_PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "util/bytes.h"

/* What one operation (a request, a statement) was. Pointers are into the input. Zeroed = nothing known. */
struct operation {
	enum proto_id proto;
	/* HTTP */
	struct bytes method, target, host, user_agent, forwarded_proto, forwarded_host, forwarded_for;
	struct bytes traceparent, tracestate;
	unsigned traceparent_count;
	uint16_t http_status, http_version; /* 200; 10, 11 */
	/* SQL */
	struct bytes statement; /* text as the application wrote it; unsanitised: must not leave the agent */
	bool statement_cut;     /* more text existed than was captured */
	bool statement_parameterised; /* came by Parse/Bind with at least one parameter */
	struct bytes statement_name;  /* of a prepared statement whose text is not known */
	struct bytes command_tag;     /* "SELECT 3" */
	bool rows_known;
	uint64_t rows;                /* returned (SELECT, FETCH, RETURNING) or affected, see rows_returned */
	bool rows_returned;           /* rows came back to the client */
	struct bytes sqlstate, severity; /* of the error, empty = it did not fail */
	struct bytes database, user;  /* startup message only */
	bool startup;                 /* not a statement: connection start-up or authentication */
	bool internal;                /* protocol traffic that is no statement (Parse or Close alone, Terminate) */
};

struct exchange_bytes {
	const struct event_exchange *e;
	struct bytes request, answer, tail; /* request includes fragments */
};

struct proto_stream; /* state of stream(): proto->stream_size bytes, zeroed by the caller */

/* One finished operation of a stream; times are those of the bytes that began and ended it. */
struct stream_operation {
	struct operation op;
	uint64_t start, first, end; /* CLOCK_MONOTONIC ns */
	uint64_t parent;            /* exchange id of the server request, 0 = none */
};

typedef void stream_emit_fn(void *context, const struct stream_operation *op);

struct stream_input {
	enum stream_dir dir;
	struct bytes data;
	uint64_t gap;    /* bytes missing after data */
	uint64_t time;   /* of these bytes */
	uint64_t parent;
};

struct proto {
	const char *name; /* option key, metric label, test folder */
	enum proto_id id;
	/* False: the bytes make no sense for this protocol (counted as undecodable). */
	bool (*exchange)(const struct exchange_bytes *in, struct operation *ret);
	size_t stream_size; /* 0 = never streams */
	/* False: lost its place and cannot find it again. */
	bool (*stream)(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
	void (*stream_close)(struct proto_stream *st); /* may be NULL */
};

const struct proto *proto_find(enum proto_id id); /* NULL when there is none */
extern const struct proto *const protos[];        /* NULL-terminated, from protocols.def */

#endif
