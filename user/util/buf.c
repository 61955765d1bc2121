/* SPDX-License-Identifier: Apache-2.0 */
#include "util/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
	if (b->p)
		b->p[0] = '\0';
}

/* Room for more bytes and the NUL behind them. */
bool buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;
	char *p;

	if (b->failed)
		return false;
	if (__builtin_add_overflow(b->n, more, &need) || __builtin_add_overflow(need, 1, &need)) {
		b->failed = true;
		return false;
	}
	if (need <= b->cap)
		return true;
	cap = b->cap ? b->cap : 64;
	while (cap < need && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap < need)
		cap = need;
	p = realloc(b->p, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, struct bytes s)
{
	if ((b->failed || s.n >= b->cap - b->n) && !buf_reserve(b, s.n))
		return;
	if (s.n)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	b->p[b->n] = '\0';
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		b->failed = true;
		return;
	}
	if (!buf_reserve(b, (size_t)len))
		return;
	va_start(args, format);
	vsnprintf(b->p + b->n, (size_t)len + 1, format, args);
	va_end(args);
	b->n += (size_t)len;
}

/*
 * Length of the well-formed UTF-8 sequence at s.p (Unicode 15, table 3-7), or 0 when it is ill-formed: then *ret_skip
 * is the length of its maximal subpart, which one U+FFFD stands for.
 */
static size_t utf8_sequence(struct bytes s, size_t *ret_skip)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	*ret_skip = 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	if (p[0] == 0xf0)
		low = 0x90;
	if (p[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	for (size_t i = 1; i < len; i++) {
		if (i >= s.n || p[i] < low || p[i] > high)
			return 0;
		*ret_skip = i + 1;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

static void json_ascii(struct buf *b, char c)
{
	switch (c) {
	case '"':
		buf_str(b, "\\\"");
		break;
	case '\\':
		buf_str(b, "\\\\");
		break;
	case '\n':
		buf_str(b, "\\n");
		break;
	case '\r':
		buf_str(b, "\\r");
		break;
	case '\t':
		buf_str(b, "\\t");
		break;
	default:
		/* DEL is legal in JSON, but our JSON lines are also read on terminals */
		if ((unsigned char)c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", (unsigned)c);
		else
			buf_char(b, c);
	}
}

static const bool is_special[256] = { [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x7f ... 0xff] = true };

/* High bits that are set when a byte of w is c. */
static uint64_t has(uint64_t w, unsigned char c)
{
	const uint64_t ones = 0x0101010101010101;

	w ^= ones * c;
	return (w - ones) & ~w;
}

/* Bytes before the first that JSON does not have as it is: nearly all text has none, and eight are told at once. */
static size_t plain_head(struct bytes s)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	size_t i = 0;
	uint64_t w;

	for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if ((w | ((w - ones * 0x20) & ~w) | has(w, '"') | has(w, '\\') | has(w, 0x7f)) & high)
			break;
	}
	while (i < s.n && !is_special[(unsigned char)s.p[i]])
		i++;
	return i;
}

void buf_json(struct buf *b, struct bytes s)
{
	while (s.n > 0) {
		size_t plain = plain_head(s), len, skip;

		if (plain) {
			buf_add(b, bytes_head(s, plain));
			s = bytes_tail(s, plain);
			continue;
		}
		if ((unsigned char)s.p[0] < 0x80) {
			json_ascii(b, s.p[0]);
			s = bytes_tail(s, 1);
			continue;
		}
		len = utf8_sequence(s, &skip);
		if (len)
			buf_add(b, bytes_head(s, len));
		else
			buf_str(b, "\\ufffd");
		s = bytes_tail(s, len ? len : skip);
	}
}
