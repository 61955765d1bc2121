/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reading of all metrics at one time, ready for any exporter (OTLP metrics.proto). Points are cumulative since
 * metric_set.start. Definitions (name, unit, kind, help) are rows of metrics.def.
 */
#ifndef SONDE_MODEL_METRIC_H
#define SONDE_MODEL_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/attr.h"
#include "model/resource.h"

/* UPDOWN: a sum that also falls, never sent as a delta (OpenTelemetry, "UpDownCounter"). */
enum metric_kind { METRIC_HISTOGRAM, METRIC_COUNTER, METRIC_GAUGE, METRIC_UPDOWN };

enum metric_id {
#define METRIC(id, name, unit, kind, help) METRIC_##id,
#include "model/metrics.def"
#undef METRIC
	METRIC_COUNT
};

struct metric_def {
	const char *name, *unit;
	enum metric_kind kind;
	const char *help;
};

extern const struct metric_def metric_defs[METRIC_COUNT];

struct metric_histogram {
	uint64_t count;
	double sum; /* in the metric's unit */
	/* explicit view */
	const double *bounds; /* static, ascending, upper bounds inclusive */
	uint32_t bounds_n;
	uint64_t explicit_counts[16]; /* bounds_n + 1, not cumulative */
	/* exponential view: index offset+i holds (2^((offset+i)/2^scale), 2^((offset+i+1)/2^scale)] */
	int32_t scale, offset;
	uint32_t slots_n;
	uint64_t *slots; /* owned by the point, not cumulative */
};

struct metric_point {
	enum metric_id metric;
	struct resource *resource; /* a reference of its own */
	struct attrs attrs;
	uint64_t start; /* ns since the Unix epoch: when this series began */
	union {
		struct metric_histogram histogram;
		uint64_t counter;
		double gauge;
	};
};

struct metric_set {
	uint64_t time; /* ns since the Unix epoch */
	struct metric_point *v;
	size_t n, cap;
};

/* Histograms of numbers (rows, statements): kept in the explicit view only, whichever is asked for. */
bool metric_counts_amounts(enum metric_id metric);

/* A new zeroed point at the end, or NULL when out of memory. Takes its own reference of r. Pointers move on the next
 * add. */
struct metric_point *metric_set_add(struct metric_set *s, enum metric_id metric, struct resource *r);
void metric_set_free(struct metric_set *s); /* frees what it holds; s is empty and usable again */

/* Bounds in seconds for HTTP and for databases, as hist.h has them in nanoseconds; and of amounts. */
extern const double metric_bounds_http[];
extern const uint32_t metric_bounds_http_n;
extern const double metric_bounds_db[];
extern const uint32_t metric_bounds_db_n;
extern const double metric_bounds_amount[];
extern const uint32_t metric_bounds_amount_n;

/* Quantile 0..1 of the exponential view, in the metric's unit: the upper bound of the bucket it falls in, 0 when empty.
 */
double metric_quantile(const struct metric_histogram *h, double q);

#endif
