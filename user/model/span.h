/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One finished span, ready for any exporter (OTLP trace.proto Span). References are counted atomically: exporters run
 * in their own threads. A span does not change after it was handed to the first exporter.
 */
#ifndef SONDE_MODEL_SPAN_H
#define SONDE_MODEL_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "model/attr.h"
#include "model/resource.h"

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3, SPAN_PRODUCER = 4, SPAN_CONSUMER = 5 };
enum span_status { SPAN_UNSET = 0, SPAN_ERROR = 2 }; /* instrumentation never sets OK */

struct trace_id {
	uint8_t b[16];
};

struct span_id {
	uint8_t b[8];
};

struct span {
	int refs;
	struct trace_id trace;
	struct span_id id, parent; /* parent all zero: root */
	bool parent_remote;	   /* the parent came from a header */
	uint8_t trace_flags;	   /* W3C: bit 0 sampled, bit 1 random */
	enum span_kind kind;
	enum span_status status; /* ERROR if and only if error.type is set */
	uint64_t start, end;	 /* ns since the Unix epoch, end >= start */
	struct bytes name;	 /* in attrs' text memory */
	struct bytes tracestate; /* as received, empty = none */
	struct attrs attrs;
	struct resource *resource; /* a reference of its own */
};

struct span *span_new(struct resource *r); /* one reference; takes its own reference of r; NULL when out of memory */
struct span *span_ref(struct span *s);
void span_unref(struct span *s);	  /* NULL is allowed */
size_t span_memory(const struct span *s); /* bytes it takes, without its resource */
void span_name(struct span *s, struct bytes name);
/* Sets error.type and status together: neither exists without the other. An empty type does nothing. */
void span_error(struct span *s, struct bytes error_type);

bool trace_id_zero(const struct trace_id *t);
bool span_id_zero(const struct span_id *s);
void hex_encode(char *out, const uint8_t *in, size_t n); /* 2n lower-case digits, no NUL */
/* False when in is not 2n lower-case hex digits. */
bool hex_decode(uint8_t *out, struct bytes in, size_t n);

#endif
