/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1: include/frame/http1.h driven over the bytes of one call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

#define HTTP_PIECES 24

/* What is left of a body that was answered early begins no request. */
__noinline int turns_http1_begins(struct conn *c, __u32 n)
{
	__u8 method;

	if (!c)
		return -1;
	method = http1_method(c->data.b, n);
	return method ? method : -1;
}

/* The body; or, once the answer began, the next request of a client that did not wait. */
__noinline int turns_http1_more(struct io *io, struct conn *c, struct capture *s)
{
	if (!io || !c || !s)
		return MORE_COUNT;
	if (c->phase == PHASE_ANSWER && http1_method(s->b, io->n > FRAME_DETECT ? FRAME_DETECT : io->n))
		return MORE_STREAM;
	if (c->role == ROLE_SERVER && c->phase == PHASE_REQUEST)
		context_server_more(c, io->tid);
	return MORE_KEEP;
}
#define HTTP_CHUNK_BLOCK 32

/*
 * Feeds bytes [at, at + STEP) of s, up to n, until the state wants no more or a line can be taken faster. How many.
 */
__noinline int http1_feed_step(struct http1_answer *a, struct capture *s, __u32 at, __u32 n)
{
	__u32 k;

	if (!a || !s)
		return 0;
	for (k = 0; k < STEP; k++) {
		__u32 i = at + k;

		asm volatile("" : "+r"(i));
		if (i >= n || i >= FRAME_BLOCK || !http1_wants_bytes(a))
			break;
		if (k && a->state <= HTTP1_HEADER && (!a->column || http1_skips_line(a)))
			break;
		http1_byte(a, s->b[i]);
		asm volatile("" ::: "memory");
	}
	return k;
}

__noinline int http1_skip_block(struct http1_answer *a, struct capture *s, __u32 at, __u32 n)
{
	if (!a || !s || n > FRAME_BLOCK)
		return n;
	return http1_skip_lines(a, s->b, at, n);
}

__noinline int http1_line(struct http1_answer *a, struct capture *s, __u32 at, __u32 n)
{
	asm volatile("" : "+r"(at));
	if (!a || !s || at >= n || at >= FRAME_BLOCK)
		return 0;
	return http1_line_start(a, &s->b[at], n - at);
}

#define HTTP_LINES 64

/* Feeds n bytes; how many were taken. */
__noinline int http1_feed(struct http1_answer *a, struct capture *s, __u32 n)
{
	__u32 at = 0;
	int k;

	if (!a || !s)
		return 0;
	for (k = 0; k < HTTP_LINES; k++) {
		asm volatile("" : "+r"(at));
		if (at >= n || !http1_wants_bytes(a))
			break;
		if (!a->column)
			at += http1_line(a, s, at, n);
		if (http1_skips_line(a))
			at = http1_skip_block(a, s, at, n);
		else
			at += http1_feed_step(a, s, at, n);
	}
	return at;
}

#define HTTP_HEAD_KEPT 32

/* The head of the answer goes behind the request's, from the block that is there anyway. n: bytes of this call in it.
 */
static __always_inline void keep_head(struct conn *c, const struct capture *s, __u32 n)
{
	struct event_exchange *ex = &c->ex;
	__u32 at = ex->request_len + ex->answer_len, room = HTTP_HEAD_KEPT - ex->answer_len;

	if (ex->answer_len >= HTTP_HEAD_KEPT || ex->answer_bytes != ex->answer_len)
		return;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX + HTTP_HEAD_KEPT)
		return;
	__builtin_memcpy(&c->data.b[at], s->b, HTTP_HEAD_KEPT);
	ex->answer_len += n < room ? n : room;
}

__noinline int turns_http1_answer(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	struct http1_answer *a;
	__u64 off = 0;
	int i;

	if (!io || !c || !s)
		return FRAME_UNSURE;
	a = &c->http;
	for (i = 0; i < HTTP_PIECES && off < io->n; i++) {
		__u64 rest = io->n - off;
		__u32 block;

		if (a->skip) {
			if (rest > a->skip)
				rest = a->skip;
			http1_skip(a, rest);
			off += rest;
			continue;
		}
		if (!http1_wants_bytes(a))
			break;
		block = a->state >= HTTP1_CHUNK_SIZE ? HTTP_CHUNK_BLOCK : FRAME_BLOCK;
		if (block > rest)
			block = rest;
		if (io_copy(io, off, s, 0, block) < (int)block) {
			count(KERNEL_io_without_buffer);
			a->state = HTTP1_LOST;
			break;
		}
		if (!off)
			keep_head(c, s, block);
		off += http1_feed(a, s, block);
	}
	/* More chunks in one call than are followed: the place is lost, turns and the close still tell the end. */
	if (off < io->n && (a->skip || http1_wants_bytes(a))) {
		a->skip = 0;
		a->state = HTTP1_LOST;
	}
	return http1_verdict(a);
}

/*
 * Several requests in one send? Only methods without a body are asked: behind the empty line that ends the head nothing
 * may follow. Looks for "\n\r\n" from the end: an ordinary request has it there and nowhere else that matters.
 */
__noinline int http1_head_end_step(struct conn *c, __u32 base, __u32 n)
{
	__u32 k;

	if (!c)
		return 0;
	for (k = 0; k < STEP; k++) {
		__u32 at = base + k * 8;
		__u64 w, y;

		asm volatile("" : "+r"(at));
		if (at > EVENT_REQUEST_MAX - 8 || at + 12 > n)
			break;
		w = *(__u64 *)&c->data.b[at] ^ 0x0a0a0a0a0a0a0a0aULL;
		y = frame_zero_bytes(w);
		if (!y)
			continue;
		at += frame_lowest_byte(y);
		asm volatile("" : "+r"(at));
		if (at > EVENT_REQUEST_MAX)
			break;
		if (c->data.b[at + 1] == '\r' && c->data.b[at + 2] == '\n')
			return at + 3;
	}
	return 0;
}

/* Does a server have the head of a request and nothing of the body that may follow? */
static __always_inline int is_head_alone(const struct conn *c, __u32 n)
{
	__u32 at = n - 4;

	asm volatile("" : "+r"(at));
	return c->role == ROLE_SERVER && at <= EVENT_REQUEST_MAX &&
	       frame_load32(&c->data.b[at]) == 0x0a0d0a0d; /* an empty line */
}

__noinline int turns_http1_request(struct conn *c, __u32 n)
{
	__u32 k, at = 0;

	if (!c || n < 16 || n > EVENT_REQUEST_MAX)
		return 0;
	if (c->method != HTTP_GET && c->method != HTTP_HEAD && c->method != HTTP_OPTIONS) {
		if (is_head_alone(c, n))
			context_server_waits(c);
		return 0;
	}
	for (k = 0; k < EVENT_REQUEST_MAX / 8 / STEP && !at; k++) {
		if (k * 8 * STEP >= n)
			break;
		at = http1_head_end_step(c, k * 8 * STEP, n);
	}
	asm volatile("" : "+r"(at));
	if (!at || at > EVENT_REQUEST_MAX || at >= n)
		return 0;
	return http1_method(&c->data.b[at], n - at) != HTTP_NONE;
}

__noinline int turns_http1_finish(struct conn *c)
{
	struct event_exchange *ex;

	if (!c)
		return 0;
	ex = &c->ex;
	ex->status = c->http.status;
	if (ex->status >= 500)
		ex->flags |= EXCHANGE_FAILED;
	return 0;
}
