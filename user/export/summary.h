/* SPDX-License-Identifier: Apache-2.0 */
/* What was observed between start and stop: the table a person sees on Ctrl-C, or one JSON object. */
#ifndef SONDE_EXPORT_SUMMARY_H
#define SONDE_EXPORT_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/metric.h"

struct summary_facts {
	bool json, utf8;
	bool sends;		/* a backend was configured: spans are exported, else only shown */
	uint64_t start, end;	/* ns since the Unix epoch */
	const uint64_t *kernel; /* KERNEL_COUNTER_COUNT values of drops.def; all processors together */
	const uint64_t *user;	/* USER_COUNTER_COUNT values */
	double cpu_seconds;	/* of keeper and worker */
	uint64_t rss_bytes;
};

/* The reading is cumulative from start. A failed allocation leaves parts out. */
void summary_print(FILE *to, const struct metric_set *set, const struct summary_facts *facts);

#endif
