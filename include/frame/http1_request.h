/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * HTTP/1.0 and 1.1 requests (RFC 9112 sections 2, 3 and 6): where one begins, and where it ends. A request is framed
 * like an answer, by struct http1_answer: behind the request line come the same fields, and without a length there is
 * no body.
 */
#ifndef SONDE_FRAME_HTTP1_REQUEST_H
#define SONDE_FRAME_HTTP1_REQUEST_H

#include "frame/http1.h"

enum http1_beginning {
	HTTP1_BEGINS_NOT = 0,
	HTTP1_BEGINS_MAYBE = 1, /* as far as can be told of so few bytes */
	HTTP1_BEGINS = 2,
};

/*
 * Do the n bytes at p (FRAME_DETECT readable, n of them data) look like a method, a space, and a target that begins as
 * RFC 9112 section 3.2 lets it? Methods are any letters and '-' (RFC 9110 section 9.1 lets them be any token), of 3
 * to 14.
 */
FRAME_INLINE int http1_beginning(const char *p, __u32 n)
{
	__u32 k;
	char c;

	if (n > FRAME_DETECT)
		n = FRAME_DETECT;
	for (k = 0; k < FRAME_DETECT - 1; k++) {
		if (k >= n)
			return HTTP1_BEGINS_MAYBE;
		c = p[k];
		if (c == ' ')
			break;
		if (((c | 0x20) < 'a' || (c | 0x20) > 'z') && c != '-')
			return HTTP1_BEGINS_NOT;
	}
	if (k < 3 || k >= FRAME_DETECT - 1)
		return HTTP1_BEGINS_NOT;
	if (k + 1 >= n)
		return HTTP1_BEGINS_MAYBE;
	c = p[k + 1];
	return c == '/' || (c | 0x20) == 'h' || c == '*' ? HTTP1_BEGINS : HTTP1_BEGINS_NOT;
}

/* One of the methods that have a number of their own, with the space behind it: the number, and its length in ret_len.
 */
FRAME_INLINE __u8 http1_known_method(const char *p, __u32 *ret_len)
{
	__u32 w = frame_load32(p), v = frame_load32(p + 4);

	*ret_len = 4;
	if (w == HTTP1_WORD('G', 'E', 'T', ' '))
		return HTTP_GET;
	if (w == HTTP1_WORD('P', 'U', 'T', ' '))
		return HTTP_PUT;
	*ret_len = 5;
	if (w == HTTP1_WORD('P', 'O', 'S', 'T') && p[4] == ' ')
		return HTTP_POST;
	if (w == HTTP1_WORD('H', 'E', 'A', 'D') && p[4] == ' ')
		return HTTP_HEAD;
	*ret_len = 6;
	if (w == HTTP1_WORD('P', 'A', 'T', 'C') && (v & 0xffff) == HTTP1_WORD('H', ' ', 0, 0))
		return HTTP_PATCH;
	if (w == HTTP1_WORD('T', 'R', 'A', 'C') && (v & 0xffff) == HTTP1_WORD('E', ' ', 0, 0))
		return HTTP_TRACE;
	if (w == HTTP1_WORD('Q', 'U', 'E', 'R') && (v & 0xffff) == HTTP1_WORD('Y', ' ', 0, 0))
		return HTTP_QUERY;
	*ret_len = 7;
	if (w == HTTP1_WORD('D', 'E', 'L', 'E') && (v & 0xffffff) == HTTP1_WORD('T', 'E', ' ', 0))
		return HTTP_DELETE;
	*ret_len = 8;
	if (w == HTTP1_WORD('O', 'P', 'T', 'I') && v == HTTP1_WORD('O', 'N', 'S', ' '))
		return HTTP_OPTIONS;
	if (w == HTTP1_WORD('C', 'O', 'N', 'N') && v == HTTP1_WORD('E', 'C', 'T', ' '))
		return HTTP_CONNECT;
	return HTTP_NONE;
}

/* Which of these methods begins a request at p (FRAME_DETECT readable bytes, n of them data)? HTTP_NONE: none. */
FRAME_INLINE __u8 http1_numbered_method(const char *p, __u32 n)
{
	__u32 len;
	__u8 method = http1_known_method(p, &len);
	char t;

	if (!method || n <= len || n < 6)
		return HTTP_NONE;
	t = p[len & (FRAME_DETECT - 1)];
	if (t == '/' || (t | 0x20) == 'h' || t == '*' || method == HTTP_CONNECT) /* authority-form: anything follows */
		return method;
	return HTTP_NONE;
}

/*
 * The same of any method. HTTP_NONE: none does, or too few bytes are there to say (http1_beginning). HTTP_OTHER:
 * something that looks like it; where the connection is not known to speak HTTP, the rest of the line is to be asked as
 * well (http1_line_says_so).
 */
FRAME_INLINE __u8 http1_method(const char *p, __u32 n)
{
	__u8 method = http1_numbered_method(p, n);

	if (!method && n >= 6 && http1_beginning(p, n) == HTTP1_BEGINS)
		return HTTP_OTHER;
	return method;
}

/*
 * Is the line at the front of p (FRAME_BLOCK + 8 readable bytes, n of them data, n at most FRAME_BLOCK) a request line,
 * as far as it is there? Other protocols of lines have words and paths as well (FTP: "STOR /a"), but not the version
 * behind.
 */
FRAME_INLINE int http1_line_says_so(const char *p, __u32 n)
{
	__u32 k, at;

	for (k = 0; k < FRAME_BLOCK; k += 8) {
		__u64 y = frame_zero_bytes(frame_load64(&p[k]) ^ 0x0a0a0a0a0a0a0a0aULL);

		if (k >= n)
			break;
		if (!y)
			continue;
		at = k + frame_lowest_byte(y);
		if (at >= n)
			break;
		if (at < 12)
			return 0;
		at = frame_inside(at, FRAME_BLOCK - 1);
		if (p[(at - 1) & (FRAME_BLOCK - 1)] == '\r')
			at--;
		return http1_version(&p[(at - 8) & (FRAME_BLOCK - 1)]) != 0;
	}
	return 1;
}

/* How many of the first bytes at p (4 readable) are empty lines, which a server passes over (RFC 9112 section 2.2). */
FRAME_INLINE __u32 http1_empty_lines(const char *p)
{
	if (p[0] == '\n')
		return 1;
	if (p[0] != '\r' || p[1] != '\n')
		return 0;
	return p[2] == '\r' && p[3] == '\n' ? 4 : 2;
}

/* Begins a request behind its empty lines: what is fed is a line that does not matter, then fields and body. */
FRAME_INLINE void http1_request_init(struct http1_answer *a)
{
	__builtin_memset(a, 0, sizeof(*a));
	a->state = HTTP1_STATUS;
	a->column = 12; /* behind what a status line would say */
	a->status = 200;
}

/* All of it was fed. */
FRAME_INLINE int http1_request_over(const struct http1_answer *a)
{
	return a->state == HTTP1_DONE || a->state == HTTP1_UNTIL_CLOSE;
}

/* What the kernel knew of a connection as it began to stream: the answer's bytes of struct event_exchange. */
struct http1_carry {
	struct http1_answer request; /* behind request_bytes, when known */
	struct http1_answer answer;  /* behind answer_bytes, when there were any */
	__u8 known;		     /* request is; all of request_bytes was one request */
	__u8 answered; /* the first request of request_bytes was, and was counted: only the others are to come */
	__u8 pad[6];
};

#endif
