/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

#include "util/log.h"

/* Embedded defaults, nothing set: the console, no export. */
static void test_defaults(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_env(c, ENV("PATH=/bin", "OTEL_TRACES_EXPORTER=", "OTEL_EXPORTER_OTLP_ENDPOINT=")), 0);
	assert_int_equal(finish(c), 0);
	assert_null(c->traces.endpoint);
	assert_null(c->metrics.endpoint);
	assert_true(c->console);
	assert_true(c->alias_peer_service);
	assert_false(c->delta || c->exponential || c->disabled || c->traces.gzip || c->metrics.gzip);
	assert_null(c->backend);
	assert_null(c->record);
	assert_int_equal(c->ring_bytes, 8 << 20);
	assert_int_equal(c->max_conns, 65536);
	assert_int_equal(c->max_keys, 4096);
	assert_int_equal(c->query_text_max, 4096);
	assert_int_equal(c->hold_ms, 60000);
	assert_int_equal(c->duration_s, 0);
	assert_int_equal(c->sampler, SAMPLER_PARENT_ALWAYS_ON);
	assert_true(c->sampler_ratio == 1);
	assert_int_equal(c->format, FORMAT_TEXT);
	assert_true(c->traces_per_second == 10);
	assert_int_equal(c->colour, -1);
	assert_int_equal(c->queue_spans, 32768);
	assert_int_equal(c->batch_spans, 512);
	assert_int_equal(c->request_bytes, 4 << 20);
	assert_int_equal(c->schedule_ms, 5000);
	assert_int_equal(c->metric_interval_ms, 60000);
	assert_int_equal(c->traces.timeout_ms, 10000);
	assert_int_equal(c->metrics.timeout_ms, 10000);
	assert_int_equal(c->attribute_length_max, 0);
	assert_int_equal(c->attribute_count_max, 128);
	assert_int_equal(c->log_level, LOG_INFO);
	config_free(c);
}

struct joined {
	const char *base, *traces, *metrics;
};

/* protocol/exporter.md, "Endpoint URLs for OTLP/HTTP": its own examples first. */
static void test_endpoint_joining(void **state)
{
	static const struct joined good[] = {
		{ "http://collector:4318", "http://collector:4318/v1/traces", "http://collector:4318/v1/metrics" },
		{ "http://collector:4318/mycollector/", "http://collector:4318/mycollector/v1/traces",
		  "http://collector:4318/mycollector/v1/metrics" },
		{ "https://h/a/b", "https://h/a/b/v1/traces", "https://h/a/b/v1/metrics" },
		{ "HTTPS://h", "HTTPS://h/v1/traces", "HTTPS://h/v1/metrics" },
		{ "http://[::1]:4318", "http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/metrics" },
		{ "http://u:p@h:1/x?k=v", "http://u:p@h:1/x/v1/traces?k=v", "http://u:p@h:1/x/v1/metrics?k=v" },
	};
	static const char *const bad[] = {
		"localhost:4318", "ftp://h",	     "http://",	  "http:///x",	 "http://h:0",	    "http://h:65536",
		"http://h:",	  "http://h h",	     "http://:1", "http://[::1", "http://[::1]x:4", "http://h/#frag",
		"http://h:12a",	  "http://\xc3\xbc", "//h",	  "http//h",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *c = config_new();
		char var[128];

		snprintf(var, sizeof(var), "OTEL_EXPORTER_OTLP_ENDPOINT=%s", good[i].base);
		assert_int_equal(load_env(c, ENV(var)), 0);
		assert_int_equal(finish(c), 0);
		assert_string_equal(c->traces.endpoint, good[i].traces);
		assert_string_equal(c->metrics.endpoint, good[i].metrics);
		assert_false(c->console);
		config_free(c);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct config *c = config_new();
		char var[128];

		snprintf(var, sizeof(var), "OTEL_EXPORTER_OTLP_ENDPOINT=%s", bad[i]);
		if (load_env(c, ENV(var)) != 1 || c->traces.endpoint)
			fail_msg("%s was taken", bad[i]);
		assert_line(0, "OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL such as http://localhost:4318, got ");
		config_free(c);
	}
}

/* Whatever the order in the environment, the variable of one signal wins for it. */
static void test_signal_wins(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(
		load_env(c,
			 ENV("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t:1",
			     "OTEL_EXPORTER_OTLP_METRICS_HEADERS=api-key=m",
			     "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=none", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=500",
			     "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=/t.pem",
			     "OTEL_EXPORTER_OTLP_ENDPOINT=http://all:2/",
			     "OTEL_EXPORTER_OTLP_HEADERS=api-key=all,x-y=a%20b", "OTEL_EXPORTER_OTLP_COMPRESSION=GZIP",
			     "OTEL_EXPORTER_OTLP_TIMEOUT=700", "OTEL_EXPORTER_OTLP_CERTIFICATE=/all.pem",
			     "OTEL_EXPORTER_OTLP_CLIENT_KEY=/k.pem", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/c.pem")),
		0);
	assert_int_equal(finish(c), 0);
	assert_string_equal(c->traces.endpoint, "http://t:1/"); /* as it is, but for the path it lacks */
	assert_string_equal(c->metrics.endpoint, "http://all:2/v1/metrics");
	assert_string_equal(c->traces.headers, "api-key=all,x-y=a%20b");
	assert_string_equal(c->metrics.headers, "api-key=m");
	assert_false(c->traces.gzip);
	assert_true(c->metrics.gzip);
	assert_int_equal(c->traces.timeout_ms, 700);
	assert_int_equal(c->metrics.timeout_ms, 500);
	assert_string_equal(c->traces.ca, "/t.pem");
	assert_string_equal(c->metrics.ca, "/all.pem");
	assert_string_equal(c->metrics.client_key, "/k.pem");
	assert_string_equal(c->traces.client_cert, "/c.pem");
	config_free(c);
}

struct exporters {
	char *traces, *metrics, *endpoint;
	bool sends_traces, sends_metrics, console;
	int warnings;
};

static void test_exporter_lists(void **state)
{
	static const struct exporters cases[] = {
		{ "otlp", "", "", true, false, false, 0 },
		{ "otlp", "otlp", "", true, true, false, 0 },
		{ "", "otlp", "", false, true, false, 0 },
		{ "console", "", "", false, false, true, 0 },
		{ "none", "none", "", false, false, false, 0 },
		{ "none", "", "http://h", false, true, false, 0 },
		{ "", "none", "http://h", true, false, false, 0 },
		{ "console", "", "http://h", false, true, true, 0 },
		{ " otlp , console ,", "", "http://h", true, true, true, 0 },
		{ "OTLP", "", "http://h", true, true, false, 0 },
		{ "zipkin", "prometheus", "", false, false, true, 2 },
		{ "zipkin,otlp", "", "", true, false, false, 1 },
		{ "logging", "", "", false, false, true, 1 },
		{ "none,otlp", "", "", false, false, true, 1 },
		{ "grafana", "", "http://h", true, true, false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c = config_new();
		char traces[64], metrics[64], endpoint[64];

		snprintf(traces, sizeof(traces), "OTEL_TRACES_EXPORTER=%s", cases[i].traces);
		snprintf(metrics, sizeof(metrics), "OTEL_METRICS_EXPORTER=%s", cases[i].metrics);
		snprintf(endpoint, sizeof(endpoint), "OTEL_EXPORTER_OTLP_ENDPOINT=%s", cases[i].endpoint);
		assert_int_equal(load_env(c, ENV(traces, metrics, endpoint)), cases[i].warnings);
		assert_int_equal(finish(c), 0);
		if (!c->traces.endpoint == cases[i].sends_traces || !c->metrics.endpoint == cases[i].sends_metrics ||
		    c->console != cases[i].console)
			fail_msg("case %zu: traces %s, metrics %s, console %d", i, c->traces.endpoint,
				 c->metrics.endpoint, c->console);
		/* named without an endpoint: the specification's default */
		if (cases[i].sends_traces && !*cases[i].endpoint)
			assert_string_equal(c->traces.endpoint, "http://localhost:4318/v1/traces");
		config_free(c);
	}
}

static void test_warnings_say_what_is_used(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(
		load_env(c, ENV("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER=xray",
				"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=LowMemory", "OTEL_SDK_DISABLED=1",
				"OTEL_LOG_LEVEL=loud", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json")),
		6);
	assert_line(0, "OTEL_LOG_LEVEL: expected one of error, warn, info, debug, got \"loud\"; it is ignored");
	assert_line(1, "OTEL_SDK_DISABLED: expected true or false, got \"1\"; it is taken as false");
	assert_line(2, "OTEL_TRACES_SAMPLER: \"xray\" is not supported; parentbased_always_on is used instead");
	assert_line(3,
		    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: \"LowMemory\" is not supported; delta is used");
	assert_line(4, "OTEL_EXPORTER_OTLP_PROTOCOL: \"grpc\" is not supported; http/protobuf is used instead");
	assert_line(5, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: \"http/json\" is not supported; http/protobuf is used");
	assert_true(c->delta);
	assert_false(c->disabled);
	assert_int_equal(c->sampler, SAMPLER_PARENT_ALWAYS_ON);
	config_free(c);
}

static void test_numbers(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(
		load_env(c, ENV("OTEL_BSP_SCHEDULE_DELAY=250", "OTEL_BSP_MAX_QUEUE_SIZE=100",
				"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=400", "OTEL_BSP_EXPORT_TIMEOUT=2000",
				"OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_METRIC_EXPORT_TIMEOUT=0",
				"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=0", "OTEL_ATTRIBUTE_COUNT_LIMIT=7",
				"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=90", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=80",
				"OTEL_TRACES_SAMPLER=TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG=0.5")),
		0);
	assert_int_equal(finish(c), 0);
	assert_int_equal(c->schedule_ms, 250);
	assert_int_equal(c->queue_spans, 100);
	assert_int_equal(c->batch_spans, 100); /* never more than the queue */
	assert_int_equal(c->traces.timeout_ms, 2000);
	assert_int_equal(c->metrics.timeout_ms, 0); /* neither limits it */
	assert_int_equal(c->metric_interval_ms, 1000);
	assert_int_equal(c->attribute_count_max, 7);
	assert_int_equal(c->attribute_length_max, 80);
	assert_int_equal(c->sampler, SAMPLER_RATIO);
	assert_true(c->sampler_ratio == 0.5);
	config_free(c);
}

static void test_unusable_numbers_change_nothing(void **state)
{
	static const char *const bad[] = { "-1", "5s", "1e3", "0x10", "1.5", "99999999999999999999", "ten", "1 0" };
	static const char *const bad_ratio[] = { "-0.1", "1.01", "nan", "inf", "0x1", "half", "0,5", "1e999" };
	char var[64];

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct config *c = config_new();

		snprintf(var, sizeof(var), "OTEL_BSP_SCHEDULE_DELAY=%s", bad[i]);
		assert_int_equal(load_env(c, ENV(var)), 1);
		assert_line(0,
			    "OTEL_BSP_SCHEDULE_DELAY: expected a whole number of milliseconds from 0 to 3600000, got");
		assert_int_equal(c->schedule_ms, 5000);
		snprintf(var, sizeof(var), "OTEL_TRACES_SAMPLER_ARG=%s", bad_ratio[i]);
		assert_int_equal(load_env(c, ENV(var)), 1);
		assert_true(c->sampler_ratio == 1);
		config_free(c);
	}
}

/* Sentry and Elastic document raw spaces and further equals signs. */
static void test_headers(void **state)
{
	static const char *const good[] = { "a=b", "x-sentry-auth=sentry sentry_key=1f,a=",
					    "Authorization=ApiKey abc==", "a=%41%2c, b=c,,", "a=b;c" };
	static const char *const bad[] = { "a", "=b", "a b=c", "a=%4", "a=%zz", "a=%0d%0aX: y", "a=b,c", "a=%00" };
	char var[128];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *c = config_new();

		snprintf(var, sizeof(var), "OTEL_EXPORTER_OTLP_HEADERS=%s", good[i]);
		assert_int_equal(load_env(c, ENV(var)), 0);
		assert_string_equal(c->traces.headers, good[i]);
		config_free(c);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct config *c = config_new();

		snprintf(var, sizeof(var), "OTEL_EXPORTER_OTLP_HEADERS=%s", bad[i]);
		assert_int_equal(load_env(c, ENV(var)), 1);
		assert_null(c->traces.headers);
		assert_non_null(strstr(lines.v[0], "it may hold a secret"));
		config_free(c);
	}
}

static void test_resource(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_env(c, ENV("OTEL_SERVICE_NAME=the agent", "OTEL_RESOURCE_ATTRIBUTES=a=b%2Cc,d=e")), 0);
	assert_string_equal(c->service_name, "the agent");
	assert_string_equal(c->resource_attributes, "a=b%2Cc,d=e");
	/* any error in decoding discards the whole value */
	assert_int_equal(load_env(c, ENV("OTEL_RESOURCE_ATTRIBUTES=x=y,d=%G0")), 1);
	assert_string_equal(c->resource_attributes, "a=b%2Cc,d=e");
	config_free(c);
}

static void test_booleans_and_colour(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_env(c, ENV("OTEL_SDK_DISABLED=TRUE")), 0);
	assert_true(c->disabled);
	assert_int_equal(load_env(c, ENV("OTEL_SDK_DISABLED=yes")), 1);
	assert_false(c->disabled);
	config_free(c);

	c = config_new();
	assert_int_equal(load_env(c, ENV("NO_COLOR=1")), 0);
	finish(c);
	assert_int_equal(c->colour, 0);
	config_free(c);

	c = config_new();
	assert_int_equal(load_yaml(c, "console: {color: always}"), 0);
	assert_int_equal(load_env(c, ENV("TERM=dumb")), 0);
	finish(c);
	assert_int_equal(c->colour, 1); /* asked for by name */
	config_free(c);
}

static void test_lone_client_key(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_env(c, ENV("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=k.pem")), 0);
	assert_int_equal(finish(c), 1);
	assert_line(0, "otlp: expected client_certificate and client_key together, got only client_key for traces");
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_endpoint_joining),
		cmocka_unit_test(test_signal_wins),
		cmocka_unit_test(test_exporter_lists),
		cmocka_unit_test(test_warnings_say_what_is_used),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_unusable_numbers_change_nothing),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_resource),
		cmocka_unit_test(test_booleans_and_colour),
		cmocka_unit_test(test_lone_client_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
