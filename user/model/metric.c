/* SPDX-License-Identifier: Apache-2.0 */
#include "model/metric.h"

#include <math.h>
#include <stdlib.h>

const struct metric_def metric_defs[METRIC_COUNT] = {
#define METRIC(id, name, unit, kind, help) [METRIC_##id] = { name, unit, kind, help },
#include "model/metrics.def"
#undef METRIC
};

const double metric_bounds_http[] = { 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10 };
const uint32_t metric_bounds_http_n = sizeof(metric_bounds_http) / sizeof(metric_bounds_http[0]);
const double metric_bounds_db[] = { 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10 };
const uint32_t metric_bounds_db_n = sizeof(metric_bounds_db) / sizeof(metric_bounds_db[0]);

const double metric_bounds_amount[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };
const uint32_t metric_bounds_amount_n = sizeof(metric_bounds_amount) / sizeof(metric_bounds_amount[0]);

bool metric_counts_amounts(enum metric_id metric)
{
	return metric == METRIC_DB_CLIENT_RESPONSE_RETURNED_ROWS ||
	       metric == METRIC_SONDE_DB_CLIENT_TRANSACTION_STATEMENTS;
}

struct metric_point *metric_set_add(struct metric_set *s, enum metric_id metric, struct resource *r)
{
	struct metric_point *p;

	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 32;
		struct metric_point *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	p = &s->v[s->n++];
	*p = (struct metric_point){ .metric = metric, .resource = resource_ref(r) };
	return p;
}

void metric_set_free(struct metric_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct metric_point *p = &s->v[i];

		resource_unref(p->resource);
		attrs_free(&p->attrs);
		if (metric_defs[p->metric].kind == METRIC_HISTOGRAM)
			free(p->histogram.slots);
	}
	free(s->v);
	*s = (struct metric_set){ 0 };
}

double metric_quantile(const struct metric_histogram *h, double q)
{
	uint64_t total = 0, below = 0;
	uint32_t last = 0;
	double rank;

	for (uint32_t i = 0; i < h->slots_n; i++) {
		total += h->slots[i];
		if (h->slots[i])
			last = i;
	}
	if (!total)
		return 0;
	rank = fmin(fmax(q, 0), 1) * (double)total;
	for (uint32_t i = 0; i < last; i++) {
		below += h->slots[i];
		if (below && (double)below >= rank) {
			last = i;
			break;
		}
	}
	return exp2(ldexp(h->offset + (double)last + 1, -h->scale));
}
