/* SPDX-License-Identifier: Apache-2.0 */
#include "export/summary_rows.h"

#include <stdio.h>
#include <stdlib.h>

static struct bytes string_attr(const struct attrs *a, const char *key)
{
	const struct attr *at = attrs_find(a, key);

	return at && at->type == ATTR_STRING ? at->s : (struct bytes){ "", 0 };
}

/* What the points of a row have in common, in the words of the user. */
static void name_of(const struct metric_point *p, char *out, size_t size)
{
	struct bytes method = string_attr(&p->attrs, ATTR_HTTP_REQUEST_METHOD);
	struct bytes route = string_attr(&p->attrs, ATTR_HTTP_ROUTE),
		     text = string_attr(&p->attrs, ATTR_DB_QUERY_SUMMARY);
	struct bytes address = string_attr(&p->attrs, ATTR_SERVER_ADDRESS);
	const struct attr *port = attrs_find(&p->attrs, ATTR_SERVER_PORT), *overflow;

	overflow = attrs_find(&p->attrs, ATTR_OTEL_METRIC_OVERFLOW);
	if (overflow && overflow->type == ATTR_BOOL && overflow->b) {
		snprintf(out, size, "(all others)");
		return;
	}
	switch (p->metric) {
	case METRIC_DB_CLIENT_OPERATION_DURATION:
		if (!text.n)
			text = string_attr(&p->attrs, ATTR_DB_OPERATION_NAME);
		if (!text.n)
			text = string_attr(&p->attrs, ATTR_DB_SYSTEM_NAME);
		snprintf(out, size, "%.*s", (int)text.n, text.p);
		break;
	case METRIC_HTTP_CLIENT_REQUEST_DURATION:
		if (port && port->type == ATTR_INT)
			snprintf(out, size, "%.*s %.*s:%lld", (int)method.n, method.p, (int)address.n, address.p,
				 (long long)port->i);
		else
			snprintf(out, size, "%.*s %.*s", (int)method.n, method.p, (int)address.n, address.p);
		break;
	default:
		snprintf(out, size, "%.*s%s%.*s", (int)method.n, method.p, route.n ? " " : "", (int)route.n, route.p);
		break;
	}
}

static struct summary_row *find_row(struct summary_rows *rows, struct bytes service, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (bytes_eq(rows->v[i].service, service) && strcmp(rows->v[i].name, name) == 0)
			return &rows->v[i];
	if (rows->n == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 16;
		struct summary_row *v = reallocarray(rows->v, cap, sizeof(*v));

		if (!v)
			return NULL;
		rows->v = v;
		rows->cap = cap;
	}
	rows->v[rows->n] = (struct summary_row){ .service = service };
	snprintf(rows->v[rows->n].name, sizeof(rows->v[rows->n].name), "%s", name);
	return &rows->v[rows->n++];
}

static void add_slots(struct summary_row *row, const struct metric_histogram *h)
{
	for (uint32_t i = 0; i < h->slots_n; i++) {
		int64_t at = (int64_t)h->offset + i;

		if (h->scale > SUMMARY_SCALE) /* finer: several of its buckets are one of ours */
			at >>= h->scale - SUMMARY_SCALE < 32 ? h->scale - SUMMARY_SCALE : 32;
		else if (h->scale < SUMMARY_SCALE && h->scale > -16) /* coarser: the upper end of its bucket */
			at = (at + 1) * (1LL << (SUMMARY_SCALE - h->scale)) - 1;
		at -= SUMMARY_OFFSET;
		at = at < 0 ? 0 : at >= SUMMARY_SLOTS ? SUMMARY_SLOTS - 1 : at;
		row->slots[at] += h->slots[i];
	}
}

static void add_error(struct summary_row *row, struct bytes type, uint64_t n)
{
	row->errors += n;
	for (size_t i = 0; i < SUMMARY_KINDS; i++) {
		struct summary_error *e = &row->kinds[i];

		if (!e->n)
			e->type = type;
		if (!bytes_eq(e->type, type))
			continue;
		e->n += n;
		return;
	}
}

struct summary_error summary_worst(const struct summary_row *row)
{
	struct summary_error worst = row->kinds[0];

	for (size_t i = 1; i < SUMMARY_KINDS; i++)
		if (row->kinds[i].n > worst.n)
			worst = row->kinds[i];
	return worst;
}

static int by_sum(const void *a, const void *b)
{
	const struct summary_row *x = a, *y = b;
	int order = (x->sum < y->sum) - (x->sum > y->sum);

	return order ? order : strcmp(x->name, y->name);
}

bool summary_collect(struct summary_rows *rows, const struct metric_set *set, enum metric_id metric)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct metric_point *p = &set->v[i];
		struct bytes error = string_attr(&p->attrs, ATTR_ERROR_TYPE);
		char name[sizeof(rows->v->name)];
		struct summary_row *row;

		if (p->metric != metric || !p->histogram.count)
			continue;
		name_of(p, name, sizeof(name));
		row = find_row(rows, resource_service(p->resource), name);
		if (!row)
			return false;
		row->count += p->histogram.count;
		row->sum += p->histogram.sum;
		add_slots(row, &p->histogram);
		if (error.n)
			add_error(row, error, p->histogram.count);
	}
	if (rows->n)
		qsort(rows->v, rows->n, sizeof(*rows->v), by_sum);
	return true;
}

void summary_rows_free(struct summary_rows *rows)
{
	free(rows->v);
	*rows = (struct summary_rows){ 0 };
}

double summary_quantile(const struct summary_row *row, double q)
{
	const struct metric_histogram h = { .scale = SUMMARY_SCALE,
					    .offset = SUMMARY_OFFSET,
					    .slots_n = SUMMARY_SLOTS,
					    .slots = (uint64_t *)(uintptr_t)row->slots };

	return metric_quantile(&h, q);
}

void summary_merge(struct summary_row *a, const struct summary_row *b)
{
	a->count += b->count;
	a->errors += b->errors;
	a->sum += b->sum;
	for (size_t i = 0; i < SUMMARY_SLOTS; i++)
		a->slots[i] += b->slots[i];
}
