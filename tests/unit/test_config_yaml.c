/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "config/document.h"

/* Long, because it is one file with every setting and what must come of each. */
static void test_every_setting(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_yaml(c, "select:\n"
				      "  include:\n"
				      "    - {executable: 'python3*', service: shop, port: 8000}\n"
				      "    - command: '*gunicorn*'\n"
				      "      container: web-*\n"
				      "  exclude:\n"
				      "    - pid: 17\n"
				      "backend: kprobe\n"
				      "ring_buffer: 16 MiB\n"
				      "limits: {connections: 1000, histogram_keys: 512, query_text: 100}\n"
				      "duration: 5m\n"
				      "record: /tmp/x.rec\n"
				      "log_level: debug\n"
				      "disabled: true\n"
				      "service_name: agent\n"
				      "resource_attributes: {deployment.environment.name: 'prod, eu', team: a=b}\n"
				      "attributes: {value_length: 200, count: 0}\n"
				      "semconv: {aliases: []}\n"
				      "traces:\n"
				      "  exporters: [otlp, console]\n"
				      "  sampler: parentbased_traceidratio\n"
				      "  sampler_ratio: 0.25\n"
				      "  wait_for_parent: 1m\n"
				      "metrics:\n"
				      "  exporters: none\n"
				      "  interval: 15s\n"
				      "  temporality: delta\n"
				      "  histogram: base2_exponential_bucket_histogram\n"
				      "otlp:\n"
				      "  traces: {timeout: 3s, endpoint: 'https://t.example/x'}\n"
				      "  endpoint: http://h:4318/base\n"
				      "  headers: {authorization: 'Bearer a,b=c'}\n"
				      "  compression: gzip\n"
				      "  timeout: 0\n"
				      "  certificate: ca.pem\n"
				      "  client_certificate: c.pem\n"
				      "  client_key: k.pem\n"
				      "  request_size: 1MiB\n"
				      "batch: {queue: 100, size: 50, delay: 1s}\n"
				      "console: {format: json, color: never, traces_per_second: 2.5}\n"),
			 0);
	assert_int_equal(finish(c), 0);
	assert_int_equal(c->include_n, 2);
	assert_string_equal(c->include[0].executable, "python3*");
	assert_string_equal(c->include[0].service, "shop");
	assert_int_equal(c->include[0].port, 8000);
	assert_string_equal(c->include[1].command, "*gunicorn*");
	assert_string_equal(c->include[1].container, "web-*");
	assert_int_equal(c->exclude_n, 1);
	assert_int_equal(c->exclude[0].pid, 17);
	assert_string_equal(c->backend, "kprobe");
	assert_int_equal(c->ring_bytes, 16 << 20);
	assert_int_equal(c->max_conns, 1000);
	assert_int_equal(c->max_keys, 512);
	assert_int_equal(c->query_text_max, 100);
	assert_int_equal(c->duration_s, 300);
	assert_string_equal(c->record, "/tmp/x.rec");
	assert_int_equal(c->log_level, 3);
	assert_true(c->disabled);
	assert_string_equal(c->service_name, "agent");
	assert_string_equal(c->resource_attributes, "deployment.environment.name=prod%2C%20eu,team=a%3Db");
	assert_int_equal(c->attribute_length_max, 200);
	assert_int_equal(c->attribute_count_max, 0);
	assert_false(c->alias_peer_service);
	assert_true(c->console);
	assert_int_equal(c->sampler, SAMPLER_PARENT_RATIO);
	assert_true(c->sampler_ratio == 0.25);
	assert_int_equal(c->hold_ms, 60000);
	assert_int_equal(c->metric_interval_ms, 15000);
	assert_true(c->delta);
	assert_true(c->exponential);
	assert_string_equal(c->traces.endpoint, "https://t.example/x");
	assert_null(c->metrics.endpoint);
	assert_string_equal(c->traces.headers, "authorization=Bearer%20a%2Cb%3Dc");
	assert_string_equal(c->metrics.headers, c->traces.headers);
	assert_true(c->traces.gzip && c->metrics.gzip);
	assert_int_equal(c->traces.timeout_ms, 3000);
	assert_int_equal(c->metrics.timeout_ms, 30000); /* no limit of its own: the deadline of the metric reader */
	assert_string_equal(c->metrics.ca, "ca.pem");
	assert_string_equal(c->metrics.client_cert, "c.pem");
	assert_string_equal(c->traces.client_key, "k.pem");
	assert_int_equal(c->request_bytes, 1 << 20);
	assert_int_equal(c->queue_spans, 100);
	assert_int_equal(c->batch_spans, 50);
	assert_int_equal(c->schedule_ms, 1000);
	assert_int_equal(c->format, FORMAT_JSON);
	assert_int_equal(c->colour, 0);
	assert_true(c->traces_per_second == 2.5);
	config_free(c);
}

/* Long, because it is one file with every kind of mistake. */
static void test_all_mistakes_with_lines(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_yaml(c, "select:\n"
				      "  include:\n"
				      "    - executable: 'python3['\n"
				      "      prot: 80\n"
				      "    - port: 70000\n"
				      "      pid: x\n"
				      "    - service: shop\n"
				      "    - some text\n"
				      "  exclude:\n"
				      "    - command: a\n"
				      "      service: b\n"
				      "ring_bufer: 8MiB\n"
				      "otlp:\n"
				      "  endpoint: localhost:4318\n"
				      "  timeout: 10\n"
				      "  headers:\n"
				      "    good: 1\n"
				      "    bad name: 2\n"
				      "    list: [3]\n"
				      "  traces: 5\n"
				      "limits:\n"
				      "  connections: 12\n"
				      "  connections: 1000\n"
				      "traces:\n"
				      "  sampler: always_of\n"
				      "  sampler_ratio: 1.5\n"
				      "  exporters: [otlp, zipkin]\n"
				      "timeout: 5s\n"
				      "file_format: '1.0'\n"
				      "console: yes\n"
				      "log_level: [info]\n"
				      "? [a]\n"
				      ": b\n"
				      "otlp.endpoint: http://x\n"),
			 24);
	assert_int_equal(lines.n, 24);
	assert_line(0, "f.yaml:3: executable: expected a glob such as python3* or [a-c]*, got \"python3[\"");
	assert_line(1, "f.yaml:4: expected a field of a rule, got \"prot\"; did you mean port?");
	assert_line(2, "f.yaml:5: port: expected a whole number from 1 to 65535, got \"70000\"");
	assert_line(3, "f.yaml:6: pid: expected a whole number from 1 to 4194304, got \"x\"");
	assert_line(4, "f.yaml:7: expected a rule with executable, command, container, pid or port, got none");
	assert_line(5, "f.yaml:8: select.include: expected a rule such as executable: python3*, got \"some text\"");
	assert_line(6, "f.yaml:11: expected service only under select.include");
	assert_line(7, "f.yaml:12: expected a setting, got \"ring_bufer\"; did you mean ring_buffer?");
	assert_line(8, "f.yaml:14: otlp.endpoint: expected a URL such as http://localhost:4318, got");
	assert_line(9, "f.yaml:15: otlp.timeout: expected a time with its unit such as 500ms, 10s or 5m, "
		       "from 0 to 1h, got \"10\"");
	assert_line(10, "f.yaml:18: otlp.headers: expected the name of a header, got \"bad name\"");
	assert_line(11, "f.yaml:19: otlp.headers: expected the text of a header, got a list");
	assert_line(12, "f.yaml:20: otlp.traces: expected settings below it, got \"5\"");
	assert_line(13, "f.yaml:22: limits.connections: expected a whole number from 256 to 4194304, got \"12\"");
	assert_line(14, "f.yaml:23: expected limits.connections once, got it again");
	assert_line(15, "f.yaml:25: traces.sampler: expected one of parentbased_always_on, ");
	assert_line(16, "f.yaml:26: traces.sampler_ratio: expected a number from 0 to 1, got \"1.5\"");
	assert_line(17, "f.yaml:27: traces.exporters: expected a list of otlp, console, none (none only by itself), "
			"got \"otlp,zipkin\"");
	assert_line(18, "f.yaml:28: expected a setting, got \"timeout\"; did you mean otlp.timeout?");
	assert_line(19, "f.yaml:29: expected Sonde's own settings, got an OpenTelemetry SDK configuration");
	assert_line(20, "f.yaml:30: console: expected settings below it, got \"yes\"");
	assert_line(21, "f.yaml:31: log_level: expected one of error, warn, info, debug, got a list");
	assert_line(22, "f.yaml:32: expected a setting, got a list");
	assert_line(23, "f.yaml:34: expected a setting, got \"otlp.endpoint\"");
	config_free(c);
}

/* What is right in a file with mistakes is there; what is wrong left its default. */
static void test_wrong_values_change_nothing(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_yaml(c, "limits: {connections: 1, query_text: 70}\nring_buffer: 1GB\n"), 2);
	assert_int_equal(c->max_conns, 65536);
	assert_int_equal(c->query_text_max, 70);
	assert_int_equal(c->ring_bytes, 8 << 20);
	config_free(c);
}

static void test_empty(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "otlp:\n", "log_level:\nselect: ~\n", "null" };
	struct config *c = config_new();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(load_yaml(c, texts[i]), 0);
	assert_int_equal(c->log_level, 2);
	assert_int_equal(c->include_n, 0);
	config_free(c);
}

static void repeat(const char *pattern, size_t n, const char *expected)
{
	struct config *c = config_new();
	char *text = malloc(n + 1);
	size_t k = strlen(pattern);

	for (size_t i = 0; i < n; i++)
		text[i] = pattern[i % k];
	text[n] = '\0';
	assert_int_equal(load_yaml(c, text), 1);
	assert_line(0, expected);
	free(text);
	config_free(c);
}

/* Each of these takes libyaml minutes or gigabytes when nobody stops it. */
static void test_hostile(void **state)
{
	size_t n = DOCUMENT_BYTES_MAX;

	(void)state;
	repeat("[", n, "f.yaml:1: expected a configuration, got lists or mappings nested too deep");
	repeat("{", n, "f.yaml:1: expected a configuration, got lists or mappings nested too deep");
	repeat("- ", n, "f.yaml:1: expected a configuration, got lists or mappings nested too deep");
	repeat("? ", n, "f.yaml:1: expected a configuration, got lists or mappings nested too deep");
	repeat("{a: [", n, "f.yaml:1: expected a configuration, got lists or mappings nested too deep");
	repeat("- &a b\n", n, "f.yaml:65536: expected a configuration, got more values than one can have");
	repeat("a: &a [x]\nb: *a\n", n, "f.yaml:2: expected a value, got an alias (*name)");
	repeat("x", n + 1, "f.yaml: expected a configuration of at most 1 MiB, got a larger file");
	repeat("a: b\n---\n", 30, "f.yaml:2: expected one YAML document, got a second one");
	repeat("a: \"\\0\"\n", 8, "f.yaml:1: expected text, got a NUL character");
	repeat("\n\xff", 9, "f.yaml:2: expected YAML in UTF-8");
	repeat("\n\n\x01", 9, "f.yaml:3: expected YAML in UTF-8");
	repeat("a: 'b\n", 6, "f.yaml:");
	repeat("just text", 9, "f.yaml:1: expected settings such as log_level: info, got \"just text\"");
}

static void test_utf16_is_refused(void **state)
{
	struct config *c = config_new();

	(void)state;
	lines.n = 0;
	assert_int_equal(config_load_yaml_bytes(c, "f.yaml",
						BYTES_LITERAL("\xff\xfe"
							      "a\0:\0"),
						keep_line, &lines),
			 1);
	assert_line(0, "f.yaml:1: expected YAML in UTF-8");
	assert_int_equal(load_yaml(c, "\xef\xbb\xbflog_level: debug\n"), 0);
	assert_int_equal(c->log_level, 3);
	config_free(c);
}

/* All of them, or as many as a person would read, and a count of the rest. */
static void test_many_mistakes(void **state)
{
	static char text[300 * 8];
	struct config *c = config_new();

	(void)state;
	for (int i = 0; i < 300; i++)
		sprintf(text + strlen(text), "qqq: 1\n");
	assert_int_equal(load_yaml(c, text), 201);
	assert_line(199, "f.yaml:200: ");
	assert_line(200, "f.yaml: 100 more mistakes");
	config_free(c);
}

static void test_repeated_rule_field(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_yaml(c, "select:\n  include:\n    - command: a\n      port: 1\n      command: b\n"), 1);
	assert_line(0, "f.yaml:5: expected command once in a rule, got it again");
	assert_string_equal(c->include[0].command, "a");
	config_free(c);
}

/* Strings with line ends would break whatever prints them or sends them. */
static void test_control_characters(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_int_equal(load_yaml(c, "service_name: \"a\\nb\"\notlp: {headers: {x: \"a\\r\\nInjected: 1\"}}\n"), 2);
	assert_null(c->service_name);
	assert_null(c->traces.headers);
	assert_line(0, "f.yaml:1: service_name: expected a text of at most 4096 bytes without control characters, "
		       "got \"a?b\"");
	assert_null(strstr(lines.v[1], "Injected"));
	config_free(c);
}

static void test_files(void **state)
{
	char path[] = "/tmp/sonde-test-XXXXXX";
	struct config *c = config_new();
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "duration: 90s\nx: 1\n", 19), 19);
	close(fd);
	lines.n = 0;
	assert_int_equal(config_load_yaml(c, path, keep_line, &lines), 1);
	assert_memory_equal(lines.v[0], path, strlen(path));
	assert_line(0, path);
	assert_non_null(strstr(lines.v[0], ":2: expected a setting, got \"x\""));
	assert_int_equal(c->duration_s, 90);
	unlink(path);
	assert_int_equal(config_load_yaml(c, path, keep_line, &lines), -ENOENT);
	assert_int_equal(config_load_yaml(c, "/tmp", keep_line, &lines), -EISDIR);
	assert_int_equal(config_load_yaml(c, "/dev/zero", keep_line, &lines), 1);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_setting),
		cmocka_unit_test(test_all_mistakes_with_lines),
		cmocka_unit_test(test_wrong_values_change_nothing),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_utf16_is_refused),
		cmocka_unit_test(test_many_mistakes),
		cmocka_unit_test(test_repeated_rule_field),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
