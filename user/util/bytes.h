/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed bytes and a bounded cursor over them. Nothing here owns memory. Every read is checked: it returns false and
 * leaves both the cursor and *ret as they were when there are not enough bytes.
 */
#ifndef SONDE_UTIL_BYTES_H
#define SONDE_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUSTCHECK __attribute__((warn_unused_result))

struct bytes {
	const char *p;
	size_t n;
};

#define BYTES_LITERAL(s) ((struct bytes){ (s), sizeof(s) - 1 })

static inline struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){ p, n };
}

static inline struct bytes bytes_str(const char *s)
{
	return (struct bytes){ s, s ? strlen(s) : 0 };
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive comparison, as HTTP header names and SQL keywords want it. */
static inline bool bytes_ieq(struct bytes a, struct bytes b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];

		if (x >= 'A' && x <= 'Z')
			x |= 0x20;
		if (y >= 'A' && y <= 'Z')
			y |= 0x20;
		if (x != y)
			return false;
	}
	return true;
}

static inline bool bytes_starts(struct bytes b, struct bytes prefix)
{
	return b.n >= prefix.n && memcmp(b.p, prefix.p, prefix.n) == 0;
}

/* The first n bytes, or all when there are fewer. */
static inline struct bytes bytes_head(struct bytes b, size_t n)
{
	return (struct bytes){ b.p, n < b.n ? n : b.n };
}

/* What follows the first n bytes; empty when there are fewer. */
static inline struct bytes bytes_tail(struct bytes b, size_t n)
{
	return n < b.n ? (struct bytes){ b.p + n, b.n - n } : (struct bytes){ b.n ? b.p + b.n : b.p, 0 };
}

/* Position of c, or b.n when it is not there. */
static inline size_t bytes_find(struct bytes b, char c)
{
	const char *hit = b.n && b.n <= PTRDIFF_MAX ? memchr(b.p, c, b.n) : NULL;

	return hit ? (size_t)(hit - b.p) : b.n;
}

/* Without the blanks and tabs around it. */
static inline struct bytes bytes_trim(struct bytes b)
{
	while (b.n && (b.p[0] == ' ' || b.p[0] == '\t'))
		b = bytes_tail(b, 1);
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b;
}

/* The value of a hexadecimal digit, -1 when it is none. */
static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool MUSTCHECK bytes_get_u8(struct bytes *b, uint8_t *ret)
{
	if (b->n < 1)
		return false;
	*ret = (uint8_t)b->p[0];
	*b = bytes_tail(*b, 1);
	return true;
}

static inline bool MUSTCHECK bytes_get_be16(struct bytes *b, uint16_t *ret)
{
	if (b->n < 2)
		return false;
	*ret = (uint16_t)((uint8_t)b->p[0] << 8 | (uint8_t)b->p[1]);
	*b = bytes_tail(*b, 2);
	return true;
}

static inline bool MUSTCHECK bytes_get_be32(struct bytes *b, uint32_t *ret)
{
	if (b->n < 4)
		return false;
	*ret = (uint32_t)(uint8_t)b->p[0] << 24 | (uint32_t)(uint8_t)b->p[1] << 16 | (uint32_t)(uint8_t)b->p[2] << 8 |
	       (uint32_t)(uint8_t)b->p[3];
	*b = bytes_tail(*b, 4);
	return true;
}

static inline bool MUSTCHECK bytes_get(struct bytes *b, size_t n, struct bytes *ret)
{
	if (b->n < n)
		return false;
	*ret = (struct bytes){ b->p, n };
	*b = bytes_tail(*b, n);
	return true;
}

/* A NUL-terminated string; ret is without its NUL, the cursor stands behind it. */
static inline bool MUSTCHECK bytes_get_cstr(struct bytes *b, struct bytes *ret)
{
	size_t n = bytes_find(*b, '\0');

	if (n == b->n)
		return false;
	*ret = (struct bytes){ b->p, n };
	*b = bytes_tail(*b, n + 1);
	return true;
}

#endif
