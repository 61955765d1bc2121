/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vector of attributes lives in the same chained blocks as the text, so that a span is one allocation as long as it
 * fits its first block. Blocks are only ever added: replacing a value leaves the old one behind until the owner goes.
 */
#include "model/attr.h"

#include <stdlib.h>
#include <string.h>

#include "model/text.h"
#include "model/utf8.h"

#define ATTRS_FIRST_CAP 14

void text_block_first(struct attrs *a, struct text_block *b, size_t size)
{
	b->next = NULL;
	b->cap = size - sizeof(*b);
	b->used = ATTRS_FIRST_CAP * sizeof(*a->v);
	b->borrowed = true;
	a->text = b;
	a->v = (struct attr *)(void *)b->data;
	a->cap = ATTRS_FIRST_CAP;
}

static void *text_alloc(struct attrs *a, size_t n, size_t align)
{
	struct text_block *b = a->text;
	size_t at, cap;

	if (b) {
		at = (b->used + align - 1) & ~(align - 1);
		if (at <= b->cap && n <= b->cap - at) {
			b->used = at + n;
			return b->data + at;
		}
	}
	cap = TEXT_BLOCK - sizeof(*b);
	if (n > cap)
		cap = n;
	b = malloc(sizeof(*b) + cap);
	if (!b)
		return NULL;
	b->next = a->text;
	b->cap = cap;
	b->used = n;
	b->borrowed = false;
	a->text = b;
	return b->data;
}

void attrs_free(struct attrs *a)
{
	struct text_block *b = a->text;

	while (b) {
		struct text_block *next = b->next;

		if (!b->borrowed)
			free(b);
		b = next;
	}
	*a = (struct attrs){ 0 };
}

struct bytes attrs_text(struct attrs *a, struct bytes s)
{
	char *p = text_alloc(a, s.n + 1, 1);

	if (!p)
		return (struct bytes){ NULL, 0 };
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct bytes){ p, s.n };
}

static bool grow(struct attrs *a)
{
	uint16_t cap = a->cap ? (uint16_t)(a->cap * 2) : ATTRS_FIRST_CAP;
	struct attr *v;

	if (a->n >= ATTRS_MAX)
		return false;
	if (cap > ATTRS_MAX)
		cap = ATTRS_MAX;
	v = text_alloc(a, cap * sizeof(*v), _Alignof(struct attr));
	if (!v)
		return false;
	if (a->n)
		memcpy(v, a->v, a->n * sizeof(*v));
	a->v = v;
	a->cap = cap;
	return true;
}

const struct attr *attrs_get(const struct attrs *a, struct attr_key key)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].key_n == key.n && memcmp(a->v[i].key, key.p, key.n) == 0)
			return &a->v[i];
	return NULL;
}

static __attribute__((noinline)) struct attr *put_any(struct attrs *a, struct attr_key key)
{
	struct attr *at = (struct attr *)(uintptr_t)attrs_get(a, key);

	if (at)
		return at;
	if (a->n == a->cap && !grow(a)) {
		a->dropped++;
		return NULL;
	}
	a->bits |= 1ULL << key.bit;
	at = &a->v[a->n++];
	at->key = key.p;
	at->key_n = key.n;
	return at;
}

struct attr *attrs_put(struct attrs *a, struct attr_key key)
{
	struct attr *at;

	if (a->bits >> key.bit & 1 || a->n == a->cap)
		return put_any(a, key);
	a->bits |= 1ULL << key.bit;
	at = &a->v[a->n++];
	at->key = key.p;
	at->key_n = key.n;
	return at;
}

static struct bytes clean_copy(struct attrs *a, struct bytes s)
{
	bool ascii = utf8_ascii_head(s) == s.n;
	size_t n = ascii ? s.n : utf8_clean_size(s);
	char *p = n ? text_alloc(a, n + 1, 1) : NULL;

	if (!p)
		return (struct bytes){ NULL, 0 };
	if (ascii)
		memcpy(p, s.p, n);
	else
		utf8_clean(p, s);
	p[n] = '\0';
	return (struct bytes){ p, n };
}

static inline uint64_t copy_word(char *to, const char *from)
{
	uint64_t w;

	memcpy(&w, from, sizeof(w));
	memcpy(to, &w, sizeof(w));
	return w;
}

/* Nearly all text is: copied and judged at once. False: it is not ASCII, and the copy is of no use. */
static inline __attribute__((always_inline)) bool copy_ascii(char *to, struct bytes s)
{
	uint64_t bits = 0;

	if (s.n >= sizeof(bits)) {
		bits = copy_word(to + s.n - sizeof(bits), s.p + s.n - sizeof(bits));
		for (size_t i = 0; i + sizeof(bits) < s.n; i += sizeof(bits))
			bits |= copy_word(to + i, s.p + i);
	} else {
		for (size_t i = 0; i < s.n; i++) {
			to[i] = s.p[i];
			bits |= (unsigned char)s.p[i];
		}
	}
	return !(bits & 0x8080808080808080);
}

struct bytes attrs_clean_text(struct attrs *a, struct bytes s, size_t max)
{
	struct text_block *b = a->text;
	char *p;

	if (max && s.n > max)
		s = utf8_head(s, max);
	if (!b || !s.n || s.n >= b->cap - b->used)
		return clean_copy(a, s);
	p = b->data + b->used;
	if (!copy_ascii(p, s))
		return clean_copy(a, s);
	p[s.n] = '\0';
	b->used += s.n + 1;
	return (struct bytes){ p, s.n };
}

static __attribute__((noinline)) void put_any_str(struct attrs *a, struct attr_key key, struct bytes value, size_t max)
{
	struct bytes copy = attrs_clean_text(a, value, max);
	struct attr *at;

	if (!copy.p) {
		a->dropped++;
		return;
	}
	at = attrs_put(a, key);
	if (!at)
		return;
	at->type = ATTR_STRING;
	at->s = copy;
}

/* Here only what nearly all are: new, ASCII, and there is room for it. */
void attrs_put_str(struct attrs *a, struct attr_key key, struct bytes value, size_t max)
{
	struct text_block *b = a->text;
	struct attr *at;
	char *p;

	if (!value.n)
		return;
	if ((max && value.n > max) || a->bits >> key.bit & 1 || a->n == a->cap || !b || value.n >= b->cap - b->used ||
	    !copy_ascii(b->data + b->used, value)) {
		put_any_str(a, key, value, max);
		return;
	}
	p = b->data + b->used;
	p[value.n] = '\0';
	b->used += value.n + 1;
	a->bits |= 1ULL << key.bit;
	at = &a->v[a->n++];
	*at = (struct attr){ .key = key.p, .key_n = key.n, .type = ATTR_STRING, .s = { p, value.n } };
}

void attrs_str_copy_key(struct attrs *a, struct bytes key, struct bytes value, size_t max)
{
	const struct attr *at;
	struct bytes copy;

	if (!value.n || !key.n || memchr(key.p, '\0', key.n))
		return;
	copy = attrs_clean_text(a, key, 0);
	if (!copy.p) {
		a->dropped++;
		return;
	}
	at = attrs_find(a, copy.p); /* cleaned, and has no NUL */
	attrs_str(a, at ? at->key : copy.p, value, max);
}

void attrs_double(struct attrs *a, const char *key, double value)
{
	struct attr *at = attrs_put(a, attr_key(key));

	if (!at)
		return;
	at->type = ATTR_DOUBLE;
	at->d = value;
}

void attrs_bool(struct attrs *a, const char *key, bool value)
{
	struct attr *at = attrs_put(a, attr_key(key));

	if (!at)
		return;
	at->type = ATTR_BOOL;
	at->b = value;
}
