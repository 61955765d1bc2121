/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. A failed allocation sets .failed and later appends do nothing: check once, at the end. */
#ifndef SONDE_UTIL_BUF_H
#define SONDE_UTIL_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"

struct buf {
	char *p; /* owned; NUL-terminated whenever n > 0 */
	size_t n, cap;
	bool failed;
};

void buf_free(struct buf *b);  /* frees what it holds; b is empty and usable again */
void buf_reset(struct buf *b); /* n = 0, keeps the memory */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, struct bytes s);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends s as the inside of a JSON string: quotes, control characters and invalid UTF-8 (as U+FFFD) escaped. */
void buf_json(struct buf *b, struct bytes s);

/* Inline: a literal's length is known, and its bytes are a store or two. */
static inline void buf_str(struct buf *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (!n || b->failed || n >= b->cap - b->n) {
		buf_add(b, bytes_of(s, n));
		return;
	}
	memcpy(b->p + b->n, s, n + 1);
	b->n += n;
}

static inline void buf_char(struct buf *b, char c)
{
	if (b->failed || b->cap - b->n < 2) {
		buf_add(b, bytes_of(&c, 1));
		return;
	}
	b->p[b->n++] = c;
	b->p[b->n] = '\0';
}

static inline struct bytes buf_bytes(const struct buf *b)
{
	return (struct bytes){ b->p, b->n };
}

#endif
