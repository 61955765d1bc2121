/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1: include/frame/http1.h and http1_request.h driven over the bytes of one call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

#define HTTP_PIECES 24

/* http1_beginning() and http1_method() of the n bytes at `at`, for the verifier to walk once each. */
__noinline int turns_http1_beginning(struct capture *s, __u32 at, __u32 n)
{
	asm volatile("" : "+r"(at));
	if (!s || at > EVENT_REQUEST_MAX)
		return HTTP1_BEGINS_NOT;
	return http1_beginning(&s->b[at], n);
}

__noinline int http1_method_at(struct capture *s, __u32 at, __u32 n)
{
	__u8 method;

	asm volatile("" : "+r"(at));
	if (!s || at > EVENT_REQUEST_MAX)
		return HTTP_NONE;
	method = http1_numbered_method(&s->b[at], n);
	if (!method && n >= 6 && turns_http1_beginning(s, at, n) == HTTP1_BEGINS)
		return HTTP_OTHER;
	return method;
}

/* http1_line_says_so() of what is at the front. */
__noinline int http1_says_so(struct capture *s, __u32 n)
{
	return s && http1_line_says_so(s->b, n > FRAME_BLOCK ? FRAME_BLOCK : n);
}

/*
 * What is left of a body that was answered early begins no request. But empty lines before one do not matter, which old
 * clients send behind a body.
 */
__noinline int turns_http1_begins(struct conn *c, __u32 n)
{
	__u8 method;
	__u32 k;

	if (!c)
		return -1;
	method = http1_numbered_method(c->data.b, n);
	if (method)
		return method;
	k = http1_empty_lines(c->data.b);
	method = http1_method_at(&c->data, k, n > k ? n - k : 0);
	if (method == HTTP_OTHER && !k && !http1_says_so(&c->data, n))
		return -1;
	return method ? method : -1;
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

/* Feeds n bytes, of which the first at are done with; how many are then. */
__noinline int http1_feed(struct http1_answer *a, struct capture *s, __u32 n, __u32 at)
{
	__u32 took;
	int k;

	if (!a || !s)
		return 0;
	for (k = 0; k < HTTP_LINES; k++) {
		asm volatile("" : "+r"(at));
		if (at >= n || !http1_wants_bytes(a))
			break;
		if (!a->column) {
			took = http1_line(a, s, at, n);
			at += took;
			if (took && !a->column)
				continue;
		}
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
	__u32 at = ex->request_len + ex->answer_len, room = HTTP_HEAD_KEPT - ex->answer_len, k;

	if (ex->answer_len >= HTTP_HEAD_KEPT || ex->answer_bytes != ex->answer_len)
		return;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX + HTTP_HEAD_KEPT)
		return;
	for (k = 0; k < HTTP_HEAD_KEPT; k += 8)
		frame_copy8(&c->data.b[at + k], &s->b[k]);
	ex->answer_len += n < room ? n : room;
}

/*
 * Feeds the bytes of the call from off on to the answer or the request that a is of, until its end. Where it stands
 * then; what it did not follow makes it HTTP1_LOST.
 */
static __always_inline __u64 walk(struct io *io, struct conn *c, struct http1_answer *a, struct capture *s, __u64 off,
				  int keep)
{
	int i;

	for (i = 0; i < HTTP_PIECES && off < io->n; i++) {
		__u64 rest = io->n - off;
		__u32 block, at;
		int n;

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
		n = keep && !off ? io_copy_first(io, s, block) : 0;
		if (!n)
			n = io_copy(io, off, s, 0, block);
		if (n <= 0 || n > FRAME_BLOCK) {
			count(KERNEL_io_without_buffer);
			a->state = HTTP1_LOST;
			break;
		}
		if (keep && !off)
			keep_head(c, s, n);
		at = keep && a->state == HTTP1_STATUS && !a->column ? turns_http1_head(c, s, n) : 0;
		off += http1_wants_bytes(a) ? http1_feed(a, s, n, at) : at;
	}
	/* More chunks in one call than are followed: the place is lost, turns and the close still tell the end. */
	if (off < io->n && (a->skip || http1_wants_bytes(a))) {
		a->skip = 0;
		a->state = HTTP1_LOST;
	}
	return off;
}

__noinline int turns_http1_answer(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	__u64 off;

	if (!io || !c || !s)
		return FRAME_UNSURE;
	off = walk(io, c, &c->http, s, 0, 1);
	if (off < io->n && c->http.state == HTTP1_DONE)
		c->left = io->n - off;
	return http1_verdict(&c->http);
}

/* A line's end, and an empty line. */
static __always_inline int is_head_end(const char *p)
{
	return p[0] == '\n' && p[1] == '\r' && p[2] == '\n';
}

#define HEAD_BLOCK 128

/*
 * Several requests in one send? Only methods without a body are asked: behind the empty line that ends the head nothing
 * may follow. Looks for "\n\r\n" in the block at base; where what follows it begins, 0 = none is there. Words at fixed
 * places of the block, so that no place is checked one by one. A word may hold the end of a short line before it; of
 * what is marked behind that, not all are line ends.
 */
__noinline int http1_head_end_block(struct conn *c, __u32 base, __u32 n)
{
	const char *p;
	__u32 k, at;

	asm volatile("" : "+r"(base));
	if (!c || base > EVENT_REQUEST_MAX - HEAD_BLOCK)
		return 0;
	p = &c->data.b[base];
#pragma unroll
	for (k = 0; k < HEAD_BLOCK; k += 8) {
		__u64 y = frame_zero_bytes(*(const __u64 *)(p + k) ^ 0x0a0a0a0a0a0a0a0aULL);

		if (!y)
			continue;
		at = frame_inside(k + frame_lowest_byte(y), HEAD_BLOCK - 1);
		if (is_head_end(p + at))
			return base + at + 3 < n ? base + at + 3 : 0;
		y &= y - 1;
		if (!y)
			continue;
		at = frame_inside(k + frame_lowest_byte(y), HEAD_BLOCK - 1);
		if (is_head_end(p + at))
			return base + at + 3 < n ? base + at + 3 : 0;
	}
	return 0;
}

/* Do the n bytes that are kept end with the head of a request? */
static __always_inline int ends_with_head(const struct conn *c, __u32 n)
{
	__u32 at = n - 4;

	if (n < 16 || n > EVENT_REQUEST_MAX)
		return 0;
	asm volatile("" : "+r"(at));
	return at <= EVENT_REQUEST_MAX && frame_load32(&c->data.b[at]) == 0x0a0d0a0d; /* an empty line */
}

/* Where what follows the head begins, of the first n bytes that are kept; 0: they are all of the head, or hold no end
 * of it. */
static __always_inline __u32 head_end(struct conn *c, __u32 n)
{
	__u32 k, at = 0;

	for (k = 0; k < EVENT_REQUEST_MAX / HEAD_BLOCK && !at; k++) {
		if (k * HEAD_BLOCK >= n)
			break;
		at = http1_head_end_block(c, k * HEAD_BLOCK, n);
	}
	return at;
}

__noinline int turns_http1_head_kept(struct conn *c)
{
	return c && (ends_with_head(c, c->ex.request_len) || head_end(c, c->ex.request_len));
}

/* The request's bytes of the call, from off on. */
__noinline __u64 http1_ask(struct io *io, struct conn *c, __u64 off)
{
	struct capture *s = io_scratch();

	if (!io || !c || !s)
		return off;
	return walk(io, c, &c->ask, s, off, 0);
}

/* Does another request begin in the call at off, behind one that is over: enum http1_beginning? Empty lines are none,
 * nor is what makes no sense. */
__noinline int http1_another(struct io *io, struct conn *c, __u64 off)
{
	struct capture *s = io_scratch();
	__u32 n, k;

	if (!io || !c || !s || off >= io->n || c->method == HTTP_CONNECT)
		return 0;
	n = io->n - off > FRAME_DETECT ? FRAME_DETECT : io->n - off;
	__builtin_memset(s->b, 0, 2 * FRAME_DETECT);
	if (io_copy(io, off, s, 0, n) < (int)n)
		return 0;
	k = http1_empty_lines(s->b);
	return n > k ? turns_http1_beginning(s, k, n - k) : HTTP1_BEGINS_NOT;
}

/*
 * A client that sends several requests at once does so from the beginning: the first turn of a connection is followed
 * to the request's end. So is every turn where an answer came that was not asked for.
 */
static __always_inline int first_request(struct io *io, struct conn *c)
{
	__u64 off;

	http1_request_init(&c->ask);
	off = http1_ask(io, c, http1_empty_lines(c->data.b));
	c->asked = c->ask.state != HTTP1_LOST;
	return http1_request_over(&c->ask) && http1_another(io, c, off);
}

__noinline int turns_http1_request(struct io *io, struct conn *c, __u32 n)
{
	int bodiless, whole;
	__u32 at;

	if (!io || !c)
		return 0;
	bodiless = c->method == HTTP_GET || c->method == HTTP_HEAD || c->method == HTTP_OPTIONS;
	whole = ends_with_head(c, n);
	if (c->role == ROLE_SERVER && !bodiless && whole) /* and nothing of the body that may follow */
		context_server_waits(c);
	/* What is not all there, or not all kept, is followed as far as it goes. */
	if (!c->finished || c->suspect || (bodiless && (!whole || io->n > n)))
		return first_request(io, c);
	if (!bodiless)
		return 0;
	at = head_end(c, n);
	asm volatile("" : "+r"(at));
	if (!at || at > EVENT_REQUEST_MAX || at >= n)
		return 0;
	return http1_method_at(&c->data, at, n - at) != HTTP_NONE;
}

/*
 * Bytes of the client come when its request has been answered, but was not over. They are of its body; but one that did
 * not begin may never come (Expect: 100-continue), and what looks like a request then is one. Where the turn was not
 * followed, what is kept of it tells how much of it is due, when bytes come that begin no request. True: they were of
 * the body, all.
 */
__noinline int turns_http1_body(struct io *io, struct conn *c)
{
	struct http1_answer *a;
	__u64 off;

	if (!io || !c)
		return 0;
	a = &c->ask;
	if (!c->asked && !http1_another(io, c, 0)) {
		c->suspect = 1;
		turns_http1_behind(c);
	}
	if (!c->asked || http1_request_over(a)) /* all of it had come, or nobody knows */
		return 0;
	if (((a->state == HTTP1_BODY && a->skip == a->length) || (a->state == HTTP1_CHUNK_SIZE && !a->digits)) &&
	    http1_another(io, c, 0) == HTTP1_BEGINS)
		return 0;
	off = http1_ask(io, c, 0);
	if (a->state == HTTP1_LOST)
		c->asked = 0;
	if (!http1_request_over(a) || !http1_another(io, c, off)) {
		c->mark = 0; /* of this call: a request begins later */
		return 1;
	}
	io_pass(io, off);
	return 0;
}

#define HTTP_KEPT_STEPS 24

/* A block of the request that is kept goes to s. */
__noinline int http1_kept_block(struct conn *c, struct capture *s, __u32 at)
{
	asm volatile("" : "+r"(at));
	if (!c || !s || at > EVENT_REQUEST_MAX)
		return 0;
	__builtin_memcpy(s->b, &c->data.b[at], FRAME_BLOCK);
	return 0;
}

__noinline __u64 turns_http1_behind(struct conn *c)
{
	struct capture *s = io_scratch();
	struct http1_answer *a;
	__u64 at, pass;
	int i;

	if (!c || !s)
		return 0;
	a = &c->ask;
	at = http1_empty_lines(c->data.b);
	http1_request_init(a);
	for (i = 0; i < HTTP_KEPT_STEPS; i++) {
		__u32 n;

		asm volatile("" : "+r"(at));
		if (at >= c->ex.request_len || !http1_wants_bytes(a))
			break;
		n = c->ex.request_len - at;
		http1_kept_block(c, s, at);
		at += http1_feed(a, s, n > FRAME_BLOCK ? FRAME_BLOCK : n, 0);
		if (a->skip) {
			pass = c->ex.request_bytes - at;
			if (pass > a->skip)
				pass = a->skip;
			http1_skip(a, pass);
			at += pass;
		}
	}
	c->asked = http1_request_over(a) || (at == c->ex.request_bytes && a->state != HTTP1_LOST);
	return http1_request_over(a) ? c->ex.request_bytes - at : 0;
}

/* The body; or the next request of a client that did not wait. */
__noinline int turns_http1_more(struct io *io, struct conn *c, struct capture *s)
{
	__u32 n;
	__u64 off = 0;
	__u8 likely;

	if (!io || !c || !s)
		return MORE_COUNT;
	n = io->n > FRAME_DETECT ? FRAME_DETECT : io->n;
	likely = http1_method_at(s, 0, n);
	/* What does not look like a request is hardly one: then nothing else is asked. */
	if (!c->asked && (likely || http1_empty_lines(s->b) || turns_http1_beginning(s, 0, n)))
		if (turns_http1_behind(c) > HTTP1_EMPTY_LINES || (!c->asked && likely && c->phase == PHASE_ANSWER))
			return MORE_STREAM;
	if (c->asked) {
		if (!http1_request_over(&c->ask))
			off = http1_ask(io, c, 0);
		if (http1_request_over(&c->ask)) {
			if (http1_another(io, c, off))
				return MORE_STREAM;
			if (!off)
				return MORE_COUNT;
		}
	}
	if (c->role == ROLE_SERVER && c->phase == PHASE_REQUEST)
		context_server_more(c, io->tid);
	return MORE_KEEP;
}

__noinline int turns_http1_carry(struct conn *c, int answered)
{
	struct http1_carry *to = c ? turns_carry(c) : NULL;

	if (!to)
		return 0;
	__builtin_memset(to, 0, sizeof(*to));
	to->request = c->ask;
	to->answer = c->http;
	to->known = c->asked;
	to->answered = answered;
	c->ex.answer_len = sizeof(*to);
	return 0;
}

/* The line of a method that has no number of its own: is it one of HTTP? */
static __always_inline int line_says_so(struct io *io, struct capture *s)
{
	__u32 n = io->n > FRAME_BLOCK ? FRAME_BLOCK : io->n;

	return io_copy(io, 0, s, 0, n) == (int)n && http1_says_so(s, n);
}

__noinline int turns_http1_detect(struct io *io, struct conn *c, struct capture *s, __u32 n)
{
	__u32 have, all = n;
	__u8 method;

	if (!io || !c || !s || n > FRAME_DETECT)
		return 0;
	method = http1_method_at(s, 0, n);
	have = c->partial;
	if (have && have < FRAME_DETECT && c->partial_dir == io->dir && n) {
		io_copy(io, 0, &c->data, have, n);
		all = have + n > FRAME_DETECT ? FRAME_DETECT : have + n;
		if (turns_http1_beginning(&c->data, 0, all))
			method = http1_method_at(&c->data, 0, all);
		else
			c->partial = 0;
	} else {
		c->partial = 0;
	}
	if (!method || (method == HTTP_OTHER && !line_says_so(io, s)))
		return 0;
	c->proto = PROTO_HTTP1;
	c->mode = MODE_TURNS;
	c->role = io->dir == IO_RECV ? ROLE_SERVER : ROLE_CLIENT;
	return 1;
}

__noinline int turns_http1_keeps(struct io *io, struct conn *c, struct capture *s, __u32 n)
{
	__u32 have, all = n;

	if (!io || !c || !s || n > FRAME_DETECT)
		return 0;
	have = c->partial;
	if (have && have < FRAME_DETECT) { /* turns_http1_detect has put what came behind it */
		all = have + n;
	} else {
		__builtin_memcpy(c->data.b, s->b, FRAME_DETECT);
		c->partial_at = io->now;
		c->partial_dir = io->dir;
	}
	if (all < FRAME_DETECT && turns_http1_beginning(&c->data, 0, all) != HTTP1_BEGINS_NOT)
		c->partial = all;
	else
		c->partial = 0;
	return 0;
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
