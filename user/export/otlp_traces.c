/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of spans as bytes, each message from its end to its beginning: see otlp_wire.h. */
#include <errno.h>
#include <stdlib.h>

#include "export/otlp_encode.h"
#include "export/otlp_wire.h"

/* Field numbers of trace_service.proto and trace.proto. */
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS, RESOURCE_SPANS_SCHEMA_URL };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS, SCOPE_SPANS_SCHEMA_URL };

#define BODY_FIRST (64u << 10)
#define HEADS_MOST 64 /* tags and lengths between two spans */

/* Spans of one resource. */
struct group {
	struct group *next;
	const struct resource *resource;
	size_t last; /* the newest of them, counted from 1 */
};

bool otlp_body_room(struct otlp_body *b, size_t n)
{
	size_t used = (size_t)(b->end - b->at), cap = b->start ? (size_t)(b->end - b->start) : BODY_FIRST;
	uint8_t *more;

	if ((size_t)(b->at - b->start) >= n)
		return true;
	while (cap - used < n)
		if (__builtin_mul_overflow(cap, 2, &cap))
			return false;
	more = malloc(cap);
	if (!more)
		return false;
	if (used)
		memcpy(more + cap - used, b->at, used);
	free(b->start);
	*b = (struct otlp_body){ more, more + cap - used, more + cap };
	return true;
}

static bool same_resource(const struct resource *a, const struct resource *b)
{
	return a == b || (a && b && a->id && a->id == b->id);
}

static struct group *find_group(struct otlp_arena *a, struct group **groups, const struct resource *r)
{
	struct group **p = groups, *g;

	for (; *p; p = &(*p)->next) {
		if (same_resource((*p)->resource, r)) {
			g = *p;
			*p = g->next; /* to the front: spans of a resource come together */
			g->next = *groups;
			*groups = g;
			return g;
		}
	}
	g = otlp_alloc(a, sizeof(*g));
	if (!g)
		return NULL;
	g->resource = r;
	g->next = *groups;
	*groups = g;
	return g;
}

static bool put_message(struct otlp_body *b, unsigned field, const ProtobufCMessage *m)
{
	size_t n = m ? protobuf_c_message_get_packed_size(m) : 0;

	if (!m || !otlp_body_room(b, n + HEADS_MOST))
		return false;
	b->at -= n;
	protobuf_c_message_pack(m, b->at);
	b->at = wire_head(b->at, field, n);
	return true;
}

static bool put_schema_url(struct otlp_body *b, unsigned field)
{
	if (!otlp_body_room(b, sizeof(SCHEMA_URL) + HEADS_MOST))
		return false;
	b->at = wire_bytes(b->at, field, SCHEMA_URL, sizeof(SCHEMA_URL) - 1);
	return true;
}

static bool put_scope_spans(struct otlp_encoder *e, const struct group *g, struct span *const *v, const size_t *before)
{
	OtlpScope *scope = otlp_scope(&e->arena, e->version);

	if (!put_schema_url(&e->body, SCOPE_SPANS_SCHEMA_URL))
		return false;
	for (size_t i = g->last; i; i = before[i - 1])
		if (!otlp_span(&e->body, SCOPE_SPANS_SPANS, v[i - 1]))
			return false;
	return put_message(&e->body, SCOPE_SPANS_SCOPE, scope ? &scope->base : NULL);
}

static size_t length(const struct otlp_body *b)
{
	return (size_t)(b->end - b->at);
}

/* before: of each span, the one before it in its group, counted from 1; 0 = none. */
static bool put_group(struct otlp_encoder *e, const struct group *g, struct span *const *v, const size_t *before)
{
	struct otlp_body *b = &e->body;
	OtlpResource *resource = otlp_resource(&e->arena, g->resource);
	size_t behind = length(b), scope;

	if (!put_schema_url(b, RESOURCE_SPANS_SCHEMA_URL))
		return false;
	scope = length(b);
	if (!put_scope_spans(e, g, v, before))
		return false;
	b->at = wire_head(b->at, RESOURCE_SPANS_SCOPE_SPANS, length(b) - scope);
	if (!put_message(b, RESOURCE_SPANS_RESOURCE, resource ? &resource->base : NULL) || e->arena.failed)
		return false;
	b->at = wire_head(b->at, REQUEST_RESOURCE_SPANS, length(b) - behind);
	return true;
}

static int build(struct otlp_encoder *e, struct span *const *v, size_t n)
{
	struct group *groups = NULL, *first = NULL, *g, *next;
	size_t *before = otlp_alloc_dirty(&e->arena, n * sizeof(*before));

	if (!before)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		g = groups && groups->resource == v[i]->resource ? groups
								 : find_group(&e->arena, &groups, v[i]->resource);
		if (!g)
			return -ENOMEM;
		before[i] = g->last;
		g->last = i + 1;
	}
	for (g = groups; g; g = next) { /* the last is written first */
		next = g->next;
		g->next = first;
		first = g;
	}
	for (g = first; g; g = g->next)
		if (!put_group(e, g, v, before))
			return -ENOMEM;
	return 0;
}

int otlp_encode_traces(struct otlp_encoder *e, struct span *const *v, size_t n, struct bytes *ret, size_t *ret_n)
{
	for (;;) {
		size_t size;
		int r;

		otlp_arena_reset(&e->arena);
		e->body.at = e->body.end;
		r = build(e, v, n);
		if (r < 0)
			return r;
		size = length(&e->body);
		if (n > 1 && e->request_bytes && size > e->request_bytes) {
			n = n * e->request_bytes / size; /* about so many fit, if they are alike */
			n = n ? n : 1;
			continue;
		}
		*ret = bytes_of(e->body.at, size);
		*ret_n = n;
		return 0;
	}
}

void otlp_encoder_free(struct otlp_encoder *e)
{
	otlp_arena_free(&e->arena);
	free(e->body.start);
	e->body = (struct otlp_body){ 0 };
}
