/* SPDX-License-Identifier: Apache-2.0 */
/* The points of a reading gathered into what a summary shows one line of. */
#ifndef SONDE_EXPORT_SUMMARY_ROWS_H
#define SONDE_EXPORT_SUMMARY_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "model/metric.h"

#define SUMMARY_KINDS 8
#define SUMMARY_SCALE 3
#define SUMMARY_SLOTS 256
#define SUMMARY_OFFSET (-160)

/* All points that share service and name, whatever their status. */
struct summary_row {
	struct bytes service; /* borrowed from the reading */
	char name[160];	      /* "GET /orders/{id}", "SELECT items", "POST payments:8080" */
	uint64_t count, errors;
	double sum;	       /* seconds */
	struct summary_error { /* by error.type: the first few kinds that were met */
		struct bytes type;
		uint64_t n;
	} kinds[SUMMARY_KINDS];
	uint64_t slots[SUMMARY_SLOTS];
};

struct summary_rows {
	struct summary_row *v;
	size_t n, cap;
};

/* Adds the points of one metric. Rows are sorted by total time, the longest first. False when out of memory. */
bool summary_collect(struct summary_rows *rows, const struct metric_set *set, enum metric_id metric);
void summary_rows_free(struct summary_rows *rows);
/* Seconds below which the share q of the row's durations lie. */
double summary_quantile(const struct summary_row *row, double q);
/* The commonest kind of error; n is 0 when there was none. */
struct summary_error summary_worst(const struct summary_row *row);
/* Adds what b counted to a, but for the kinds of errors. */
void summary_merge(struct summary_row *a, const struct summary_row *b);

#endif
