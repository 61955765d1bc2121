/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/table.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/hashmap.h"

#define STORE_BYTES (32u << 20)

struct conn_key {
	uint64_t id, scope;
};

struct conn_table {
	struct hashmap *conns;	/* struct conn_key -> struct conn */
	struct hashmap *tuples; /* struct conn_tuple -> struct conn_key */
	struct statement_store *store;
	uint64_t changes; /* of which connections and addresses there are */
	struct conn *closed_first, *closed_last;
	conn_stream_free_fn *stream_free;
	void *context;
};

static void unlink_closed(struct conn_table *t, struct conn *c)
{
	if (!c->closed)
		return;
	if (c->closed_prev)
		c->closed_prev->closed_next = c->closed_next;
	else
		t->closed_first = c->closed_next;
	if (c->closed_next)
		c->closed_next->closed_prev = c->closed_prev;
	else
		t->closed_last = c->closed_prev;
	c->closed = 0;
	c->closed_prev = c->closed_next = NULL;
}

/* What is of no use any more when the connection has closed. */
static void free_parts(struct conn_table *t, struct conn *c)
{
	if (c->stream && t->stream_free)
		t->stream_free(t->context, c);
	statements_clear(&c->statements);
	fragments_free(&c->fragments);
}

static void forget_tuple(struct conn_table *t, const struct conn *c)
{
	struct conn_key *owner = hashmap_peek(t->tuples, &c->tuple);

	if (owner && owner->id == c->id && owner->scope == c->scope)
		hashmap_remove(t->tuples, &c->tuple);
}

static void drop_conn(void *context, const void *key, void *value)
{
	struct conn_table *t = context;
	struct conn *c = value;

	(void)key;
	t->changes++;
	unlink_closed(t, c);
	free_parts(t, c);
	if (t->tuples)
		forget_tuple(t, c);
	free(c->path);
	free(c->database);
	free(c->application);
	free(c->host);
}

struct conn_table *conn_table_new(size_t max_conns, conn_stream_free_fn *fn, void *context)
{
	struct conn_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->changes = 1;
	t->stream_free = fn;
	t->context = context;
	t->conns = hashmap_new(sizeof(struct conn_key), sizeof(struct conn), max_conns, drop_conn, t);
	t->tuples = hashmap_new(sizeof(struct conn_tuple), sizeof(struct conn_key), max_conns, NULL, NULL);
	t->store = statement_store_new(STORE_BYTES);
	if (!t->conns || !t->tuples || !t->store) {
		conn_table_free(t);
		return NULL;
	}
	return t;
}

void conn_table_free(struct conn_table *t)
{
	if (!t)
		return;
	hashmap_free(t->conns);
	hashmap_free(t->tuples);
	statement_store_free(t->store);
	free(t);
}

struct statement_store *conn_table_store(struct conn_table *t)
{
	return t->store;
}

struct conn *conn_table_find(struct conn_table *t, uint64_t id, uint64_t scope)
{
	struct conn_key key = { id, scope };

	return id ? hashmap_get(t->conns, &key) : NULL;
}

struct conn *conn_table_put(struct conn_table *t, uint64_t id, uint64_t scope)
{
	struct conn_key key = { id, scope };
	struct conn *c = hashmap_put(t->conns, &key, NULL);

	if (c) {
		c->id = id;
		c->scope = scope;
	}
	return c;
}

static bool is_loopback(uint16_t family, const uint8_t *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, one[16] = { [15] = 1 };

	if (family == AF_INET)
		return a[0] == 127;
	return memcmp(a, one, sizeof(one)) == 0 || (memcmp(a, mapped, sizeof(mapped)) == 0 && a[12] == 127);
}

void conn_tuple_normalise(struct conn_tuple *u)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (u->family != AF_INET6 || memcmp(u->local, mapped, 12) != 0 || memcmp(u->remote, mapped, 12) != 0)
		return;
	u->family = AF_INET;
	memmove(u->local, u->local + 12, 4);
	memmove(u->remote, u->remote + 12, 4);
	memset(u->local + 4, 0, 12);
	memset(u->remote + 4, 0, 12);
}

void conn_table_announce(struct conn_table *t, const struct event_connection *e)
{
	struct conn *c = conn_table_put(t, e->header.conn, 0);
	struct conn_tuple u = { .family = e->family };
	struct conn_key *owner;

	if (!c)
		return;
	t->changes++;
	unlink_closed(t, c);
	forget_tuple(t, c);
	if (e->family == AF_UNIX) {
		/* By the client's end alone: as it writes, the server may not have accepted, and has no inode yet. */
		u.local_ino = e->role == ROLE_SERVER ? 0 : e->local_ino;
		u.remote_ino = e->role == ROLE_CLIENT ? 0 : e->remote_ino;
	} else {
		size_t n = e->family == AF_INET ? 4 : 16;

		u.local_port = e->local_port;
		u.remote_port = e->remote_port;
		memcpy(u.local, e->local_addr, n);
		memcpy(u.remote, e->remote_addr, n);
		if (is_loopback(e->family, u.local) || is_loopback(e->family, u.remote))
			u.netns = e->netns;
		conn_tuple_normalise(&u);
	}
	c->tuple = u;
	c->proto = e->proto;
	c->role = e->role;
	c->tls = e->tls;
	c->tgid = e->header.tgid;
	c->service = e->service;
	c->used = false; /* as the kernel side takes it from here on */
	conn_set_string(&c->path, bytes_of(e->path, strnlen(e->path, sizeof(e->path))));
	if (u.family == AF_UNIX && !u.local_ino && !u.remote_ino)
		return;
	owner = hashmap_put(t->tuples, &c->tuple, NULL);
	if (owner)
		*owner = (struct conn_key){ c->id, c->scope };
}

void conn_table_close(struct conn_table *t, struct conn *c, uint64_t time)
{
	free_parts(t, c);
	unlink_closed(t, c);
	c->closed = time ? time : 1;
	c->closed_prev = t->closed_last;
	if (t->closed_last)
		t->closed_last->closed_next = c;
	else
		t->closed_first = c;
	t->closed_last = c;
}

void conn_table_remove(struct conn_table *t, struct conn *c)
{
	struct conn_key key = { c->id, c->scope };

	drop_conn(t, &key, c);
	hashmap_remove(t->conns, &key);
}

void conn_table_expire(struct conn_table *t, uint64_t before)
{
	while (t->closed_first && t->closed_first->closed < before)
		conn_table_remove(t, t->closed_first);
}

static struct conn *find_other_end(struct conn_table *t, const struct conn *c)
{
	struct conn_tuple u = c->tuple;
	struct conn_key *owner;

	u.local_port = c->tuple.remote_port;
	u.remote_port = c->tuple.local_port;
	memcpy(u.local, c->tuple.remote, sizeof(u.local));
	memcpy(u.remote, c->tuple.local, sizeof(u.remote));
	u.local_ino = c->tuple.remote_ino;
	u.remote_ino = c->tuple.local_ino;
	owner = hashmap_peek(t->tuples, &u);
	return owner ? hashmap_peek(t->conns, owner) : NULL;
}

struct conn *conn_table_other_end(struct conn_table *t, struct conn *c)
{
	if (c->other_at != t->changes) {
		c->other = find_other_end(t, c);
		c->other_at = t->changes;
	}
	return c->other;
}

struct conn *conn_table_next(struct conn_table *t, void **cursor)
{
	const void *key;

	return hashmap_next(t->conns, cursor, &key);
}

size_t conn_table_count(const struct conn_table *t)
{
	return hashmap_count(t->conns);
}

void conn_set_string(char **to, struct bytes s)
{
	char *copy;

	if (!s.n)
		return;
	copy = strndup(s.p, s.n < 255 ? s.n : 255);
	if (!copy)
		return;
	free(*to);
	*to = copy;
}

/* The same as inet_ntop() writes, without its printf: it is asked for twice for every span. */
static struct bytes ipv4_text(const uint8_t *a, char *buf)
{
	char *p = buf;

	for (int i = 0; i < 4; i++) {
		unsigned v = a[i];

		if (i)
			*p++ = '.';
		if (v >= 100)
			*p++ = (char)('0' + v / 100);
		if (v >= 10)
			*p++ = (char)('0' + v / 10 % 10);
		*p++ = (char)('0' + v % 10);
	}
	*p = '\0';
	return bytes_of(buf, (size_t)(p - buf));
}

struct bytes conn_address(const struct conn *c, bool remote, char *buf)
{
	const uint8_t *a = remote ? c->tuple.remote : c->tuple.local;

	if (c->tuple.family == AF_INET)
		return ipv4_text(a, buf);
	if (c->tuple.family != AF_INET6 || !inet_ntop(AF_INET6, a, buf, INET6_ADDRSTRLEN))
		return (struct bytes){ 0 };
	return bytes_str(buf);
}
