/* SPDX-License-Identifier: Apache-2.0 */
#include "session/callbacks.h"

#include <stdlib.h>
#include <string.h>

#include "frame/protocols.h"
#include "proc.h"
#include "session/callback_ways.h"
#include "util/hashmap.h"

#define LOOPS_MAX 256
#define LOOK_NS 100000000ULL
#define IDLE_NS 60000000000ULL /* how long a loop is remembered that does nothing */
#define AGAIN_NS 1000000000ULL /* what began so long after a later number, is of others */
#define MOMENTS_MAX 32768      /* of one loop */
#define MOMENTS_KEPT 1024      /* room that is not given back */
#define REQUESTS_MAX 16384
#define EARLY_MAX 256
#define CALLBACK_UNKNOWN UINT32_MAX
#define ASKED_MAX 64 /* in one callback; what is more is not known */
/* How long is waited for what happened in a callback to be told: a request is when it ends. */
#define DELAY_MIN_NS 500000000ULL
#define DELAY_MAX_NS 10000000000ULL

/* In a callback, an exchange began (asked, read) or ended (answered). */
struct moment {
	uint64_t time;
	uint32_t callback;
	bool ends;
	struct entry *entry;
};

/* A call whose answer's callback was looked at. */
struct waiting {
	uint64_t time;
	struct entry *call;
};

/* An exchange that began before callbacks were counted. */
struct early {
	uint64_t start, end;
	bool is_call;
};

struct loop {
	uint32_t tgid;
	uint32_t done;	  /* callbacks up to this one were looked at */
	uint64_t done_at; /* when it was */
	uint64_t longest; /* that a request took, of late */
	uint64_t seen;	  /* the end of its newest exchange */
	struct moment *moments;
	size_t n, cap;
	struct early early[EARLY_MAX];
	size_t early_n;
	struct waiting *waiting;
	size_t waiting_n, waiting_cap;
	struct hashmap *requests; /* id -> struct entry *, referenced */
	struct ways ways;
};

struct callbacks {
	struct hashmap *loops; /* thread -> struct loop */
	uint64_t looked;       /* when that was done last */
	callbacks_told_fn *told;
	void *ctx;
};

static void run_all(struct loop *l);

static void drop_request(void *context, const void *key, void *value)
{
	(void)context;
	(void)key;
	entry_unref(*(struct entry **)value);
}

static void end_loop(void *context, const void *key, void *value)
{
	struct loop *l = value;

	(void)context;
	(void)key;
	run_all(l);
	ways_clear(&l->ways);
	hashmap_free(l->requests);
	free(l->moments);
	free(l->waiting);
}

struct callbacks *callbacks_new(callbacks_told_fn *told, void *ctx)
{
	struct callbacks *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->told = told;
	c->ctx = ctx;
	c->loops = hashmap_new(sizeof(uint32_t), sizeof(struct loop), LOOPS_MAX, end_loop, NULL);
	if (!c->loops) {
		free(c);
		return NULL;
	}
	return c;
}

static void tell_nobody(void *ctx, uint64_t exchange, uint64_t request)
{
	(void)ctx;
	(void)exchange;
	(void)request;
}

void callbacks_free(struct callbacks *c)
{
	struct loop *l;
	void *cursor = NULL;

	if (!c)
		return;
	while ((l = hashmap_next(c->loops, &cursor, NULL)))
		l->ways.told = tell_nobody;
	hashmap_free(c->loops);
	free(c);
}

/* --- one callback after the other --- */

static int by_callback(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->callback != y->callback)
		return (int32_t)(x->callback - y->callback) < 0 ? -1 : 1;
	return x->time < y->time ? -1 : x->time > y->time;
}

static void put_in(struct loop *l, struct callback *to, const struct moment *m)
{
	struct entry *e = m->entry, **request;

	*(e->is_call ? m->ends ? &to->answers : &to->calls : m->ends ? &to->responses : &to->reads) += !e->opens;
	if (e->is_call && !m->ends) {
		request = e->sure ? hashmap_peek(l->requests, &e->sure) : NULL;
		e->known = request ? *request : NULL;
		if (to->asked_n < ASKED_MAX)
			to->asked[to->asked_n++] = e;
	} else if (e->is_call) {
		e->answered = true;
		to->several |= to->answer || to->read;
		to->answer = e;
	} else if (m->ends) {
		to->several |= to->response != NULL;
		to->response = e;
	} else {
		to->several |= to->answer || to->read;
		to->read = e;
	}
}

/* Of several requests that a callback began to answer, the last has been looked at: the others are over, too. */
static void end_others(struct loop *l, const struct moment *v, size_t n, const struct entry *last)
{
	for (size_t i = 0; i < n; i++) {
		struct callback b = { .number = v->callback, .response = v[i].entry };

		if (!v[i].entry->is_call && v[i].ends && v[i].entry != last)
			ways_run(&l->ways, &b);
	}
}

/* What follows from later callbacks may say whose it is. */
static void wait_for_more(struct loop *l, struct entry *call, uint64_t time)
{
	struct waiting *v = l->waiting;
	size_t cap = l->waiting_cap ? l->waiting_cap * 2 : 64;

	if (call->told)
		return;
	if (l->waiting_n == l->waiting_cap)
		v = realloc(l->waiting, cap * sizeof(*v));
	if (!v) {
		ways_give_up(&l->ways, call);
		return;
	}
	if (l->waiting_n == l->waiting_cap)
		l->waiting_cap = cap;
	l->waiting = v;
	v[l->waiting_n++] = (struct waiting){ time, entry_ref(call) };
}

static void give_up_until(struct loop *l, uint64_t time)
{
	size_t n;

	if (!l->waiting_n)
		return;
	for (n = 0; n < l->waiting_n && l->waiting[n].time <= time; n++) {
		ways_give_up(&l->ways, l->waiting[n].call);
		entry_unref(l->waiting[n].call);
	}
	l->waiting_n -= n;
	memmove(l->waiting, l->waiting + n, l->waiting_n * sizeof(*l->waiting));
}

static void run_callback(struct loop *l, const struct moment *v, size_t n)
{
	struct entry *asked[ASKED_MAX];
	struct callback b = { .number = v->callback, .asked = asked };

	for (size_t i = 0; i < n; i++)
		put_in(l, &b, &v[i]);
	ways_run(&l->ways, &b);
	if (b.several)
		end_others(l, v, n, b.response);
	for (size_t i = 0; i < n; i++) {
		struct entry *e = v[i].entry;

		if (v[i].ends && e->is_call)
			wait_for_more(l, e, v[i].time);
		else if (v[i].ends && hashmap_remove(l->requests, &e->id))
			entry_unref(e);
	}
	l->done = v->callback;
	l->done_at = v[n - 1].time;
}

/* What happened in a callback that is not known was in the one of the last that is. */
static void find_unknown(struct loop *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct moment *m = &l->moments[i];
		const struct moment *last = NULL;

		if (m->callback != CALLBACK_UNKNOWN)
			continue;
		for (size_t k = 0; k < l->n; k++) {
			const struct moment *o = &l->moments[k];

			if (o->callback != CALLBACK_UNKNOWN && o->time <= m->time && (!last || o->time > last->time))
				last = o;
		}
		if (last)
			m->callback = last->callback;
	}
}

/* What was open already. */
static void begin(struct loop *l)
{
	uint64_t time = l->moments[0].time;
	long n[2] = { 0 };

	for (size_t i = 0; i < l->early_n; i++)
		if (l->early[i].start < time && l->early[i].end >= time)
			n[l->early[i].is_call]++;
	ways_begin(&l->ways, n[0], n[1], l->moments[0].callback);
}

static void run_until(struct loop *l, uint64_t time)
{
	size_t n = 0, first = 0;

	if (!l->n)
		return;
	if (!l->done)
		find_unknown(l);
	qsort(l->moments, l->n, sizeof(*l->moments), by_callback);
	while (first < l->n) {
		for (n = first; n < l->n && l->moments[n].callback == l->moments[first].callback; n++)
			if (l->moments[n].time > time)
				break;
		if (n < l->n && l->moments[n].callback == l->moments[first].callback)
			break;
		if (!l->done)
			begin(l);
		run_callback(l, l->moments + first, n - first);
		for (size_t i = first; i < n; i++)
			entry_unref(l->moments[i].entry);
		first = n;
	}
	l->n -= first;
	memmove(l->moments, l->moments + first, l->n * sizeof(*l->moments));
	if (!l->n && l->cap > MOMENTS_KEPT) {
		free(l->moments);
		l->moments = NULL;
		l->cap = 0;
	}
}

static void run_all(struct loop *l)
{
	run_until(l, UINT64_MAX);
	give_up_until(l, UINT64_MAX);
}

/* --- what is told --- */

static bool add_moment(struct loop *l, struct entry *e, uint32_t callback, bool ends, uint64_t time)
{
	struct moment *v;
	size_t cap = l->cap ? l->cap * 2 : 256;

	if (!callback || (l->done && callback != CALLBACK_UNKNOWN && (int32_t)(callback - l->done) <= 0))
		return false; /* too late */
	if (l->n == l->cap) {
		v = realloc(l->moments, cap * sizeof(*v));
		if (!v)
			return false;
		l->moments = v;
		l->cap = cap;
	}
	l->moments[l->n++] = (struct moment){ time, callback, ends, entry_ref(e) };
	return true;
}

/* The thread's number is another's now, or its callbacks are counted anew. */
static bool is_another(const struct loop *l, const struct event_exchange *e)
{
	bool asked = e->callbacks.asked;
	uint32_t callback = asked ? e->callbacks.asked : e->callbacks.answered;

	if (l->tgid != e->header.tgid)
		return true;
	return l->done && (int32_t)(l->done - callback) > 0 && (asked ? e->start : e->first) > l->done_at + AGAIN_NS;
}

static struct loop *loop_of(struct callbacks *c, const struct event_exchange *e)
{
	bool is_new;
	struct loop *l = hashmap_put(c->loops, &e->header.tid, &is_new);

	if (!l)
		return NULL;
	if (!is_new && is_another(l, e)) {
		end_loop(NULL, NULL, l);
		is_new = true;
	}
	if (is_new)
		*l = (struct loop){ .tgid = e->header.tgid, .ways = { .told = c->told, .ctx = c->ctx } };
	if (!l->requests)
		l->requests = hashmap_new(sizeof(uint64_t), sizeof(struct entry *), REQUESTS_MAX, drop_request, NULL);
	if (!l->requests)
		return NULL;
	if (l->n >= MOMENTS_MAX)
		run_all(l);
	l->seen = e->end > l->seen ? e->end : l->seen;
	return l;
}

static void add_request(struct loop *l, const struct event_exchange *e, struct entry *request)
{
	struct entry **at;
	uint64_t took = e->end - e->start;

	bool counted = e->flags & EXCHANGE_CALLBACKS;

	if (!add_moment(l, request, counted ? e->callbacks.answered : CALLBACK_UNKNOWN, true, e->first))
		return;
	if (counted)
		add_moment(l, request, e->callbacks.asked, false, e->start);
	at = hashmap_put(l->requests, &e->id, NULL);
	if (at)
		*at = entry_ref(request);
	l->longest = took > l->longest ? took : l->longest;
}

static void add_early(struct loop *l, const struct event_exchange *e)
{
	if (!l->done && l->early_n < EARLY_MAX)
		l->early[l->early_n++] = (struct early){ e->start, e->end, e->role == ROLE_CLIENT };
}

/* Of those that began before callbacks were counted only what may still matter. */
static struct loop *known_loop(struct callbacks *c, const struct event_exchange *e)
{
	struct loop *l;

	if (e->flags & EXCHANGE_CALLBACKS)
		return loop_of(c, e);
	l = hashmap_count(c->loops) ? hashmap_peek(c->loops, &e->header.tid) : NULL;
	return l && !l->done && l->tgid == e->header.tgid && e->role == ROLE_SERVER ? l : NULL;
}

bool callbacks_exchange(struct callbacks *c, const struct event_exchange *e)
{
	bool is_call = e->role == ROLE_CLIENT, opens = frame_opens(e->proto, e->method);
	bool prepares = is_call && frame_prepares(e->proto, e->method);
	bool waits = is_call && !e->parent && !opens;
	struct loop *l = known_loop(c, e);
	struct entry *entry = l ? calloc(1, sizeof(*entry)) : NULL;

	if (!entry)
		return false;
	if (!opens && (!(e->flags & EXCHANGE_CALLBACKS) || !e->callbacks.asked))
		add_early(l, e);
	*entry = (struct entry){ .refs = 1,
				 .is_call = is_call,
				 .waits = waits,
				 .told = is_call && (!waits || prepares),
				 .database = e->proto != PROTO_HTTP1,
				 .goes_on = e->transaction_goes_on,
				 .prepares = prepares,
				 .executes = frame_executes(e->proto, e->method),
				 .opens = opens,
				 .id = e->id,
				 .conn = e->header.conn,
				 .sure = is_call ? e->parent : 0 };
	if (!is_call)
		add_request(l, e, entry);
	else if (!add_moment(l, entry, e->callbacks.answered, true, e->end))
		waits = false;
	else
		add_moment(l, entry, e->callbacks.asked, false, e->start);
	entry_unref(entry);
	return waits && !prepares;
}

void callbacks_tick(struct callbacks *c, uint64_t now)
{
	struct loop *l;
	void *cursor = NULL;
	const void *key;
	uint64_t delay;

	if (now < c->looked + LOOK_NS)
		return;
	c->looked = now;
	while ((l = hashmap_next(c->loops, &cursor, &key))) {
		if (now > l->seen + IDLE_NS) {
			end_loop(NULL, NULL, l);
			hashmap_remove(c->loops, key);
			continue;
		}
		delay = l->longest * 2 > DELAY_MIN_NS ? l->longest * 2 : DELAY_MIN_NS;
		delay = delay < DELAY_MAX_NS ? delay : DELAY_MAX_NS;
		run_until(l, now > delay ? now - delay : 0);
		give_up_until(l, now > 2 * delay ? now - 2 * delay : 0);
		l->longest -= l->longest / 256;
	}
}

void callbacks_flush(struct callbacks *c)
{
	struct loop *l;
	void *cursor = NULL;

	while ((l = hashmap_next(c->loops, &cursor, NULL)))
		run_all(l);
}
