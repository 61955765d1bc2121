/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libpq was told to connect to: keyword/value pairs, a conninfo string or a URI (PostgreSQL documentation,
 * "Connection Strings"). Only database, user, host and port are taken; the password is stepped over and never kept.
 */
#include <string.h>

#include "session/assembly.h"

struct target {
	char database[256], user[256], host[256], port[8];
};

static void set(char *to, size_t size, const char *value, size_t n)
{
	if (!n || n >= size)
		return;
	memcpy(to, value, n);
	to[n] = '\0';
}

static void set_pair(struct target *t, struct bytes key, const char *value, size_t n)
{
	if (bytes_eq(key, BYTES_LITERAL("dbname")))
		set(t->database, sizeof(t->database), value, n);
	else if (bytes_eq(key, BYTES_LITERAL("user")))
		set(t->user, sizeof(t->user), value, n);
	else if (bytes_eq(key, BYTES_LITERAL("host")))
		set(t->host, sizeof(t->host), value, n);
	else if (bytes_eq(key, BYTES_LITERAL("port")))
		set(t->port, sizeof(t->port), value, n);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* key = value, where value may be in single quotes, with backslashes. */
static void read_conninfo(struct bytes b, struct target *t)
{
	char value[256];

	for (;;) {
		struct bytes key;
		size_t n = 0, eq;
		bool quoted;

		while (b.n && is_blank(b.p[0]))
			b = bytes_tail(b, 1);
		eq = bytes_find(b, '=');
		if (eq == b.n)
			return;
		key = bytes_head(b, eq);
		while (key.n && is_blank(key.p[key.n - 1]))
			key.n--;
		b = bytes_tail(b, eq + 1);
		while (b.n && is_blank(b.p[0]))
			b = bytes_tail(b, 1);
		quoted = b.n && b.p[0] == '\'';
		if (quoted)
			b = bytes_tail(b, 1);
		while (b.n && (quoted ? b.p[0] != '\'' : !is_blank(b.p[0]))) {
			if (b.p[0] == '\\' && b.n > 1)
				b = bytes_tail(b, 1);
			if (n < sizeof(value))
				value[n++] = b.p[0];
			b = bytes_tail(b, 1);
		}
		if (quoted)
			b = bytes_tail(b, 1);
		set_pair(t, key, value, n);
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void set_decoded(struct target *t, struct bytes key, struct bytes v)
{
	char value[256];
	size_t n = 0;

	for (size_t i = 0; i < v.n && n < sizeof(value); i++) {
		if (v.p[i] == '%' && v.n - i > 2 && hex(v.p[i + 1]) >= 0 && hex(v.p[i + 2]) >= 0) {
			value[n++] = (char)(hex(v.p[i + 1]) << 4 | hex(v.p[i + 2]));
			i += 2;
		} else {
			value[n++] = v.p[i];
		}
	}
	set_pair(t, key, value, n);
}

/* scheme://[user[:password]@][host[:port]][/database][?key=value&...] */
static void read_uri(struct bytes b, struct target *t)
{
	size_t question, slash, at, colon, end;
	struct bytes query, authority, user;

	question = bytes_find(b, '?');
	query = bytes_tail(b, question + 1);
	b = bytes_head(b, question);
	slash = bytes_find(b, '/');
	authority = bytes_head(b, slash);
	set_decoded(t, BYTES_LITERAL("dbname"), bytes_tail(b, slash + 1));
	for (at = authority.n; at > 0 && authority.p[at - 1] != '@';)
		at--;
	if (at) {
		user = bytes_head(authority, at - 1);
		set_decoded(t, BYTES_LITERAL("user"), bytes_head(user, bytes_find(user, ':')));
		authority = bytes_tail(authority, at);
	}
	if (authority.n && authority.p[0] == '[') {
		end = bytes_find(authority, ']');
		set_decoded(t, BYTES_LITERAL("host"), bytes_head(bytes_tail(authority, 1), end - 1));
		authority = bytes_tail(authority, end + 1);
		colon = bytes_find(authority, ':');
	} else {
		colon = bytes_find(authority, ':');
		set_decoded(t, BYTES_LITERAL("host"), bytes_head(authority, colon));
	}
	set_decoded(t, BYTES_LITERAL("port"), bytes_tail(authority, colon + 1));
	while (query.n) {
		struct bytes pair = bytes_head(query, bytes_find(query, '&'));
		size_t eq = bytes_find(pair, '=');

		set_decoded(t, bytes_head(pair, eq), bytes_tail(pair, eq + 1));
		query = bytes_tail(query, pair.n + 1);
	}
}

/* A URI or a conninfo string. False when it is neither. */
static bool read_string(struct bytes b, struct target *t)
{
	if (bytes_starts(b, BYTES_LITERAL("postgresql://")))
		read_uri(bytes_tail(b, 13), t);
	else if (bytes_starts(b, BYTES_LITERAL("postgres://")))
		read_uri(bytes_tail(b, 11), t);
	else if (bytes_find(b, '=') < b.n)
		read_conninfo(b, t);
	else
		return false;
	return true;
}

static void read_pairs(struct bytes b, struct target *t)
{
	struct bytes key, value;

	while (bytes_get_cstr(&b, &key) && key.n && bytes_get_cstr(&b, &value))
		if (!bytes_eq(key, BYTES_LITERAL("dbname")) || !read_string(value, t)) /* expand_dbname */
			set_pair(t, key, value.p, value.n);
}

struct conn *libpq_conn(struct assembly *a, uint32_t tgid, uint64_t libpq, bool create)
{
	uint64_t scope = (uint64_t)tgid + 1; /* never 0: that is the kernel's */

	if (!libpq)
		return NULL;
	return create ? conn_table_put(a->conns, libpq, scope) : conn_table_find(a->conns, libpq, scope);
}

static void read_target(const struct event_libpq_conn *e, struct target *t)
{
	struct bytes data = bytes_of(e->data, e->len);

	if (e->form == LIBPQ_CONN_STRING)
		read_string(bytes_head(data, bytes_find(data, '\0')), t);
	else if (e->form == LIBPQ_CONN_PAIRS)
		read_pairs(data, t);
}

static void add_pair(struct buf *to, const char *key, const char *value)
{
	if (!*value)
		return;
	buf_add(to, bytes_of(key, strlen(key) + 1));
	buf_add(to, bytes_of(value, strlen(value) + 1));
}

void libpq_conn_to_keep(const struct event_libpq_conn *e, struct buf *to)
{
	struct event_libpq_conn head = *e;
	struct target t = { 0 };
	size_t at = to->n;

	read_target(e, &t);
	if (head.form == LIBPQ_CONN_STRING)
		head.form = LIBPQ_CONN_PAIRS;
	buf_add(to, bytes_of(&head, sizeof(head)));
	add_pair(to, "dbname", t.database);
	add_pair(to, "user", t.user);
	add_pair(to, "host", t.host);
	add_pair(to, "port", t.port);
	explicit_bzero(&t, sizeof(t));
	if (to->failed)
		return;
	head.header.size = (__u32)(to->n - at);
	head.len = (__u32)(to->n - at - sizeof(head));
	memcpy(to->p + at, &head, sizeof(head));
}

void libpq_event(struct assembly *a, const struct event_libpq_conn *e)
{
	struct target t = { 0 };
	struct conn *c;
	unsigned port = 0;

	c = libpq_conn(a, e->header.tgid, e->libpq_conn, false);
	if (c && e->form == LIBPQ_CONN_AGAIN) {
		statements_clear(&c->statements); /* the server has forgotten them, too */
		return;
	}
	if (c) /* gone; or gone unseen, and the address is used again */
		conn_table_remove(a->conns, c);
	if (e->form > LIBPQ_CONN_STRING)
		return;
	c = libpq_conn(a, e->header.tgid, e->libpq_conn, true);
	if (!c)
		return;
	read_target(e, &t);
	for (const char *p = t.port; *p >= '0' && *p <= '9'; p++)
		port = port * 10 + (unsigned)(*p - '0');
	conn_set_string(&c->database, bytes_str(t.database[0] ? t.database : t.user));
	if (!strchr(t.host, ',')) /* one of several: which one is not told */
		conn_set_string(&c->host, bytes_str(t.host));
	c->host_port = port < 65536 ? (uint16_t)port : 0;
	explicit_bzero(&t, sizeof(t));
	c->opened = true;
	opened_by_libpq(a, e, c);
}
