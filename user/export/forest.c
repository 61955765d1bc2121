/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#include "export/forest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* Indices into the array of links; NONE ends a list. */
#define NONE ((size_t)-1)

struct link {
	struct span *span;
	size_t child, brother; /* first child, next brother */
	bool below;	       /* has a parent here */
};

static int by_trace_and_start(const void *a, const void *b)
{
	const struct span *x = ((const struct link *)a)->span, *y = ((const struct link *)b)->span;
	int order = memcmp(&x->trace, &y->trace, sizeof(x->trace));

	if (order)
		return order;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	order = (x->kind != SPAN_SERVER) - (y->kind != SPAN_SERVER);
	return order ? order : memcmp(&x->id, &y->id, sizeof(x->id));
}

static int by_id(const void *a, const void *b, void *context)
{
	const struct link *v = context;

	return memcmp(&v[*(const size_t *)a].span->id, &v[*(const size_t *)b].span->id, sizeof(struct span_id));
}

/* The span with this id; sorted holds all indices in the order of their ids. */
static size_t find_id(const struct link *v, const size_t *sorted, size_t n, const struct span_id *id)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(&v[sorted[middle]].span->id, id, sizeof(*id));

		if (order == 0)
			return sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NONE;
}

/* Parents before children, without recursion: a hostile chain of spans may be as deep as the array is long. */
static size_t flatten(const struct link *v, size_t root, struct text_node *nodes, size_t *stack)
{
	size_t top = 0, n = 0, at = root;
	uint32_t depth = 0;

	for (;;) {
		nodes[n++] = (struct text_node){ v[at].span, depth };
		if (v[at].child != NONE) {
			stack[top++] = at;
			at = v[at].child;
			depth++;
			continue;
		}
		while (depth > 0 && v[at].brother == NONE) {
			at = stack[--top];
			depth--;
		}
		if (depth == 0)
			return n;
		at = v[at].brother;
	}
}

static void walk_trace(struct link *v, size_t n, struct text_node *nodes, size_t *stack, forest_tree_fn *tree,
		       void *context)
{
	size_t *sorted = stack; /* is not needed yet */

	for (size_t i = 0; i < n; i++)
		sorted[i] = i;
	if (n > 1)
		qsort_r(sorted, n, sizeof(*sorted), by_id, v);
	for (size_t i = n; i-- > 0;) { /* backwards: each goes to the front of its parent's list */
		const struct span_id *id = &v[i].span->parent;
		size_t parent = span_id_zero(id) ? NONE : find_id(v, sorted, n, id);

		if (parent == NONE || parent == i)
			continue;
		v[i].below = true;
		v[i].brother = v[parent].child;
		v[parent].child = i;
	}
	for (size_t i = 0; i < n; i++)
		if (!v[i].below)
			tree(context, nodes, flatten(v, i, nodes, stack));
}

int forest_walk(struct span *const *v, size_t n, forest_tree_fn *tree, void *context)
{
	_cleanup_free_ struct link *links = calloc(n, sizeof(*links));
	_cleanup_free_ struct text_node *nodes = calloc(n, sizeof(*nodes));
	_cleanup_free_ size_t *stack = calloc(n, sizeof(*stack));
	size_t from = 0;

	if (n && (!links || !nodes || !stack))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		links[i] = (struct link){ .span = v[i], .child = NONE, .brother = NONE };
	if (n)
		qsort(links, n, sizeof(*links), by_trace_and_start);
	for (size_t i = 1; i <= n; i++) {
		if (i < n && memcmp(&links[i].span->trace, &links[from].span->trace, sizeof(struct trace_id)) == 0)
			continue;
		walk_trace(links + from, i - from, nodes, stack, tree, context);
		from = i;
	}
	return 0;
}
