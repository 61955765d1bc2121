/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for its answer on a streaming PostgreSQL connection: a queue, and an arena for texts and names. */
#ifndef SONDE_PROTO_POSTGRES_STREAM_H
#define SONDE_PROTO_POSTGRES_STREAM_H

#include "proto/postgres.h"

enum pg_pending_kind { PENDING_PARSE = 1, PENDING_CLOSE, PENDING_EXECUTE, PENDING_QUERY, PENDING_SYNC };

enum pg_pending_flag {
	PENDING_PARAMETERS = 1 << 0,
	PENDING_TEXT = 1 << 1,	 /* text_at, text_n */
	PENDING_NAME = 1 << 2,	 /* name_at, name_n */
	PENDING_CUT = 1 << 3,	 /* more text than was kept */
	PENDING_ROWS = 1 << 4,	 /* a row or its description came back */
	PENDING_FAILED = 1 << 5, /* its error went out: nothing more before ReadyForQuery */
	PENDING_GAPPED = 1 << 6, /* answer bytes are missing */
	PENDING_COPY_IN = 1 << 7,
	PENDING_EMPTY = 1 << 8,
	PENDING_CONTINUES = 1 << 9, /* EXECUTE: of a portal that was executed before and not bound since */
};

#define PG_PENDING 2048	  /* statements, Parses and Syncs that may wait for their answers */
#define PG_ARENA 65536	  /* bytes of their texts and names; a power of two */
#define PG_TEXT_MAX 16384 /* kept of one text */
#define PG_BODY_MAX 512	  /* kept of a message that is read when it is whole */

/* What the client asked and the server has not answered. Places are positions in the arena, counted without end. */
struct pg_pending {
	uint64_t start, first, parent;
	uint32_t base;	  /* the arena is in use from here on, for this entry and all behind it */
	uint32_t text_at; /* PARSE and EXECUTE: body of the Parse; QUERY: the text */
	uint32_t name_at;
	uint16_t text_n, name_n;
	uint16_t index; /* QUERY: statements that completed */
	uint8_t kind;	/* enum pg_pending_kind */
	uint8_t portal; /* EXECUTE: 1 + its place in portals, 0 = not known */
	uint32_t rows;	/* that came back */
	uint32_t flags; /* enum pg_pending_flag */
};

#define PG_PORTALS 16

struct pg_portal {
	bool bound, executed, parameters;
	bool suspended; /* some of its rows came: what follows is about those */
	bool gapped, suspended_parameters;
	uint8_t name_n, statement_n, suspended_n;
	char name[64], statement[64], suspended_statement[64];
	uint64_t start, first, end, parent;
	uint64_t busy; /* ns in which the server worked on it */
	uint64_t rows;
};

/* One direction: where its current message is. */
struct pg_side {
	uint64_t remaining; /* of the current message's body */
	uint64_t began;	    /* time of its first byte */
	uint16_t body_n;
	uint8_t header_n; /* of a header that is not whole */
	bool in_body, hunting;
	char type;
	char header[PG_HEADER];
	char body[PG_BODY_MAX];
};

/* State of one streaming connection: zeroed to begin. */
struct postgres_stream {
	struct pg_side request, answer;
	uint64_t group_start;  /* first message since the last statement, 0 = none */
	uint64_t answer_time;  /* of the last answer bytes */
	char status;	       /* of the last ReadyForQuery; 0 = none yet */
	bool lost, quiet;      /* lost: waits until the answer has come to rest */
	uint32_t first, count; /* pending is a ring */
	uint32_t statements;   /* EXECUTE and QUERY among them */
	uint32_t arena_head;
	uint32_t fill_at; /* where the text that is coming in goes, and what it may take */
	uint32_t fill_size;
	uint32_t name_at; /* the last name put into the arena */
	uint16_t name_n;
	uint32_t next_portal; /* that gives up its place when all are taken */
	struct pg_portal portals[PG_PORTALS];
	struct pg_pending pending[PG_PENDING];
	char arena[PG_ARENA];
};

/* Where operations go. */
struct sink {
	stream_emit_fn *emit;
	void *context;
	uint64_t time; /* of the bytes at hand */
};

static inline bool pg_is_statement(const struct pg_pending *p)
{
	return p->kind == PENDING_EXECUTE || p->kind == PENDING_QUERY;
}

static inline struct pg_pending *pg_pending_at(struct postgres_stream *s, uint32_t i)
{
	return &s->pending[(s->first + i) % PG_PENDING];
}

static inline struct pg_pending *pg_front(struct postgres_stream *s)
{
	return s->count ? pg_pending_at(s, 0) : NULL;
}

static inline struct pg_pending *pg_last(struct postgres_stream *s)
{
	return s->count ? pg_pending_at(s, s->count - 1) : NULL;
}

static inline struct bytes pg_arena(const struct postgres_stream *s, uint32_t at, uint16_t n)
{
	return bytes_of(s->arena + at % PG_ARENA, n);
}

/* A header of the client's is whole. False: no room to remember it. And a message. */
bool pg_request_begins(struct postgres_stream *s, uint64_t parent);
bool pg_request_ends(struct postgres_stream *s, uint64_t parent);
/* Bytes of the body of a Parse or Query go straight to where the last entry keeps its text. */
void pg_keep_text(struct postgres_stream *s, struct bytes b);

struct pg_portal *pg_portal_find(struct postgres_stream *s,
				 struct bytes name); /* NULL: not bound, as far as is known */
void pg_portal_bind(struct postgres_stream *s, struct bytes body);
/* The front of the queue gave some of its rows: takes it from the queue, true; or its portal is not known, false. */
bool pg_portal_suspend(struct postgres_stream *s, struct pg_pending *p, const struct sink *to);
/* It gave its last rows, or failed: adds what came before. */
void pg_portal_complete(struct postgres_stream *s, struct pg_pending *p, struct stream_operation *op,
			const struct sink *to);
/* No portal lives on: what was suspended goes out as far as it got. */
void pg_portals_end(struct postgres_stream *s, const struct sink *to);

void pg_pop(struct postgres_stream *s); /* the queue must not be empty */
/* Room for n bytes in one piece, or false. Goes before the push of the entry that it is for. */
bool pg_arena_alloc(struct postgres_stream *s, uint32_t n, uint32_t *ret);
/* Is what lies at a place of the arena still held by the last entry, so that one more may refer to it? */
bool pg_still_held(struct postgres_stream *s, uint32_t at);
/* A new last entry, or NULL when there are too many. base is set for an entry that allocates nothing. */
struct pg_pending *pg_push(struct postgres_stream *s, uint8_t kind, uint64_t parent);
/* The parts of a Parse's body. */
struct bytes pg_parse_text(struct bytes body, struct bytes *ret_name, bool *ret_cut);
void pg_fill(struct postgres_stream *s, const struct pg_pending *p, struct stream_operation *ret);
/* p is the front. Emits, and takes it from the queue unless it is a simple query, which ReadyForQuery ends. */
void pg_emit_statement(struct postgres_stream *s, struct pg_pending *p, struct stream_operation *op, uint64_t end,
		       const struct sink *to);
/* How it ended is not known; that it ran is. */
void pg_emit_lost(struct postgres_stream *s, struct pg_pending *p, const struct sink *to);
/* Gives up its place: everything that waits goes out as lost. Always false. */
bool pg_lose(struct postgres_stream *s, const struct sink *to);
/* The only statement that waits lost the end of its answer, and the client has gone on: it ended with its last byte. */
void pg_finish_gapped(struct postgres_stream *s, const struct sink *to);

#endif
