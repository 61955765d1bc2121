/* SPDX-License-Identifier: Apache-2.0 */
#include "session/graph.h"

#include <stdlib.h>
#include <string.h>

#include "session/sampler.h"
#include "util/hashmap.h"

#define SETTLED_MAX 8192 /* a third of a second of them at the default budget of spans */
#define HELD_DEFAULT 16384
#define WAITERS_MAX 16 /* servers that wait for one connection's client, and what waits for what waits */

/* What a settled span leaves behind for its children. */
struct settled {
	struct trace_id trace;
	uint8_t flags;
	bool sampled;
	bool orphan; /* its own record never came: children have no parent span */
	char *tracestate;
};

/* Nodes that wait, by what they wait for, and by age. */
struct hold {
	struct hashmap *groups; /* key -> struct node *, newest first */
	struct node *oldest, *newest;
	size_t n;
};

/* The request that a strand answered last. */
struct answered {
	uint64_t exchange, start, end;
};

struct graph {
	struct assembly_config cfg;
	struct ledger *ledger;
	struct ids *ids;
	assembly_emit_fn *emit;
	void *ctx;
	struct hashmap *settled;  /* exchange id -> struct settled */
	struct hashmap *answered; /* strand -> struct answered */
	struct hold parents, clients;
	size_t max_held;
	struct span **batch;
	size_t batch_n, batch_cap;
};

static void drop_settled(void *context, const void *key, void *value)
{
	(void)context;
	(void)key;
	free(((struct settled *)value)->tracestate);
}

struct graph *graph_new(const struct assembly_config *cfg, struct ledger *ledger, struct ids *ids,
			assembly_emit_fn *emit, void *ctx)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->cfg = *cfg;
	g->ledger = ledger;
	g->ids = ids;
	g->emit = emit;
	g->ctx = ctx;
	g->max_held = cfg->max_held ? cfg->max_held : HELD_DEFAULT;
	g->settled = hashmap_new(sizeof(uint64_t), sizeof(struct settled), SETTLED_MAX, drop_settled, NULL);
	/* One more than may wait: the maps themselves never evict. */
	g->parents.groups = hashmap_new(sizeof(uint64_t), sizeof(struct node *), g->max_held + 1, NULL, NULL);
	g->clients.groups = hashmap_new(sizeof(uint64_t), sizeof(struct node *), g->max_held + 1, NULL, NULL);
	g->answered = hashmap_new(sizeof(uint64_t), sizeof(struct answered), SETTLED_MAX, NULL, NULL);
	if (!g->settled || !g->answered || !g->parents.groups || !g->clients.groups) {
		graph_free(g);
		return NULL;
	}
	return g;
}

struct node *node_new(struct span *span)
{
	struct node *n = malloc(sizeof(*n)); /* calloc() passes by what its thread freed last */

	if (n)
		*n = (struct node){ .span = span };
	else
		span_unref(span);
	return n;
}

static void node_free(struct node *n)
{
	span_unref(n->span);
	free(n->tracestate);
	free(n);
}

static void hold_free(struct hold *h)
{
	while (h->oldest) {
		struct node *n = h->oldest;

		h->oldest = n->newer;
		node_free(n);
	}
	hashmap_free(h->groups);
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	hold_free(&g->parents);
	hold_free(&g->clients);
	hashmap_free(g->settled);
	hashmap_free(g->answered);
	free(g->batch);
	free(g);
}

size_t graph_held(const struct graph *g)
{
	return g->parents.n + g->clients.n;
}

/* --- waiting --- */

static void hold_newest(struct hold *h, struct node *n, uint64_t now)
{
	n->since = now;
	n->newer = NULL;
	n->older = h->newest;
	if (h->newest)
		h->newest->newer = n;
	else
		h->oldest = n;
	h->newest = n;
	h->n++;
}

static bool hold_add(struct hold *h, uint64_t key, struct node *n, uint64_t now)
{
	struct node **group = hashmap_put(h->groups, &key, NULL);

	if (!group)
		return false;
	n->waits_for = key;
	n->next = *group;
	*group = n;
	hold_newest(h, n, now);
	return true;
}

/* Out of the list of ages only: the caller has taken it out of its group. */
static void hold_forget(struct hold *h, struct node *n)
{
	if (n->older)
		n->older->newer = n->newer;
	else
		h->oldest = n->newer;
	if (n->newer)
		n->newer->older = n->older;
	else
		h->newest = n->older;
	n->older = n->newer = NULL;
	h->n--;
}

/* All that wait for key, linked by next, oldest last. */
static struct node *hold_take(struct hold *h, uint64_t key)
{
	struct node **group = hashmap_peek(h->groups, &key), *list;

	if (!group)
		return NULL;
	list = *group;
	hashmap_remove(h->groups, &key);
	for (struct node *n = list; n; n = n->next)
		hold_forget(h, n);
	return list;
}

static void hold_take_one(struct hold *h, struct node *n)
{
	struct node **group = hashmap_peek(h->groups, &n->waits_for), **at = group;

	while (at && *at && *at != n)
		at = &(*at)->next;
	if (at && *at)
		*at = n->next;
	if (group && !*group)
		hashmap_remove(h->groups, &n->waits_for);
	n->next = NULL;
	hold_forget(h, n);
}

/* What waits for a node that waits now is given up only after that: it goes out below it. */
static void renew(struct graph *g, uint64_t id, uint64_t now, int depth)
{
	struct node **group = id && depth ? hashmap_peek(g->parents.groups, &id) : NULL;

	for (struct node *n = group ? *group : NULL; n; n = n->next) {
		hold_forget(&g->parents, n);
		hold_newest(&g->parents, n, now);
		renew(g, n->id, now, depth - 1);
	}
}

/* --- settling --- */

/* The span's ids, and whether it is kept; what children need is in *ret. above: of the parent, NULL = none on this
 * host. */
static void give_context(struct graph *g, struct node *n, const struct settled *above, struct settled *ret)
{
	struct span *s = n->span;
	bool has_parent = false, sampled = false;

	*ret = (struct settled){ 0 };
	s->id = n->id ? ids_span(g->ids, n->id) : ids_fresh_span(g->ids);
	if (above) {
		ret->trace = above->trace;
		ret->flags = above->flags;
		sampled = above->sampled;
		has_parent = true;
		if (!above->orphan)
			s->parent = ids_span(g->ids, n->parent);
		if (above->tracestate)
			s->tracestate = attrs_text(&s->attrs, bytes_str(above->tracestate));
	} else if (n->remote.valid) {
		ret->trace = n->remote.trace;
		ret->flags = n->remote.flags;
		sampled = n->remote.flags & 1;
		has_parent = !n->remote.deferred;
		s->parent = n->remote.span;
		s->parent_remote = !span_id_zero(&s->parent);
		if (n->tracestate)
			s->tracestate = attrs_text(&s->attrs, bytes_str(n->tracestate));
	} else {
		ret->trace = ids_trace(g->ids);
		ret->flags = 2; /* random */
	}
	ret->sampled = sampler_keeps(g->cfg.sampler, g->cfg.ratio, has_parent, sampled, &ret->trace);
	ret->flags = (uint8_t)((ret->flags & 2) | ret->sampled);
	s->trace = ret->trace;
	s->trace_flags = ret->flags;
	if (s->tracestate.n)
		ret->tracestate = strndup(s->tracestate.p, s->tracestate.n);
}

static void remember_id(struct graph *g, uint64_t id, const struct settled *what)
{
	struct settled *s = id ? hashmap_put(g->settled, &id, NULL) : NULL;
	char *old;

	if (!s)
		return;
	old = s->tracestate;
	*s = *what;
	s->tracestate = what->tracestate ? strdup(what->tracestate) : NULL;
	free(old);
}

/* What waits for a node finds it for as long as this takes; what comes later only when it is worth the memory. */
static void remember(struct graph *g, const struct node *n, const struct settled *what)
{
	if (n->remember || (n->id && hashmap_peek(g->parents.groups, &n->id)))
		remember_id(g, n->id, what);
}

static void flush_batch(struct graph *g)
{
	if (g->batch_n)
		g->emit(g->ctx, g->batch, g->batch_n);
	for (size_t i = 0; i < g->batch_n; i++)
		span_unref(g->batch[i]);
	g->batch_n = 0;
}

/* Takes the node's span into the batch, or counts why not. */
static void put_out(struct graph *g, struct node *n, bool sampled)
{
	struct span *s = n->span;
	size_t cap = g->batch_cap ? g->batch_cap * 2 : 64;
	struct span **v;

	n->span = NULL;
	if (!sampled) {
		ledger_add(g->ledger, USER_not_sampled, 1);
		span_unref(s);
		return;
	}
	if (g->batch_n == g->batch_cap) {
		v = realloc(g->batch, cap * sizeof(*v));
		if (v) {
			g->batch = v;
			g->batch_cap = cap;
		}
	}
	if (g->batch_n == g->batch_cap)
		flush_batch(g);
	if (g->batch_n < g->batch_cap) {
		g->batch[g->batch_n++] = s;
		return;
	}
	g->emit(g->ctx, &s, 1); /* no memory for a batch at all */
	span_unref(s);
}

static int by_start(const void *a, const void *b)
{
	const struct span *x = *(struct span *const *)a, *y = *(struct span *const *)b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

/*
 * Settles n, whose parent is settled as above says (NULL: it is a local root), and all that wait for it. A local trace
 * is a span and the client spans below it; a server span below a client span begins one of its own.
 */
static void settle(struct graph *g, struct node *n, const struct settled *above)
{
	struct node *work = n; /* to do, linked by next; those already given a context have no span any more */
	struct settled own, *known;

	n->next = NULL;
	while ((n = work)) {
		struct node *children;

		work = n->next;
		if (n->span) {
			known = n->parent ? hashmap_peek(g->settled, &n->parent) : NULL;
			give_context(g, n, above ? above : known, &own);
			remember(g, n, &own);
			put_out(g, n, own.sampled);
			free(own.tracestate);
		}
		above = NULL;
		children = n->id ? hold_take(&g->parents, n->id) : NULL;
		known = children ? hashmap_peek(g->settled, &n->id) : NULL;
		while (children) {
			struct node *c = children;

			children = c->next;
			if (c->span->kind != SPAN_SERVER) {
				give_context(g, c, known, &own);
				remember(g, c, &own);
				put_out(g, c, own.sampled);
				free(own.tracestate);
				known = hashmap_peek(g->settled, &n->id); /* may have moved out */
			}
			c->next = work;
			work = c;
		}
		if (g->batch_n > 2)
			qsort(g->batch + 1, g->batch_n - 1, sizeof(*g->batch), by_start);
		flush_batch(g);
		node_free(n);
	}
}

/* Its parent does not come: its group goes out in one trace, without a parent span. */
static void release_group(struct graph *g, struct hold *h, struct node *first, enum user_counter reason, bool counts)
{
	uint64_t parent = first->waits_for;
	bool strand = parent & PARENT_STRAND;
	struct settled orphan = { .flags = 2, .orphan = true };
	struct node *list;

	if (strand)
		first->parent = 0;
	if (h == &g->clients || strand) { /* no record of its client, or of a request: the trace begins here */
		hold_take_one(h, first);
		if (strand)
			ledger_add(g->ledger, parent_is_late(parent) ? USER_parents_not_told : USER_parents_of_no_task,
				   1);
		else if (counts)
			ledger_add(g->ledger, reason, 1);
		settle(g, first, NULL);
		return;
	}
	list = hold_take(h, parent);
	orphan.trace = ids_trace(g->ids);
	orphan.sampled = sampler_keeps(g->cfg.sampler, g->cfg.ratio, false, false, &orphan.trace);
	orphan.flags |= orphan.sampled;
	remember_id(g, parent, &orphan);
	while (list) {
		struct node *n = list;

		list = n->next;
		if (counts)
			ledger_add(g->ledger, reason, 1);
		settle(g, n, &orphan);
	}
}

static void make_room(struct graph *g)
{
	while (graph_held(g) >= g->max_held) {
		struct hold *h = &g->parents;

		if (!h->oldest || (g->clients.oldest && g->clients.oldest->since < h->oldest->since))
			h = &g->clients;
		release_group(g, h, h->oldest, USER_hold_full, true);
	}
}

static bool is_within(const struct node *n, const struct answered *a)
{
	return n->start >= a->start && n->start <= a->end;
}

/* To be counted: a task found it. */
static void take_answer(struct graph *g, struct node *n, const struct answered *a)
{
	if (!parent_is_late(n->parent))
		ledger_add(g->ledger, USER_parents_by_task, 1);
	n->parent = a->exchange;
}

/* Those that wait for the strand's answer. */
static void answer_waiting(struct graph *g, uint64_t strand, const struct answered *a, uint64_t now)
{
	struct node **group = hashmap_peek(g->parents.groups, &strand), *n, *next, *found = NULL;

	for (n = group ? *group : NULL; n; n = next) {
		next = n->next;
		if (!is_within(n, a))
			continue;
		hold_take_one(&g->parents, n);
		n->next = found;
		found = n;
	}
	for (; found; found = next) { /* only now: to make room, others may go out */
		next = found->next;
		take_answer(g, found, a);
		graph_add(g, found, now);
	}
}

void graph_answered(struct graph *g, uint64_t strand, uint64_t exchange, uint64_t start, uint64_t end, uint64_t now)
{
	struct answered *a = hashmap_put(g->answered, &strand, NULL), this = { exchange, start, end };
	bool shared;

	if (!a)
		return;
	shared = start < a->end && end > a->start;
	if (shared && strand_is_thread(strand) && end > a->end) {
		this.start = a->end; /* until then it worked on the one before */
		shared = false;
	}
	if (shared) /* by requests at the same time: it tells nothing */
		this.exchange = 0;
	*a = this;
	if (!shared)
		answer_waiting(g, strand, &this, now);
}

void graph_told(struct graph *g, uint64_t late, uint64_t parent, uint64_t now)
{
	struct answered *a = hashmap_put(g->answered, &late, NULL), this = { parent, 0, UINT64_MAX };

	if (!a)
		return;
	*a = this;
	answer_waiting(g, late, &this, now);
}

void graph_found(struct graph *g, uint64_t late, uint64_t parent, uint64_t now)
{
	struct answered this = { parent, 0, UINT64_MAX };

	if (parent)
		ledger_add(g->ledger, USER_parents_by_callback, 1);
	answer_waiting(g, late, &this, now);
}

/* Of a strand whose answer came before its statement's record. */
static void find_answered(struct graph *g, struct node *n)
{
	const struct answered *a = hashmap_peek(g->answered, &n->parent);

	if (a && is_within(n, a) && (a->exchange || parent_is_late(n->parent)))
		take_answer(g, n, a);
}

void graph_add(struct graph *g, struct node *n, uint64_t now)
{
	struct settled *above;

	if (parent_is_late(n->parent))
		find_answered(g, n); /* which may be of a strand */
	if (n->parent & PARENT_STRAND)
		find_answered(g, n);
	above = n->parent ? hashmap_get(g->settled, &n->parent) : NULL;
	if (n->parent == n->id)
		n->parent = 0;
	if (!n->parent || above) {
		/* Children may have come and gone out before it, when it took too long: it joins their trace. */
		if (!n->parent && n->id && !n->remote.valid && (above = hashmap_get(g->settled, &n->id)) &&
		    above->orphan) {
			n->remote =
				(struct remote_context){ .valid = true, .trace = above->trace, .flags = above->flags };
		}
		settle(g, n, NULL);
		return;
	}
	make_room(g);
	if (!hold_add(&g->parents, n->parent, n, now)) {
		n->parent = 0;
		ledger_add(g->ledger, USER_hold_full, 1);
		settle(g, n, NULL);
		return;
	}
	renew(g, n->id, now, WAITERS_MAX);
}

void graph_await_client(struct graph *g, struct node *n, uint64_t client, uint64_t now)
{
	struct node **group, *last;
	size_t waiting = 0;

	make_room(g);
	if (!hold_add(&g->clients, client, n, now)) {
		settle(g, n, NULL);
		return;
	}
	renew(g, n->id, now, WAITERS_MAX);
	group = hashmap_peek(g->clients.groups, &client);
	for (last = group ? *group : NULL; last && ++waiting <= WAITERS_MAX && last->next;)
		last = last->next;
	if (waiting > WAITERS_MAX)
		release_group(g, &g->clients, last, USER_held_too_long, false);
}

/*
 * Both ends of a connection tell their exchanges in order: a server's that was over before the client's began will
 * find no client any more. When spans are left out there are many of those. Returns the group that is left, or NULL.
 */
static struct node **release_stale(struct graph *g, uint64_t conn, uint64_t client_start)
{
	struct node **group, *last;

	while ((group = hashmap_peek(g->clients.groups, &conn))) {
		for (last = *group; last->next;)
			last = last->next;
		if ((int64_t)(last->end - client_start) > GRAPH_FIT_MIN)
			break;
		release_group(g, &g->clients, last, USER_held_too_long, false);
	}
	return group;
}

const struct node *graph_client_came(struct graph *g, uint64_t conn, uint64_t exchange, uint64_t start, uint64_t end,
				     uint64_t now)
{
	struct node **group = release_stale(g, conn, start), *best = NULL, *n;
	int64_t most = GRAPH_FIT_MIN, fit;

	for (n = group ? *group : NULL; n; n = n->next) {
		fit = graph_fit(start, end, n->start, n->end);
		if (fit > most) {
			most = fit;
			best = n;
		}
	}
	if (!best)
		return NULL;
	hold_take_one(&g->clients, best);
	best->parent = exchange;
	if (!hold_add(&g->parents, exchange, best, now)) {
		best->parent = 0;
		settle(g, best, NULL);
		return NULL;
	}
	renew(g, best->id, now, WAITERS_MAX);
	return best;
}

void graph_expire(struct graph *g, uint64_t before, uint64_t clients_before, uint64_t now)
{
	(void)now;
	while (g->clients.oldest && g->clients.oldest->since < clients_before)
		release_group(g, &g->clients, g->clients.oldest, USER_held_too_long, false);
	while (g->parents.oldest && g->parents.oldest->since < before)
		release_group(g, &g->parents, g->parents.oldest, USER_held_too_long, true);
}

void graph_flush(struct graph *g, uint64_t now)
{
	(void)now;
	while (g->clients.oldest)
		release_group(g, &g->clients, g->clients.oldest, USER_shutdown, false);
	while (g->parents.oldest)
		release_group(g, &g->parents, g->parents.oldest, USER_shutdown, false);
}
