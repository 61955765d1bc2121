/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cumulative readings turned into deltas (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta). A delta is taken
 * against what the destination last settled, so that an interval that could not be sent is part of the next one.
 */
#ifndef SONDE_EXPORT_OTLP_DELTA_H
#define SONDE_EXPORT_OTLP_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/metric.h"

struct otlp_delta;

struct otlp_delta *otlp_delta_new(bool exponential); /* which view is sent; NULL when out of memory */
void otlp_delta_free(struct otlp_delta *d);	     /* NULL is allowed */
/* Begins a reading; the first settled bodies of the one before were settled, and are the new base. */
void otlp_delta_begin(struct otlp_delta *d, size_t settled);
/*
 * The point's value since its base, into *ret (slots are borrowed until the next call or the end of the reading's
 * encoding; start is set). The point is remembered as part of the given body. False: nothing was added since.
 */
bool otlp_delta_take(struct otlp_delta *d, const struct metric_point *p, uint64_t time, size_t body,
		     struct metric_point *ret);

#endif
