/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/otlp_delta.h"
#include "export/otlp_encode.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "otlp_golden.h"

#define B(s) BYTES_LITERAL(s)
#define START 1795000000000000000ULL

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest TraceRequest;
typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest MetricsRequest;
typedef Opentelemetry__Proto__Metrics__V1__Metric OtlpMetric;

static TraceRequest *read_traces(struct bytes b)
{
	TraceRequest *r = opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
		NULL, b.n, (const uint8_t *)b.p);

	assert_non_null(r);
	return r;
}

static void free_traces(TraceRequest *r)
{
	opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(r, NULL);
}

static MetricsRequest *read_metrics(const struct buf *b)
{
	MetricsRequest *r = opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__unpack(
		NULL, b->n, (const uint8_t *)b->p);

	assert_non_null(r);
	return r;
}

static void free_metrics(MetricsRequest *r)
{
	opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__free_unpacked(r, NULL);
}

static struct resource *service(const char *name, uint64_t id)
{
	struct resource *r = resource_new();

	r->id = id;
	attrs_str(&r->attrs, "service.name", bytes_str(name), 0);
	return r;
}

static struct span *span(struct resource *r, uint8_t id, enum span_kind kind, const char *name)
{
	struct span *s = span_new(r);

	for (size_t i = 0; i < 16; i++)
		s->trace.b[i] = (uint8_t)(0x10 + i);
	s->id.b[7] = id;
	s->kind = kind;
	s->start = START;
	s->end = START;
	s->trace_flags = 1;
	span_name(s, bytes_str(name));
	return s;
}

static void assert_bytes(const struct buf *got, const void *want, size_t n)
{
	assert_int_equal(got->n, n);
	assert_memory_equal(got->p, want, n);
}

/* The same facts as in tests/tools/otlp_golden.py. */
static void test_golden_traces(void **state)
{
	struct resource *shop = service("shop", 1), *payments = service("payments", 2), *alias = service("shop", 1);
	struct otlp_encoder e = { .version = "1.2.3", .request_bytes = 4 << 20 };
	struct span *v[] = { span(shop, 1, SPAN_SERVER, "GET /orders/{id}"), span(payments, 2, SPAN_SERVER, "POST"),
			     span(alias, 3, SPAN_CLIENT, "SELECT items") };
	struct buf text = { 0 };
	struct bytes out;
	size_t n;

	(void)state;
	attrs_int(&shop->attrs, "process.pid", 42);
	v[0]->end = START + 48100000;
	v[0]->parent.b[0] = 7;
	v[0]->parent_remote = true;
	v[0]->tracestate = attrs_text(&v[0]->attrs, B("a=1,b=2"));
	attrs_str(&v[0]->attrs, ATTR_HTTP_REQUEST_METHOD, B("GET"), 0);
	attrs_int(&v[0]->attrs, ATTR_HTTP_RESPONSE_STATUS_CODE, 500);
	attrs_double(&v[0]->attrs, "half", 0.5);
	attrs_bool(&v[0]->attrs, "yes", true);
	attrs_bool(&v[0]->attrs, "no", false);
	attrs_int(&v[0]->attrs, "minus", -1);
	attrs_str(&v[0]->attrs, ATTR_URL_PATH, B("/caf\xc3\xa9"), 0);
	span_error(v[0], B("500"));
	v[0]->attrs.dropped = 3;
	v[1]->start += 5;
	v[1]->end += 12;
	v[2]->start = v[2]->end = START + 1000;
	v[2]->trace_flags = 3;
	v[2]->parent.b[7] = 1;
	for (int i = 0; i < 100; i++)
		buf_str(&text, "SELECT 1");
	attrs_str(&v[2]->attrs, ATTR_DB_QUERY_TEXT, buf_bytes(&text), 0);
	for (int round = 0; round < 2; round++) { /* the memory is used again */
		assert_int_equal(otlp_encode_traces(&e, v, 3, &out, &n), 0);
		assert_int_equal(n, 3);
		assert_int_equal(out.n, sizeof(golden_traces));
		assert_memory_equal(out.p, golden_traces, sizeof(golden_traces));
	}
	for (int i = 0; i < 3; i++)
		span_unref(v[i]);
	resource_unref(shop);
	resource_unref(payments);
	resource_unref(alias);
	otlp_encoder_free(&e);
	buf_free(&text);
}

static struct metric_point *add_histogram(struct metric_set *set, struct resource *r, const char *summary)
{
	struct metric_point *p = metric_set_add(set, METRIC_DB_CLIENT_OPERATION_DURATION, r);

	attrs_str(&p->attrs, ATTR_DB_QUERY_SUMMARY, bytes_str(summary), 0);
	p->start = START;
	p->histogram.bounds = metric_bounds_db;
	p->histogram.bounds_n = metric_bounds_db_n;
	p->histogram.scale = 3;
	p->histogram.offset = -60;
	p->histogram.slots_n = 10;
	p->histogram.slots = calloc(10, sizeof(uint64_t));
	return p;
}

static void fill_metrics(struct metric_set *set, struct resource *r)
{
	struct metric_point *p;

	set->time = START + 60;
	p = metric_set_add(set, METRIC_SONDE_SPANS_SEEN, r); /* the order of points does not matter */
	p->start = START;
	p->counter = 1ULL << 40;
	p = metric_set_add(set, METRIC_DB_CLIENT_CONNECTION_COUNT, r);
	p->start = START;
	p->counter = 7;
	p = add_histogram(set, r, "SELECT items");
	p->histogram.count = 305;
	p->histogram.sum = 0.0125;
	p->histogram.explicit_counts[2] = 300;
	p->histogram.explicit_counts[3] = 5;
	p->histogram.slots[2] = 300;
	p->histogram.slots[4] = 5;
	add_histogram(set, r, "INSERT stock");
	p = metric_set_add(set, METRIC_SONDE_MEMORY_USAGE, r);
	p->start = START;
	p->gauge = 9646899;
}

/* Numbers of rows have no exponential view. */
static void test_amounts_are_explicit(void **state)
{
	struct otlp_encoder e = { .version = "1", .exponential = true };
	struct resource *shop = service("shop", 1);
	struct metric_set set = { .time = 9 };
	struct metric_point *p = metric_set_add(&set, METRIC_DB_CLIENT_RESPONSE_RETURNED_ROWS, shop);
	Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest *m;
	const Opentelemetry__Proto__Metrics__V1__Metric *metric;
	struct buf out = { 0 };
	size_t n;

	(void)state;
	p->histogram = (struct metric_histogram){
		.count = 2, .sum = 11, .bounds = metric_bounds_amount, .bounds_n = metric_bounds_amount_n
	};
	p->histogram.explicit_counts[0] = p->histogram.explicit_counts[3] = 1;
	assert_int_equal(otlp_encode_metrics(&e, set.v, set.n, set.time, NULL, 0, &out, &n), 0);
	m = opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__unpack(NULL, out.n,
												 (uint8_t *)out.p);
	assert_non_null(m);
	metric = m->resource_metrics[0]->scope_metrics[0]->metrics[0];
	assert_string_equal(metric->name, "db.client.response.returned_rows");
	assert_string_equal(metric->unit, "{row}");
	assert_int_equal(metric->data_case, OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_HISTOGRAM);
	assert_true(metric->histogram->data_points[0]->count == 2 && metric->histogram->data_points[0]->sum == 11);
	assert_int_equal(metric->histogram->data_points[0]->n_bucket_counts, 14);
	opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__free_unpacked(m, NULL);
	metric_set_free(&set);
	resource_unref(shop);
	otlp_arena_free(&e.arena);
	buf_free(&out);
}

static void test_golden_metrics(void **state)
{
	struct resource *shop = service("shop", 1);
	struct otlp_encoder e = { .version = "1.2.3" };
	struct metric_set set = { 0 };
	struct buf out = { 0 };
	size_t n;

	(void)state;
	attrs_int(&shop->attrs, "process.pid", 42);
	fill_metrics(&set, shop);
	assert_int_equal(otlp_encode_metrics(&e, set.v, set.n, set.time, NULL, 0, &out, &n), 0);
	assert_int_equal(n, 5);
	assert_bytes(&out, golden_explicit, sizeof(golden_explicit));
	e.exponential = true;
	buf_reset(&out);
	assert_int_equal(otlp_encode_metrics(&e, set.v, set.n, set.time, NULL, 0, &out, &n), 0);
	assert_bytes(&out, golden_exponential, sizeof(golden_exponential));
	metric_set_free(&set);
	resource_unref(shop);
	otlp_arena_free(&e.arena);
	buf_free(&out);
}

static void test_split_by_size(void **state)
{
	enum { N = 100 };
	struct otlp_encoder e = { .version = "1", .request_bytes = 3000 };
	struct resource *r = service("shop", 1);
	struct span *v[N];
	struct bytes out;
	size_t at = 0, n, requests = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		char text[5001];

		v[i] = span(r, (uint8_t)(i + 1), SPAN_CLIENT, "q");
		memset(text, 'x', sizeof(text));
		attrs_str(&v[i]->attrs, ATTR_DB_QUERY_TEXT, bytes_of(text, i == 50 ? 5000 : 200), 0);
	}
	while (at < N) {
		TraceRequest *q;

		assert_int_equal(otlp_encode_traces(&e, v + at, N - at, &out, &n), 0);
		assert_true(n > 0 && n <= N - at);
		assert_true(out.n <= 3000 || n == 1); /* one that is too large by itself goes alone */
		q = read_traces(out);
		assert_int_equal(q->resource_spans[0]->scope_spans[0]->n_spans, n);
		assert_int_equal(q->resource_spans[0]->scope_spans[0]->spans[0]->span_id.data[7], at + 1);
		free_traces(q);
		at += n;
		requests++;
	}
	assert_true(requests > 8 && requests < 30);
	for (int i = 0; i < N; i++)
		span_unref(v[i]);
	resource_unref(r);
	otlp_encoder_free(&e);
}

static void test_hostile_text(void **state)
{
	struct otlp_encoder e = { .version = "1" };
	struct resource *r = service("shop", 0);
	struct span *v[] = { span(r, 1, SPAN_CLIENT, ""), span(NULL, 2, SPAN_CLIENT, "x") };
	struct bytes out;
	TraceRequest *q;
	size_t n;

	(void)state;
	v[0]->tracestate = attrs_text(&v[0]->attrs, B("a=\xff\xfe"));
	v[0]->end = v[0]->start - 1;
	attrs_str(&v[0]->attrs, "nul", B("a\0b\0"), 0);
	assert_int_equal(otlp_encode_traces(&e, v, 2, &out, &n), 0);
	q = read_traces(out);
	assert_int_equal(q->n_resource_spans, 2);
	for (size_t i = 0; i < 2; i++) {
		Opentelemetry__Proto__Trace__V1__Span *s = q->resource_spans[i]->scope_spans[0]->spans[0];

		if (s->span_id.data[7] == 1) {
			assert_string_equal(s->trace_state, "");
			assert_true(s->end_time_unix_nano == s->start_time_unix_nano);
			assert_string_equal(s->attributes[0]->value->string_value, "a b ");
		}
		assert_int_equal(s->parent_span_id.len, 0);
		assert_null(s->status);
		assert_int_equal(s->flags, 0x101);
	}
	free_traces(q);
	span_unref(v[0]);
	span_unref(v[1]);
	resource_unref(r);
	otlp_encoder_free(&e);
}

/* Every length that is copied in another way, a NUL at each place, and bodies that outgrow their first memory. */
static void test_texts_of_all_lengths(void **state)
{
	enum { N = 300 };
	struct otlp_encoder e = { .version = "1" };
	struct resource *r = service("shop", 1);
	struct span *v[N];
	char text[N + 1], key[N + 1];
	struct bytes out;
	TraceRequest *q;
	size_t n;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		memset(text, 'x', i);
		memset(key, 'k', i);
		v[i] = span(r, (uint8_t)i, SPAN_CLIENT, "q");
		for (size_t nul = 0; nul < i && nul < 70; nul++) {
			char name[8];

			snprintf(name, sizeof(name), "%zu", nul);
			text[nul] = '\0';
			attrs_str_copy_key(&v[i]->attrs, bytes_str(name), bytes_of(text, i), 0);
			text[nul] = 'x';
		}
		attrs_str_copy_key(&v[i]->attrs, bytes_of(key, i), bytes_of(text, i), 0);
	}
	assert_int_equal(otlp_encode_traces(&e, v, N, &out, &n), 0);
	assert_int_equal(n, N);
	q = read_traces(out);
	assert_int_equal(q->resource_spans[0]->scope_spans[0]->n_spans, N);
	for (size_t i = 0; i < N; i++) {
		Opentelemetry__Proto__Trace__V1__Span *s = q->resource_spans[0]->scope_spans[0]->spans[i];

		assert_int_equal(s->span_id.data[7], i & 0xff);
		assert_int_equal(s->n_attributes, v[i]->attrs.n);
		for (size_t k = 0; k < s->n_attributes; k++) {
			const char *value = s->attributes[k]->value->string_value;
			size_t nul = k + 1 < s->n_attributes ? k : i;

			assert_string_equal(s->attributes[k]->key, v[i]->attrs.v[k].key);
			assert_int_equal(strlen(value), i);
			for (size_t at = 0; at < i; at++)
				assert_int_equal(value[at], at == nul ? ' ' : 'x');
		}
	}
	free_traces(q);
	for (size_t i = 0; i < N; i++)
		span_unref(v[i]);
	resource_unref(r);
	otlp_encoder_free(&e);
}

static void test_metrics_split_and_grouping(void **state)
{
	struct otlp_encoder e = { .version = "1", .request_bytes = 4000 };
	struct resource *r[3] = { service("a", 1), service("b", 2), service("c", 3) };
	struct metric_set set = { .time = START + 1 };
	struct buf out = { 0 };
	size_t at = 0, n, points = 0;

	(void)state;
	for (int i = 0; i < 90; i++) {
		char text[16];

		snprintf(text, sizeof(text), "q%d", i);
		add_histogram(&set, r[i % 3], text);
	}
	while (at < set.n) {
		MetricsRequest *q;

		buf_reset(&out);
		assert_int_equal(otlp_encode_metrics(&e, set.v + at, set.n - at, set.time, NULL, 0, &out, &n), 0);
		assert_true(out.n <= 4000);
		q = read_metrics(&out);
		assert_true(q->n_resource_metrics <= 3);
		for (size_t i = 0; i < q->n_resource_metrics; i++) {
			assert_int_equal(q->resource_metrics[i]->scope_metrics[0]->n_metrics, 1);
			points += q->resource_metrics[i]->scope_metrics[0]->metrics[0]->histogram->n_data_points;
		}
		free_metrics(q);
		at += n;
	}
	assert_int_equal(points, 90);
	metric_set_free(&set);
	for (int i = 0; i < 3; i++)
		resource_unref(r[i]);
	otlp_arena_free(&e.arena);
	buf_free(&out);
}

/* --- deltas --- */

struct reading {
	struct otlp_encoder e;
	struct otlp_delta *delta;
	struct resource *r;
	struct buf out;
	uint64_t value, time;
};

/* Encodes a reading in which a counter and a histogram stand at value. NULL when nothing is to be sent. */
static MetricsRequest *reading(struct reading *x, size_t settled, uint64_t value, uint64_t start)
{
	struct metric_set set = { 0 };
	struct metric_point *p;
	size_t n;

	p = metric_set_add(&set, METRIC_SONDE_SPANS_SEEN, x->r);
	p->start = start;
	p->counter = value;
	p = add_histogram(&set, x->r, "q");
	p->start = start;
	p->histogram.sum = (double)value;
	p->histogram.explicit_counts[1] = p->histogram.slots[3] = p->histogram.count = value;
	x->time += 10;
	otlp_delta_begin(x->delta, settled);
	buf_reset(&x->out);
	assert_int_equal(otlp_encode_metrics(&x->e, set.v, set.n, x->time, x->delta, 0, &x->out, &n), 0);
	metric_set_free(&set);
	return x->out.n ? read_metrics(&x->out) : NULL;
}

static void assert_delta(MetricsRequest *q, uint64_t value, uint64_t start, uint64_t time)
{
	OtlpMetric *h, *c;

	assert_non_null(q);
	h = q->resource_metrics[0]->scope_metrics[0]->metrics[0];
	c = q->resource_metrics[0]->scope_metrics[0]->metrics[1];
	assert_int_equal(c->sum->aggregation_temporality, 1);
	assert_int_equal(c->sum->data_points[0]->as_int, value);
	assert_true(c->sum->data_points[0]->start_time_unix_nano == start);
	assert_true(c->sum->data_points[0]->time_unix_nano == time);
	assert_int_equal(h->exponential_histogram->aggregation_temporality, 1);
	assert_int_equal(h->exponential_histogram->data_points[0]->count, value);
	assert_int_equal(h->exponential_histogram->data_points[0]->positive->n_bucket_counts, 1);
	assert_int_equal(h->exponential_histogram->data_points[0]->positive->offset, -57);
	assert_true(h->exponential_histogram->data_points[0]->sum == (double)value);
	free_metrics(q);
}

static void test_delta(void **state)
{
	struct reading x = { .e = { .version = "1", .exponential = true },
			     .delta = otlp_delta_new(true),
			     .r = service("shop", 1),
			     .time = START };

	(void)state;
	assert_delta(reading(&x, 0, 5, START), 5, START, START + 10);
	assert_delta(reading(&x, 1, 12, START), 7, START + 10, START + 20);
	assert_delta(reading(&x, 0, 20, START), 15, START + 10,
		     START + 30);		/* the one before was lost: it is in this one */
	assert_null(reading(&x, 1, 20, START)); /* nothing new */
	assert_delta(reading(&x, 0, 21, START), 1, START + 30, START + 50);
	assert_delta(reading(&x, 1, 3, START), 3, START, START + 60); /* went down: it began anew */
	assert_delta(reading(&x, 1, 4, START + 55), 4, START + 55, START + 70);
	otlp_delta_free(x.delta);
	otlp_delta_free(NULL);
	otlp_arena_free(&x.e.arena);
	buf_free(&x.out);
	resource_unref(x.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_traces),
		cmocka_unit_test(test_golden_metrics),
		cmocka_unit_test(test_split_by_size),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_texts_of_all_lengths),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_metrics_split_and_grouping),
		cmocka_unit_test(test_amounts_are_explicit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
