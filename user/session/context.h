/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace contexts that others sent: W3C Trace Context, B3 (single and multiple headers), Datadog, Jaeger, X-Ray, Sentry.
 * The first valid one in that order wins; what is not valid is as if it were not there.
 */
#ifndef SONDE_SESSION_CONTEXT_H
#define SONDE_SESSION_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/span.h"
#include "proto/proto.h"
#include "util/buf.h"

struct remote_context {
	bool valid;
	bool deferred; /* the sender left the sampling decision to the receiver */
	struct trace_id trace;
	struct span_id span;
	uint8_t flags; /* W3C: bit 0 sampled, bit 1 random */
	bool w3c;      /* tracestate belongs to it */
};

/* W3C Trace Context level 2, section 3.2. False leaves *ret as it was. */
bool context_traceparent(struct bytes value, struct remote_context *ret);
/* Everything that op carries; !ret->valid when there is none. */
void context_read(const struct operation *op, struct remote_context *ret);
/* The tracestate header lines of op, joined; empty unless every member is well-formed (section 3.3). */
void context_tracestate(const struct operation *op, struct buf *ret);

#endif
