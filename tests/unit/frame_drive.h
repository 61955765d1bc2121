/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the frame headers over a piece of bytes the way the kernel side does: skipping what need not be looked at. */
#ifndef TESTS_UNIT_FRAME_DRIVE_H
#define TESTS_UNIT_FRAME_DRIVE_H

#include <stddef.h>
#include <string.h>

#include "frame/http1_request.h"
#include "frame/postgres.h"

/* One turn of the kernel's loop over a block of at most FRAME_BLOCK bytes; how many were taken. */
static inline size_t drive_http1_block(struct http1_answer *a, const char *p, size_t n)
{
	char block[FRAME_BLOCK + HTTP1_LINE_WORD + 2];
	size_t at = 0;

	memset(block, '\n', sizeof(block)); /* what lies behind the data must not matter */
	memcpy(block, p, n);
	at = http1_plain_head(a, block, (__u32)n);
	if (at)
		return at;
	if (!a->column)
		at += http1_line_start(a, block, (__u32)n);
	if (http1_skips_line(a))
		return http1_skip_lines(a, block, (__u32)at, (__u32)n);
	if (at < n && http1_wants_bytes(a))
		http1_byte(a, block[at++]);
	return at;
}

/* How many of the n bytes belong to the answer, as far as it got. */
static inline size_t drive_http1(struct http1_answer *a, const char *p, size_t n)
{
	size_t off = 0;

	while (off < n) {
		if (a->skip) {
			size_t step = a->skip < n - off ? (size_t)a->skip : n - off;

			http1_skip(a, step);
			off += step;
		} else if (http1_wants_bytes(a)) {
			off += drive_http1_block(a, p + off, n - off < FRAME_BLOCK ? n - off : FRAME_BLOCK);
		} else {
			return a->state == HTTP1_UNTIL_CLOSE ? n : off;
		}
	}
	return off;
}

/*
 * Are both at the same place? Lines that do not matter may be remembered differently, so it is also asked what each
 * makes of what may follow.
 */
static inline int http1_same(const struct http1_answer *x, const struct http1_answer *y)
{
	static const char *const next[] = { "", "\n", "7\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n",
					    "d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" };

	for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		struct http1_answer a = *x, b = *y;
		size_t n = strlen(next[i]);

		if (drive_http1(&a, next[i], n) != drive_http1(&b, next[i], n) || a.state != b.state ||
		    a.skip != b.skip || a.status != b.status || a.flags != b.flags || a.version != b.version)
			return 0;
	}
	return 1;
}

static inline void drive_pg(struct pg_request_walk *w, const char *p, size_t n)
{
	size_t off = 0;

	while (off < n && !w->bad) {
		if (w->skip) {
			size_t step = w->skip < n - off ? (size_t)w->skip : n - off;

			w->skip -= step;
			off += step;
			continue;
		}
		w->head[w->head_n++] = (__u8)p[off++];
		if (w->head_n == sizeof(w->head)) {
			w->head_n = 0;
			pg_walk_message(w, (const char *)w->head);
		}
	}
}

#endif
