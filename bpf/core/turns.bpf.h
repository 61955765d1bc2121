/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Framing over the bytes of one call: what exchange.bpf.c asks of each protocol. Adding a protocol: its frame header,
 * its turns_NAME.bpf.c, and a case in each switch of exchange.bpf.c.
 */
#ifndef SONDE_CORE_TURNS_BPF_H
#define SONDE_CORE_TURNS_BPF_H

#include "core/conn.bpf.h"

/*
 * Loops are cut in two functions, blocks and the bytes of a block: the verifier walks the inner one once and not for
 * every block. And what is loaded from memory again is one state to it, where registers would be many: hence the
 * barriers.
 */
#define STEP 16

/* What to do with bytes of the client while an exchange is open. */
enum turn_more {
	MORE_KEEP = 0,	 /* they belong to the request */
	MORE_WALK = 1,	 /* the same, and turns_NAME_request() looks at them */
	MORE_COUNT = 2,	 /* never kept */
	MORE_STREAM = 3, /* a client that did not wait: the connection does not speak in turns */
	MORE_TLS = 4,	 /* the client goes on encrypted; the exchange ends here */
};

/*
 * begins: do the n bytes at the front of c->data begin a request? Its struct event_exchange.method as far as it can be
 * told from them; negative: no.
 * request: looks at bytes of the request that were kept just now. True: not lock-step.
 * more: enum turn_more; s holds the first FRAME_DETECT bytes.
 * answer: enum frame_verdict behind the bytes of this call.
 * finish: what the record still lacks. It may call turns_text_key() and nothing deeper: calls nest eight deep at most.
 */
/* http1_beginning() of the n bytes at `at`. */
int turns_http1_beginning(struct capture *s, __u32 at, __u32 n);
int turns_http1_begins(struct conn *c, __u32 n);
/* Between turns: is it known how much of the last request had come when it was answered, or can what is kept of it
 * tell? */
static __always_inline int turns_http1_body_may_come(const struct conn *c)
{
	if (c->phase != PHASE_IDLE || c->proto != PROTO_HTTP1)
		return 0;
	if (c->asked)
		return 1;
	return c->ex.id == c->finished && c->ex.request_len && c->method != HTTP_GET && c->method != HTTP_HEAD;
}

int turns_http1_body(struct io *io, struct conn *c);
int turns_http1_request(struct io *io, struct conn *c, __u32 n);
int turns_http1_more(struct io *io, struct conn *c, struct capture *s);
/* Is the request's head kept to its end? */
int turns_http1_head_kept(struct conn *c);
int turns_http1_answer(struct io *io, struct conn *c);
/* Reads the head of an answer that begins at the front of s, if it can in one go: its length, or 0. */
int turns_http1_head(struct conn *c, struct capture *s, __u32 n);
int turns_http1_finish(struct conn *c);

/* True when it is HTTP, with mode, role and protocol set. s holds the first FRAME_DETECT bytes, n of them data. */
int turns_http1_detect(struct io *io, struct conn *c, struct capture *s, __u32 n);
/* What nobody knew may be the beginning of a request: kept until more comes. */
int turns_http1_keeps(struct io *io, struct conn *c, struct capture *s, __u32 n);
/*
 * Follows what is kept of the turn's request, and passes over the rest of its body. How many bytes of the turn are
 * behind its end, when it is over: more than HTTP1_EMPTY_LINES are another request. c->asked says whether it could be
 * followed.
 */
#define HTTP1_EMPTY_LINES 4
__u64 turns_http1_behind(struct conn *c);
/* For the record of a connection that begins to stream: struct http1_carry. */
int turns_http1_carry(struct conn *c, int answered);

/* True when it is MySQL, with mode, role and protocol set. */
int turns_mysql_detect(struct io *io, struct conn *c, struct capture *s, __u32 n);
int turns_mysql_greeting(struct io *io, struct conn *c);
int turns_mysql_begins(struct io *io, struct conn *c, __u32 n);
int turns_mysql_login(struct io *io, struct conn *c, struct capture *s);
int turns_mysql_hide(struct conn *c, __u32 n);
int turns_mysql_request(struct conn *c);
int turns_mysql_more(struct io *io, struct conn *c, struct capture *s);
int turns_mysql_answer(struct io *io, struct conn *c);
int turns_mysql_finish(struct conn *c);
int turns_mysql_carry(struct conn *c);

int turns_pg_begins(struct conn *c);
int turns_pg_request(struct io *io, struct conn *c);
int turns_pg_more(struct conn *c, struct capture *s);
int turns_pg_answer(struct io *io, struct conn *c);
int turns_pg_finish(struct conn *c);
/* Of a StartupMessage: its database, into c->database. */
int turns_pg_startup(struct conn *c);

/* Hash of the NUL-terminated string at off of c->data; its length in the low half. Only so much is looked at: names are
 * short. */
__u64 turns_name(struct conn *c, __u32 off);

/* Where the record of a connection that begins to stream has what user space is to go on with, behind the request. */
static __always_inline void *turns_carry(struct conn *c)
{
	__u32 at = c->ex.request_len;

	asm volatile("" : "+r"(at));
	return at > EVENT_REQUEST_MAX ? NULL : &c->data.b[at];
}

#endif
