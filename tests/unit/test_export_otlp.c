/* SPDX-License-Identifier: Apache-2.0 */
/* The OTLP exporter as a whole against a small HTTP receiver in this process, which answers as each test tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "export/exporter.h"
#include "http_receiver.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "util/clock.h"
#include "util/ledger.h"

#define B(s) BYTES_LITERAL(s)
#define MS 1000000ULL

extern const struct exporter exporter_otlp;

/* --- the exporter under test --- */

static struct ledger ledger;
static struct export_config cfg;
static struct resource *shop;
static char traces_url[128], metrics_url[128];
static void *self;

static int setup(void **state)
{
	(void)state;
	memset(&ledger, 0, sizeof(ledger));
	shop = resource_new();
	shop->id = 1;
	attrs_str(&shop->attrs, "service.name", B("shop"), 0);
	cfg = (struct export_config){ .queue_spans = 1000,
				      .batch_spans = 10,
				      .schedule_ms = 3000,
				      /* batches are full ones, however slow the machine is */ .request_bytes = 4 << 20,
				      .version = "0.1.0" };
	cfg.traces.timeout_ms = cfg.metrics.timeout_ms = 5000;
	self = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(shop->refs, 1);
	resource_unref(shop);
	return 0;
}

static void start(const struct answer *answers, size_t n)
{
	const char *error = NULL;

	receiver_start(answers, n);
	snprintf(traces_url, sizeof(traces_url), "http://127.0.0.1:%u/base/v1/traces", rx.port);
	snprintf(metrics_url, sizeof(metrics_url), "http://127.0.0.1:%u/v1/metrics", rx.port);
	cfg.traces.endpoint = traces_url;
	assert_true(exporter_otlp.wanted(&cfg));
	if (exporter_otlp.open(&cfg, &ledger, &self, &error) < 0)
		fail_msg("open: %s", error);
}

static void stop(uint32_t timeout_ms)
{
	exporter_otlp.close(self, timeout_ms);
	receiver_stop();
}

static void send_spans(size_t n)
{
	while (n--) {
		static uint8_t id;
		struct span *s = span_new(shop);

		memset(s->trace.b, 0x11, sizeof(s->trace.b));
		s->id.b[0] = ++id ? id : ++id;
		s->kind = SPAN_CLIENT;
		span_name(s, B("SELECT items"));
		exporter_otlp.spans(self, &s, 1);
		span_unref(s);
	}
}

static void wait_for(enum user_counter c, uint64_t n)
{
	for (int i = 0; i < 8000 && ledger_get(&ledger, c) < n; i++)
		usleep(1000);
	assert_int_equal(ledger_get(&ledger, c), n);
}

static void wait_received(size_t n)
{
	for (int i = 0; i < 8000 && received() < n; i++)
		usleep(1000);
	assert_int_equal(received(), n);
}

static void assert_trouble(const char *part)
{
	char text[512] = "";
	bool any = exporter_otlp.trouble(self, text, sizeof(text));

	for (int i = 0; part && !any && i < 8000; i++) { /* it may be on its way */
		usleep(1000);
		any = exporter_otlp.trouble(self, text, sizeof(text));
	}
	if (!part) {
		if (any)
			fail_msg("unexpected: %s", text);
		return;
	}
	if (!any || !strstr(text, part))
		fail_msg("no \"%s\" in \"%s\"", part, text);
	assert_false(exporter_otlp.trouble(self, text, sizeof(text))); /* said once */
}

static void assert_spans(const struct request *r, const char *p, size_t n, size_t spans)
{
	Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *q =
		opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(NULL, n,
												 (const uint8_t *)p);

	assert_non_null(strstr(r->head, "POST /base/v1/traces HTTP/1.1\r\n"));
	assert_non_null(q);
	assert_int_equal(q->resource_spans[0]->scope_spans[0]->n_spans, spans);
	opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(q, NULL);
}

static void test_what_is_sent(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };

	(void)state;
	cfg.traces.headers = "Authorization=ApiKey%20abc==,x-sentry-auth=sentry sentry_key=1%2C2 , empty= ";
	start(ok, 1);
	send_spans(10);
	wait_for(USER_spans_exported, 10);
	send_spans(10);
	wait_for(USER_spans_exported, 20);
	assert_trouble(NULL);
	assert_int_equal(received(), 2);
	assert_spans(&rx.requests[0], rx.requests[0].body, rx.requests[0].n, 10);
	assert_non_null(strstr(rx.requests[0].head, "Content-Type: application/x-protobuf\r\n"));
	assert_non_null(strstr(rx.requests[0].head, "User-Agent: sonde/0.1.0 OTel-OTLP-Exporter-C/0.1.0\r\n"));
	assert_non_null(strstr(rx.requests[0].head, "Authorization: ApiKey abc==\r\n"));
	assert_non_null(strstr(rx.requests[0].head, "x-sentry-auth: sentry sentry_key=1,2\r\n"));
	assert_non_null(strstr(rx.requests[0].head, "empty:\r\n"));
	assert_null(strstr(rx.requests[0].head, "Expect:"));
	assert_null(strstr(rx.requests[0].head, "Content-Encoding"));
	assert_int_equal(rx.requests[0].connection, rx.requests[1].connection); /* kept alive */
	stop(1000);
}

static void test_gzip(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };
	static unsigned char plain[65536];
	z_stream z = { 0 };

	(void)state;
	cfg.traces.gzip = true;
	start(ok, 1);
	send_spans(20);
	wait_for(USER_spans_exported, 20);
	for (int i = 0; i < 2; i++) {
		assert_non_null(strstr(rx.requests[i].head, "Content-Encoding: gzip\r\n"));
		memset(&z, 0, sizeof(z));
		z.next_in = (unsigned char *)rx.requests[i].body;
		z.avail_in = (unsigned)rx.requests[i].n;
		z.next_out = plain;
		z.avail_out = sizeof(plain);
		assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		assert_true(z.total_out > rx.requests[i].n);
		assert_spans(&rx.requests[i], (char *)plain, z.total_out, 10);
		inflateEnd(&z);
	}
	stop(1000);
}

static void test_any_2xx_is_success(void **state)
{
	static const struct answer answers[] = { { .status = 202, .body = "{}" }, /* Datadog */
						 { .status = 204 },
						 { .status = 200, .body = "<html>fine</html>" } };

	(void)state;
	start(answers, 3);
	send_spans(30);
	wait_for(USER_spans_exported, 30);
	assert_int_equal(received(), 3);
	assert_trouble(NULL);
	stop(1000);
}

static void test_refusals(void **state)
{
	/* google.rpc.Status{code: 3, message: "bad data", details: [...]} */
	static const struct answer answers[] = {
		{ .status = 400,
		  .body = "\x08\x03\x12\x08"
			  "bad data\x1a\x02\x0a\x00",
		  .body_n = 16 },
		{ .status = 413, .body = "<html><b>Request\n too\x1b large" },
		{ .status = 301, .headers = "Location: http://127.0.0.1:1/\r\n" },
		{ .status = 401 },
		{ .status = 200 },
	};

	(void)state;
	start(answers, 5);
	send_spans(10);
	wait_for(USER_export_refused, 10);
	assert_trouble("refused 10 spans (HTTP 400: bad data)");
	send_spans(10);
	wait_for(USER_export_refused, 20);
	assert_trouble("(HTTP 413: <html><b>Request too? large)");
	send_spans(10);
	wait_for(USER_export_refused, 30);
	assert_trouble("(HTTP 301)");
	send_spans(10);
	wait_for(USER_export_refused, 40);
	assert_trouble("(HTTP 401)");
	send_spans(10);
	wait_for(USER_spans_exported, 10);
	assert_trouble("answers again");
	assert_int_equal(received(), 5); /* nothing was sent twice */
	stop(1000);
}

static void test_partial_success(void **state)
{
	static const struct answer answers[] = {
		{ .status = 200, .body = "\x0a\x0b\x08\x03\x12\x07too old", .body_n = 13 },
		{ .status = 200, .body = "\x0a\x08\x12\x06slower", .body_n = 10 },
	};

	(void)state;
	start(answers, 2);
	send_spans(10);
	wait_for(USER_spans_exported, 7);
	wait_for(USER_export_refused, 3);
	assert_trouble("refused 3 of 10 spans: too old");
	send_spans(10);
	wait_for(USER_spans_exported, 17);
	assert_trouble("took all spans, with a warning: slower");
	assert_int_equal(received(), 2);
	stop(1000);
}

static void test_retry_after(void **state)
{
	char date[64];
	struct answer answers[] = { { .status = 429, .headers = "Retry-After: 1\r\n" },
				    { .status = 503, .headers = date },
				    { .status = 200 } };
	time_t soon = time(NULL) + 4;
	struct tm tm;

	(void)state;
	gmtime_r(&soon, &tm);
	strftime(date, sizeof(date), "retry-after: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	start(answers, 3);
	send_spans(10);
	wait_received(1);
	send_spans(10); /* waits as well */
	wait_received(2);
	assert_trouble("is not ready (HTTP 429)");
	wait_for(USER_spans_exported, 20);
	assert_true(rx.requests[1].at - rx.requests[0].at >= 990 * MS);
	assert_true(time(NULL) >= soon);
	assert_trouble("answers again");
	stop(1000);
}

static void test_503_without_a_word(void **state)
{
	static const struct answer answers[] = { { .status = 503, .body = "busy" },
						 { .status = 502 },
						 { .status = 200 } };

	(void)state;
	start(answers, 3);
	send_spans(10);
	wait_for(USER_spans_exported, 10);
	assert_int_equal(received(), 3);
	assert_true(rx.requests[1].at - rx.requests[0].at >= 490 * MS);
	assert_true(rx.requests[2].at - rx.requests[1].at >= 990 * MS);
	stop(1000);
}

static void test_disconnects_and_garbage_are_tried_again(void **state)
{
	static const struct answer answers[] = { { .hangup = true },
						 { .raw = true, .body = "SSH-2.0-OpenSSH_9.2\r\n" },
						 { .status = 200 } };

	(void)state;
	start(answers, 3);
	send_spans(10);
	wait_received(2);
	assert_trouble("cannot reach http://127.0.0.1:");
	wait_for(USER_spans_exported, 10);
	assert_true(received() >= 3);
	stop(1000);
}

static void test_nobody_listens(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };
	uint64_t begin;
	const char *error;

	(void)state;
	receiver_start(ok, 1); /* for a port that nobody else has */
	receiver_stop();
	snprintf(traces_url, sizeof(traces_url), "http://user:secret@127.0.0.1:%u/v1/traces?key=secret", rx.port);
	cfg.traces.endpoint = traces_url;
	assert_int_equal(exporter_otlp.open(&cfg, &ledger, &self, &error), 0);
	send_spans(10);
	usleep(300000);
	snprintf(metrics_url, sizeof(metrics_url), "cannot reach http://127.0.0.1:%u/v1/traces: ", rx.port);
	assert_trouble(metrics_url); /* without what is secret */
	begin = clock_monotonic();
	exporter_otlp.close(self, 5000);
	assert_true(clock_monotonic() - begin < 2000 * MS);
	assert_int_equal(ledger_get(&ledger, USER_shutdown), 10);
}

static void test_slow_reply_is_given_up(void **state)
{
	static const struct answer answers[] = { { .status = 200, .delay_ms = 20000 }, { .status = 200 } };
	uint64_t begin = clock_monotonic();

	(void)state;
	cfg.traces.timeout_ms = 300;
	start(answers, 2);
	send_spans(10);
	for (int i = 0; i < 3000; i++) {
		char text[512];

		if (exporter_otlp.trouble(self, text, sizeof(text))) {
			assert_non_null(strstr(text, "no reply in time"));
			break;
		}
		usleep(1000);
	}
	assert_true(clock_monotonic() - begin < 2000 * MS);
	stop(100);
	assert_int_equal(ledger_get(&ledger, USER_spans_exported) + ledger_get(&ledger, USER_shutdown), 10);
}

/* The status line is the answer: what was accepted is not sent twice because the rest of the reply never came. */
static void test_stalled_body_after_200(void **state)
{
	static const struct answer answers[] = { { .status = 200, .stall = true, .delay_ms = 20000 } };

	(void)state;
	cfg.traces.timeout_ms = 300;
	start(answers, 1);
	send_spans(10);
	wait_for(USER_spans_exported, 10);
	assert_int_equal(received(), 1);
	stop(100);
}

static void test_reply_without_end(void **state)
{
	static const struct answer answers[] = { { .status = 200, .endless = 64 << 20 } };

	(void)state;
	start(answers, 1);
	send_spans(10);
	wait_for(USER_export_refused, 10);
	assert_trouble("a reply without end");
	stop(1000);
}

static void test_close_flushes(void **state)
{
	static const struct answer ok[] = { { .status = 200, .delay_ms = 50 } };

	(void)state;
	cfg.schedule_ms = 60000;
	start(ok, 1);
	send_spans(37);
	stop(5000);
	assert_int_equal(ledger_get(&ledger, USER_spans_exported), 37);
	assert_int_equal(ledger_get(&ledger, USER_shutdown), 0);
}

static void test_split_by_request_bytes(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };

	(void)state;
	cfg.request_bytes = 800;
	cfg.batch_spans = 100;
	start(ok, 1);
	send_spans(100);
	wait_for(USER_spans_exported, 100);
	assert_true(received() > 5);
	for (size_t i = 0; i < received(); i++)
		assert_true(rx.requests[i].n <= 800);
	stop(1000);
}

/* --- metrics --- */

static void send_metrics(uint64_t value)
{
	struct metric_set set = { .time = 1795000000000000000ULL + value };
	struct metric_point *p = metric_set_add(&set, METRIC_SONDE_SPANS_SEEN, shop);

	p->start = 1795000000000000000ULL;
	p->counter = value;
	exporter_otlp.metrics(self, &set);
	metric_set_free(&set);
}

static void assert_counter(size_t request, int temporality, int64_t value)
{
	const struct request *r = &rx.requests[request];
	Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest *q =
		opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__unpack(
			NULL, r->n, (const uint8_t *)r->body);
	Opentelemetry__Proto__Metrics__V1__Sum *sum;

	assert_non_null(strstr(r->head, "POST /v1/metrics HTTP/1.1\r\n"));
	assert_non_null(q);
	sum = q->resource_metrics[0]->scope_metrics[0]->metrics[0]->sum;
	assert_int_equal(sum->aggregation_temporality, temporality);
	assert_int_equal(sum->data_points[0]->as_int, value);
	opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__free_unpacked(q, NULL);
}

static void start_metrics(const struct answer *answers, size_t n)
{
	const char *error;

	receiver_start(answers, n);
	snprintf(metrics_url, sizeof(metrics_url), "http://127.0.0.1:%u/v1/metrics", rx.port);
	cfg.metrics.endpoint = metrics_url;
	assert_int_equal(exporter_otlp.open(&cfg, &ledger, &self, &error), 0);
}

static void test_metrics(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };

	(void)state;
	start_metrics(ok, 1);
	send_spans(3); /* nobody wants them here */
	send_metrics(5);
	wait_received(1);
	usleep(50000);
	send_metrics(7); /* close() sends it */
	stop(2000);
	assert_int_equal(rx.n, 2);
	assert_int_equal(ledger_get(&ledger, USER_spans_exported), 0);
}

static void test_metrics_values(void **state)
{
	static const struct answer ok[] = { { .status = 200 } };

	(void)state;
	start_metrics(ok, 1);
	send_metrics(5);
	wait_received(1);
	send_metrics(7);
	wait_received(2);
	assert_counter(0, 2, 5);
	assert_counter(1, 2, 7);
	stop(2000);
}

static void test_delta_metrics_survive_an_outage(void **state)
{
	static const struct answer answers[] = {
		{ .status = 200 }, { .hangup = true }, { .hangup = true }, { .status = 200 }
	};

	(void)state;
	cfg.delta = true;
	cfg.metrics.timeout_ms = 200;
	start_metrics(answers, 4);
	send_metrics(5);
	wait_received(1);
	usleep(100000);
	send_metrics(7);  /* lost: no time for another try */
	wait_received(3); /* libcurl asks once more by itself when a connection that it kept turns out to be dead */
	usleep(400000);
	send_metrics(17);
	wait_received(4);
	usleep(100000);
	send_metrics(18);
	wait_received(5);
	assert_counter(0, 1, 5);
	assert_counter(1, 1, 2);
	assert_counter(2, 1, 2);
	assert_counter(3, 1, 12);
	assert_counter(4, 1, 1);
	stop(2000);
}

/* --- opening --- */

static void assert_does_not_open(const char *part)
{
	const char *error = NULL;

	assert_true(exporter_otlp.open(&cfg, &ledger, &self, &error) < 0);
	assert_non_null(error);
	if (!strstr(error, part))
		fail_msg("no \"%s\" in \"%s\"", part, error);
}

static void test_open_errors(void **state)
{
	(void)state;
	assert_false(exporter_otlp.wanted(&cfg));
	cfg.traces.endpoint = "ftp://127.0.0.1/";
	assert_does_not_open("http://");
	cfg.traces.endpoint = "";
	assert_does_not_open("http://");
	cfg.traces.endpoint = "http://127.0.0.1:4318/v1/traces";
	cfg.traces.headers = "no equals sign";
	assert_does_not_open("headers");
	cfg.traces.headers = "a=b%0d%0aInjected: yes";
	assert_does_not_open("headers");
	cfg.traces.headers = "bad name=1";
	assert_does_not_open("headers");
	cfg.traces.headers = NULL;
	cfg.traces.endpoint = "https://127.0.0.1:4318/v1/traces";
	cfg.traces.ca = "/nonexistent.pem";
	assert_does_not_open("CA certificate");
	cfg.traces.ca = "/dev/zero"; /* without end */
	assert_does_not_open("CA certificate");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_sent),
		TEST(test_gzip),
		TEST(test_any_2xx_is_success),
		TEST(test_refusals),
		TEST(test_partial_success),
		TEST(test_retry_after),
		TEST(test_503_without_a_word),
		TEST(test_disconnects_and_garbage_are_tried_again),
		TEST(test_nobody_listens),
		TEST(test_slow_reply_is_given_up),
		TEST(test_stalled_body_after_200),
		TEST(test_reply_without_end),
		TEST(test_close_flushes),
		TEST(test_split_by_request_bytes),
		TEST(test_metrics),
		TEST(test_metrics_values),
		TEST(test_delta_metrics_survive_an_outage),
		TEST(test_open_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
