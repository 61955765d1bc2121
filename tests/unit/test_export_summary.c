/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "export/summary.h"
#include "hist.h"
#include "util/ledger.h"

#define B(s) BYTES_LITERAL(s)
#define SECOND 1000000000ULL

static struct metric_set set;
static struct resource *shop, *cron;
static uint64_t kernel[KERNEL_COUNTER_COUNT], user[USER_COUNTER_COUNT];
static struct summary_facts facts;

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	memset(kernel, 0, sizeof(kernel));
	memset(user, 0, sizeof(user));
	facts = (struct summary_facts){ .utf8 = true,
					.sends = true,
					.start = 1795000000 * SECOND,
					.end = 1795000748 * SECOND,
					.kernel = kernel,
					.user = user,
					.cpu_seconds = 6.732,
					.rss_bytes = 9646899 };
	shop = resource_new();
	attrs_str(&shop->attrs, "service.name", B("shop"), 0);
	cron = resource_new();
	attrs_str(&cron->attrs, "service.name", B("cron"), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	metric_set_free(&set);
	resource_unref(shop);
	resource_unref(cron);
	return 0;
}

/* n durations of ns each. */
static struct metric_point *add(enum metric_id metric, struct resource *r, uint64_t n, uint64_t ns)
{
	struct metric_point *p = metric_set_add(&set, metric, r);
	__u32 clamped;

	p->histogram.count = n;
	p->histogram.sum = (double)(n * ns) / 1e9;
	p->histogram.scale = HIST_SCALE;
	p->histogram.offset = HIST_MIN_INDEX;
	p->histogram.slots_n = HIST_SLOTS;
	p->histogram.slots = calloc(HIST_SLOTS, sizeof(uint64_t));
	p->histogram.slots[hist_slot(ns, &clamped)] = n;
	return p;
}

static struct attrs *route(const char *path, int status, uint64_t n, uint64_t ns)
{
	struct attrs *a = &add(METRIC_HTTP_SERVER_REQUEST_DURATION, shop, n, ns)->attrs;

	attrs_str(a, ATTR_HTTP_REQUEST_METHOD, B("GET"), 0);
	if (*path)
		attrs_str(a, ATTR_HTTP_ROUTE, bytes_str(path), 0);
	attrs_int(a, ATTR_HTTP_RESPONSE_STATUS_CODE, status);
	if (status >= 500)
		attrs_str(a, ATTR_ERROR_TYPE, B("500"), 0);
	return a;
}

static struct attrs *statement(struct resource *r, const char *summary, uint64_t n, uint64_t ns)
{
	struct attrs *a = &add(METRIC_DB_CLIENT_OPERATION_DURATION, r, n, ns)->attrs;

	attrs_str(a, ATTR_DB_SYSTEM_NAME, B("postgresql"), 0);
	attrs_str(a, ATTR_DB_QUERY_SUMMARY, bytes_str(summary), 0);
	return a;
}

static void fill(void)
{
	struct metric_point *p;

	route("/orders/{id}", 200, 12000, 8000000);
	route("/orders/{id}", 500, 31, 60000000);
	route("/checkout", 200, 2204, 11700000);
	statement(shop, "SELECT items", 409054, 61000);
	statement(shop, "UPDATE stock", 2111, 3100000);
	attrs_str(statement(shop, "UPDATE stock", 45, 9800000), ATTR_ERROR_TYPE, B("23505"), 0);
	attrs_str(statement(shop, "UPDATE stock", 46, 9800000), ATTR_ERROR_TYPE, B("40001"), 0);
	attrs_str(statement(shop, "UPDATE stock", 2, 9800000), ATTR_ERROR_TYPE, B("23505"), 0);
	statement(cron, "DELETE sessions", 12, 2080000000);
	p = add(METRIC_HTTP_CLIENT_REQUEST_DURATION, shop, 7, 100000000);
	attrs_str(&p->attrs, ATTR_HTTP_REQUEST_METHOD, B("POST"), 0);
	attrs_str(&p->attrs, ATTR_SERVER_ADDRESS, B("payments"), 0);
	attrs_int(&p->attrs, ATTR_SERVER_PORT, 8080);
	kernel[KERNEL_spans_seen] = 437412;
	kernel[KERNEL_ring_full] = 118;
	user[USER_spans_exported] = 437294;
}

/* Prints to memory. */
static char *print(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	assert_non_null(to);
	summary_print(to, &set, &facts);
	fclose(to);
	return text;
}

static void assert_prints(const char *want)
{
	char *text = print();

	assert_string_equal(text, want);
	free(text);
}

static void test_example(void **state)
{
	(void)state;
	fill();
	assert_prints("observed 11:06:40 to 11:19:08 (12 min 28 s), 2 services\n"
		      " service  route             requests  errors      p50      p95      p99  in SQL  SQL/req\n"
		      " shop     GET /orders/{id}    12,031   0.3 %  8.52 ms  8.52 ms  8.52 ms\n"
		      " shop     GET /checkout        2,204     0 %  12.0 ms  12.0 ms  12.0 ms\n"
		      " shop     all routes          14,235   0.2 %  8.52 ms  12.0 ms  12.0 ms    26 %     28.9\n"
		      " service  statement          calls  errors      p50      p95  /request  share\n"
		      " cron     DELETE sessions       12     0 %   2.18 s   2.18 s             44 %\n"
		      " shop     SELECT items     409,054     0 %  61.0 us  61.0 us      28.7   43 %\n"
		      " shop     UPDATE stock       2,204   4.2 %  3.28 ms  3.28 ms       0.2   13 %  23505 ×47\n"
		      " service  call to             calls  errors     p50     p95  /request  share\n"
		      " shop     POST payments:8080      7     0 %  105 ms  105 ms      <0.1  100 %\n"
		      "spans      437,412 seen = 437,294 exported + 118 dropped (ring full 118)\n"
		      "agent      CPU 0.9 % of one core, memory 9.2 MiB\n");
}

static void test_nothing_seen(void **state)
{
	(void)state;
	assert_prints("observed 11:06:40 to 11:19:08 (12 min 28 s), no traffic\n"
		      "spans      0 seen = 0 exported + 0 dropped\n"
		      "agent      CPU 0.9 % of one core, memory 9.2 MiB\n");
}

static void assert_has(const char *part)
{
	char *text = print();

	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
	free(text);
}

static void test_fate_of_spans(void **state)
{
	(void)state;
	facts.sends = false;
	kernel[KERNEL_spans_seen] = 1000;
	user[USER_spans_streamed] = 10;
	user[USER_spans_printed] = 30;
	assert_has("spans      1,010 seen = 30 shown + 980 not shown + 0 dropped\n");
	facts.sends = true;
	user[USER_spans_exported] = 900;
	user[USER_queue_full] = 60;
	user[USER_export_failed] = 50;
	assert_has("1,010 seen = 900 exported + 110 dropped (queue full 60, export failed 50)\n");
	user[USER_spans_exported] = 890;
	assert_has(
		"1,010 seen = 890 exported + 10 not accounted for + 110 dropped (queue full 60, export failed 50)\n");
	user[USER_spans_exported] = 2000; /* does not add up: then it is not written as a sum */
	assert_has("1,010 seen, 2,000 exported, 110 dropped");
}

static void test_notes(void **state)
{
	(void)state;
	user[USER_held_too_long] = 12;
	user[USER_conns_unreadable] = 3;
	kernel[KERNEL_conn_table_full] = 4;
	user[USER_events_read] = 1000; /* no loss */
	assert_has("also       12: its parent never came; exported without\n");
	assert_has("also       3: connections whose bytes nobody could read (TLS without a probed library)\n");
	assert_has("also       4 times the connection table was full; bytes of these connections are not seen\n");
	assert_has("0 dropped\nalso");
}

static void test_many_rows_are_bounded(void **state)
{
	char *text;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char name[200];

		snprintf(name, sizeof(name), "/%03d/a/route/with/a/name/that/is/far/too/long/for/a/line/of/a/terminal",
			 i);
		route(name, 200, (uint64_t)i + 1, 1000000);
		statement(shop, name, (uint64_t)i + 1, 1000);
	}
	text = print();
	assert_non_null(strstr(text, "GET /099/a/route/with/a/name/that/is/far/to…  "));
	assert_null(strstr(text, "/079/"));
	assert_non_null(strstr(text, " and 80 more routes\n"));
	assert_non_null(strstr(text, " and 85 more statements\n"));
	assert_non_null(strstr(text, " shop     all routes "));
	free(text);
}

static void test_scales_are_merged(void **state)
{
	uint64_t *fine = calloc(1, sizeof(*fine)), *coarse = calloc(1, sizeof(*coarse));
	struct metric_point *p = metric_set_add(&set, METRIC_HTTP_SERVER_REQUEST_DURATION, shop);
	struct metric_point *q;

	(void)state;
	*fine = 3;
	p->histogram = (struct metric_histogram){ .count = 3, .scale = 5, .offset = 10, .slots_n = 1, .slots = fine };
	q = metric_set_add(&set, METRIC_HTTP_SERVER_REQUEST_DURATION, shop);
	*coarse = 1;
	q->histogram = (struct metric_histogram){ .count = 1, .scale = 0, .offset = 5, .slots_n = 1, .slots = coarse };
	/* (2^(10/32), 2^(11/32)] lies in (2^(2/8), 2^(3/8)], to 1.297 s; (32, 64] s ends at 64 s */
	assert_has("       4     0 %  1.30 s  64.0 s  64.0 s");
}

static void test_hostile_names(void **state)
{
	json_t *j;
	char *text;

	(void)state;
	statement(shop, "SELECT \033[2J\n\"\\", 1, 1000);
	route("/\xe2\x80\xae\xff", 200, 1, 1000);
	text = print();
	assert_null(strchr(text, '\033'));
	free(text);
	facts.utf8 = false;
	text = print();
	for (const char *p = text; *p; p++)
		assert_true((*p >= ' ' && *p < 0x7f) || *p == '\n');
	free(text);
	facts.json = true;
	text = print();
	j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	json_decref(j);
	free(text);
}

static void test_json(void **state)
{
	json_t *j, *s, *row;
	char *text;

	(void)state;
	fill();
	facts.json = true;
	text = print();
	j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
	s = json_object_get(j, "summary");
	assert_string_equal(json_string_value(json_object_get(s, "start_unix_nano")), "1795000000000000000");
	assert_int_equal(json_array_size(json_object_get(s, "routes")), 2);
	row = json_array_get(json_object_get(s, "routes"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "service")), "shop");
	assert_string_equal(json_string_value(json_object_get(row, "route")), "GET /orders/{id}");
	assert_int_equal(json_integer_value(json_object_get(row, "count")), 12031);
	assert_int_equal(json_integer_value(json_object_get(row, "errors")), 31);
	assert_int_equal(json_array_size(json_object_get(s, "statements")), 3);
	assert_int_equal(json_array_size(json_object_get(s, "calls")), 1);
	row = json_object_get(s, "spans");
	assert_int_equal(json_integer_value(json_object_get(row, "seen")), 437412);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "dropped"), "ring_full")), 118);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "agent"), "memory_bytes")), 9646899);
	assert_int_equal(json_object_size(json_object_get(s, "user")), USER_COUNTER_COUNT);
	json_decref(j);
	free(text);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_example),
		TEST(test_nothing_seen),
		TEST(test_fate_of_spans),
		TEST(test_notes),
		TEST(test_many_rows_are_bounded),
		TEST(test_scales_are_merged),
		TEST(test_hostile_names),
		TEST(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
