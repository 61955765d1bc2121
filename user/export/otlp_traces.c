/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "export/otlp_encode.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

typedef Opentelemetry__Proto__Trace__V1__ScopeSpans OtlpScopeSpans;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans OtlpResourceSpans;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest OtlpRequest;

enum { SCOPE_SPANS_SPANS = 2, SCOPE_SPANS_SCHEMA_URL = 3 }; /* fields of ScopeSpans */

/* Spans of one resource. */
struct group {
	struct group *next;
	const struct resource *resource;
	size_t n;
	OtlpResourceSpans message;
	OtlpScopeSpans scope;
	OtlpScopeSpans *scopes[1];
};

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

static int fill_group(struct otlp_encoder *e, struct group *g)
{
	static char schema[] = SCHEMA_URL;
	struct otlp_arena *a = &e->arena;

	g->scope = (OtlpScopeSpans)OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
	g->scope.scope = otlp_scope(a, e->version);
	g->scope.base.unknown_fields = otlp_alloc(a, (g->n + 1) * sizeof(ProtobufCMessageUnknownField));
	g->scopes[0] = &g->scope;
	g->message = (OtlpResourceSpans)OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
	g->message.schema_url = schema;
	g->message.resource = otlp_resource(a, g->resource);
	g->message.n_scope_spans = 1;
	g->message.scope_spans = g->scopes;
	return a->failed ? -ENOMEM : 0;
}

/* To protobuf-c, what is packed already is a field that it does not know: those go behind the ones that it does. */
static void add_packed(struct group *g, uint32_t field, struct bytes packed)
{
	ProtobufCMessage *scope = &g->scope.base;

	scope->unknown_fields[scope->n_unknown_fields++] = (ProtobufCMessageUnknownField){
		.tag = field,
		.wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
		.len = packed.n,
		.data = (uint8_t *)(uintptr_t)packed.p,
	};
}

/* In the order of their numbers, as every protobuf library writes them. */
static void add_schema_url(struct group *g)
{
	static const struct {
		uint8_t length;
		char text[sizeof(SCHEMA_URL) - 1];
	} packed = { sizeof(SCHEMA_URL) - 1, SCHEMA_URL };

	_Static_assert(sizeof(SCHEMA_URL) - 1 < 128, "a length of one byte");
	add_packed(g, SCOPE_SPANS_SCHEMA_URL, bytes_of(&packed, sizeof(packed)));
}

static int build(struct otlp_encoder *e, struct span *const *v, size_t n, OtlpRequest *ret)
{
	struct otlp_arena *a = &e->arena;
	struct group *groups = NULL, *g;
	struct bytes packed;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		g = find_group(a, &groups, v[i]->resource);
		if (!g)
			return -ENOMEM;
		g->n++;
	}
	for (g = groups; g; g = g->next, count++)
		if (fill_group(e, g) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		g = find_group(a, &groups, v[i]->resource);
		if (!g)
			return -ENOMEM;
		if (!otlp_span(a, v[i], &packed))
			return -ENOMEM;
		add_packed(g, SCOPE_SPANS_SPANS, packed);
	}
	*ret = (OtlpRequest)OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
	ret->resource_spans = otlp_alloc(a, count * sizeof(OtlpResourceSpans *));
	if (a->failed)
		return -ENOMEM;
	for (g = groups; g; g = g->next) {
		add_schema_url(g);
		ret->resource_spans[ret->n_resource_spans++] = &g->message;
	}
	return 0;
}

int otlp_encode_traces(struct otlp_encoder *e, struct span *const *v, size_t n, struct buf *out, size_t *ret_n)
{
	for (;;) {
		OtlpRequest request;
		size_t size;
		int r;

		otlp_arena_reset(&e->arena);
		r = build(e, v, n, &request);
		if (r < 0)
			return r;
		size = protobuf_c_message_get_packed_size(&request.base);
		if (n > 1 && e->request_bytes && size > e->request_bytes) {
			n = n * e->request_bytes / size; /* about so many fit, if they are alike */
			n = n ? n : 1;
			continue;
		}
		if (!otlp_pack(&request.base, size, out))
			return -ENOMEM;
		*ret_n = n;
		return 0;
	}
}
