/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each connection, bounded: the least recently used is forgotten first. A connection that closed is
 * kept for a moment, because records of its other end may still be on their way.
 */
#ifndef SONDE_CONN_TABLE_H
#define SONDE_CONN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/fragments.h"
#include "conn/statements.h"
#include "event.h"

/* Who speaks with whom, as one end sees it. All bytes count: padding is zero. */
struct conn_tuple {
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX; 0 = not known */
	uint16_t local_port, remote_port;
	uint16_t pad;
	uint32_t netns; /* only of loopback addresses: others mean the same in every namespace of the host */
	uint32_t pad2;
	uint8_t local[16], remote[16];
	uint64_t local_ino, remote_ino; /* AF_UNIX */
};

struct conn {
	uint64_t id, scope; /* the key */
	struct conn_tuple tuple;
	uint8_t proto, role;
	bool tls;		/* proto is what is said inside of TLS */
	uint32_t tgid, service; /* who opened it, or was first seen to use it */
	char *path;		/* AF_UNIX: the server's path, NULL = none */
	char *database;		/* NULL = not known */
	bool mariadb;		/* PROTO_MYSQL: the server said that it is MariaDB */
	/* Clients of databases: */
	char *application;   /* application_name that it was opened with, NULL = none */
	uint64_t connect_ns; /* how long it took to open; until its first statement tells it */
	uint64_t cancelled;  /* when a CancelRequest named it; until a statement ends */
	bool opened;	     /* its beginning was seen */
	bool ready;	     /* the server let it in */
	bool used;	     /* an exchange or a transaction is open, as last told */
	char *host;	     /* the name that the application gave to connect to, NULL = not known */
	uint16_t host_port;
	struct statements statements;
	struct fragments fragments;
	/* The session's own, let go of by the table's close function. */
	void *stream;
	uint64_t position[2]; /* of the stream, by enum stream_dir */
	bool positioned[2];
	/* Client side: the exchanges that ended last, for the other end to find. */
	struct conn_recent {
		uint64_t exchange, start, end;
	} recent[2];
	struct conn *other; /* the other end as it was found, while other_at is the table's number of changes */
	uint64_t other_at;
	uint64_t closed; /* CLOCK_MONOTONIC ns, 0 = open */
	struct conn *closed_prev, *closed_next;
};

struct conn_table;

/* Called before a connection with a stream is forgotten; frees conn->stream. */
typedef void conn_stream_free_fn(void *context, struct conn *c);

struct conn_table *conn_table_new(size_t max_conns, conn_stream_free_fn *fn, void *context); /* NULL: no memory */
void conn_table_free(struct conn_table *t);						     /* NULL is allowed */
struct statement_store *conn_table_store(struct conn_table *t);
/* scope tells numbers of different kinds apart: 0 for the kernel's connection ids. NULL when it is not known. */
struct conn *conn_table_find(struct conn_table *t, uint64_t id, uint64_t scope);
struct conn *conn_table_put(struct conn_table *t, uint64_t id, uint64_t scope); /* NULL: no memory */
void conn_table_announce(struct conn_table *t, const struct event_connection *e);
/* An IPv4 address in IPv6 form is the same address: an AF_INET6 server may have an AF_INET client. */
void conn_tuple_normalise(struct conn_tuple *u);
/* The connection is over: its memory but for its addresses goes now, the rest at a later conn_table_expire(). */
void conn_table_close(struct conn_table *t, struct conn *c, uint64_t time);
void conn_table_expire(struct conn_table *t, uint64_t before);
void conn_table_remove(struct conn_table *t, struct conn *c);
/* The other end of the same connection, when it is on this host and was announced. */
struct conn *conn_table_other_end(struct conn_table *t, struct conn *c);
/* Walks all: start with *cursor = NULL. */
struct conn *conn_table_next(struct conn_table *t, void **cursor);
size_t conn_table_count(const struct conn_table *t);

/* Replaces *to by a copy of s, cut at 255 bytes; empty: leaves *to as it is. */
void conn_set_string(char **to, struct bytes s);
/* Text of an address of the tuple; empty for AF_UNIX. buf is at least 46 bytes. */
struct bytes conn_address(const struct conn *c, bool remote, char *buf);

#endif
