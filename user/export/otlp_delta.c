/* SPDX-License-Identifier: Apache-2.0 */
#include "export/otlp_delta.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util/buf.h"
#include "util/hashmap.h"

#define SERIES_MAX 65536

/* Two independent keyed hashes of what tells one series from all others. */
struct series_key {
	uint64_t a, b;
};

/* A cumulative value. Slots are indexed from offset. */
struct value {
	uint64_t count, explicit_counts[16];
	double sum;
	uint64_t *slots; /* owned */
	uint32_t slots_n;
	int32_t offset;
	uint64_t start, time; /* of the series; of the reading. time 0: no value */
};

struct series {
	struct value base; /* settled */
	struct value sent; /* in the last reading */
	size_t body;	   /* of that reading */
	uint64_t reading;
};

struct otlp_delta {
	struct hashmap *series;
	uint64_t seeds[2], reading;
	struct buf key;
	bool exponential;
	uint64_t *scratch; /* slots of the point last taken */
	size_t scratch_n;
};

static void drop_series(void *context, const void *key, void *value)
{
	struct series *s = value;

	(void)context;
	(void)key;
	free(s->base.slots);
	free(s->sent.slots);
}

struct otlp_delta *otlp_delta_new(bool exponential)
{
	struct otlp_delta *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->exponential = exponential;
	if (getrandom(d->seeds, sizeof(d->seeds), GRND_NONBLOCK) != sizeof(d->seeds))
		d->seeds[1] = ~d->seeds[0]; /* two different hashes are what matters most */
	d->series = hashmap_new(sizeof(struct series_key), sizeof(struct series), SERIES_MAX, drop_series, NULL);
	if (!d->series) {
		free(d);
		return NULL;
	}
	return d;
}

void otlp_delta_free(struct otlp_delta *d)
{
	if (!d)
		return;
	hashmap_free(d->series);
	buf_free(&d->key);
	free(d->scratch);
	free(d);
}

void otlp_delta_begin(struct otlp_delta *d, size_t settled)
{
	void *cursor = NULL;
	const void *key;
	struct series *s;

	while ((s = hashmap_next(d->series, &cursor, &key))) {
		if (s->reading != d->reading || s->body >= settled || !s->sent.time)
			continue;
		free(s->base.slots);
		s->base = s->sent;
		s->sent = (struct value){ 0 };
	}
	d->reading++;
}

static void add_attrs(struct buf *b, const struct attrs *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		const struct attr *at = &a->v[i];

		buf_add(b, bytes_of(at->key, strlen(at->key) + 1));
		buf_char(b, (char)at->type);
		if (at->type == ATTR_STRING)
			buf_add(b, bytes_of(at->s.p, at->s.n + 1));
		else if (at->type == ATTR_BOOL)
			buf_char(b, at->b);
		else
			buf_add(b, bytes_of(&at->i, sizeof(at->i))); /* or the double in its place */
	}
}

static bool key_of(struct otlp_delta *d, const struct metric_point *p, struct series_key *ret)
{
	buf_reset(&d->key);
	buf_printf(&d->key, "%d\n", (int)p->metric);
	if (p->resource)
		add_attrs(&d->key, &p->resource->attrs);
	buf_char(&d->key, '\n');
	add_attrs(&d->key, &p->attrs);
	if (d->key.failed)
		return false;
	ret->a = hash_bytes(d->seeds[0], d->key.p, d->key.n);
	ret->b = hash_bytes(d->seeds[1], d->key.p, d->key.n);
	return true;
}

/* Copies a point's value; false when out of memory. */
static bool value_of(const struct otlp_delta *d, const struct metric_point *p, uint64_t time, struct value *ret)
{
	const struct metric_histogram *h = &p->histogram;

	*ret = (struct value){ .start = p->start, .time = time };
	if (metric_defs[p->metric].kind == METRIC_COUNTER) {
		ret->count = p->counter;
		return true;
	}
	ret->count = h->count;
	ret->sum = h->sum;
	memcpy(ret->explicit_counts, h->explicit_counts, sizeof(ret->explicit_counts));
	if (!d->exponential || !h->slots_n)
		return true;
	ret->offset = h->offset;
	ret->slots_n = h->slots_n;
	ret->slots = malloc(h->slots_n * sizeof(uint64_t));
	if (!ret->slots)
		return false;
	memcpy(ret->slots, h->slots, h->slots_n * sizeof(uint64_t));
	return true;
}

static uint64_t base_slot(const struct value *v, int64_t index)
{
	index -= v->offset;
	return index >= 0 && index < v->slots_n ? v->slots[index] : 0;
}

/* False when a part went down: the series began anew. */
static bool subtract(struct otlp_delta *d, const struct value *base, struct metric_point *p)
{
	struct metric_histogram *h = &p->histogram;

	if (metric_defs[p->metric].kind == METRIC_COUNTER) {
		if (p->counter < base->count)
			return false;
		p->counter -= base->count;
		return true;
	}
	if (h->count < base->count)
		return false;
	for (uint32_t i = 0; i <= h->bounds_n && i < 16; i++)
		if (h->explicit_counts[i] < base->explicit_counts[i])
			return false;
	for (uint32_t i = 0; d->exponential && i < h->slots_n; i++) {
		uint64_t before = base_slot(base, (int64_t)h->offset + i);

		if (h->slots[i] < before)
			return false;
		d->scratch[i] = h->slots[i] - before;
	}
	for (uint32_t i = 0; i <= h->bounds_n && i < 16; i++)
		h->explicit_counts[i] -= base->explicit_counts[i];
	h->count -= base->count;
	h->sum -= base->sum;
	if (h->sum < 0)
		h->sum = 0; /* rounding */
	if (d->exponential)
		h->slots = d->scratch;
	return true;
}

bool otlp_delta_take(struct otlp_delta *d, const struct metric_point *p, uint64_t time, size_t body,
		     struct metric_point *ret)
{
	struct series_key key;
	struct series *s;
	struct value now;
	bool histogram = metric_defs[p->metric].kind == METRIC_HISTOGRAM;

	*ret = *p;
	if (metric_defs[p->metric].kind == METRIC_GAUGE || metric_defs[p->metric].kind == METRIC_UPDOWN)
		return true;
	if (histogram && p->histogram.slots_n > d->scratch_n) {
		uint64_t *more = reallocarray(d->scratch, p->histogram.slots_n, sizeof(*more));

		if (!more)
			return false;
		d->scratch = more;
		d->scratch_n = p->histogram.slots_n;
	}
	if (!key_of(d, p, &key) || !value_of(d, p, time, &now))
		return false;
	s = hashmap_put(d->series, &key, NULL);
	if (!s) {
		free(now.slots);
		return false;
	}
	free(s->sent.slots);
	s->sent = now;
	s->body = body;
	s->reading = d->reading;
	if (s->base.time && s->base.start == p->start && subtract(d, &s->base, ret))
		ret->start = s->base.time;
	else
		*ret = *p;
	return histogram ? ret->histogram.count > 0 : ret->counter > 0;
}
