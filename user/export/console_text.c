/* SPDX-License-Identifier: Apache-2.0 */
#include "export/console_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "export/text.h"
#include "util/cleanup.h"

#define INDENT 14	  /* below "10:41:07.182  " */
#define CHILDREN_SHOWN 12 /* groups of children; the quickest of the rest are summed up */
#define N_PLUS_ONE 5	  /* the same statement this often below one request */
#define QUERY_COLUMNS 200 /* of a statement's text where no terminal limits the line */

enum colour { PLAIN, DIM, BOLD, RED, CYAN };

/* A line being written: everything goes through put(), which counts columns and stops at the terminal's edge. */
struct line {
	struct buf *out;
	const struct text_style *style;
	size_t column;
};

static void put_bytes(struct line *l, enum colour colour, struct bytes s)
{
	static const char *const codes[] = { "", "\033[2m", "\033[1m", "\033[1;31m", "\033[36m" };
	size_t room = l->style->columns ? l->style->columns - l->column : 0;

	if (!s.n || (l->style->columns && !room))
		return;
	if (l->style->colour)
		buf_str(l->out, codes[colour]);
	l->column += text_clean(l->out, s, room, l->style->utf8);
	if (l->style->colour && colour != PLAIN)
		buf_str(l->out, "\033[0m");
}

static void put(struct line *l, enum colour colour, const char *s)
{
	put_bytes(l, colour, bytes_str(s));
}

static void put_spaces(struct line *l, size_t n)
{
	for (; n && (!l->style->columns || l->column < l->style->columns); n--, l->column++)
		buf_char(l->out, ' ');
}

/* Spaces up to a column, at least two: columns of different traces stay below each other while they fit. */
static void pad_to(struct line *l, size_t column)
{
	put_spaces(l, column > l->column + 2 ? column - l->column : 2);
}

static void end_line(struct line *l)
{
	while (l->out->n && !l->out->failed && l->out->p[l->out->n - 1] == ' ')
		l->out->n--;
	buf_char(l->out, '\n');
	l->column = 0;
}

static struct bytes string_attr(const struct span *s, const char *key)
{
	const struct attr *a = attrs_find(&s->attrs, key);

	return a && a->type == ATTR_STRING ? a->s : (struct bytes){ NULL, 0 };
}

static bool int_attr(const struct span *s, const char *key, int64_t *ret)
{
	const struct attr *a = attrs_find(&s->attrs, key);

	if (!a || a->type != ATTR_INT)
		return false;
	*ret = a->i;
	return true;
}

static bool is_database(const struct span *s)
{
	return s->kind == SPAN_CLIENT && string_attr(s, ATTR_DB_SYSTEM_NAME).n > 0;
}

static double seconds(const struct span *s)
{
	return s->end > s->start ? (double)(s->end - s->start) / 1e9 : 0;
}

/* "payments:8080/charge": without scheme, credentials, query and fragment. */
static struct bytes url_place(struct bytes url)
{
	size_t n = 0;

	while (n + 3 <= url.n && memcmp(url.p + n, "://", 3) != 0)
		n++;
	url = n + 3 <= url.n ? bytes_tail(url, n + 3) : url;
	url = bytes_head(url, bytes_find(url, '?'));
	url = bytes_head(url, bytes_find(url, '#'));
	n = bytes_find(url, '@');
	return n < bytes_find(url, '/') ? bytes_tail(url, n + 1) : url;
}

static void add_server(struct buf *out, const struct span *s)
{
	struct bytes address = string_attr(s, ATTR_SERVER_ADDRESS);
	int64_t port;

	if (!address.n)
		return;
	buf_char(out, ' ');
	buf_add(out, address);
	if (int_attr(s, ATTR_SERVER_PORT, &port) && port != 80 && port != 443)
		buf_printf(out, ":%lld", (long long)port);
}

void console_label(struct buf *out, const struct span *s)
{
	struct bytes url = string_attr(s, ATTR_URL_FULL), path = string_attr(s, ATTR_URL_PATH);

	buf_add(out, s->name.n ? s->name : BYTES_LITERAL("(no name)"));
	if (!string_attr(s, ATTR_HTTP_REQUEST_METHOD).n)
		return;
	if (s->kind == SPAN_CLIENT && url.n) {
		buf_char(out, ' ');
		buf_add(out, url_place(url));
	} else if (s->kind == SPAN_CLIENT) {
		add_server(out, s);
	} else if (!string_attr(s, ATTR_HTTP_ROUTE).n && path.n) {
		buf_char(out, ' ');
		buf_add(out, path);
	}
}

static void put_label(struct line *l, const struct span *s)
{
	struct buf label = { 0 };

	console_label(&label, s);
	put_bytes(l, BOLD, buf_bytes(&label));
	buf_free(&label);
}

/* The commonest of PostgreSQL's error codes (its manual, appendix A), for readers who do not know them by heart. */
static const char *sqlstate_name(struct bytes code)
{
	static const char *const names[][2] = {
		{ "08006", "connection_failure" },
		{ "22001", "string_data_right_truncation" },
		{ "22P02", "invalid_text_representation" },
		{ "23502", "not_null_violation" },
		{ "23503", "foreign_key_violation" },
		{ "23505", "unique_violation" },
		{ "23514", "check_violation" },
		{ "25P02", "in_failed_sql_transaction" },
		{ "28P01", "invalid_password" },
		{ "40001", "serialization_failure" },
		{ "40P01", "deadlock_detected" },
		{ "42501", "insufficient_privilege" },
		{ "42601", "syntax_error" },
		{ "42703", "undefined_column" },
		{ "42P01", "undefined_table" },
		{ "53300", "too_many_connections" },
		{ "55P03", "lock_not_available" },
		{ "57014", "query_canceled" },
		{ "57P01", "admin_shutdown" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_eq(code, bytes_str(names[i][0])))
			return names[i][1];
	return NULL;
}

/* What went wrong, in the words of who said so: "23505 unique_violation", "connection_reset". False: nothing to add. */
static bool put_error(struct line *l, const struct span *s)
{
	struct bytes code = string_attr(s, ATTR_DB_RESPONSE_STATUS_CODE);
	struct buf text = { 0 };
	const char *name;
	int64_t status;

	if (s->status != SPAN_ERROR)
		return false;
	if (!code.n)
		code = string_attr(s, ATTR_ERROR_TYPE);
	if (int_attr(s, ATTR_HTTP_RESPONSE_STATUS_CODE, &status) && code.n == 3)
		return false; /* the status says it already */
	buf_add(&text, code);
	name = sqlstate_name(code);
	if (name && bytes_eq(string_attr(s, ATTR_DB_SYSTEM_NAME), BYTES_LITERAL("postgresql")))
		buf_printf(&text, " %s", name);
	pad_to(l, 0);
	put_bytes(l, RED, buf_bytes(&text));
	buf_free(&text);
	return true;
}

static void put_status(struct line *l, const struct span *s, size_t column)
{
	char text[TEXT_NUMBER];
	int64_t status;

	if (!int_attr(s, ATTR_HTTP_RESPONSE_STATUS_CODE, &status))
		return;
	pad_to(l, column);
	snprintf(text, sizeof(text), "%lld", (long long)status);
	put(l, s->status == SPAN_ERROR ? RED : PLAIN, text);
}

/* Equal children of one parent, shown as one line. */
struct group {
	const struct text_node *first;
	size_t count;
	double total; /* seconds */
	int64_t rows;
	bool has_rows;
};

static void put_rows(struct line *l, const struct group *g)
{
	char text[TEXT_NUMBER + 8], number[TEXT_NUMBER];

	if (!g->has_rows || g->rows < 0)
		return;
	snprintf(text, sizeof(text), "%s %s", text_count(number, (uint64_t)g->rows), g->rows == 1 ? "row" : "rows");
	pad_to(l, 0);
	put(l, PLAIN, text);
}

static void put_query(struct line *l, const struct span *s)
{
	struct bytes query = string_attr(s, ATTR_DB_QUERY_TEXT);

	if (!query.n || bytes_eq(query, s->name))
		return;
	pad_to(l, l->column + 3);
	if (l->style->columns) {
		put_bytes(l, DIM, query);
		return;
	}
	if (l->style->colour)
		buf_str(l->out, "\033[2m");
	l->column += text_clean(l->out, query, QUERY_COLUMNS, l->style->utf8);
	if (l->style->colour)
		buf_str(l->out, "\033[0m");
}

static bool same_call(const struct span *a, const struct span *b)
{
	return a->kind == b->kind && a->status == b->status && bytes_eq(a->name, b->name) &&
	       memcmp(&a->parent, &b->parent, sizeof(a->parent)) == 0 &&
	       bytes_eq(string_attr(a, ATTR_DB_QUERY_TEXT), string_attr(b, ATTR_DB_QUERY_TEXT)) &&
	       bytes_eq(string_attr(a, ATTR_SERVER_ADDRESS), string_attr(b, ATTR_SERVER_ADDRESS)) &&
	       bytes_eq(url_place(string_attr(a, ATTR_URL_FULL)), url_place(string_attr(b, ATTR_URL_FULL))) &&
	       bytes_eq(string_attr(a, ATTR_ERROR_TYPE), string_attr(b, ATTR_ERROR_TYPE));
}

static void group_add(struct group *g, const struct span *s)
{
	int64_t rows;

	g->count++;
	g->total += seconds(s);
	if (int_attr(s, ATTR_DB_RESPONSE_RETURNED_ROWS, &rows) || int_attr(s, ATTR_SONDE_DB_ROWS_AFFECTED, &rows)) {
		g->rows += rows;
		g->has_rows = true;
	}
}

/* Number of groups made of the nodes below the root. Only the newest groups are compared, so that cost stays linear. */
static size_t fold(const struct text_node *nodes, size_t n, struct group *groups)
{
	size_t count = 0;

	for (size_t i = 1; i < n; i++) {
		bool leaf = i + 1 == n || nodes[i + 1].depth <= nodes[i].depth;
		struct group *found = NULL;

		for (size_t j = count; leaf && !found && j > 0 && count - j < 32; j--)
			if (groups[j - 1].first->depth == nodes[i].depth &&
			    same_call(groups[j - 1].first->span, nodes[i].span))
				found = &groups[j - 1];
		if (!found) {
			found = &groups[count++];
			*found = (struct group){ .first = &nodes[i] };
		}
		group_add(found, nodes[i].span);
	}
	return count;
}

static bool repeats_query(const struct group *g)
{
	static const char *const verbs[] = { "SELECT", "INSERT", "UPDATE", "DELETE", "WITH" };

	if (g->count < N_PLUS_ONE || !is_database(g->first->span))
		return false;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (bytes_ieq(bytes_head(g->first->span->name, strlen(verbs[i])), bytes_str(verbs[i])))
			return true;
	return false;
}

static void put_child(struct line *l, const struct group *g, const struct span *root)
{
	const struct span *s = g->first->span;
	char duration[TEXT_NUMBER], text[TEXT_NUMBER + 16], number[TEXT_NUMBER];
	size_t depth = g->first->depth < 16 ? g->first->depth : 16;

	pad_to(l, INDENT + 2 * (depth - 1));
	put(l, DIM, l->style->utf8 ? "└" : "`-");
	text_duration(duration, g->total);
	put_spaces(l, strlen(duration) < 7 ? 8 - strlen(duration) : 1);
	put(l, PLAIN, duration);
	pad_to(l, 0);
	if (!bytes_eq(resource_service(s->resource), resource_service(root->resource))) {
		put_bytes(l, CYAN, resource_service(s->resource));
		pad_to(l, 0);
	}
	put_label(l, s);
	if (g->count > 1) {
		snprintf(text, sizeof(text), "%s%s%s", l->style->utf8 ? "×" : "x", text_count(number, g->count),
			 repeats_query(g) ? " (N+1)" : "");
		pad_to(l, 0);
		put(l, repeats_query(g) ? RED : PLAIN, text);
	}
	put_status(l, s, 0);
	put_rows(l, g);
	put_error(l, s);
	put_query(l, s);
	end_line(l);
}

static int by_total(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

/* The total that a group needs to be among the slowest CHILDREN_SHOWN. */
static double shown_from(const struct group *groups, size_t n)
{
	_cleanup_free_ double *totals = NULL;

	if (n <= CHILDREN_SHOWN)
		return 0;
	totals = calloc(n, sizeof(*totals));
	if (!totals)
		return 0;
	for (size_t i = 0; i < n; i++)
		totals[i] = groups[i].total;
	qsort(totals, n, sizeof(*totals), by_total);
	return totals[CHILDREN_SHOWN - 1];
}

static void put_children(struct line *l, const struct text_node *nodes, size_t n, size_t unseen)
{
	_cleanup_free_ struct group *groups = calloc(n, sizeof(*groups));
	char text[2 * TEXT_NUMBER + 24], number[TEXT_NUMBER], duration[TEXT_NUMBER];
	size_t count, shown = 0, hidden = 0;
	double least, hidden_total = 0;

	if (!groups)
		return;
	count = fold(nodes, n, groups);
	least = shown_from(groups, count);
	for (size_t i = 0; i < count; i++) {
		if (groups[i].total >= least && shown < CHILDREN_SHOWN) {
			put_child(l, &groups[i], nodes[0].span);
			shown++;
		} else {
			hidden += groups[i].count;
			hidden_total += groups[i].total;
		}
	}
	if (!hidden && !unseen)
		return;
	put_spaces(l, INDENT);
	snprintf(text, sizeof(text), "%s %s more, %s%s", l->style->utf8 ? "└" : "`-",
		 text_count(number, hidden + unseen), unseen ? "at least " : "", text_duration(duration, hidden_total));
	put(l, DIM, text);
	end_line(l);
}

struct interval {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Seconds during which at least one statement of the root's service ran, and their number. */
static double sql_time(const struct text_node *nodes, size_t n, size_t *ret_count)
{
	_cleanup_free_ struct interval *v = calloc(n, sizeof(*v));
	struct bytes service = resource_service(nodes[0].span->resource);
	uint64_t covered = 0, until = 0;
	size_t count = 0;

	*ret_count = 0;
	if (!v)
		return 0;
	for (size_t i = 1; i < n; i++) {
		const struct span *s = nodes[i].span;

		if (is_database(s) && s->end >= s->start && bytes_eq(resource_service(s->resource), service))
			v[count++] = (struct interval){ s->start, s->end };
	}
	qsort(v, count, sizeof(*v), by_start);
	for (size_t i = 0; i < count; i++) {
		uint64_t from = v[i].start > until ? v[i].start : until;

		if (v[i].end > from) {
			covered += v[i].end - from;
			until = v[i].end;
		}
	}
	*ret_count = count;
	return (double)covered / 1e9;
}

static void put_trace_id(struct line *l, const struct span *s)
{
	char text[40] = "trace ", hex[32];

	hex_encode(hex, s->trace.b, sizeof(s->trace.b));
	if (l->style->full_trace_id)
		snprintf(text, sizeof(text), "trace %.32s", hex);
	else
		snprintf(text, sizeof(text), "trace %.4s%s%.2s", hex, l->style->utf8 ? "…" : "..", hex + 30);
	pad_to(l, l->column + 3);
	put(l, DIM, text);
}

static void put_time(struct line *l, uint64_t ns)
{
	time_t at = (time_t)(ns / 1000000000);
	char clock[16], text[24];
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(clock, sizeof(clock), "%H:%M:%S", &tm))
		clock[0] = '\0';
	snprintf(text, sizeof(text), "%s.%03u", clock, (unsigned)(ns % 1000000000 / 1000000));
	put(l, DIM, text);
}

/* The error that explains a failed request: its own, else that of the first statement or call that failed below it. */
static void put_cause(struct line *l, const struct text_node *nodes, size_t n)
{
	if (put_error(l, nodes[0].span) || nodes[0].span->status != SPAN_ERROR)
		return;
	for (size_t i = 1; i < n; i++)
		if (put_error(l, nodes[i].span))
			return;
}

void console_trace(struct buf *out, const struct text_style *style, const struct text_node *nodes, size_t n,
		   size_t unseen)
{
	struct line l = { .out = out, .style = style };
	const struct span *root = nodes[0].span;
	char text[2 * TEXT_NUMBER + 8], number[TEXT_NUMBER], duration[TEXT_NUMBER];
	size_t statements;
	double sql;

	put_time(&l, root->start);
	pad_to(&l, INDENT);
	put_bytes(&l, CYAN, resource_service(root->resource));
	pad_to(&l, INDENT + 10);
	put_label(&l, root);
	put_status(&l, root, INDENT + 34);
	pad_to(&l, INDENT + 39);
	put(&l, BOLD, text_duration(duration, seconds(root)));
	sql = sql_time(nodes, n, &statements);
	if (statements) {
		snprintf(text, sizeof(text), "%s%s SQL %s", text_count(number, statements), unseen ? "+" : "",
			 text_duration(duration, sql));
		pad_to(&l, l.column + 3);
		put(&l, PLAIN, text);
	}
	if (is_database(root)) {
		struct group g = { 0 };

		group_add(&g, root);
		put_rows(&l, &g);
	}
	put_cause(&l, nodes, n);
	if (is_database(root))
		put_query(&l, root);
	else
		put_trace_id(&l, root);
	end_line(&l);
	put_children(&l, nodes, n, unseen);
}
