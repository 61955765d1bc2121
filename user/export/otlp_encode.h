/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model as OTLP messages (opentelemetry-proto 1.11.0), built in an arena and packed at once; spans, which are by
 * far the most of it, as bytes.
 */
#ifndef SONDE_EXPORT_OTLP_ENCODE_H
#define SONDE_EXPORT_OTLP_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/metric.h"
#include "model/span.h"
#include "opentelemetry/proto/common/v1/common.pb-c.h"
#include "opentelemetry/proto/resource/v1/resource.pb-c.h"
#include "util/buf.h"

/* Memory of one request's messages. Reset frees all at once but keeps the blocks for the next request. */
struct otlp_arena {
	struct otlp_block *first, *at;
	bool failed; /* an allocation did: the messages are not complete */
};

void *otlp_alloc(struct otlp_arena *a, size_t n);	/* zeroed, aligned for anything; NULL when out of memory */
void *otlp_alloc_dirty(struct otlp_arena *a, size_t n); /* the same, not zeroed */
void otlp_arena_reset(struct otlp_arena *a);
void otlp_arena_free(struct otlp_arena *a);

/* Bytes that are written from their end to their beginning. Zeroed is empty. */
struct otlp_body {
	uint8_t *start, *at, *end; /* start: owned; from at on they are written */
};

bool otlp_body_room(struct otlp_body *b, size_t n); /* makes room for n more; false when out of memory */

struct otlp_delta;

struct otlp_encoder {
	struct otlp_arena arena;
	struct otlp_body body;
	const char *version;  /* of the agent: version of the scope */
	size_t request_bytes; /* cap of one request, 0 = none */
	bool exponential;
};

/*
 * Packs an ExportTraceServiceRequest with the first *ret_n of the spans: all of them, or fewer when the request would
 * pass request_bytes, but at least one. *ret is the encoder's, until the next call. -ENOMEM when out of memory.
 */
int otlp_encode_traces(struct otlp_encoder *e, struct span *const *v, size_t n, struct bytes *ret, size_t *ret_n);
/* The same for points of one reading, into an ExportMetricsServiceRequest. delta: NULL = cumulative. */
int otlp_encode_metrics(struct otlp_encoder *e, const struct metric_point *v, size_t n, uint64_t time,
			struct otlp_delta *delta, size_t body, struct buf *out, size_t *ret_n);

void otlp_encoder_free(struct otlp_encoder *e); /* frees what it holds */

/* A span in protobuf's wire format, as a field of a message. False when out of memory. */
bool otlp_span(struct otlp_body *b, unsigned field, const struct span *s);

/* Parts that both have. */
typedef Opentelemetry__Proto__Common__V1__KeyValue OtlpKeyValue;
typedef Opentelemetry__Proto__Common__V1__AnyValue OtlpAnyValue;
typedef Opentelemetry__Proto__Common__V1__InstrumentationScope OtlpScope;
typedef Opentelemetry__Proto__Resource__V1__Resource OtlpResource;

/* A string of the model (NUL-terminated UTF-8) as protobuf-c wants it: no NUL inside. Never NULL. */
char *otlp_string(struct otlp_arena *a, struct bytes s);
size_t otlp_attributes(struct otlp_arena *a, const struct attrs *attrs, OtlpKeyValue ***ret);
OtlpResource *otlp_resource(struct otlp_arena *a, const struct resource *r);
OtlpScope *otlp_scope(struct otlp_arena *a, const char *version);
/* Appends the packed message of size bytes. False when out of memory. */
bool otlp_pack(const ProtobufCMessage *m, size_t size, struct buf *out);

#endif
