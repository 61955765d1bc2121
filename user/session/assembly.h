/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of trace assembly share. */
#ifndef SONDE_SESSION_ASSEMBLY_H
#define SONDE_SESSION_ASSEMBLY_H

#include "conn/table.h"
#include "proto/proto.h"
#include "session/budget.h"
#include "session/callbacks.h"
#include "session/graph.h"
#include "session/ids.h"
#include "session/trace.h"
#include "session/sql_cache.h"
#include "session/transaction.h"
#include "util/buf.h"

#define CONNS_DEFAULT 65536
#define LIBPQ_CONNS_MAX 8192
#define STREAMS_MAX 512
#define CLIENT_WAIT_NS 2000000000ULL /* how long a server exchange waits for its client's record */
#define TIME_MAX (1ULL << 62)	     /* of CLOCK_MONOTONIC: 146 years; what is later is no time */
#define CLOSED_KEEP_NS 5000000000ULL

struct assembly {
	struct assembly_config cfg;
	struct ledger *ledger;
	assembly_resource_fn *resource;
	assembly_emit_fn *emit;
	void *ctx;
	assembly_measure_fn *measure;
	void *measure_ctx;
	assembly_record_fn *record;
	void *record_ctx;
	struct opened *opened;
	struct conn_table *conns; /* sockets, and PGconns under a scope of their own */
	size_t streams;
	struct graph *graph;
	struct callbacks *callbacks;
	struct ids ids;
	struct sql_cache sql;
	struct budget budget;
	struct buf request, text; /* scratch */
	uint64_t now;		  /* time of the newest record or tick */
	int64_t offset;
};

/* One request or statement that ended, from an exchange or from a stream: what spans and attributes are made of. */
struct finished {
	const struct operation *op;
	const struct conn *conn;	     /* addresses; NULL = not known */
	const struct conn *peer;	     /* of a PGconn: what it was told; NULL = none */
	uint8_t role;			     /* enum conn_role */
	uint8_t method;			     /* struct event_exchange.method */
	uint8_t source;			     /* enum exchange_source */
	uint8_t reason;			     /* enum end_reason, 0 = of no interest */
	uint16_t flags;			     /* enum exchange_flag */
	uint32_t status;		     /* struct event_exchange.status */
	uint64_t first;			     /* when its answer began, 0 = not known */
	uint64_t worked_since, worked_until; /* struct event_exchange.worked; 0 = from its start, until its end */
	struct bytes statement;		     /* the text, found; empty = not known */
	bool statement_cut;
	const struct transaction_end *transaction; /* that ended with it; NULL = none */
};

static inline bool proto_is_sql(uint8_t proto)
{
	return proto == PROTO_POSTGRES || proto == PROTO_MYSQL;
}

/* error.type of what the kernel ended without a whole answer; empty when the answer was whole. */
struct bytes finished_cut(const struct finished *f);

/* span_http.c */
void http_describe(struct assembly *a, struct span *s, const struct finished *f);
void http_metric(struct assembly *a, struct attrs *to, const struct finished *f);

/* span_sql.c */
/* *ret_traceparent: of a comment in the text, valid until the next one is read; empty = none. */
void sql_describe(struct assembly *a, struct span *s, const struct finished *f, struct bytes *ret_traceparent);
void sql_metric(struct assembly *a, struct attrs *to, const struct finished *f);
void sql_transaction_metric(struct assembly *a, struct attrs *to, const struct finished *f, uint32_t outcome);
/* Finds the text of the statement, and lets the connection learn what the request prepared and dropped. */
void sql_find_statement(struct assembly *a, struct conn *c, struct finished *f);
/* Counts a statement whose text is not known, after it was looked for. */
void sql_count_unknown(struct assembly *a, const struct conn *c, const struct finished *f);
/* Of the text of a simple query, keeps the one statement that this is about; false: it has not so many. */
bool sql_pick_statement(struct finished *f);
bool sql_calls(struct assembly *a, const struct finished *f); /* Does it call a procedure? */
void sql_learn(struct assembly *a, struct conn *c, const struct proto *proto, const struct exchange_bytes *in,
	       const struct operation *op);
/* What an operation says of its connection: its database, who the server is, what is forgotten. */
void sql_learn_conn(struct conn *c, const struct operation *op);
/* What SQL itself does to the names, as its command tag says. */
void sql_learn_tag(struct conn *c, struct bytes tag);
enum sql_dialect sql_dialect_of(enum proto_id proto);

#define SQL_CODE_MAX 8 /* text of a code, with its NUL */
/* error.type; empty when it did not fail. buf: SQL_CODE_MAX bytes. */
struct bytes sql_error_type(const struct finished *f, char *buf);
struct bytes sql_system_name(const struct finished *f);
/* db.namespace, server.address, server.port */
void sql_describe_server(struct assembly *a, struct attrs *to, const struct finished *f);

/* opened.c */
struct opened *opened_new(size_t max_conns); /* NULL: no memory */
void opened_free(struct opened *o);	     /* NULL is allowed */
void opened_exchange(struct assembly *a, const struct exchange_bytes *in, struct conn *c, const struct finished *f);
void opened_by_libpq(struct assembly *a, const struct event_libpq_conn *e, const struct conn *told);
void opened_not(struct assembly *a, const struct event_connect_failed *e);
void opened_announced(struct assembly *a, const struct conn *c);
void opened_state(struct assembly *a, const struct event_state *e);
/* A CancelRequest, sent on connection c. */
void opened_cancel(struct assembly *a, const struct exchange_bytes *in, const struct conn *c);
/* What the span of a statement says of its connection. */
void opened_statement(struct conn *c, struct span *s, const struct finished *f, uint64_t start);

/* libpq.c */
struct conn *libpq_conn(struct assembly *a, uint32_t tgid, uint64_t libpq_conn, bool create);
void libpq_event(struct assembly *a, const struct event_libpq_conn *e);

/* exchange.c */
void exchange_event(struct assembly *a, const struct event_exchange *e);
/* Makes a span of what ended and gives it to the graph. id 0: nothing can be its child. */
void exchange_finish(struct assembly *a, const struct event_header *h, uint32_t service, struct conn *c,
		     const struct finished *f, uint64_t id, uint64_t parent, uint64_t start, uint64_t end);

/* stream.c */
void stream_event(struct assembly *a, const struct event_stream *e);
/* The exchange during which a connection began to stream. */
void stream_switch(struct assembly *a, const struct exchange_bytes *in);
void stream_close(struct assembly *a, struct conn *c, uint64_t time);
void stream_free(void *context, struct conn *c);

#endif
