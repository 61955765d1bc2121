/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the frame headers over a piece of bytes the way the kernel side does: skipping what need not be looked at. */
#ifndef TESTS_UNIT_FRAME_DRIVE_H
#define TESTS_UNIT_FRAME_DRIVE_H

#include <stddef.h>
#include <string.h>

#include "frame/http1.h"
#include "frame/postgres.h"

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
			http1_byte(a, p[off++]);
		} else {
			return a->state == HTTP1_UNTIL_CLOSE ? n : off;
		}
	}
	return off;
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
