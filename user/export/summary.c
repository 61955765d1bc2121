/* SPDX-License-Identifier: Apache-2.0 */
#include "export/summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "export/summary_rows.h"
#include "export/text.h"
#include "util/ledger.h"

#define ROUTES_SHOWN 20
#define STATEMENTS_SHOWN 15
#define CALLS_SHOWN 10
#define COLUMNS_MAX 10
#define NAME_COLUMNS 44
#define NUMBERS_FROM 2 /* the columns before are text, to the left */

/* --- a table that finds its own widths --- */

struct table {
	char (*cells)[COLUMNS_MAX][TEXT_NUMBER * 6];
	size_t rows, cap, columns;
	bool utf8;
};

static char (*table_row(struct table *t))[TEXT_NUMBER * 6]
{
	if (t->rows == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 16;
		void *more = reallocarray(t->cells, cap, sizeof(*t->cells));

		if (!more)
			return NULL;
		t->cells = more;
		t->cap = cap;
	}
	memset(t->cells[t->rows], 0, sizeof(t->cells[0]));
	return t->cells[t->rows++];
}

static void cell_text(const struct table *t, char *cell, struct bytes s, size_t columns)
{
	struct buf b = { 0 };

	text_clean(&b, s, columns, t->utf8);
	if (!b.failed && b.n < sizeof(t->cells[0][0]))
		memcpy(cell, b.n ? b.p : "", b.n + 1);
	buf_free(&b);
}

static void table_head(struct table *t, const char *const *names)
{
	char(*row)[TEXT_NUMBER * 6] = table_row(t);

	for (t->columns = 0; names[t->columns]; t->columns++)
		if (row)
			cell_text(t, row[t->columns], bytes_str(names[t->columns]), 0);
}

static void table_print(struct table *t, FILE *to)
{
	size_t widths[COLUMNS_MAX] = { 0 };

	for (size_t r = 0; t->cells && r < t->rows; r++)
		for (size_t c = 0; c < t->columns; c++) {
			size_t w = text_columns(bytes_str(t->cells[r][c]));

			widths[c] = w > widths[c] ? w : widths[c];
		}
	for (size_t r = 0; t->cells && r < t->rows; r++) {
		size_t owed = 1; /* spaces: written only when something follows */

		for (size_t c = 0; c < t->columns; c++) {
			const char *cell = t->cells[r][c];
			size_t pad = widths[c] - text_columns(bytes_str(cell));
			bool right = c >= NUMBERS_FROM && *t->cells[0][c]; /* a column without a title is text */

			if (*cell) {
				fprintf(to, "%*s%s", (int)(owed + (right ? pad : 0)), "", cell);
				owed = right ? 2 : pad + 2;
			} else {
				owed += pad + 2;
			}
		}
		fputc('\n', to);
	}
	free(t->cells);
	*t = (struct table){ .utf8 = t->utf8 };
}

/* --- text --- */

/* Text columns, then count, errors, p50, p95: what all tables begin with. */
static void fill_row(const struct table *t, char (*row)[TEXT_NUMBER * 6], const struct summary_row *r)
{
	cell_text(t, row[0], r->service, 24);
	cell_text(t, row[1], bytes_str(r->name), NAME_COLUMNS);
	text_count(row[2], r->count);
	text_percent(row[3], (double)r->errors, (double)r->count);
	text_duration(row[4], summary_quantile(r, 0.5));
	text_duration(row[5], summary_quantile(r, 0.95));
}

static struct summary_row total_of(const struct summary_rows *rows, struct bytes service, size_t *ret_n)
{
	struct summary_row total = { .service = service, .name = "all routes" };

	*ret_n = 0;
	for (size_t i = 0; i < rows->n; i++) {
		if (!bytes_eq(rows->v[i].service, service))
			continue;
		summary_merge(&total, &rows->v[i]);
		++*ret_n;
	}
	return total;
}

static void per_request(char cell[TEXT_NUMBER * 6], uint64_t n, uint64_t requests)
{
	double v = (double)n / (double)requests;

	snprintf(cell, TEXT_NUMBER, v < 0.05 ? "<0.1" : "%.1f", v);
}

/* The share of a service's requests that its statements took, and how many there were to a request. */
static void fill_sql(char (*row)[TEXT_NUMBER * 6], const struct summary_row *requests, const struct summary_row *sql)
{
	if (!sql->count || !requests->count)
		return;
	if (sql->sum > requests->sum)
		snprintf(row[7], sizeof(row[7]), ">100 %%"); /* side by side, or outside of requests */
	else
		text_percent(row[7], sql->sum, requests->sum);
	per_request(row[8], sql->count, requests->count);
}

static void add_services(struct table *t, const struct summary_rows *routes, const struct summary_rows *sql)
{
	static const char *const head[] = { "service", "route", "requests", "errors",  "p50",
					    "p95",     "p99",	"in SQL",   "SQL/req", NULL };
	size_t shown = routes->n < ROUTES_SHOWN ? routes->n : ROUTES_SHOWN;

	table_head(t, head);
	for (size_t i = 0; i < shown; i++) {
		const struct bytes service = routes->v[i].service;
		struct summary_row all, statements;
		bool again = false;
		size_t n, m;

		for (size_t j = 0; j < i; j++)
			again |= bytes_eq(routes->v[j].service, service);
		if (again)
			continue; /* printed below its service's first route */
		all = total_of(routes, service, &n);
		statements = total_of(sql, service, &m);
		for (size_t j = i; j < shown; j++) {
			char(*row)[TEXT_NUMBER * 6];

			if (!bytes_eq(routes->v[j].service, service) || !(row = table_row(t)))
				continue;
			fill_row(t, row, &routes->v[j]);
			text_duration(row[6], summary_quantile(&routes->v[j], 0.99));
			if (n == 1)
				fill_sql(row, &all, &statements);
		}
		if (n > 1) {
			char(*row)[TEXT_NUMBER * 6] = table_row(t);

			if (!row)
				return;
			fill_row(t, row, &all);
			text_duration(row[6], summary_quantile(&all, 0.99));
			fill_sql(row, &all, &statements);
		}
	}
}

static void add_others(struct table *t, const struct summary_rows *rows, const struct summary_rows *requests,
		       const char *name, size_t most)
{
	const char *const head[] = { "service", name, "calls", "errors", "p50", "p95", "/request", "share", "", NULL };
	double sum = 0;

	for (size_t i = 0; i < rows->n; i++)
		sum += rows->v[i].sum;
	table_head(t, head);
	for (size_t i = 0; i < rows->n && i < most; i++) {
		const struct summary_row *r = &rows->v[i];
		char(*row)[TEXT_NUMBER * 6] = table_row(t), number[TEXT_NUMBER];
		struct summary_error worst = summary_worst(r);
		struct summary_row all;
		struct buf error = { 0 };
		size_t n;

		if (!row)
			return;
		fill_row(t, row, r);
		all = total_of(requests, r->service, &n);
		if (all.count)
			per_request(row[6], r->count, all.count);
		text_percent(row[7], r->sum, sum);
		if (!worst.n)
			continue;
		buf_add(&error, worst.type);
		buf_printf(&error, " %s%s", t->utf8 ? "×" : "x", text_count(number, worst.n));
		cell_text(t, row[8], buf_bytes(&error), 30);
		buf_free(&error);
	}
}

static void print_more(FILE *to, const struct summary_rows *rows, size_t most, const char *what)
{
	char number[TEXT_NUMBER];

	if (rows->n > most)
		fprintf(to, " and %s more %s\n", text_count(number, rows->n - most), what);
}

static void clock_text(char out[16], uint64_t ns)
{
	time_t at = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(out, 16, "%H:%M:%S", &tm))
		out[0] = '\0';
}

static size_t count_services(const struct summary_rows *const *lists, size_t n)
{
	size_t count = 0;

	for (size_t l = 0; l < n; l++)
		for (size_t i = 0; i < lists[l]->n; i++) {
			bool known = false;

			for (size_t k = 0; k <= l; k++)
				for (size_t j = 0; j < (k < l ? lists[k]->n : i); j++)
					known |= bytes_eq(lists[k]->v[j].service, lists[l]->v[i].service);
			count += !known;
		}
	return count;
}

/* --- what became of the spans --- */

/* The counters of drops.def that each stand for one span that was seen and not delivered. */
static const enum kernel_counter kernel_losses[] = { KERNEL_ring_full, KERNEL_over_budget, KERNEL_not_wanted };
static const enum user_counter user_losses[] = { USER_queue_full,	  USER_export_refused, USER_export_failed,
						 USER_undecodable,	  USER_not_sampled,    USER_not_selected,
						 USER_stream_over_budget, USER_worker_crash,   USER_shutdown,
						 USER_not_a_statement };

static bool is_span_loss(size_t counter)
{
	for (size_t i = 0; i < sizeof(kernel_losses) / sizeof(kernel_losses[0]); i++)
		if (kernel_losses[i] == counter)
			return true;
	return false;
}

struct fate {
	uint64_t seen, delivered, lost;
	int64_t rest;
	struct buf reasons; /* "ring full 118, shutdown 2" */
	struct buf json;    /* "\"ring_full\":118,..." */
};

static void add_reason(struct fate *f, const char *name, uint64_t n)
{
	char number[TEXT_NUMBER];

	if (!n)
		return;
	f->lost += n;
	buf_printf(&f->json, "%s\"%s\":%" PRIu64, f->json.n ? "," : "", name, n);
	if (f->reasons.n)
		buf_str(&f->reasons, ", ");
	for (; *name; name++)
		buf_char(&f->reasons, *name == '_' ? ' ' : *name);
	buf_printf(&f->reasons, " %s", text_count(number, n));
}

static struct fate fate_of(const struct summary_facts *f)
{
	struct fate fate = { .seen = f->kernel[KERNEL_spans_seen] + f->user[USER_spans_streamed],
			     .delivered = f->user[f->sends ? USER_spans_exported : USER_spans_printed] };

	for (size_t i = 0; i < sizeof(kernel_losses) / sizeof(kernel_losses[0]); i++)
		add_reason(&fate, kernel_counters[kernel_losses[i]].name, f->kernel[kernel_losses[i]]);
	for (size_t i = 0; i < sizeof(user_losses) / sizeof(user_losses[0]); i++)
		add_reason(&fate, user_counters[user_losses[i]].name, f->user[user_losses[i]]);
	fate.rest = (int64_t)(fate.seen - fate.delivered - fate.lost);
	return fate;
}

static void fate_free(struct fate *f)
{
	buf_free(&f->reasons);
	buf_free(&f->json);
}

static void print_fate(FILE *to, const struct summary_facts *facts)
{
	struct fate f = fate_of(facts);
	const char *delivered = facts->sends ? "exported" : facts->json ? "printed" : "shown";
	char a[TEXT_NUMBER], b[TEXT_NUMBER], c[TEXT_NUMBER];

	fprintf(to, "spans      %s seen%s %s %s", text_count(a, f.seen), f.rest < 0 ? "," : " =",
		text_count(b, f.delivered), delivered);
	if (f.rest > 0)
		fprintf(to, " + %s %s", text_count(c, (uint64_t)f.rest),
			facts->sends || facts->json ? "not accounted for" : "not shown");
	fprintf(to, "%s %s dropped", f.rest < 0 ? "," : " +", text_count(c, f.lost));
	if (f.reasons.n)
		fprintf(to, " (%s)", f.reasons.p);
	fputc('\n', to);
	fate_free(&f);
}

/* Other losses: not spans by themselves, or spans that were delivered with something missing. */
static void print_notes(FILE *to, const struct summary_facts *f)
{
	char number[TEXT_NUMBER];

	for (size_t i = 0; i < KERNEL_COUNTER_COUNT; i++)
		if (kernel_counters[i].is_drop && !is_span_loss(i) && f->kernel[i])
			fprintf(to, "also       %s times %s\n", text_count(number, f->kernel[i]),
				kernel_counters[i].help);
	for (size_t i = 0; i < USER_COUNTER_COUNT; i++) {
		bool told = !user_counters[i].is_drop && i != USER_conns_unreadable && i != USER_worker_restarts &&
			    i != USER_uprobe_attach_failed;

		for (size_t j = 0; j < sizeof(user_losses) / sizeof(user_losses[0]); j++)
			told |= user_losses[j] == i;
		if (!told && f->user[i])
			fprintf(to, "also       %s: %s\n", text_count(number, f->user[i]), user_counters[i].help);
	}
}

static void print_text(FILE *to, const struct summary_facts *f, const struct summary_rows *routes,
		       const struct summary_rows *sql, const struct summary_rows *calls)
{
	const struct summary_rows *const lists[] = { routes, sql, calls };
	double seconds = f->end > f->start ? (double)(f->end - f->start) / 1e9 : 0;
	char from[16], until[16], duration[TEXT_NUMBER], memory[TEXT_NUMBER], cpu[TEXT_NUMBER];
	struct table t = { .utf8 = f->utf8 };
	size_t services = count_services(lists, 3);

	clock_text(from, f->start);
	clock_text(until, f->end);
	fprintf(to, "observed %s to %s (%s), ", from, until, text_duration(duration, seconds));
	if (services)
		fprintf(to, "%zu service%s\n", services, services == 1 ? "" : "s");
	else
		fprintf(to, "no traffic\n");
	if (routes->n) {
		add_services(&t, routes, sql);
		table_print(&t, to);
		print_more(to, routes, ROUTES_SHOWN, "routes");
	}
	if (sql->n) {
		add_others(&t, sql, routes, "statement", STATEMENTS_SHOWN);
		table_print(&t, to);
		print_more(to, sql, STATEMENTS_SHOWN, "statements");
	}
	if (calls->n) {
		add_others(&t, calls, routes, "call to", CALLS_SHOWN);
		table_print(&t, to);
		print_more(to, calls, CALLS_SHOWN, "calls");
	}
	print_fate(to, f);
	print_notes(to, f);
	fprintf(to, "agent      CPU %s of one core, memory %s\n", text_percent(cpu, f->cpu_seconds, seconds),
		text_bytes(memory, f->rss_bytes));
}

/* --- JSON --- */

static void json_rows(FILE *to, const char *key, const char *name, const struct summary_rows *rows)
{
	struct buf b = { 0 };

	fprintf(to, ",\"%s\":[", key);
	for (size_t i = 0; i < rows->n; i++) {
		const struct summary_row *r = &rows->v[i];

		buf_reset(&b);
		buf_str(&b, i ? ",{\"service\":\"" : "{\"service\":\"");
		buf_json(&b, r->service);
		buf_printf(&b, "\",\"%s\":\"", name);
		buf_json(&b, bytes_str(r->name));
		buf_printf(&b,
			   "\",\"count\":%" PRIu64 ",\"errors\":%" PRIu64
			   ",\"total_ms\":%.6f,\"p50_ms\":%.6f,\"p95_ms\":%.6f,\"p99_ms\":%.6f}",
			   r->count, r->errors, r->sum * 1e3, summary_quantile(r, 0.5) * 1e3,
			   summary_quantile(r, 0.95) * 1e3, summary_quantile(r, 0.99) * 1e3);
		if (!b.failed)
			fwrite(b.p, 1, b.n, to);
	}
	fputc(']', to);
	buf_free(&b);
}

static void json_counters(FILE *to, const char *key, const struct counter_def *defs, const uint64_t *values, size_t n)
{
	fprintf(to, "\"%s\":{", key);
	for (size_t i = 0; i < n; i++)
		fprintf(to, "%s\"%s\":%" PRIu64, i ? "," : "", defs[i].name, values[i]);
	fputc('}', to);
}

static void print_json(FILE *to, const struct summary_facts *f, const struct summary_rows *routes,
		       const struct summary_rows *sql, const struct summary_rows *calls)
{
	double seconds = f->end > f->start ? (double)(f->end - f->start) / 1e9 : 0;
	struct fate fate = fate_of(f);

	fprintf(to,
		"{\"summary\":{\"start_unix_nano\":\"%" PRIu64 "\",\"end_unix_nano\":\"%" PRIu64 "\",\"seconds\":%.3f",
		f->start, f->end, seconds);
	json_rows(to, "routes", "route", routes);
	json_rows(to, "statements", "statement", sql);
	json_rows(to, "calls", "call", calls);
	fprintf(to,
		",\"spans\":{\"seen\":%" PRIu64 ",\"exported\":%" PRIu64 ",\"printed\":%" PRIu64 ",\"dropped\":{%s}},",
		fate.seen, f->user[USER_spans_exported], f->user[USER_spans_printed], fate.json.n ? fate.json.p : "");
	json_counters(to, "kernel", kernel_counters, f->kernel, KERNEL_COUNTER_COUNT);
	fputc(',', to);
	json_counters(to, "user", user_counters, f->user, USER_COUNTER_COUNT);
	fprintf(to, ",\"agent\":{\"cpu_seconds\":%.3f,\"memory_bytes\":%" PRIu64 "}}}\n", f->cpu_seconds, f->rss_bytes);
	fate_free(&fate);
}

void summary_print(FILE *to, const struct metric_set *set, const struct summary_facts *facts)
{
	struct summary_rows routes = { 0 }, sql = { 0 }, calls = { 0 };

	summary_collect(&routes, set, METRIC_HTTP_SERVER_REQUEST_DURATION);
	summary_collect(&sql, set, METRIC_DB_CLIENT_OPERATION_DURATION);
	summary_collect(&calls, set, METRIC_HTTP_CLIENT_REQUEST_DURATION);
	if (facts->json)
		print_json(to, facts, &routes, &sql, &calls);
	else
		print_text(to, facts, &routes, &sql, &calls);
	fflush(to);
	summary_rows_free(&routes);
	summary_rows_free(&sql);
	summary_rows_free(&calls);
}
