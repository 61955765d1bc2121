/* SPDX-License-Identifier: Apache-2.0 */
#include "model/span.h"

#include <sanitizer/asan_interface.h>
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

/*
 * Spans are made in one thread and let go of in another, batches of them at a time: malloc() then takes its slow way
 * for each. Some wait here to be used again. Nobody waits for the list: who finds it busy does without.
 */
#define SPARES_MAX 512				 /* as many as the default batch */
#define SPARE_BYTES (SPAN_SIZE - sizeof(void *)) /* of one that waits; then the next of the list */

_Static_assert(SPARE_BYTES % _Alignof(void *) == 0, "the link is aligned");

static bool busy;
static void *spares;
static unsigned spares_n;

static void **link_of(void *spare)
{
	return (void **)(void *)((char *)spare + SPARE_BYTES);
}

static void *take_memory(void)
{
	void *p;

	if (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
		return malloc(SPAN_SIZE);
	p = spares;
	if (p) {
		spares = *link_of(p);
		spares_n--;
	}
	__atomic_clear(&busy, __ATOMIC_RELEASE);
	if (!p)
		return malloc(SPAN_SIZE);
	ASAN_UNPOISON_MEMORY_REGION(p, SPARE_BYTES);
	return p;
}

static void give_memory(void *p)
{
	if (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
		free(p);
		return;
	}
	if (spares_n < SPARES_MAX) {
		ASAN_POISON_MEMORY_REGION(p, SPARE_BYTES); /* its use after its end is still seen */
		*link_of(p) = spares;
		spares = p;
		spares_n++;
		p = NULL;
	}
	__atomic_clear(&busy, __ATOMIC_RELEASE);
	free(p);
}

struct span *span_new(struct resource *r)
{
	struct span_memory *m = take_memory();

	if (!m)
		return NULL;
	m->span = (struct span){ .refs = 1, .kind = SPAN_INTERNAL, .resource = resource_ref(r) };
	text_block_first(&m->span.attrs, &m->first, SPAN_SIZE - offsetof(struct span_memory, first));
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
	give_memory(s);
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
