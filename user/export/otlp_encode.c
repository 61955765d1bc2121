/* SPDX-License-Identifier: Apache-2.0 */
#include "export/otlp_encode.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64u << 10)

struct otlp_block {
	struct otlp_block *next;
	size_t cap, used;
	_Alignas(16) char data[];
};

void *otlp_alloc_dirty(struct otlp_arena *a, size_t n)
{
	struct otlp_block *b = a->at;
	void *p;

	n = (n + 15) & ~(size_t)15;
	while (b && n > b->cap - b->used && b->next) { /* kept by a reset */
		b = b->next;
		a->at = b;
	}
	if (!b || n > b->cap - b->used) {
		size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
		struct otlp_block *more = malloc(sizeof(*more) + cap);

		if (!more) {
			a->failed = true;
			return NULL;
		}
		*more = (struct otlp_block){ .cap = cap };
		if (b)
			b->next = more;
		else
			a->first = more;
		a->at = b = more;
	}
	p = b->data + b->used;
	b->used += n;
	return p;
}

void *otlp_alloc(struct otlp_arena *a, size_t n)
{
	void *p = otlp_alloc_dirty(a, n);

	return p ? memset(p, 0, n) : NULL;
}

void otlp_arena_reset(struct otlp_arena *a)
{
	for (struct otlp_block *b = a->first; b; b = b->next)
		b->used = 0;
	a->at = a->first;
	a->failed = false;
}

void otlp_arena_free(struct otlp_arena *a)
{
	struct otlp_block *b = a->first;

	while (b) {
		struct otlp_block *next = b->next;

		free(b);
		b = next;
	}
	*a = (struct otlp_arena){ 0 };
}

char *otlp_string(struct otlp_arena *a, struct bytes s)
{
	static char empty[] = "";
	size_t from = bytes_find(s, '\0');
	char *copy;

	if (!s.n)
		return empty;
	if (from == s.n)
		return (char *)(uintptr_t)s.p; /* packing only reads it */
	copy = otlp_alloc(a, s.n + 1);
	if (!copy)
		return empty;
	memcpy(copy, s.p, s.n);
	for (; from < s.n; from++)
		if (!copy[from])
			copy[from] = ' ';
	return copy;
}

static void any_value(struct otlp_arena *a, const struct attr *at, OtlpAnyValue *to)
{
	switch (at->type) {
	case ATTR_STRING:
		to->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
		to->string_value = otlp_string(a, at->s);
		break;
	case ATTR_INT:
		to->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
		to->int_value = at->i;
		break;
	case ATTR_DOUBLE:
		to->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE;
		to->double_value = at->d;
		break;
	case ATTR_BOOL:
		to->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE;
		to->bool_value = at->b;
		break;
	}
}

size_t otlp_attributes(struct otlp_arena *a, const struct attrs *attrs, OtlpKeyValue ***ret)
{
	struct pair {
		OtlpKeyValue key;
		OtlpAnyValue value;
	} *pairs = otlp_alloc(a, attrs->n * sizeof(*pairs));
	OtlpKeyValue **list = otlp_alloc(a, attrs->n * sizeof(*list));

	if (!pairs || !list)
		return 0;
	for (uint32_t i = 0; i < attrs->n; i++) {
		pairs[i].key = (OtlpKeyValue)OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT;
		pairs[i].value = (OtlpAnyValue)OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
		pairs[i].key.key = (char *)(uintptr_t)attrs->v[i].key;
		pairs[i].key.value = &pairs[i].value;
		any_value(a, &attrs->v[i], &pairs[i].value);
		list[i] = &pairs[i].key;
	}
	*ret = list;
	return attrs->n;
}

OtlpResource *otlp_resource(struct otlp_arena *a, const struct resource *r)
{
	OtlpResource *to = otlp_alloc(a, sizeof(*to));

	if (!to)
		return NULL;
	*to = (OtlpResource)OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
	if (r) {
		to->n_attributes = otlp_attributes(a, &r->attrs, &to->attributes);
		to->dropped_attributes_count = r->attrs.dropped;
	}
	return to;
}

OtlpScope *otlp_scope(struct otlp_arena *a, const char *version)
{
	static char name[] = "sonde";
	OtlpScope *to = otlp_alloc(a, sizeof(*to));

	if (!to)
		return NULL;
	*to = (OtlpScope)OPENTELEMETRY__PROTO__COMMON__V1__INSTRUMENTATION_SCOPE__INIT;
	to->name = name;
	if (version)
		to->version = (char *)(uintptr_t)version;
	return to;
}

bool otlp_pack(const ProtobufCMessage *m, size_t size, struct buf *out)
{
	if (!buf_reserve(out, size))
		return false;
	out->n += protobuf_c_message_pack(m, (uint8_t *)out->p + out->n);
	out->p[out->n] = '\0';
	return true;
}
