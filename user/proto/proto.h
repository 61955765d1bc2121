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

/* Request headers that carry a trace context beside traceparent, in the order in which they are asked. */
enum trace_header {
	TRACE_B3,
	TRACE_B3_TRACE_ID,
	TRACE_B3_SPAN_ID,
	TRACE_B3_SAMPLED,
	TRACE_B3_FLAGS,
	TRACE_DATADOG_TRACE_ID,
	TRACE_DATADOG_PARENT_ID,
	TRACE_DATADOG_PRIORITY,
	TRACE_DATADOG_TAGS,
	TRACE_UBER,
	TRACE_XRAY,
	TRACE_SENTRY,
	TRACE_HEADER_COUNT
};

#define TRACESTATE_MAX 4 /* header lines that are joined */

/* What one operation (a request, a statement) was. Pointers are into the input. Zeroed = nothing known. */
struct operation {
	enum proto_id proto;
	/* HTTP */
	struct bytes method, target, host, user_agent, forwarded_proto, forwarded_host, forwarded_for;
	struct bytes traceparent;
	unsigned traceparent_count;
	struct bytes tracestate[TRACESTATE_MAX];
	unsigned tracestate_count;
	struct bytes trace_headers[TRACE_HEADER_COUNT];
	bool target_cut;		    /* the request target goes on beyond what was captured */
	uint16_t http_status, http_version; /* 200; 10, 11 */
	/* SQL */
	struct bytes statement;	      /* text as the application wrote it; unsanitised: must not leave the agent */
	bool statement_cut;	      /* more text existed than was captured */
	bool statement_parameterised; /* came by Parse/Bind with at least one parameter */
	struct bytes statement_name;  /* of a prepared statement whose text is not known */
	struct bytes command_tag;     /* "SELECT 3" */
	bool rows_known;
	uint64_t rows;	    /* returned (SELECT, FETCH, RETURNING) or affected, see rows_returned */
	bool rows_returned; /* rows came back to the client */
	bool copy_known;    /* copy_bytes is how much COPY moved */
	uint64_t copy_bytes;
	struct bytes sqlstate, severity;	 /* of the error, empty = it did not fail */
	unsigned error_number;			 /* MySQL: of the error, 0 = it did not fail */
	struct bytes database, user;		 /* startup message; MySQL: also what changed the database */
	struct bytes application;		 /* PostgreSQL, startup only: application_name */
	struct bytes server_version;		 /* MySQL, startup only */
	bool forgets_prepared, forgets_database; /* MySQL: what the connection was told before does not hold any more */
	bool startup;				 /* not a statement: connection start-up or authentication */
	bool internal;		  /* protocol traffic that is no statement (Parse or Close alone, Terminate) */
	char transaction_status;  /* stream(): what the server says after it, as in ReadyForQuery; 0 = nothing */
	bool simple;		  /* a simple query: the text may hold several statements */
	unsigned statement_index; /* stream(), libpq: which statement of the simple query, from 0 */
	unsigned completed;	  /* exchange(): how many statements completed, as far as was seen */
	bool prepare_failed;	  /* exchange(): an error, and no sign that what was to be prepared was */
};

/*
 * A name that a request gives to a statement, or takes from it (close). text is unsanitised. cut as statement_cut.
 */
struct prepared {
	struct bytes name, text;
	bool cut, close;
};

typedef void prepared_fn(void *context, const struct prepared *p);

struct exchange_bytes {
	const struct event_exchange *e;
	struct bytes request, answer, tail; /* request includes fragments */
};

struct proto_stream; /* state of stream(): proto->stream_size bytes, zeroed by the caller */

/* One finished operation of a stream; times are those of the bytes that began and ended it. */
struct stream_operation {
	struct operation op;
	uint64_t start, first, end; /* CLOCK_MONOTONIC ns */
	uint64_t busy;		    /* ns it took, when that is not all between start and end; 0 = it is */
	uint64_t parent;	    /* exchange id of the server request, 0 = none */
	bool lost;		    /* it ran, but how it ended fell into a gap: only to be counted */
	bool unanswered;	    /* the connection closed before its answer was complete */
	bool more;		    /* MySQL: another result of the same text is to come */
	bool has_prepared;	    /* op.internal: it gave or took a statement's name */
	struct prepared prepared;
};

typedef void stream_emit_fn(void *context, const struct stream_operation *op);

struct stream_input {
	enum stream_dir dir;
	struct bytes data;
	uint64_t gap;  /* bytes missing after data */
	uint32_t rows; /* of PostgreSQL's answers, when they are rows alone: how many, but for those of COPY */
	bool gap_is_rows;
	uint64_t time; /* of these bytes */
	uint64_t parent;
};

struct proto {
	const char *name; /* option key, metric label, test folder */
	enum proto_id id;
	/* False: the bytes make no sense for this protocol (counted as undecodable). */
	bool (*exchange)(const struct exchange_bytes *in, struct operation *ret);
	/* Calls back for each name that the exchange gave to a prepared statement, or took. NULL: the protocol has
	 * none.
	 */
	void (*prepared)(const struct exchange_bytes *in, prepared_fn *fn, void *context);
	size_t stream_size; /* 0 = never streams */
	/* The exchange during which the connection began to stream. NULL when stream is. */
	void (*stream_begin)(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit,
			     void *context);
	/* False: lost its place; what was open went out as lost, and it waits for a place to begin again. */
	bool (*stream)(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
	/* Does anything wait for its answer, or is a transaction open? NULL when stream is. */
	bool (*stream_busy)(const struct proto_stream *st);
	/* The connection ended at time: emits what was open. NULL when stream is. */
	void (*stream_close)(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context);
};

const struct proto *proto_find(enum proto_id id); /* NULL when there is none */
extern const struct proto *const protos[];	  /* NULL-terminated, from protocols.def */

#endif
