/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace assembly: from decoded events to finished spans. Keeps what is known of each connection, asks the protocol's
 * parser what an exchange was, names the span (OpenTelemetry semantic conventions 1.45), and holds it until the span it
 * belongs to is known. Everything is bounded in memory and time; whatever is not emitted is counted in the ledger.
 *
 * One thread. Times in are CLOCK_MONOTONIC ns, times out (struct span) are ns since the Unix epoch.
 */
#ifndef SONDE_SESSION_TRACE_H
#define SONDE_SESSION_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "hist.h"
#include "model/attr.h"
#include "model/metric.h"
#include "model/resource.h"
#include "model/span.h"
#include "util/buf.h"
#include "util/ledger.h"

struct assembly; /* connections, parents, held spans */

/* The values of enum config_sampler, in its order: OTEL_TRACES_SAMPLER. */
enum assembly_sampler {
	ASSEMBLY_PARENT_ALWAYS_ON,
	ASSEMBLY_PARENT_ALWAYS_OFF,
	ASSEMBLY_PARENT_RATIO,
	ASSEMBLY_ALWAYS_ON,
	ASSEMBLY_ALWAYS_OFF,
	ASSEMBLY_RATIO,
};

struct assembly_config {
	uint64_t hold_ns;	     /* how long a span may wait for its parent */
	size_t max_held;	     /* how many may wait at once, 0 = 16384 */
	size_t max_conns;	     /* connections remembered, 0 = 65536 */
	int sampler;		     /* enum assembly_sampler */
	double ratio;		     /* of the *_RATIO samplers, 0..1 */
	size_t query_text_max;	     /* characters of db.query.text, 0 = no limit */
	size_t attribute_length_max; /* characters of any string attribute, 0 = no limit */
	uint32_t spans_per_second;   /* of connections that stream, 0 = all */
	bool alias_peer_service;     /* also write the deprecated peer.service beside server.service.name */
};

/*
 * The resource of a process, borrowed: assembly takes its own reference. service is struct event_process.service.
 * NULL: configuration does not select the process; its spans are counted as not_selected.
 */
typedef struct resource *assembly_resource_fn(void *ctx, uint32_t tgid, uint32_t service);

/*
 * Finished spans of one local trace: the SERVER span first, then its children by start time; or spans on their own. The
 * spans are borrowed for the call: keep one with span_ref(). They do not change afterwards.
 */
typedef void assembly_emit_fn(void *ctx, struct span *const *v, size_t n);

/* cfg is copied. ledger must outlive the assembly. NULL when out of memory. */
struct assembly *assembly_new(const struct assembly_config *cfg, struct ledger *ledger, assembly_resource_fn *resource,
			      assembly_emit_fn *emit, void *ctx);

/*
 * One decoded and validated record (decode/event.h): CONNECTION, FRAGMENT, EXCHANGE, STREAM, CLOSE and LIBPQ_CONN are
 * used, other kinds are ignored. May emit.
 */
void assembly_event(struct assembly *a, const struct event_header *e);

/*
 * Now and then (every 10 to 1000 ms): lets go of what waited too long. now is CLOCK_MONOTONIC; realtime_offset is
 * clock_offset(), used for the spans that follow. Call it once before the first event. May emit.
 */
void assembly_tick(struct assembly *a, uint64_t now, int64_t realtime_offset);

/* Emits everything that is still held, with or without its parent. For the end of the run or of a replay. */
void assembly_flush(struct assembly *a);

/* Frees without emitting: flush first. NULL is allowed. */
void assembly_free(struct assembly *a);

/*
 * What a histogram key counts: the attributes of its metric (added to *ret_attrs, which the caller frees) and the
 * metric. *ret_ignore: the key is not worth a series (start-up, the server side of a database); the others are then
 * untouched.
 */
void assembly_operation(struct assembly *a, const struct event_operation *op, struct attrs *ret_attrs,
			enum metric_id *ret_metric, bool *ret_ignore);

/*
 * Called for each operation of a streaming connection, which the kernel could not time: ns to be added to the histogram
 * of key, with an amount (rows; HIST_NO_AMOUNT = none), and a sample to name the key by, as EVENT_OPERATION would bring
 * it. Both are borrowed for the call.
 */
typedef void assembly_measure_fn(void *ctx, const struct hist_key *key, uint64_t ns, uint64_t amount,
				 const struct event_operation *sample);
void assembly_set_measure(struct assembly *a, assembly_measure_fn *measure, void *ctx);

/* Called for each duration that only user space can tell: ns to be added to the series of these attributes. */
typedef void assembly_record_fn(void *ctx, enum metric_id metric, uint32_t tgid, uint32_t service,
				const struct attrs *attrs, uint64_t ns);
void assembly_set_record(struct assembly *a, assembly_record_fn *record, void *ctx);

/* A client's connection to a database that is open. */
struct assembly_connection {
	uint32_t tgid, service; /* who opened it, or was first seen to use it */
	bool local;		/* a Unix socket: its end is not always told */
	bool used;		/* an exchange or a transaction is open */
	struct attrs attrs;	/* the name of its pool, and the system */
};

typedef void assembly_connection_fn(void *ctx, const struct assembly_connection *c);
void assembly_connections(struct assembly *a, assembly_connection_fn *fn, void *ctx);

/* Adds the record as it may be kept: what names the database, without the password and all else. */
void libpq_conn_to_keep(const struct event_libpq_conn *e, struct buf *to);

#endif
