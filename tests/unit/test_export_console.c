/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "export/console_json.h"
#include "export/console_text.h"
#include "export/exporter.h"
#include "export/forest.h"
#include "export/text.h"
#include "util/ledger.h"

#define B(s) BYTES_LITERAL(s)
#define START 1795000000182000000ULL /* 2026-11-18 11:06:40.182 UTC */
#define MS 1000000ULL
#define MAX 64

extern const struct exporter exporter_console;

static struct resource *shop;
static struct span *spans[MAX];
static size_t count;

static struct span *add(enum span_kind kind, const char *name, uint64_t parent, uint64_t from_us, uint64_t us)
{
	struct span *s = span_new(shop);

	assert_true(count < MAX);
	s->kind = kind;
	s->trace.b[0] = 0x4f;
	s->trace.b[1] = 0x1c;
	s->trace.b[15] = 0x9a;
	s->id.b[0] = (uint8_t)(count + 1);
	s->parent.b[0] = (uint8_t)parent;
	s->start = START + from_us * 1000;
	s->end = s->start + us * 1000;
	span_name(s, bytes_str(name));
	spans[count++] = s;
	return s;
}

static struct span *server(const char *route, int status, uint64_t us)
{
	struct span *s = add(SPAN_SERVER, route, 0, 0, us);

	attrs_str(&s->attrs, ATTR_HTTP_REQUEST_METHOD, B("GET"), 0);
	attrs_int(&s->attrs, ATTR_HTTP_RESPONSE_STATUS_CODE, status);
	if (strchr(route, '/'))
		attrs_str(&s->attrs, ATTR_HTTP_ROUTE, bytes_str(strchr(route, '/')), 0);
	if (status >= 500)
		span_error(s, B("500"));
	return s;
}

static struct span *query(const char *summary, const char *text, uint64_t parent, uint64_t from_us, uint64_t us,
			  int rows)
{
	struct span *s = add(SPAN_CLIENT, summary, parent, from_us, us);

	attrs_str(&s->attrs, ATTR_DB_SYSTEM_NAME, B("postgresql"), 0);
	attrs_str(&s->attrs, ATTR_DB_QUERY_TEXT, bytes_str(text), 0);
	attrs_int(&s->attrs, ATTR_DB_RESPONSE_RETURNED_ROWS, rows);
	return s;
}

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	shop = resource_new();
	attrs_str(&shop->attrs, "service.name", B("shop"), 0);
	attrs_int(&shop->attrs, "process.pid", 42);
	count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < count; i++)
		span_unref(spans[i]);
	assert_int_equal(shop->refs, 1); /* nobody kept a span */
	resource_unref(shop);
	return 0;
}

struct rendering {
	struct buf out;
	struct text_style style;
};

static void render_tree(void *context, const struct text_node *nodes, size_t n)
{
	struct rendering *r = context;

	console_trace(&r->out, &r->style, nodes, n, 0);
}

static void assert_renders(struct text_style style, const char *want)
{
	struct rendering r = { .style = style };

	assert_int_equal(forest_walk(spans, count, render_tree, &r), 0);
	assert_false(r.out.failed);
	assert_string_equal(r.out.p, want);
	buf_free(&r.out);
}

static void example(void)
{
	server("GET /orders/{id}", 200, 48100);
	query("SELECT orders customers", "SELECT *\n  FROM orders JOIN customers USING (id)\tWHERE region = ?", 1, 100,
	      41800, 212);
	for (uint64_t i = 0; i < 34; i++)
		query("SELECT items", "SELECT * FROM items WHERE id = ?", 1, 42000 + i * 100, 65, 1);
}

static void test_example(void **state)
{
	(void)state;
	example();
	assert_renders(
		(struct text_style){ .utf8 = true, .columns = 120 },
		"11:06:40.182  shop      GET /orders/{id}        200  48.1 ms   35 SQL 44.0 ms   trace 4f1c…9a\n"
		"              └ 41.8 ms  SELECT orders customers  212 rows   "
		"SELECT * FROM orders JOIN customers USING (id) WHERE regio…\n"
		"              └ 2.21 ms  SELECT items  ×34 (N+1)  34 rows   SELECT * FROM items WHERE id = ?\n");
}

static void test_order_does_not_matter(void **state)
{
	struct rendering a = { .style = { .utf8 = true } }, b = a;

	(void)state;
	example();
	assert_int_equal(forest_walk(spans, count, render_tree, &a), 0);
	for (size_t i = 0; i < count / 2; i++) {
		struct span *s = spans[i];

		spans[i] = spans[count - 1 - i];
		spans[count - 1 - i] = s;
	}
	assert_int_equal(forest_walk(spans, count, render_tree, &b), 0);
	assert_string_equal(a.out.p, b.out.p);
	buf_free(&a.out);
	buf_free(&b.out);
}

static void test_ascii_and_full_id(void **state)
{
	(void)state;
	server("GET /a", 200, 1240);
	query("SELECT caf\xc3\xa9", "SELECT * FROM caf\xc3\xa9", 1, 10, 312, 1);
	assert_renders((struct text_style){ .full_trace_id = true },
		       "11:06:40.182  shop      GET /a                  200  1.24 ms   1 SQL 312 us   "
		       "trace 4f1c000000000000000000000000009a\n"
		       "              `-  312 us  SELECT caf?  1 row   SELECT * FROM caf?\n");
}

static void test_errors(void **state)
{
	struct span *s;

	(void)state;
	server("POST /checkout", 500, 12000);
	s = query("INSERT stock", "INSERT INTO stock VALUES (?)", 1, 10, 9100, 0);
	attrs_str(&s->attrs, ATTR_DB_RESPONSE_STATUS_CODE, B("23505"), 0);
	span_error(s, B("23505"));
	assert_renders((struct text_style){ .utf8 = true },
		       "11:06:40.182  shop      POST /checkout          500  12.0 ms   1 SQL 9.10 ms  "
		       "23505 unique_violation   trace 4f1c…9a\n"
		       "              └ 9.10 ms  INSERT stock  0 rows  23505 unique_violation   "
		       "INSERT INTO stock VALUES (?)\n");
}

static void test_colour(void **state)
{
	(void)state;
	server("GET /a", 500, 1240);
	assert_renders((struct text_style){ .utf8 = true, .colour = true, .columns = 52 },
		       "\033[2m11:06:40.182\033[0m  \033[36mshop\033[0m      \033[1mGET /a\033[0m                  "
		       "\033[1;31m500\033[0m\n");
}

static void test_terminal_escapes_are_not_passed_on(void **state)
{
	struct span *s = server("GET", 200, 1000);

	(void)state;
	attrs_str(&s->attrs, ATTR_URL_PATH, B("/\033[2J\r\n\xe2\x80\xae\xc2\x9bx"), 0);
	assert_renders((struct text_style){ .utf8 = true },
		       "11:06:40.182  shop      GET /?[2J ??x           200  1.00 ms   trace 4f1c…9a\n");
}

static void test_lone_spans_and_calls(void **state)
{
	struct span *s;

	(void)state;
	query("SELECT 1", "SELECT 1", 77, 0, 2000000, 1); /* its parent is not here */
	s = add(SPAN_CLIENT, "POST", 77, 10, 5000);
	attrs_str(&s->attrs, ATTR_HTTP_REQUEST_METHOD, B("POST"), 0);
	attrs_str(&s->attrs, ATTR_SERVER_ADDRESS, B("payments"), 0);
	attrs_int(&s->attrs, ATTR_SERVER_PORT, 8080);
	span_error(s, B("connection_reset"));
	s = add(SPAN_CLIENT, "GET", 78, 20, 5000);
	attrs_str(&s->attrs, ATTR_HTTP_REQUEST_METHOD, B("GET"), 0);
	attrs_str(&s->attrs, ATTR_SERVER_ADDRESS, B("payments"), 0);
	attrs_str(&s->attrs, ATTR_URL_FULL, B("http://REDACTED:REDACTED@payments:8080/rates/a@b?day=1#x"), 0);
	assert_renders(
		(struct text_style){ .utf8 = true },
		"11:06:40.182  shop      SELECT 1                     2.00 s  1 row\n"
		"11:06:40.182  shop      POST payments:8080           5.00 ms  connection_reset   trace 4f1c…9a\n"
		"11:06:40.182  shop      GET payments:8080/rates/a@b  5.00 ms   trace 4f1c…9a\n");
}

static void test_many_children_are_bounded(void **state)
{
	struct rendering r = { .style = { .utf8 = true } };
	size_t lines = 0;

	(void)state;
	server("GET /report", 200, 100000);
	for (uint64_t i = 0; i < 40; i++) {
		char text[32];

		snprintf(text, sizeof(text), "SELECT %u", (unsigned)i);
		query(text, text, 1, i * 1000, 100 + i, 1);
	}
	assert_int_equal(forest_walk(spans, count, render_tree, &r), 0);
	for (const char *p = r.out.p; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1 + 12 + 1);
	assert_non_null(strstr(r.out.p, "SELECT 39")); /* the slowest stay */
	assert_null(strstr(r.out.p, "SELECT 27 "));
	assert_non_null(strstr(r.out.p, "└ 28 more, 3.18 ms\n"));
	buf_free(&r.out);
}

static void test_cycles_end(void **state)
{
	struct rendering r = { 0 };

	(void)state;
	add(SPAN_INTERNAL, "a", 2, 0, 1);
	add(SPAN_INTERNAL, "b", 1, 0, 1);
	add(SPAN_INTERNAL, "self", 3, 0, 1);
	assert_int_equal(forest_walk(spans, count, render_tree, &r), 0);
	assert_non_null(strstr(r.out.p, "self"));
	buf_free(&r.out);
	assert_int_equal(forest_walk(NULL, 0, render_tree, &r), 0);
}

static void test_deep_chain(void **state)
{
	enum { DEEP = 20000 };
	struct span **chain = calloc(DEEP, sizeof(*chain));
	struct rendering r = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DEEP; i++) {
		chain[i] = span_new(shop);
		memcpy(chain[i]->parent.b, &i, sizeof(i));
		memcpy(chain[i]->id.b, &(uint32_t){ i + 1 }, sizeof(i));
		chain[i]->start = START + i;
	}
	assert_int_equal(forest_walk(chain, DEEP, render_tree, &r), 0);
	for (size_t i = 0; i < DEEP; i++)
		span_unref(chain[i]);
	free(chain);
	buf_free(&r.out);
}

static void test_numbers(void **state)
{
	static const struct {
		double seconds;
		const char *want;
	} durations[] = {
		{ 0, "0 s" },		{ -1, "0 s" },		 { 850e-9, "850 ns" },	  { 1e-6, "1.00 us" },
		{ 312e-6, "312 us" },	{ 999.6e-6, "1.00 ms" }, { 1.236e-3, "1.24 ms" }, { 9.996e-3, "10.0 ms" },
		{ 48.1e-3, "48.1 ms" }, { 99.96e-3, "100 ms" },	 { 2.08, "2.08 s" },	  { 119, "119 s" },
		{ 748, "12 min 28 s" }, { 7260, "2 h 1 min" },
	};
	char out[TEXT_NUMBER];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		assert_string_equal(text_duration(out, durations[i].seconds), durations[i].want);
	assert_string_equal(text_count(out, 0), "0");
	assert_string_equal(text_count(out, 999), "999");
	assert_string_equal(text_count(out, 1000), "1,000");
	assert_string_equal(text_count(out, UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(text_percent(out, 1, 0), "-");
	assert_string_equal(text_percent(out, 0, 10), "0 %");
	assert_string_equal(text_percent(out, 1, 100000), "<0.1 %");
	assert_string_equal(text_percent(out, 42, 1000), "4.2 %");
	assert_string_equal(text_percent(out, 9999, 10000), ">99 %");
	assert_string_equal(text_percent(out, 1, 1), "100 %");
	assert_string_equal(text_bytes(out, 9646899), "9.2 MiB");
}

static void test_json(void **state)
{
	struct span *s = server("GET \"\\\x01\xff/", 500, 1500);
	struct json_resources known = { 0 };
	struct buf out = { 0 };
	json_t *j, *a;

	(void)state;
	attrs_double(&s->attrs, "nan", 0.0 / 0.0);
	attrs_double(&s->attrs, "half", 0.5);
	attrs_bool(&s->attrs, "yes", true);
	attrs_int(&s->attrs, "big", INT64_MAX);
	s->id.b[7] = 0xab;
	console_json(&out, s, &known);
	json_resources_free(&known);
	assert_int_equal(bytes_find(buf_bytes(&out), '\n'), out.n - 1); /* one line */
	j = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "time")), "2026-11-18T11:06:40.182000Z");
	assert_string_equal(json_string_value(json_object_get(j, "trace_id")), "4f1c000000000000000000000000009a");
	assert_string_equal(json_string_value(json_object_get(j, "span_id")), "01000000000000ab");
	assert_true(json_is_null(json_object_get(j, "parent_span_id")));
	assert_string_equal(json_string_value(json_object_get(j, "name")), "GET \"\\\x01\xef\xbf\xbd/");
	assert_string_equal(json_string_value(json_object_get(j, "kind")), "server");
	assert_string_equal(json_string_value(json_object_get(j, "service")), "shop");
	assert_string_equal(json_string_value(json_object_get(j, "start_unix_nano")), "1795000000182000000");
	assert_string_equal(json_string_value(json_object_get(j, "end_unix_nano")), "1795000000183500000");
	assert_true(json_number_value(json_object_get(j, "duration_ms")) == 1.5);
	assert_string_equal(json_string_value(json_object_get(j, "status")), "error");
	a = json_object_get(j, "attributes");
	assert_int_equal(json_integer_value(json_object_get(a, "http.response.status_code")), 500);
	assert_int_equal(json_integer_value(json_object_get(a, "big")), INT64_MAX);
	assert_true(json_is_null(json_object_get(a, "nan")));
	assert_true(json_real_value(json_object_get(a, "half")) == 0.5);
	assert_true(json_is_true(json_object_get(a, "yes")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "resource"), "process.pid")), 42);
	json_decref(j);
	buf_free(&out);
}

/* Days, and durations, against the C library. */
static void test_json_times(void **state)
{
	struct json_resources known = { 0 };
	struct span *s = server("GET", 200, 1);
	struct buf out = { 0 };
	unsigned seed = 7;

	(void)state;
	for (uint64_t i = 0; i < 40000; i++) {
		uint64_t day = i * 5 % 213000, ns = (uint64_t)rand_r(&seed) * 40000 % (86400 * 1000000000ULL);
		char want[64], date[32];
		json_t *j;
		struct tm tm;
		time_t seconds;

		s->start = day * 86400 * 1000000000ULL + ns;
		s->end = s->start + ((uint64_t)rand_r(&seed) << rand_r(&seed) % 31);
		seconds = (time_t)(s->start / 1000000000);
		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		buf_reset(&out);
		console_json(&out, s, &known);
		snprintf(want, sizeof(want), "{\"time\":\"%s.%06uZ\",", date, (unsigned)(s->start % 1000000000 / 1000));
		assert_memory_equal(out.p, want, strlen(want));
		snprintf(want, sizeof(want), ",\"duration_ms\":%.6f,",
			 s->end > s->start ? (double)(s->end - s->start) / 1e6 : 0.0);
		assert_non_null(strstr(out.p, want));
		if (i % 1000)
			continue;
		j = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(j);
		json_decref(j);
	}
	json_resources_free(&known);
	buf_free(&out);
}

/* More resources than are kept as text, by turns and again and again. */
static void test_json_resources(void **state)
{
	enum { N = 2 * JSON_RESOURCES + 1 };
	struct json_resources known = { 0 };
	struct span *v[N];
	struct buf out = { 0 };

	(void)state;
	for (int i = 0; i < N; i++) {
		struct resource *r = resource_new();
		char name[24];

		snprintf(name, sizeof(name), "service-%d", i);
		attrs_str(&r->attrs, "service.name", bytes_str(name), 0);
		v[i] = span_new(r);
		resource_unref(r);
	}
	for (int i = 0; i < 10 * N; i++) {
		int which = i < 5 * N ? i % N : i * i % N;
		char want[64];

		snprintf(want, sizeof(want), "\"resource\":{\"service.name\":\"service-%d\"}}\n", which);
		buf_reset(&out);
		console_json(&out, v[which], &known);
		assert_non_null(strstr(out.p, want));
	}
	for (int i = 0; i < N; i++)
		span_unref(v[i]);
	json_resources_free(&known);
	buf_free(&out);
}

/* --- the exporter itself, into a file --- */

static size_t read_back(int fd, char *to, size_t size)
{
	ssize_t n = pread(fd, to, size - 1, 0);

	assert_true(n >= 0);
	to[n] = '\0';
	return (size_t)n;
}

static void open_console(struct export_config *cfg, struct ledger *ledger, void **self)
{
	FILE *file = tmpfile();
	const char *error = NULL;

	assert_non_null(file);
	cfg->console = true;
	cfg->utf8 = true;
	cfg->console_fd = dup(fileno(file));
	fclose(file);
	assert_true(exporter_console.wanted(cfg));
	assert_int_equal(exporter_console.open(cfg, ledger, self, &error), 0);
}

static void test_selection(void **state)
{
	struct export_config cfg = { .traces_per_second = 3 };
	struct ledger ledger = { 0 };
	static char text[10000];
	void *self = NULL;
	size_t lines = 0;

	(void)state;
	open_console(&cfg, &ledger, &self);
	for (int i = 0; i < 20; i++) {
		char route[32];

		snprintf(route, sizeof(route), "GET /%s", i % 2 ? "slow" : "quick");
		server(route, i == 13 ? 500 : 200, i == 10 || i == 17 ? 50000 : 100);
		spans[i]->trace.b[0] = (uint8_t)i;
		spans[i]->start += (uint64_t)i * MS;
		spans[i]->end += (uint64_t)i * MS;
	}
	exporter_console.tick(self, 5000000000);
	exporter_console.spans(self, spans, count);
	exporter_console.tick(self, 5900000000);
	assert_int_equal(read_back(cfg.console_fd, text, sizeof(text)), 0); /* the second is not over */
	exporter_console.tick(self, 6000000000);
	read_back(cfg.console_fd, text, sizeof(text));
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3); /* the error, and the slowest of both routes */
	assert_non_null(strstr(text, "  500  "));
	assert_non_null(strstr(text, "40.192  shop      GET /quick              200  50.0 ms"));
	assert_non_null(strstr(text, "40.199  shop      GET /slow               200  50.0 ms"));
	assert_true(strstr(text, "/quick") < strstr(text, "  500  ")); /* in the order of their start */
	assert_int_equal(ledger_get(&ledger, USER_spans_printed), 3);
	exporter_console.spans(self, spans, 1);
	exporter_console.close(self, 100); /* shows what is left */
	assert_true(read_back(cfg.console_fd, text, sizeof(text)) > 0);
	assert_int_equal(ledger_get(&ledger, USER_spans_printed), 4);
	close(cfg.console_fd);
}

static void test_json_prints_every_span(void **state)
{
	struct export_config cfg = { .traces_per_second = 1, .json = true };
	struct ledger ledger = { 0 };
	static char text[100000];
	void *self = NULL;
	const char *line = text;

	(void)state;
	open_console(&cfg, &ledger, &self);
	example();
	exporter_console.spans(self, spans, count);
	exporter_console.close(self, 100);
	read_back(cfg.console_fd, text, sizeof(text));
	for (size_t i = 0; i < count; i++) {
		json_t *j = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);

		assert_non_null(j);
		json_decref(j);
		line = strchr(line, '\n') + 1;
	}
	assert_int_equal(*line, '\0');
	assert_int_equal(ledger_get(&ledger, USER_spans_printed), count);
	close(cfg.console_fd);
}

/* A pipe that nobody reads: nothing blocks, memory is bounded, what does not fit is counted, lines stay whole. */
static void test_reader_that_does_not_read(void **state)
{
	struct export_config cfg = { .json = true };
	struct ledger ledger = { 0 };
	const char *error;
	int pipes[2];
	void *self = NULL;
	uint64_t lost, kept;
	static char text[16 << 20];
	size_t n = 0, lines = 0;
	ssize_t r;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	cfg.console_fd = pipes[1];
	assert_int_equal(exporter_console.open(&cfg, &ledger, &self, &error), 0);
	example();
	for (int i = 0; i < 1000; i++)
		exporter_console.spans(self, spans, count);
	lost = ledger_get(&ledger, USER_queue_full);
	kept = ledger_get(&ledger, USER_spans_printed);
	assert_true(lost > 0);
	assert_int_equal(lost + kept, 1000 * count);
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 200; i++) { /* the reader is back */
		while ((r = read(pipes[0], text + n, sizeof(text) - n)) > 0)
			n += (size_t)r;
		exporter_console.tick(self, 1);
	}
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, kept);
	close(pipes[0]);
	close(pipes[1]);
	cfg.console_fd = -1;
	exporter_console.close(self, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_example),
		TEST(test_order_does_not_matter),
		TEST(test_ascii_and_full_id),
		TEST(test_errors),
		TEST(test_colour),
		TEST(test_terminal_escapes_are_not_passed_on),
		TEST(test_lone_spans_and_calls),
		TEST(test_many_children_are_bounded),
		TEST(test_cycles_end),
		TEST(test_deep_chain),
		TEST(test_numbers),
		TEST(test_json),
		TEST(test_json_times),
		TEST(test_json_resources),
		TEST(test_selection),
		TEST(test_json_prints_every_span),
		TEST(test_reader_that_does_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
