/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL messages, shared by the parser of exchanges and that of streams. Protocol 3.x, chapter "Message Formats".
 */
#ifndef SONDE_PROTO_POSTGRES_H
#define SONDE_PROTO_POSTGRES_H

#include "proto/proto.h"

#define PG_HEADER 5 /* type and length */

struct pg_message {
	char type;
	bool whole;	   /* all of its body is there */
	uint32_t len;	   /* of the whole body */
	struct bytes body; /* what there is of it */
};

enum pg_next { PG_NEXT_OK, PG_NEXT_END, PG_NEXT_BAD };

/* The message at the cursor. END: not even a header is left. BAD: no message of PostgreSQL begins here. */
enum pg_next pg_next_message(struct bytes *b, bool backend, struct pg_message *ret);
/* May type begin a message that a server sends? */
bool pg_backend_type(char type);

/* A C string that may be cut by the end of the bytes: then *ret_cut, and what there is. */
struct bytes pg_string(struct bytes *b, bool *ret_cut);

struct pg_bind {
	struct bytes portal, statement;
	bool parameters; /* at least one */
};

/* False when even the names are cut. */
bool pg_read_bind(struct bytes body, struct pg_bind *ret);
/* Fields of an ErrorResponse, as far as they are there. */
void pg_read_error(struct bytes body, struct operation *ret);

struct pg_tag {
	struct bytes text;
	bool rows_known;
	uint64_t rows;
	bool select; /* SELECT or FETCH: rows come back, but for CREATE TABLE AS */
};

/* False when it is no command tag. */
bool pg_read_tag(struct bytes body, struct pg_tag *ret);
/* White space and semicolons only: the server answers EmptyQueryResponse. */
bool pg_is_blank(struct bytes text);

void postgres_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit,
			   void *context);
bool postgres_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
bool postgres_stream_busy(const struct proto_stream *st);
void postgres_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context);

#endif
