/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "export/otlp_encode.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

typedef Opentelemetry__Proto__Trace__V1__Span OtlpSpan;
typedef Opentelemetry__Proto__Trace__V1__Status OtlpStatus;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans OtlpScopeSpans;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans OtlpResourceSpans;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest OtlpRequest;

#define FLAG_REMOTE_KNOWN 0x100u
#define FLAG_REMOTE 0x200u
#define TRACESTATE_MAX 512 /* characters; W3C Trace Context asks for at least so many */

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

/* A tracestate comes from a header: what is not printable ASCII would make a receiver refuse the whole request. */
static char *tracestate(struct otlp_arena *a, struct bytes s)
{
	if (s.n > TRACESTATE_MAX)
		return NULL;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return NULL;
	return s.n ? otlp_string(a, s) : NULL;
}

static OtlpSpan *encode_span(struct otlp_arena *a, const struct span *s)
{
	struct {
		OtlpSpan span;
		OtlpStatus status;
	} *to = otlp_alloc(a, sizeof(*to));
	char *state;

	if (!to)
		return NULL;
	to->span = (OtlpSpan)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
	to->span.trace_id = (ProtobufCBinaryData){ sizeof(s->trace.b), (uint8_t *)(uintptr_t)s->trace.b };
	to->span.span_id = (ProtobufCBinaryData){ sizeof(s->id.b), (uint8_t *)(uintptr_t)s->id.b };
	if (!span_id_zero(&s->parent))
		to->span.parent_span_id =
			(ProtobufCBinaryData){ sizeof(s->parent.b), (uint8_t *)(uintptr_t)s->parent.b };
	state = tracestate(a, s->tracestate);
	if (state)
		to->span.trace_state = state;
	to->span.flags = s->trace_flags | FLAG_REMOTE_KNOWN | (s->parent_remote ? FLAG_REMOTE : 0);
	to->span.name = otlp_string(a, s->name);
	to->span.kind = (Opentelemetry__Proto__Trace__V1__Span__SpanKind)s->kind;
	to->span.start_time_unix_nano = s->start;
	to->span.end_time_unix_nano = s->end > s->start ? s->end : s->start;
	to->span.n_attributes = otlp_attributes(a, &s->attrs, &to->span.attributes);
	to->span.dropped_attributes_count = s->attrs.dropped;
	if (s->status == SPAN_ERROR) {
		to->status = (OtlpStatus)OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;
		to->status.code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
		to->span.status = &to->status;
	}
	return &to->span;
}

static int fill_group(struct otlp_encoder *e, struct group *g)
{
	static char schema[] = SCHEMA_URL;
	struct otlp_arena *a = &e->arena;

	g->scope = (OtlpScopeSpans)OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
	g->scope.schema_url = schema;
	g->scope.scope = otlp_scope(a, e->version);
	g->scope.spans = otlp_alloc(a, g->n * sizeof(OtlpSpan *));
	g->scopes[0] = &g->scope;
	g->message = (OtlpResourceSpans)OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
	g->message.schema_url = schema;
	g->message.resource = otlp_resource(a, g->resource);
	g->message.n_scope_spans = 1;
	g->message.scope_spans = g->scopes;
	return a->failed ? -ENOMEM : 0;
}

static int build(struct otlp_encoder *e, struct span *const *v, size_t n, OtlpRequest *ret)
{
	struct otlp_arena *a = &e->arena;
	struct group *groups = NULL, *g;
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
		g->scope.spans[g->scope.n_spans++] = encode_span(a, v[i]);
	}
	*ret = (OtlpRequest)OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
	ret->resource_spans = otlp_alloc(a, count * sizeof(OtlpResourceSpans *));
	if (a->failed)
		return -ENOMEM;
	for (g = groups; g; g = g->next)
		ret->resource_spans[ret->n_resource_spans++] = &g->message;
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
