/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "decode/totals.h"
#include "util/hashmap.h"
#include "worker/names.h"

/* How long a key may wait for its sample, which may have been lost, before it is counted without; the counts wait with
 * it. */
#define PATIENCE_NS 60000000000ULL

struct series {
	enum metric_id metric;
	struct resource *resource;
	struct attrs attrs;
	struct hist_totals totals;
};

struct key {
	bool named, ignore;
	bool guessed;	/* named without a sample: a sample may still give a better name to what follows */
	uint64_t since; /* CLOCK_MONOTONIC ns: when it was first seen without a name */
	enum metric_id metric;
	struct attrs attrs;	    /* until series is set */
	struct series *series;	    /* NULL: the service is not known yet */
	struct hist_totals waiting; /* measured in user space before series was known */
};

struct metrics {
	struct processes *processes;
	struct assembly *assembly;
	struct hashmap *keys;  /* struct hist_key -> struct key */
	struct hashmap *index; /* hash of metric, resource and attributes -> struct series * */
	struct series **v;     /* every series; only their number is bounded, by METRICS_SERIES_MAX for each metric */
	size_t n, cap, per_metric[METRIC_COUNT];
	bool exponential, last;
	uint64_t start, now;
	int names; /* file that outlives the worker, -1 = none */
};

static void drop_key(void *context, const void *key, void *value)
{
	struct key *k = value;

	(void)context;
	(void)key;
	attrs_free(&k->attrs);
	hist_totals_free(&k->waiting);
}

struct metrics *metrics_new(struct processes *processes, struct assembly *assembly, size_t max_keys, bool exponential,
			    uint64_t start)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->processes = processes;
	m->assembly = assembly;
	m->exponential = exponential;
	m->start = start;
	m->names = -1;
	/* twice: connections that stream make keys of their own, and keys of ended services are still in the kernel's
	 * table */
	m->keys = hashmap_new(sizeof(struct hist_key), sizeof(struct key), 2 * max_keys + 1024, drop_key, m);
	m->index = hashmap_new(sizeof(uint64_t), sizeof(struct series *), 4 * METRIC_COUNT * METRICS_SERIES_MAX, NULL,
			       NULL);
	if (m->keys && m->index)
		return m;
	metrics_free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	hashmap_free(m->keys);
	hashmap_free(m->index);
	for (size_t i = 0; i < m->n; i++) {
		resource_unref(m->v[i]->resource);
		attrs_free(&m->v[i]->attrs);
		hist_totals_free(&m->v[i]->totals);
		free(m->v[i]);
	}
	free(m->v);
	free(m);
}

static void copy_attrs(struct attrs *to, const struct attrs *from)
{
	for (uint32_t i = 0; i < from->n; i++) {
		const struct attr *a = &from->v[i];

		switch (a->type) {
		case ATTR_STRING:
			attrs_str(to, a->key, a->s, 0);
			break;
		case ATTR_INT:
			attrs_int(to, a->key, a->i);
			break;
		case ATTR_DOUBLE:
			attrs_double(to, a->key, a->d);
			break;
		case ATTR_BOOL:
			attrs_bool(to, a->key, a->b);
			break;
		}
	}
}

static uint64_t series_hash(enum metric_id metric, const struct resource *r, const struct attrs *attrs)
{
	uint64_t h = hash_bytes((uint64_t)metric + 1, &r->id, sizeof(r->id));

	for (uint32_t i = 0; i < attrs->n; i++) {
		const struct attr *a = &attrs->v[i];

		h = hash_bytes(h, a->key, strlen(a->key));
		if (a->type == ATTR_STRING)
			h = hash_bytes(h, a->s.p, a->s.n);
		else
			h = hash_bytes(h, &a->i, a->type == ATTR_BOOL ? sizeof(a->b) : sizeof(a->i));
	}
	return h;
}

static struct series *new_series(struct metrics *m, enum metric_id metric, struct resource *r,
				 const struct attrs *attrs)
{
	struct series *s;

	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 64;
		struct series **v = reallocarray(m->v, cap, sizeof(struct series *));

		if (!v)
			return NULL;
		m->v = v;
		m->cap = cap;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->metric = metric;
	s->resource = resource_ref(r);
	copy_attrs(&s->attrs, attrs);
	m->v[m->n++] = s;
	return s;
}

static struct series *find_series(struct metrics *m, enum metric_id metric, struct resource *r,
				  const struct attrs *attrs)
{
	uint64_t hash = series_hash(metric, r, attrs);
	struct series **slot = hashmap_get(m->index, &hash);
	struct attrs overflow = { 0 };

	if (slot)
		return *slot;
	if (m->per_metric[metric] >= METRICS_SERIES_MAX && !attrs_find(attrs, ATTR_OTEL_METRIC_OVERFLOW)) {
		struct series *s;

		attrs_bool(&overflow, ATTR_OTEL_METRIC_OVERFLOW, true);
		s = overflow.n ? find_series(m, metric, r, &overflow) : NULL;
		attrs_free(&overflow);
		return s;
	}
	slot = hashmap_put(m->index, &hash, NULL);
	if (!slot)
		return NULL;
	*slot = new_series(m, metric, r, attrs);
	if (*slot) {
		m->per_metric[metric]++;
		return *slot;
	}
	hashmap_remove(m->index, &hash);
	return NULL;
}

/* The entry of a key, named by the sample when it has no name yet. */
static struct key *name(struct metrics *m, const struct event_operation *op)
{
	struct key *k = hashmap_put(m->keys, &op->key, NULL);

	if (!k || (k->named && !(k->guessed && op->len)))
		return k;
	attrs_free(&k->attrs);
	k->series = NULL;
	k->ignore = false;
	k->guessed = !op->len && op->key.operation != HIST_OPERATION_OVERFLOW;
	assembly_operation(m->assembly, op, &k->attrs, &k->metric, &k->ignore);
	if (op->key.operation == HIST_OPERATION_OVERFLOW)
		attrs_bool(&k->attrs, ATTR_OTEL_METRIC_OVERFLOW, true);
	k->named = true;
	if (op->len) { /* a name given for want of a sample may get better */
		struct name n = { .key = op->key, .metric = k->metric, .ignore = k->ignore, .attrs = k->attrs };

		names_write(m->names, &n);
	}
	return k;
}

static void restore(void *context, struct name *n)
{
	struct metrics *m = context;
	bool is_new = false;
	struct key *k = hashmap_put(m->keys, &n->key, &is_new);

	if (!k || !is_new) {
		attrs_free(&n->attrs);
		return;
	}
	k->named = true;
	k->metric = n->metric;
	k->ignore = n->ignore;
	k->attrs = n->attrs;
}

void metrics_keep_names(struct metrics *m, int fd)
{
	names_read(fd, restore, m);
	m->names = fd;
}

static struct key *name_without_sample(struct metrics *m, const struct hist_key *key)
{
	struct event_operation op = {
		.header = { .size = sizeof(op), .kind = EVENT_OPERATION, .version = EVENT_VERSION },
		.key = *key,
	};

	return name(m, &op);
}

/* Where a key's counts go. NULL: not known yet, or *ret_never: nowhere. */
static struct series *resolve(struct metrics *m, const struct hist_key *key, struct key *k, bool *ret_never)
{
	struct resource *r = NULL;
	enum service_state state;
	bool over;

	*ret_never = k->ignore;
	if (k->series || !k->named || k->ignore)
		return k->series;
	state = processes_service(m->processes, key->service, &r);
	if (state != SERVICE_OBSERVED) {
		over = m->last || !key->service || processes_service_dead(m->processes, key->service);
		if (state == SERVICE_UNKNOWN && over)
			r = processes_unknown_resource(m->processes);
		*ret_never = over && !r;
	}
	k->series = r ? find_series(m, k->metric, r, &k->attrs) : NULL;
	if (!k->series)
		return NULL;
	attrs_free(&k->attrs);
	if (k->waiting.count && hist_totals_merge(&k->series->totals, &k->waiting) == 0)
		hist_totals_free(&k->waiting);
	return k->series;
}

void metrics_operation(struct metrics *m, const struct event_operation *op)
{
	struct key *k = name(m, op);
	bool never;

	/* asked for its effect: a service is decided on with the first of its processes that speaks */
	processes_resource(m->processes, op->header.tgid, op->key.service);
	if (k)
		resolve(m, &op->key, k, &never);
}

void metrics_measure(void *context, const struct hist_key *key, uint64_t ns, uint64_t amount,
		     const struct event_operation *sample)
{
	struct metrics *m = context;
	struct key *k = hashmap_get(m->keys, key);
	struct hist_value one = { 0 };
	struct series *s;
	bool never;

	if (!k || !k->named || k->guessed)
		k = sample ? name(m, sample) : name_without_sample(m, key);
	if (!k || k->ignore)
		return;
	hist_value_count(&one, hist_bounds_of(key->proto), ns, amount);
	s = resolve(m, key, k, &never);
	hist_totals_add(s ? &s->totals : &k->waiting, &one);
}

void metrics_record(void *context, enum metric_id metric, uint32_t tgid, uint32_t service, const struct attrs *attrs,
		    uint64_t ns)
{
	struct metrics *m = context;
	struct hist_value one = { 0 };
	struct resource *r = NULL;
	struct series *s;

	processes_resource(m->processes, tgid, service); /* asked for its effect, as above */
	switch (processes_service(m->processes, service, &r)) {
	case SERVICE_EXCLUDED:
		return;
	case SERVICE_UNKNOWN:
		r = processes_unknown_resource(m->processes);
		break;
	case SERVICE_OBSERVED:
		break;
	}
	s = r ? find_series(m, metric, r, attrs) : NULL;
	if (!s)
		return;
	hist_value_count(&one, HIST_DB, ns, HIST_NO_AMOUNT);
	hist_totals_add(&s->totals, &one);
}

bool metrics_grew(void *context, const struct hist_key *key, const struct hist_value *growth)
{
	struct metrics *m = context;
	struct key *k = hashmap_put(m->keys, key, NULL);
	struct series *s;
	bool never;

	if (k && !k->since)
		k->since = m->now;
	if (k && !k->named && (m->last || key->operation == HIST_OPERATION_OVERFLOW || m->now > k->since + PATIENCE_NS))
		k = name_without_sample(m, key);
	if (!k || !k->named)
		return false;
	s = resolve(m, key, k, &never);
	return never || (s && hist_totals_add(&s->totals, growth) == 0);
}

void metrics_tick(struct metrics *m, uint64_t now)
{
	m->now = now;
}

void metrics_last(struct metrics *m)
{
	m->last = true;
}

void metrics_forget(struct metrics *m, const struct hist_key *key)
{
	struct key *k = hashmap_get(m->keys, key);
	bool never;

	if (!k || !k->named || (!resolve(m, key, k, &never) && !never))
		return;
	drop_key(m, key, k);
	hashmap_remove(m->keys, key);
}

/* From the kernel's layout, in nanoseconds, to the model's, in seconds. */
static void to_point(const struct metrics *m, const struct series *s, struct metric_histogram *ret)
{
	const struct hist_totals *t = &s->totals;
	bool http =
		s->metric == METRIC_HTTP_SERVER_REQUEST_DURATION || s->metric == METRIC_HTTP_CLIENT_REQUEST_DURATION;
	uint64_t explicits = 0, slots = 0;

	ret->sum = (double)t->sum / 1e9;
	ret->bounds = http ? metric_bounds_http : metric_bounds_db;
	ret->bounds_n = http ? metric_bounds_http_n : metric_bounds_db_n;
	for (uint32_t i = 0; i <= ret->bounds_n; i++)
		explicits += ret->explicit_counts[i] = t->explicit_counts[i];
	ret->scale = HIST_SCALE;
	ret->offset = HIST_MIN_INDEX + (int32_t)t->first;
	ret->slots = t->n ? calloc(t->n, sizeof(*ret->slots)) : NULL;
	ret->slots_n = ret->slots ? t->n : 0;
	for (uint32_t i = 0; i < ret->slots_n; i++)
		slots += ret->slots[i] = t->slots[i];
	/* Receivers refuse a count that is not the sum of its buckets; the views may differ by what a CPU is counting
	 * now. */
	ret->count = m->exponential ? slots : explicits;
}

/* What was counted beside the time: its metric, METRIC_COUNT = none. */
static enum metric_id amount_metric(enum metric_id metric)
{
	return metric == METRIC_DB_CLIENT_OPERATION_DURATION	       ? METRIC_DB_CLIENT_RESPONSE_RETURNED_ROWS
	       : metric == METRIC_SONDE_DB_CLIENT_TRANSACTION_DURATION ? METRIC_SONDE_DB_CLIENT_TRANSACTION_STATEMENTS
								       : METRIC_COUNT;
}

static struct metric_point *add_point(const struct metrics *m, const struct series *s, enum metric_id metric,
				      struct metric_set *ret)
{
	struct metric_point *p = metric_set_add(ret, metric, s->resource);

	if (p) {
		copy_attrs(&p->attrs, &s->attrs);
		p->start = m->start;
	}
	return p;
}

static void add_amounts(const struct metrics *m, const struct series *s, struct metric_set *ret)
{
	enum metric_id metric = amount_metric(s->metric);
	struct metric_point *p;
	uint64_t n = 0;

	for (size_t i = 0; i < HIST_AMOUNT_MAX; i++)
		n += s->totals.amounts[i];
	p = n && metric != METRIC_COUNT ? add_point(m, s, metric, ret) : NULL;
	if (!p)
		return;
	p->histogram.count = n;
	p->histogram.sum = (double)s->totals.amount;
	p->histogram.bounds = metric_bounds_amount;
	p->histogram.bounds_n = metric_bounds_amount_n;
	memcpy(p->histogram.explicit_counts, s->totals.amounts, sizeof(s->totals.amounts));
}

void metrics_collect(struct metrics *m, struct metric_set *ret)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct series *s = m->v[i];
		struct metric_point *p = s->totals.count ? add_point(m, s, s->metric, ret) : NULL;

		if (!p)
			continue;
		to_point(m, s, &p->histogram);
		add_amounts(m, s, ret);
	}
}
