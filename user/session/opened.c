/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' connections to databases as such: how long each took to open or why it failed, which are there and in use,
 * and whose statement a CancelRequest is about. Statements are made elsewhere; none of this is one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "frame/protocols.h"
#include "session/assembly.h"
#include "util/hashmap.h"

#define ENDPOINTS_MAX 1024
#define POSTGRES_PORT 5432
#define MYSQL_PORT 3306

/* A database server, as it was connected to. All bytes count. */
struct endpoint {
	uint16_t family, port;
	uint32_t pad;
	uint8_t address[16];
	uint64_t path; /* AF_UNIX: hash of it */
};

/* A server's process. */
struct backend {
	struct endpoint server;
	uint32_t pid, pad;
};

struct opened {
	struct hashmap *endpoints; /* struct endpoint -> uint8_t, enum proto_id */
	struct hashmap *backends;  /* struct backend -> uint64_t, id of the client's connection */
};

struct opened *opened_new(size_t max_conns)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->endpoints = hashmap_new(sizeof(struct endpoint), sizeof(uint8_t), ENDPOINTS_MAX, NULL, NULL);
	o->backends = hashmap_new(sizeof(struct backend), sizeof(uint64_t), max_conns, NULL, NULL);
	if (o->endpoints && o->backends)
		return o;
	opened_free(o);
	return NULL;
}

void opened_free(struct opened *o)
{
	if (!o)
		return;
	hashmap_free(o->endpoints);
	hashmap_free(o->backends);
	free(o);
}

static struct endpoint server_of(const struct conn *c)
{
	struct endpoint e = { .family = c->tuple.family, .port = c->tuple.remote_port };

	memcpy(e.address, c->tuple.remote, sizeof(e.address));
	if (c->path)
		e.path = hash_bytes(1, c->path, strlen(c->path));
	return e;
}

/* --- how long it took --- */

/* The name that conventions give to a pool that has none: its database, else its server, else the system. */
static void set_pool(struct assembly *a, struct attrs *to, const struct finished *f)
{
	const struct attr *name, *port;
	struct attrs s = { 0 };
	char text[300];

	sql_describe_server(a, &s, f);
	attrs_str(to, ATTR_DB_SYSTEM_NAME, sql_system_name(f), 0);
	name = attrs_find(&s, ATTR_DB_NAMESPACE);
	port = name ? NULL : attrs_find(&s, ATTR_SERVER_PORT);
	if (!name)
		name = attrs_find(&s, ATTR_SERVER_ADDRESS);
	if (name && port)
		snprintf(text, sizeof(text), "%.255s:%lld", name->s.p, (long long)port->i);
	attrs_str(to, ATTR_DB_CLIENT_CONNECTION_POOL_NAME,
		  port	 ? bytes_str(text)
		  : name ? name->s
			 : sql_system_name(f),
		  0);
	attrs_free(&s);
}

/* A connection that opened, or did not. */
struct opening {
	struct assembly *a;
	const struct finished *f;
	uint32_t tgid, service;
};

static void record(const struct opening *o, const char *phase, struct bytes error, uint64_t start, uint64_t end)
{
	enum metric_id metric =
		phase ? METRIC_DB_CLIENT_CONNECTION_PHASE_DURATION : METRIC_DB_CLIENT_CONNECTION_CREATE_TIME;
	struct attrs attrs = { 0 };

	if (!o->a->record || end < start)
		return;
	set_pool(o->a, &attrs, o->f);
	attrs_str(&attrs, ATTR_SONDE_CONNECTION_PHASE, bytes_str(phase), 0);
	attrs_str(&attrs, ATTR_ERROR_TYPE, error, 0);
	o->a->record(o->a->record_ctx, metric, o->tgid, o->service, &attrs, end - start);
	attrs_free(&attrs);
}

/* A client that goes away in the middle of it, to ask its user for a password or to go on encrypted, has no error. */
static bool given_up(const struct event_exchange *e)
{
	if (e->status || e->reason == END_COMPLETE)
		return false;
	return e->flags & EXCHANGE_LOCAL_CLOSE || e->reason == END_CLOSE || e->reason == END_UPGRADE;
}

static void remember_backend(struct assembly *a, const struct conn *c, uint32_t pid)
{
	struct backend key = { .server = server_of(c), .pid = pid };
	uint64_t *id = pid ? hashmap_put(a->opened->backends, &key, NULL) : NULL;

	if (id)
		*id = c->id;
}

void opened_exchange(struct assembly *a, const struct exchange_bytes *in, struct conn *c, const struct finished *f)
{
	const struct event_exchange *e = in->e;
	struct opening o = { a, f, e->header.tgid, e->service };
	struct conn_opened how = { 0 };
	char buf[SQL_CODE_MAX];
	struct bytes error;
	uint64_t start;

	if (e->source != SOURCE_WIRE || !frame_opens(e->proto, e->method) || given_up(e))
		return;
	if (in->tail.n == sizeof(how))
		memcpy(&how, in->tail.p, sizeof(how));
	error = sql_error_type(f, buf);
	start = how.tcp_end ? how.tcp_start : how.tls_start ? how.tls_start : e->start;
	record(&o, NULL, error, start, e->end);
	if (error.n)
		return;
	if (how.tcp_end)
		record(&o, "tcp", error, how.tcp_start, how.tcp_end);
	if (how.tls_start)
		record(&o, "tls", error, how.tls_start, e->start);
	record(&o, "auth", error, e->start, e->end);
	c->opened = c->ready = true;
	c->connect_ns = e->end > start ? e->end - start : 0;
	remember_backend(a, c, how.backend);
}

void opened_by_libpq(struct assembly *a, const struct event_libpq_conn *e, const struct conn *told)
{
	const struct conn *c = conn_table_find(a->conns, e->header.conn, 0);
	const struct operation op = { .proto = PROTO_POSTGRES };
	const struct finished f = { .op = &op, .conn = c, .peer = told, .role = ROLE_CLIENT };
	struct opening o = { a, &f, e->header.tgid, c ? c->service : 0 };

	/* What can be read on the wire is measured there. */
	if (!c || c->proto != PROTO_TLS || c->role != ROLE_CLIENT || !e->start || e->end > TIME_MAX)
		return;
	record(&o, NULL, e->failed ? BYTES_LITERAL("_OTHER") : (struct bytes){ 0 }, e->start, e->end);
}

/* --- what never opened --- */

static struct bytes error_name(uint32_t error)
{
	switch (error) {
	case ECONNREFUSED:
		return BYTES_LITERAL("connection_refused");
	case ETIMEDOUT:
		return BYTES_LITERAL("timeout");
	case EHOSTUNREACH:
		return BYTES_LITERAL("host_unreachable");
	case ENETUNREACH:
		return BYTES_LITERAL("network_unreachable");
	case ECONNRESET:
		return BYTES_LITERAL("connection_reset");
	}
	return BYTES_LITERAL("_OTHER");
}

/* What is served where the connection was to go: as it was seen there before, else by the port. */
static enum proto_id proto_at(struct assembly *a, const struct conn *c)
{
	struct endpoint key = server_of(c);
	const uint8_t *known = hashmap_peek(a->opened->endpoints, &key);

	if (known)
		return (enum proto_id) * known;
	return key.port == POSTGRES_PORT ? PROTO_POSTGRES : key.port == MYSQL_PORT ? PROTO_MYSQL : PROTO_UNKNOWN;
}

void opened_not(struct assembly *a, const struct event_connect_failed *e)
{
	struct conn c = { .tuple = { .family = e->family, .remote_port = e->remote_port } };
	struct operation op = { 0 };
	const struct finished f = { .op = &op, .conn = &c, .role = ROLE_CLIENT };
	struct opening o = { a, &f, e->header.tgid, e->service };

	if (e->end > TIME_MAX)
		return;
	memcpy(c.tuple.remote, e->remote_addr, e->family == AF_INET ? 4 : 16);
	conn_tuple_normalise(&c.tuple);
	op.proto = proto_at(a, &c);
	if (proto_is_sql((uint8_t)op.proto))
		record(&o, NULL, error_name(e->error), e->start, e->end);
}

void opened_announced(struct assembly *a, const struct conn *c)
{
	struct endpoint key = server_of(c);
	uint8_t *proto;

	if (!proto_is_sql(c->proto) || c->role != ROLE_CLIENT || c->tuple.family == AF_UNIX)
		return;
	proto = hashmap_put(a->opened->endpoints, &key, NULL);
	if (proto)
		*proto = c->proto;
}

/* --- what is there --- */

void opened_state(struct assembly *a, const struct event_state *e)
{
	struct conn *c = conn_table_find(a->conns, e->header.conn, 0);

	if (c)
		c->used = e->used;
}

void assembly_connections(struct assembly *a, assembly_connection_fn *fn, void *ctx)
{
	const struct conn *c;
	void *cursor = NULL;

	while ((c = conn_table_next(a->conns, &cursor))) {
		const struct operation op = { .proto = c->proto };
		const struct finished f = { .op = &op, .conn = c, .role = ROLE_CLIENT };
		struct assembly_connection told = { c->tgid, c->service, c->tuple.family == AF_UNIX, c->used, { 0 } };

		if (c->scope || c->closed || !c->ready || c->role != ROLE_CLIENT || !proto_is_sql(c->proto))
			continue;
		set_pool(a, &told.attrs, &f);
		fn(ctx, &told);
		attrs_free(&told.attrs);
	}
}

/* --- what is cancelled --- */

void opened_cancel(struct assembly *a, const struct exchange_bytes *in, const struct conn *c)
{
	struct bytes b = in->request;
	struct backend key = { 0 };
	const uint64_t *id = NULL;
	struct conn *victim;
	uint32_t length, code;

	if (c && bytes_get_be32(&b, &length) && bytes_get_be32(&b, &code) && bytes_get_be32(&b, &key.pid)) {
		key.server = server_of(c);
		id = hashmap_peek(a->opened->backends, &key);
	}
	victim = id ? conn_table_find(a->conns, *id, 0) : NULL;
	if (victim && !victim->closed)
		victim->cancelled = in->e->start;
	else
		ledger_add(a->ledger, USER_cancels_unlinked, 1);
}

void opened_statement(struct conn *c, struct span *s, const struct finished *f, uint64_t start)
{
	c->ready = true;
	if (c->cancelled && start <= c->cancelled)
		attrs_bool(&s->attrs, ATTR_SONDE_DB_CANCEL_REQUESTED, true);
	c->cancelled = 0;
	if (c->connect_ns)
		attrs_double(&s->attrs, ATTR_SONDE_DB_CONNECT_DURATION, (double)c->connect_ns / 1e9);
	c->connect_ns = 0;
	attrs_str(&s->attrs, ATTR_SONDE_DB_APPLICATION_NAME, bytes_str(c->application), 0);
	if (f->op->rows_returned && f->op->rows && f->first > start)
		attrs_double(&s->attrs, ATTR_SONDE_DB_TIME_TO_FIRST_ROW, (double)(f->first - start) / 1e9);
}
