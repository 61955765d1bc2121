/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* MySQL: how connections are recognised, how they begin, and what of their secrets is not kept. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

/* --- recognising connections --- */

static __always_inline void found(struct conn *c, __u8 role, __u8 starting)
{
	c->proto = PROTO_MYSQL;
	c->role = role;
	c->my.starting = starting;
	/* As with PostgreSQL: the client's end tells all, the server's end makes no second span. */
	c->mode = role == ROLE_SERVER ? MODE_IGNORE : MODE_TURNS;
	if (role == ROLE_SERVER && starting && !c->plain) { /* the client may ask for TLS now */
		c->inner = PROTO_MYSQL;
		c->proto = PROTO_UNKNOWN;
		c->mode = MODE_DETECT;
		c->my.starting = 0;
	}
}

/* s: the first n bytes, at most FRAME_DETECT, zeros behind them. True: it is MySQL. */
__noinline int turns_mysql_detect(struct io *io, struct conn *c, struct capture *s, __u32 n)
{
	__u8 speaks, hears;
	__u32 header;

	if (!io || !c || !s)
		return 0;
	speaks = io->dir == IO_SEND ? ROLE_SERVER : ROLE_CLIENT; /* if it is the server that speaks */
	hears = io->dir == IO_SEND ? ROLE_CLIENT : ROLE_SERVER;
	header = c->my.greeting;
	c->my.greeting = 0;
	if (mysql_greeting(s->b, n, io->n)) {
		found(c, speaks, MYSQL_GREETED);
	} else if (header && header == io->n && s->b[0] == 10 && (__u8)s->b[1] - '0' < 10u) {
		found(c, speaks, MYSQL_GREETED_IN_TWO);
	} else if (mysql_detect(s->b, n, io->n)) {
		found(c, hears, 0);
	} else if (mysql_detect_login(s->b, n, io->n)) {
		found(c, hears, 0);
		if (hears == ROLE_CLIENT)
			c->my.starting = MYSQL_LOGIN;
		if (mysql_le32((__u8 *)s->b + 4) & (MYSQL_CLIENT_COMPRESS | MYSQL_CLIENT_ZSTD)) {
			count(KERNEL_conns_compressed);
			c->mode = MODE_IGNORE;
		}
	} else {
		if (c->sent + c->received == io->n)
			c->my.greeting = mysql_greeting_header(s->b, io->n);
		return 0;
	}
	return 1;
}

/* --- the handshake: of the client's login only its capabilities and the database are kept --- */

/* The exchange of the handshake has begun: its request is a struct mysql_hello. */
__noinline int turns_mysql_greeting(struct io *io, struct conn *c)
{
	struct mysql_hello *h;
	struct capture *s = io_scratch();
	__u32 from, n;

	if (!io || !c || !s)
		return 0;
	h = (struct mysql_hello *)c->data.b;
	__builtin_memset(h, 0, sizeof(*h));
	from = c->my.starting == MYSQL_GREETED ? 5 : 1;
	n = io->n > FRAME_BLOCK ? FRAME_BLOCK : io->n;
	__builtin_memset(s->b, 0, MYSQL_HELLO_VERSION + 8);
	if (io_copy(io, 0, s, 0, n) == (int)n)
		bpf_probe_read_kernel_str(h->version, sizeof(h->version), s->b + from);
	c->ex.request_len = sizeof(*h);
	c->ex.request_bytes = sizeof(*h);
	c->my.answer.state = MYSQL_AUTH;
	c->my.starting = MYSQL_GREETED;
	return 0;
}

#define LOGIN_MAX 512
#define LOGIN_USER 36
#define LOGIN_USER_MAX 128

/* Behind the user's name, in the login of n bytes. */
__noinline int mysql_user_end(struct capture *s, __u32 from)
{
	__u32 k;

	if (!s)
		return 0;
	for (k = 0; k < LOGIN_USER_MAX; k++) {
		__u32 at = from + k;

		asm volatile("" : "+r"(at));
		if (at >= LOGIN_MAX || !s->b[at])
			break;
	}
	return from + k + 1;
}

static __always_inline void keep_database(struct mysql_hello *h, struct capture *s, __u32 n)
{
	__u32 at = mysql_user_end(s, LOGIN_USER);

	asm volatile("" : "+r"(at));
	if (at >= LOGIN_MAX - 1 || at >= n)
		return;
	if (h->capabilities & (MYSQL_CLIENT_PLUGIN_AUTH_LENENC | MYSQL_CLIENT_SECURE_CONNECTION))
		at += 1 + (__u8)s->b[at];
	else
		at = mysql_user_end(s, at);
	asm volatile("" : "+r"(at));
	if (at >= LOGIN_MAX || at >= n)
		return;
	bpf_probe_read_kernel_str(h->database, sizeof(h->database), s->b + at);
}

/* The login is the first n bytes of s, which are not kept. */
static __always_inline void read_login(struct conn *c, struct mysql_hello *h, struct capture *s, __u32 n)
{
	c->my.starting = MYSQL_LOGS_IN;
	h->capabilities = mysql_le32((__u8 *)s->b + 4);
	if (h->capabilities & (MYSQL_CLIENT_COMPRESS | MYSQL_CLIENT_ZSTD))
		c->my.compressed = 1;
	if (h->capabilities & MYSQL_CLIENT_DEPRECATE_EOF)
		c->my.answer.eof = MYSQL_EOF_DEPRECATED;
	if (h->capabilities & MYSQL_CLIENT_CONNECT_WITH_DB && h->capabilities & MYSQL_CLIENT_PROTOCOL_41)
		keep_database(h, s, n);
	__builtin_memset(s->b, 0, FRAME_BLOCK);
}

/* What a client says until the server lets it in. Never kept as it is. */
__noinline int turns_mysql_login(struct io *io, struct conn *c, struct capture *s)
{
	struct mysql_hello *h;
	__u32 n;

	if (!io || !c || !s)
		return MORE_COUNT;
	h = (struct mysql_hello *)c->data.b;
	n = io->n > LOGIN_MAX ? LOGIN_MAX : io->n;
	if (c->my.starting != MYSQL_GREETED || io->n < LOGIN_USER || io_copy(io, 0, s, 0, n) < (int)n)
		return MORE_COUNT;
	if (mysql_le32((__u8 *)s->b + 4) & MYSQL_CLIENT_SSL && io->n == LOGIN_USER) {
		c->my.starting = MYSQL_LOGS_IN;
		return MORE_TLS;
	}
	read_login(c, h, s, n);
	return MORE_COUNT;
}

/* The exchange of a handshake whose greeting was in the clear begins with the login, n bytes of which are in c->data.
 */
__noinline int turns_mysql_logs_in(struct conn *c, __u32 n)
{
	struct mysql_hello *h;
	struct capture *s = io_scratch();

	if (!c || !s)
		return 0;
	h = (struct mysql_hello *)c->data.b;
	if (n > LOGIN_MAX)
		n = LOGIN_MAX;
	__builtin_memcpy(s->b, c->data.b, LOGIN_MAX);
	__builtin_memset(c->data.b, 0, LOGIN_MAX);
	c->my.answer.state = MYSQL_AUTH;
	read_login(c, h, s, n);
	c->ex.request_len = sizeof(*h);
	c->ex.request_bytes = sizeof(*h);
	return 0;
}

/*
 * Of a request with values or authentication in it, n bytes of which are in c->data, no more goes up than a packet that
 * holds the number of its statement, or a COM_CHANGE_USER without user and password: the database alone.
 */
__noinline int turns_mysql_hide(struct conn *c, __u32 n)
{
	struct capture *s = io_scratch();
	__u32 at;
	int len = 0;

	if (!c || !s || n > EVENT_REQUEST_MAX)
		return 0;
	if (c->ex.method == MYSQL_HANDSHAKE)
		return turns_mysql_logs_in(c, n);
	at = c->my.text;
	c->data.b[n] = 0;
	if (c->ex.method == MYSQL_CHANGE_USER) {
		at = mysql_user_end(&c->data, at);
		asm volatile("" : "+r"(at));
		if (at < LOGIN_MAX)
			at += 1 + (__u8)c->data.b[at];
		asm volatile("" : "+r"(at));
		if (at < LOGIN_MAX && at < n)
			len = bpf_probe_read_kernel_str(s->b, MYSQL_HELLO_DATABASE, &c->data.b[at]);
		__builtin_memset(c->data.b, 0, 7);
		c->data.b[4] = MYSQL_COM_CHANGE_USER;
		if (len > 0)
			__builtin_memcpy(c->data.b + 7, s->b, MYSQL_HELLO_DATABASE);
		len = len > 0 ? 3 + len : 3;
	} else {
		__builtin_memset(c->data.b, 0, 9);
		c->data.b[4] = c->my.request.command;
		*(__u32 *)(c->data.b + 5) = c->my.request.statement;
		len = 5;
	}
	c->data.b[0] = len;
	c->my.text = 5;
	c->ex.request_len = MYSQL_HEADER + len;
	return 0;
}
