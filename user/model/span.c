/* SPDX-License-Identifier: Apache-2.0 */
#include "model/span.h"

#include <stdlib.h>
#include <string.h>

#include "model/text.h"

/* A span with its first text block fills a malloc chunk of 1 KiB: 14 attributes and some 350 bytes of text. */
#define SPAN_SIZE 1000

struct span_memory {
	struct span span;
	struct text_block first;
};

_Static_assert(sizeof(struct span_memory) + 700 < SPAN_SIZE, "room for attributes");

struct span *span_new(struct resource *r)
{
	struct span_memory *m = malloc(SPAN_SIZE);

	if (!m)
		return NULL;
	m->span = (struct span){ .refs = 1, .kind = SPAN_INTERNAL, .resource = resource_ref(r) };
	text_block_init(&m->first, SPAN_SIZE - offsetof(struct span_memory, first));
	m->span.attrs.text = &m->first;
	return &m->span;
}

struct span *span_ref(struct span *s)
{
	if (s)
		__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void span_unref(struct span *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	attrs_free(&s->attrs);
	resource_unref(s->resource);
	free(s);
}

size_t span_memory(const struct span *s)
{
	size_t n = SPAN_SIZE;

	for (const struct text_block *b = s->attrs.text; b; b = b->next)
		if (!b->borrowed)
			n += sizeof(*b) + b->cap;
	return n;
}

void span_name(struct span *s, struct bytes name)
{
	struct bytes text = attrs_clean_text(&s->attrs, name, 0);

	if (text.n)
		s->name = text;
}

void span_error(struct span *s, struct bytes error_type)
{
	if (!error_type.n)
		return;
	attrs_str(&s->attrs, ATTR_ERROR_TYPE, error_type, 0);
	if (attrs_find(&s->attrs, ATTR_ERROR_TYPE))
		s->status = SPAN_ERROR;
}

bool trace_id_zero(const struct trace_id *t)
{
	static const struct trace_id zero;

	return memcmp(t, &zero, sizeof(zero)) == 0;
}

bool span_id_zero(const struct span_id *s)
{
	static const struct span_id zero;

	return memcmp(s, &zero, sizeof(zero)) == 0;
}

void hex_encode(char *out, const uint8_t *in, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(uint8_t *out, struct bytes in, size_t n)
{
	if (in.n != 2 * n)
		return false;
	for (size_t i = 0; i < in.n; i++)
		if (hex_digit(in.p[i]) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(hex_digit(in.p[2 * i]) << 4 | hex_digit(in.p[2 * i + 1]));
	return true;
}
