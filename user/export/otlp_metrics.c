/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "export/otlp_delta.h"
#include "export/otlp_encode.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "util/cleanup.h"

#define PB(name) Opentelemetry__Proto__Metrics__V1__##name
#define PB_CASE(name) OPENTELEMETRY__PROTO__METRICS__V1__##name

typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest OtlpRequest;

/* What one message is built from. */
struct building {
	struct otlp_encoder *e;
	struct otlp_delta *delta;
	uint64_t time;
	size_t body;
};

static char *constant(const char *s)
{
	return (char *)(uintptr_t)s; /* packing only reads it */
}

static PB(AggregationTemporality) temporality(const struct building *b)
{
	return b->delta ? PB_CASE(AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_DELTA)
			: PB_CASE(AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_CUMULATIVE);
}

static void *number_point(const struct building *b, const struct metric_point *p)
{
	struct otlp_arena *a = &b->e->arena;
	PB(NumberDataPoint) *to = otlp_alloc(a, sizeof(*to));

	if (!to)
		return NULL;
	*to = (PB(NumberDataPoint))PB_CASE(NUMBER_DATA_POINT__INIT);
	to->n_attributes = otlp_attributes(a, &p->attrs, &to->attributes);
	to->start_time_unix_nano = p->start;
	to->time_unix_nano = b->time;
	if (metric_defs[p->metric].kind == METRIC_COUNTER || metric_defs[p->metric].kind == METRIC_UPDOWN) {
		to->value_case = PB_CASE(NUMBER_DATA_POINT__VALUE_AS_INT);
		to->as_int = (int64_t)p->counter;
	} else {
		to->value_case = PB_CASE(NUMBER_DATA_POINT__VALUE_AS_DOUBLE);
		to->as_double = p->gauge;
	}
	return to;
}

static void *explicit_point(const struct building *b, const struct metric_point *p)
{
	const struct metric_histogram *h = &p->histogram;
	struct otlp_arena *a = &b->e->arena;
	PB(HistogramDataPoint) *to = otlp_alloc(a, sizeof(*to));

	if (!to)
		return NULL;
	*to = (PB(HistogramDataPoint))PB_CASE(HISTOGRAM_DATA_POINT__INIT);
	to->n_attributes = otlp_attributes(a, &p->attrs, &to->attributes);
	to->start_time_unix_nano = p->start;
	to->time_unix_nano = b->time;
	to->sum_opt_case = PB_CASE(HISTOGRAM_DATA_POINT__SUM_OPT_SUM);
	to->sum = h->sum;
	to->n_explicit_bounds = h->bounds_n;
	to->explicit_bounds = (double *)(uintptr_t)h->bounds;
	to->n_bucket_counts = h->bounds_n + 1;
	to->bucket_counts = otlp_alloc(a, to->n_bucket_counts * sizeof(uint64_t));
	for (size_t i = 0; to->bucket_counts && i < to->n_bucket_counts; i++) {
		to->bucket_counts[i] = h->explicit_counts[i];
		to->count += h->explicit_counts[i]; /* a count read at another moment could differ */
	}
	return to;
}

static void *exponential_point(const struct building *b, const struct metric_point *p)
{
	const struct metric_histogram *h = &p->histogram;
	struct otlp_arena *a = &b->e->arena;
	PB(ExponentialHistogramDataPoint) *to = otlp_alloc(a, sizeof(*to));
	PB(ExponentialHistogramDataPoint__Buckets) *buckets = otlp_alloc(a, sizeof(*buckets));
	uint32_t from = 0, n = h->slots_n;

	if (!to || !buckets)
		return NULL;
	while (from < n && !h->slots[from])
		from++;
	while (n > from && !h->slots[n - 1])
		n--;
	*to = (PB(ExponentialHistogramDataPoint))PB_CASE(EXPONENTIAL_HISTOGRAM_DATA_POINT__INIT);
	*buckets = (PB(ExponentialHistogramDataPoint__Buckets))PB_CASE(EXPONENTIAL_HISTOGRAM_DATA_POINT__BUCKETS__INIT);
	to->n_attributes = otlp_attributes(a, &p->attrs, &to->attributes);
	to->start_time_unix_nano = p->start;
	to->time_unix_nano = b->time;
	to->sum_opt_case = PB_CASE(EXPONENTIAL_HISTOGRAM_DATA_POINT__SUM_OPT_SUM);
	to->sum = h->sum;
	to->scale = h->scale;
	to->positive = buckets;
	buckets->offset = n > from ? h->offset + (int32_t)from : 0;
	buckets->n_bucket_counts = n - from;
	buckets->bucket_counts = otlp_alloc(a, (n - from) * sizeof(uint64_t));
	for (size_t i = 0; buckets->bucket_counts && i < buckets->n_bucket_counts; i++) {
		buckets->bucket_counts[i] = h->slots[from + i];
		to->count += h->slots[from + i];
	}
	return to;
}

static bool is_exponential(const struct building *b, enum metric_id metric)
{
	return b->e->exponential && !metric_counts_amounts(metric);
}

/* The message that holds the points of a metric, which are all of one kind. */
static void set_data(const struct building *b, PB(Metric) * to, enum metric_id metric, size_t n, void *points)
{
	enum metric_kind kind = metric_defs[metric].kind;
	struct otlp_arena *a = &b->e->arena;

	if (kind == METRIC_COUNTER || kind == METRIC_UPDOWN) {
		to->data_case = PB_CASE(METRIC__DATA_SUM);
		to->sum = otlp_alloc(a, sizeof(*to->sum));
		if (to->sum) {
			*to->sum = (PB(Sum))PB_CASE(SUM__INIT);
			to->sum->n_data_points = n;
			to->sum->data_points = points;
			to->sum->aggregation_temporality =
				kind == METRIC_UPDOWN
					? PB_CASE(AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_CUMULATIVE)
					: temporality(b);
			to->sum->is_monotonic = kind == METRIC_COUNTER;
		}
	} else if (kind == METRIC_GAUGE) {
		to->data_case = PB_CASE(METRIC__DATA_GAUGE);
		to->gauge = otlp_alloc(a, sizeof(*to->gauge));
		if (to->gauge) {
			*to->gauge = (PB(Gauge))PB_CASE(GAUGE__INIT);
			to->gauge->n_data_points = n;
			to->gauge->data_points = points;
		}
	} else if (is_exponential(b, metric)) {
		to->data_case = PB_CASE(METRIC__DATA_EXPONENTIAL_HISTOGRAM);
		to->exponential_histogram = otlp_alloc(a, sizeof(*to->exponential_histogram));
		if (to->exponential_histogram) {
			*to->exponential_histogram = (PB(ExponentialHistogram))PB_CASE(EXPONENTIAL_HISTOGRAM__INIT);
			to->exponential_histogram->n_data_points = n;
			to->exponential_histogram->data_points = points;
			to->exponential_histogram->aggregation_temporality = temporality(b);
		}
	} else {
		to->data_case = PB_CASE(METRIC__DATA_HISTOGRAM);
		to->histogram = otlp_alloc(a, sizeof(*to->histogram));
		if (to->histogram) {
			*to->histogram = (PB(Histogram))PB_CASE(HISTOGRAM__INIT);
			to->histogram->n_data_points = n;
			to->histogram->data_points = points;
			to->histogram->aggregation_temporality = temporality(b);
		}
	}
}

static int by_resource_and_metric(const void *x, const void *y)
{
	const struct metric_point *a = *(const struct metric_point *const *)x;
	const struct metric_point *b = *(const struct metric_point *const *)y;
	uint64_t ia = a->resource ? a->resource->id : 0, ib = b->resource ? b->resource->id : 0;

	if (ia != ib)
		return ia < ib ? -1 : 1;
	if (a->resource != b->resource && !ia) /* no ids: then each object is its own resource */
		return a->resource < b->resource ? -1 : 1;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	return a < b ? -1 : a > b;
}

static bool same_resource(const struct metric_point *a, const struct metric_point *b)
{
	return a->resource == b->resource ||
	       (a->resource && b->resource && a->resource->id && a->resource->id == b->resource->id);
}

/* One Metric of points v[0..n), which share resource and metric. NULL: no point has anything to say, or no memory. */
static PB(Metric) * build_metric(const struct building *b, const struct metric_point *const *v, size_t n)
{
	const struct metric_def *def = &metric_defs[v[0]->metric];
	struct otlp_arena *a = &b->e->arena;
	PB(Metric) *to = otlp_alloc(a, sizeof(*to));
	void **points = otlp_alloc(a, n * sizeof(*points));
	size_t count = 0;

	if (!to || !points)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct metric_point p = *v[i];

		if (b->delta && !otlp_delta_take(b->delta, v[i], b->time, b->body, &p))
			continue;
		/* The attributes keep their place in the reading: a copy of the point is enough. */
		points[count++] = def->kind != METRIC_HISTOGRAM	    ? number_point(b, &p)
				  : is_exponential(b, v[0]->metric) ? exponential_point(b, &p)
								    : explicit_point(b, &p);
	}
	*to = (PB(Metric))PB_CASE(METRIC__INIT);
	to->name = constant(def->name);
	to->description = constant(def->help);
	to->unit = constant(def->unit);
	set_data(b, to, v[0]->metric, count, points);
	return count ? to : NULL;
}

/* The ResourceMetrics of points v[0..n), which share their resource. NULL as above. */
static PB(ResourceMetrics) * build_resource(const struct building *b, const struct metric_point *const *v, size_t n)
{
	struct otlp_arena *a = &b->e->arena;
	struct {
		PB(ResourceMetrics) resource;
		PB(ScopeMetrics) scope, *scopes[1];
	} *to = otlp_alloc(a, sizeof(*to));
	size_t from = 0;

	if (!to)
		return NULL;
	to->resource = (PB(ResourceMetrics))PB_CASE(RESOURCE_METRICS__INIT);
	to->scope = (PB(ScopeMetrics))PB_CASE(SCOPE_METRICS__INIT);
	to->scope.metrics = otlp_alloc(a, METRIC_COUNT * sizeof(PB(Metric) *));
	if (!to->scope.metrics)
		return NULL;
	for (size_t i = 1; i <= n; i++) {
		PB(Metric) * m;

		if (i < n && v[i]->metric == v[from]->metric)
			continue;
		m = build_metric(b, v + from, i - from);
		if (m)
			to->scope.metrics[to->scope.n_metrics++] = m;
		from = i;
	}
	to->scope.scope = otlp_scope(a, b->e->version);
	to->scope.schema_url = constant(SCHEMA_URL);
	to->scopes[0] = &to->scope;
	to->resource.resource = otlp_resource(a, v[0]->resource);
	to->resource.schema_url = constant(SCHEMA_URL);
	to->resource.n_scope_metrics = 1;
	to->resource.scope_metrics = to->scopes;
	return to->scope.n_metrics ? &to->resource : NULL;
}

static int build(const struct building *b, const struct metric_point *v, size_t n, OtlpRequest *ret)
{
	_cleanup_free_ const struct metric_point **sorted = calloc(n, sizeof(*sorted));
	size_t from = 0;

	*ret = (OtlpRequest)OPENTELEMETRY__PROTO__COLLECTOR__METRICS__V1__EXPORT_METRICS_SERVICE_REQUEST__INIT;
	ret->resource_metrics = otlp_alloc(&b->e->arena, n * sizeof(PB(ResourceMetrics) *));
	if (!sorted || !ret->resource_metrics)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &v[i];
	qsort(sorted, n, sizeof(*sorted), by_resource_and_metric);
	for (size_t i = 1; i <= n; i++) {
		PB(ResourceMetrics) * m;

		if (i < n && same_resource(sorted[i], sorted[from]))
			continue;
		m = build_resource(b, sorted + from, i - from);
		if (m)
			ret->resource_metrics[ret->n_resource_metrics++] = m;
		from = i;
	}
	return b->e->arena.failed ? -ENOMEM : 0;
}

int otlp_encode_metrics(struct otlp_encoder *e, const struct metric_point *v, size_t n, uint64_t time,
			struct otlp_delta *delta, size_t body, struct buf *out, size_t *ret_n)
{
	struct building b = { .e = e, .delta = delta, .time = time, .body = body };

	for (;;) {
		OtlpRequest request;
		size_t size;
		int r;

		otlp_arena_reset(&e->arena);
		r = build(&b, v, n, &request);
		if (r < 0)
			return r;
		size = protobuf_c_message_get_packed_size(&request.base);
		if (n > 1 && e->request_bytes && size > e->request_bytes) {
			n = n * e->request_bytes / size;
			n = n ? n : 1;
			continue;
		}
		if (size && !otlp_pack(&request.base, size, out))
			return -ENOMEM;
		*ret_n = n;
		return 0;
	}
}
