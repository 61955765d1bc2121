/* SPDX-License-Identifier: Apache-2.0 */
/* What the exchange and the stream parser of MySQL share. */
#ifndef SONDE_PROTO_MYSQL_H
#define SONDE_PROTO_MYSQL_H

#include "frame/mysql_answer.h"
#include "proto/proto.h"

/* Behind a COM_QUERY's query attributes; empty when they cannot be passed over. */
struct bytes mysql_query_text(struct bytes payload);
/* The database that a COM_CHANGE_USER names behind its command. */
struct bytes mysql_change_user_database(struct bytes payload);
/* Database of a USE statement; empty when it is none. */
struct bytes mysql_use(struct bytes text);
/* What a request was, from its enum mysql_request and the bytes behind its command. */
void mysql_describe_request(uint8_t request, struct bytes payload, bool cut, struct operation *ret);
/* How it ended. */
void mysql_describe_result(uint8_t request, const struct mysql_result *r, struct operation *ret);

#define MYSQL_PENDING 1024   /* commands that may wait for their answers */
#define MYSQL_ARENA 65536    /* bytes of their texts; a power of two */
#define MYSQL_TEXT_MAX 16384 /* kept of one text */

struct mysql_pending {
	uint64_t start, first, parent;
	uint32_t text_at; /* place in the arena, counted without end */
	uint16_t text_n;
	uint16_t index;	      /* results that ended before this one */
	uint8_t statement[4]; /* COM_STMT_EXECUTE: its number */
	uint8_t command;
	bool cut; /* more text than was kept */
};

/* A statement whose rows are fetched in portions: it is one, with the rows of all of them (mysql_cursor.c). */
#define MYSQL_CURSORS 16

struct mysql_cursor {
	uint64_t start, first, end, parent;
	uint64_t busy; /* ns in which the server worked on it */
	uint64_t rows;
	uint8_t statement[4];
	bool open;
	bool closing; /* the client is done with it; answers that were waited for come yet */
	bool gapped;  /* some rows were not seen */
};

/* State of one streaming connection: zeroed to begin. */
struct mysql_stream {
	struct mysql_request_walk request;
	struct mysql_answer answer;
	uint64_t began;	     /* time of the first byte of the request's packet */
	uint8_t prepared[4]; /* number of the last statement prepared */
	bool answering;	     /* the answer to the first that waits has begun */
	bool filling;	     /* what the request's packet brings is text of the last that waits */
	bool file;	     /* the client sends a file: nothing of it is looked at */
	bool lost;	     /* waits for a request that begins a call while nothing is open */
	uint32_t first, count;
	uint32_t arena_head;
	uint32_t next_cursor; /* that gives up its place when there are too many */
	struct mysql_cursor cursors[MYSQL_CURSORS];
	struct mysql_pending pending[MYSQL_PENDING];
	char arena[MYSQL_ARENA];
};

struct mysql_sink {
	stream_emit_fn *emit;
	void *context;
	uint64_t time; /* of the bytes at hand */
};

/* The answer to p, which executes the statement of that number, opened a cursor. */
void mysql_cursor_open(struct mysql_stream *s, const struct mysql_pending *p, const uint8_t *statement,
		       const struct mysql_sink *to);
/* The answer to p, which fetches, ended. */
void mysql_cursor_fetched(struct mysql_stream *s, const struct mysql_pending *p, const struct mysql_sink *to);
/* The client is done with a statement, or has executed it anew. */
void mysql_cursor_close(struct mysql_stream *s, const uint8_t *statement);
/* What is closing goes out; all: whatever is open. */
void mysql_cursors_end(struct mysql_stream *s, bool all, const struct mysql_sink *to);

void mysql_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit, void *context);
bool mysql_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
bool mysql_stream_busy(const struct proto_stream *st);
void mysql_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context);

#endif
