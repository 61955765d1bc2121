/* SPDX-License-Identifier: Apache-2.0 */
#include "export/window.h"

#include <stdlib.h>
#include <string.h>

/* Spans of one trace that are kept; of those beyond only the number. */
#define NODES_MAX 2000

struct entry {
	struct text_node *nodes; /* owned, each span by a reference */
	size_t n, unseen;
	uint64_t duration;
};

struct list {
	struct entry *v; /* at most max */
	size_t n;
	uint64_t offered;
};

struct window {
	size_t max;
	struct list errors, slowest, sample;
	uint64_t random;
};

static void entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->n; i++)
		span_unref(e->nodes[i].span);
	free(e->nodes);
	*e = (struct entry){ 0 };
}

static void list_clear(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		entry_free(&l->v[i]);
	l->n = 0;
	l->offered = 0;
}

struct window *window_new(size_t max)
{
	struct window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->max = max;
	w->random = 0x9e3779b97f4a7c15ULL;
	w->errors.v = calloc(max + 1, sizeof(struct entry));
	w->slowest.v = calloc(max + 1, sizeof(struct entry));
	w->sample.v = calloc(max + 1, sizeof(struct entry));
	if (w->errors.v && w->slowest.v && w->sample.v)
		return w;
	window_free(w);
	return NULL;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	list_clear(&w->errors);
	list_clear(&w->slowest);
	list_clear(&w->sample);
	free(w->errors.v);
	free(w->slowest.v);
	free(w->sample.v);
	free(w);
}

static bool entry_set(struct entry *e, const struct text_node *nodes, size_t n, uint64_t duration)
{
	size_t unseen = n > NODES_MAX ? n - NODES_MAX : 0;
	struct text_node *copy;

	n -= unseen;
	copy = calloc(n, sizeof(*copy));
	if (!copy)
		return false;
	for (size_t i = 0; i < n; i++)
		copy[i] = (struct text_node){ span_ref(nodes[i].span), nodes[i].depth };
	*e = (struct entry){ copy, n, unseen, duration };
	return true;
}

static bool failed(const struct text_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nodes[i].span->status == SPAN_ERROR)
			return true;
	return false;
}

static bool same_route(const struct span *a, const struct span *b)
{
	return a->kind == b->kind && bytes_eq(a->name, b->name) &&
	       bytes_eq(resource_service(a->resource), resource_service(b->resource));
}

/* xorshift64: which of many equal traces is shown needs no better */
static uint64_t next_random(struct window *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

/* Reservoir sampling: every trace offered has the same chance. */
static void sample(struct window *w, struct entry e)
{
	uint64_t at;

	w->sample.offered++;
	if (w->sample.n < w->max) {
		w->sample.v[w->sample.n++] = e;
		return;
	}
	at = next_random(w) % w->sample.offered;
	if (at < w->max) {
		entry_free(&w->sample.v[at]);
		w->sample.v[at] = e;
	} else {
		entry_free(&e);
	}
}

static void sample_nodes(struct window *w, const struct text_node *nodes, size_t n, uint64_t duration)
{
	struct entry e;

	if (w->sample.n == w->max && next_random(w) % (w->sample.offered + 1) >= w->max)
		w->sample.offered++; /* decided without copying it */
	else if (entry_set(&e, nodes, n, duration))
		sample(w, e);
}

void window_offer(struct window *w, const struct text_node *nodes, size_t n)
{
	const struct span *root = nodes[0].span;
	uint64_t duration = root->end > root->start ? root->end - root->start : 0;
	struct list *slow = &w->slowest;
	struct entry *quickest = NULL, e;

	if (!w->max)
		return;
	if (w->errors.n < w->max && failed(nodes, n)) {
		if (entry_set(&w->errors.v[w->errors.n], nodes, n, duration))
			w->errors.n++;
		return;
	}
	for (size_t i = 0; i < slow->n; i++) {
		if (same_route(slow->v[i].nodes[0].span, root)) {
			quickest = &slow->v[i];
			break;
		}
		if (slow->n == w->max && (!quickest || slow->v[i].duration < quickest->duration))
			quickest = &slow->v[i]; /* no room for one more route: the quickest makes place */
	}
	if (quickest && quickest->duration >= duration) {
		sample_nodes(w, nodes, n, duration);
		return;
	}
	if (!entry_set(&e, nodes, n, duration))
		return;
	if (quickest) {
		sample(w, *quickest);
		*quickest = e;
	} else {
		slow->v[slow->n++] = e;
	}
}

static int by_duration(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->duration < y->duration) - (x->duration > y->duration);
}

static int by_start(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

	return (x->nodes[0].span->start > y->nodes[0].span->start) -
	       (x->nodes[0].span->start < y->nodes[0].span->start);
}

void window_close(struct window *w, size_t max, window_show_fn *show, void *context)
{
	struct list *lists[] = { &w->errors, &w->slowest, &w->sample };
	struct entry **chosen = calloc(max + 1, sizeof(struct entry *));
	size_t n = 0;

	if (w->slowest.n)
		qsort(w->slowest.v, w->slowest.n, sizeof(struct entry), by_duration);
	for (size_t i = 0; chosen && i < 3; i++)
		for (size_t j = 0; j < lists[i]->n && n < max; j++)
			chosen[n++] = &lists[i]->v[j];
	if (n)
		qsort(chosen, n, sizeof(struct entry *), by_start);
	for (size_t i = 0; i < n; i++)
		show(context, chosen[i]->nodes, chosen[i]->n, chosen[i]->unseen);
	free(chosen);
	for (size_t i = 0; i < 3; i++)
		list_clear(lists[i]);
}
