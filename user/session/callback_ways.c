/* SPDX-License-Identifier: Apache-2.0 */
#include "session/callback_ways.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 4096
/* So often it must have been right before it is believed: by chance it is so some times in a row. */
#define RIGHT_MIN 32
#define WON_MIN 16 /* and so often where the other way foretold another, when they do not agree */
/* Wrong again so soon after it was put right, and the other way no better: the order of the queue is not known at all.
 */
#define SOON 8

/* --- flows, and what belongs to them --- */

static struct flow *flow_new(uint64_t request, uint32_t began)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (f)
		*f = (struct flow){ .refs = 1, .request = request, .began = began };
	return f;
}

static struct flow *flow_ref(struct flow *f)
{
	if (f)
		f->refs++;
	return f;
}

static void flow_unref(struct flow *f)
{
	if (f && --f->refs == 0)
		free(f);
}

/* Is an answer waited for that belongs to it? Then it goes on when that is there, unless it does several things. */
static bool is_open(const struct flow *f, int way)
{
	for (const struct entry *call = f->calls; call; call = call->others[way])
		if (!call->answered)
			return true;
	return false;
}

static void leave(struct entry *call, int way)
{
	struct flow *f = call->flow[way];
	struct entry **at;

	if (!f)
		return;
	for (at = &f->calls; *at && *at != call;)
		at = &(*at)->others[way];
	if (*at)
		*at = call->others[way];
	call->others[way] = NULL;
	call->flow[way] = NULL;
	flow_unref(f);
}

static void join(struct entry *call, struct flow *f, int way)
{
	if (!f || call->flow[way] == f)
		return;
	leave(call, way);
	call->flow[way] = flow_ref(f);
	call->others[way] = f->calls;
	f->calls = call;
}

/* The call, and what was asked on its connection since then for the same, are of another flow. */
static void move(struct entry *call, struct flow *to, int way)
{
	struct flow *from = flow_ref(call->flow[way]);
	struct entry *next, *c;

	for (c = from && from != to ? from->calls : NULL; c; c = next) {
		next = c->others[way];
		if (c->conn == call->conn && c->id >= call->id)
			join(c, to, way);
	}
	flow_unref(from);
}

/* That of a call, or of a request; a new one where it has none yet. Borrowed; NULL: no memory. */
static struct flow *flow_of(struct entry *e, int way, uint32_t number)
{
	struct flow *f;

	if (e->flow[way])
		return e->flow[way];
	f = flow_new(e->is_call ? e->sure : e->id, number);
	if (!f)
		return NULL;
	if (e->is_call)
		join(e, f, way);
	else
		e->flow[way] = flow_ref(f);
	flow_unref(f);
	return e->flow[way];
}

/* The same of what goes on. */
static struct flow *flow_on(struct entry *call, int way, uint32_t number)
{
	struct flow *f = flow_of(call, way, number);

	if (!f || !f->over)
		return f;
	leave(call, way);
	f = flow_new(0, number);
	join(call, f, way);
	flow_unref(f);
	return call->flow[way];
}

struct entry *entry_ref(struct entry *e)
{
	if (e)
		e->refs++;
	return e;
}

void entry_unref(struct entry *e)
{
	while (e && --e->refs == 0) {
		struct entry *before = e->before;

		for (int i = 0; i < WAYS; i++)
			leave(e, i);
		free(e);
		e = before;
	}
}

/* --- the queue of a pool --- */

static void way_put(struct way *w, struct flow *f)
{
	struct flow **v;
	size_t cap, at;

	if (!f || f->over)
		return;
	if (w->n == w->cap) {
		cap = w->cap ? w->cap * 2 : 32;
		v = cap > QUEUE_MAX ? NULL : realloc(w->queue, cap * sizeof(struct flow *));
		if (!v)
			return; /* what is foretold will be wrong, and so is noticed */
		w->queue = v;
		w->cap = cap;
	}
	for (at = w->n++; at && w->queue[at - 1]->waits > f->waits; at--)
		w->queue[at] = w->queue[at - 1];
	w->queue[at] = flow_ref(f);
}

static void way_wait(struct way *w, struct flow *f)
{
	if (f)
		f->waits = ++w->waited;
	way_put(w, f);
}

static void way_remove(struct way *w, size_t at, size_t n)
{
	if (!n)
		return;
	for (size_t i = at; i < at + n; i++)
		flow_unref(w->queue[i]);
	w->n -= n;
	memmove(w->queue + at, w->queue + at + n, (w->n - at) * sizeof(struct flow *));
}

static size_t way_find(const struct way *w, const struct flow *f)
{
	size_t i;

	for (i = 0; i < w->n && w->queue[i] != f;)
		i++;
	return i;
}

/* Where it is told that the call's connection, or its request's, came out of the queue; behind the last: it did not. */
static size_t way_taken(const struct way *w, const struct entry *call, int i)
{
	size_t at;

	for (at = w->taken_n; at-- > 0;)
		if (i == WAY_STATEMENT ? w->taken[at] == call : w->taken[at]->conn == call->conn)
			return at;
	return w->taken_n;
}

static void way_takes(struct way *w, struct entry *call)
{
	if (w->taken_n == TAKEN_MAX) {
		entry_unref(w->taken[0]);
		memmove(w->taken, w->taken + 1, --w->taken_n * sizeof(w->taken[0]));
	}
	w->taken[w->taken_n++] = entry_ref(call);
}

/* The connection is given back. */
static void way_given_back(struct way *w, const struct entry *call, int i)
{
	size_t at = way_taken(w, call, i);

	if (at == w->taken_n)
		return;
	entry_unref(w->taken[at]);
	w->taken_n--;
	memmove(w->taken + at, w->taken + at + 1, (w->taken_n - at) * sizeof(w->taken[0]));
}

/* --- whose a call is --- */

static void tell(struct ways *w, struct entry *call, uint64_t request)
{
	if (call->told)
		return;
	call->told = true;
	if (call->waits)
		w->told(w->ctx, call->id, request);
}

static void own(struct ways *w, struct entry *call, uint64_t request)
{
	struct entry *before;

	entry_ref(call);
	while (call) {
		before = call->before;
		call->before = NULL;
		if (!call->sure) {
			call->sure = request;
			tell(w, call, request);
		}
		entry_unref(call);
		call = before;
	}
}

/* --- what an answer says --- */

/*
 * The connection that a call came out of the queue for went to another flow than was foretold, so those that came out
 * after it did, too. Who was before that flow in the queue did not wait for a connection; and where it was not in it
 * any more, or never, all others come later than foretold.
 */
static void realign(struct way *w, size_t first, struct flow *real, int i)
{
	size_t n = w->taken_n - first, count = 0, k;
	struct flow **all = calloc(n + w->n + 1, sizeof(struct flow *)), **next;

	if (!all)
		return;
	all[count++] = flow_ref(real);
	for (k = first; k < w->taken_n; k++)
		all[count++] = flow_ref(w->taken[k]->flow[i]);
	for (k = 0; k < w->n; k++)
		all[count++] = flow_ref(w->queue[k]);
	for (k = 1; k < count && all[k] != real;)
		k++;
	next = k < count ? all + k : all;
	way_remove(w, 0, w->n);
	for (k = 0; k < n && next + k < all + count; k++)
		move(w->taken[first + k], next[k], i);
	for (; next + k < all + count; k++)
		way_put(w, next[k]);
	for (k = 0; k < count; k++)
		flow_unref(all[k]);
	free(all);
}

/* Whoever waits: those of the open requests for which nothing was asked. Who is who of them is not known. */
static void begin_anew(struct ways *w, int i, uint32_t number)
{
	struct way *way = &w->v[i];
	struct flow *f;

	way_remove(way, 0, way->n);
	while (way->taken_n) {
		struct entry *call = way->taken[--way->taken_n];

		leave(call, i);
		entry_unref(call);
	}
	for (long n = w->calls; n < w->open && way->n < QUEUE_MAX; n++) {
		f = flow_new(0, number);
		if (!f)
			return;
		way_wait(way, f);
		flow_unref(f);
	}
}

/*
 * Was foretold, in this way, whom the callback would answer? Rightly, wrongly, or it was not. other: what the other way
 * foretold.
 */
static void judge(struct ways *w, const struct callback *b, int i, uint64_t other)
{
	struct way *way = &w->v[i];
	struct flow *said = b->answer->flow[i];
	bool lost = way->was_wrong && way->judged < SOON && w->v[!i].right < SOON;
	size_t at;

	if (!said || !said->request)
		return;
	way->judged++;
	if (said->request == b->response->id) {
		way->right += !b->answer->sure;
		way->won += other && other != b->response->id;
		return;
	}
	way->right = way->won = 0;
	way->was_wrong = true;
	way->wrong_at = b->number;
	way->judged = 0;
	at = way_taken(way, b->answer, i);
	if (lost)
		begin_anew(w, i, b->number);
	else if (at < way->taken_n)
		realign(way, at, flow_of(b->response, i, b->number), i);
}

/* Was it right of all requests since the flow began? */
static bool is_right(const struct way *way, const struct flow *f)
{
	return f && way->right >= RIGHT_MIN && !(way->was_wrong && (int32_t)(way->wrong_at - f->began) >= 0);
}

static void believe(struct ways *w, const struct callback *b, int i)
{
	struct flow *f = b->answer->flow[i];

	if (!is_right(&w->v[i], f) || f->request != b->response->id || b->answer->sure)
		return;
	for (struct entry *call = f->calls; call; call = call->others[i]) {
		const struct flow *other = call->flow[!i];

		if (w->v[i].won >= WON_MIN || (is_right(&w->v[!i], other) && other->request == f->request))
			own(w, call, f->request);
	}
}

static void waits_no_more(struct way *way, const struct flow *f)
{
	size_t at = way_find(way, f);

	if (at < way->n)
		way_remove(way, at, 1);
}

static void end(struct way *way, struct flow *f)
{
	if (f)
		f->over = true;
	waits_no_more(way, f);
}

static void respond(struct ways *w, const struct callback *b)
{
	uint64_t said[WAYS] = { 0 };

	for (int i = 0; i < WAYS && b->answer; i++)
		said[i] = b->answer->flow[i] ? b->answer->flow[i]->request : 0;
	for (int i = 0; i < WAYS && b->answer; i++)
		judge(w, b, i, said[!i]);
	for (int i = 0; i < WAYS && b->answer; i++)
		believe(w, b, i);
	if (b->answer)
		own(w, b->answer, b->response->id);
	for (int i = 0; i < WAYS; i++) {
		end(&w->v[i], b->response->flow[i]);
		if (b->answer)
			end(&w->v[i], b->answer->flow[i]);
	}
}

/* --- what is left to the end of a turn --- */

static void turn_clear(struct ways *w)
{
	while (w->turn_n)
		entry_unref(w->turn[--w->turn_n]);
	w->turn_several = false;
}

/* What the callback read or had the answer of may ask in the end of the turn, unless it was over with it. */
static void turn_put(struct ways *w, const struct callback *b)
{
	uint32_t turn = b->number / CALLBACK_TURN;
	struct entry *e = b->answer ? b->answer : b->read;

	if (turn != w->turn_number)
		turn_clear(w);
	w->turn_number = turn;
	w->turn_several = w->turn_several || b->several;
	if (!e || b->response || b->asked_n)
		return;
	if (w->turn_n < TURN_MAX)
		w->turn[w->turn_n++] = entry_ref(e);
	else
		w->turn_several = true;
}

/* True: it was the end of a turn, and what is asked in it is asked by what the turn's callbacks go on with, in their
 * order. */
static bool turn_ends(struct ways *w, const struct callback *b)
{
	bool ends = b->number % CALLBACK_TURN == 0 && !b->read && !b->answer && b->asked_n;

	if (ends)
		ends = b->number / CALLBACK_TURN == w->turn_number + 1 && w->turn_n == b->asked_n && !w->turn_several;
	for (size_t k = 0; ends && k < b->asked_n; k++) {
		b->asked[k]->known = NULL;
		for (int i = 0; i < WAYS; i++) {
			struct entry *e = w->turn[k];
			struct flow *f = e->is_call ? flow_on(e, i, b->number) : flow_of(e, i, b->number);

			join(b->asked[k], f, i);
			waits_no_more(&w->v[i], f);
		}
	}
	return ends;
}

/* --- what is asked --- */

/* On the connection that the answer came on: by who had it, or by who waits in the queue for a connection. */
static void ask_on_same(struct ways *w, const struct callback *b, struct entry *call)
{
	bool is_free = b->response || b->answer->opens;

	for (int i = 0; i < WAYS; i++) {
		struct flow *before = is_free ? NULL : flow_on(b->answer, i, b->number);
		struct way *way = &w->v[i];

		if (before && is_open(before, i))
			before = NULL;
		if (!way->n || (i == WAY_REQUEST && !is_free)) {
			join(call, before, i);
			continue;
		}
		join(call, way->queue[0], i);
		way_remove(way, 0, 1);
		way_takes(way, call);
		if (!is_free && b->asked_n == 1)
			way_wait(way, before); /* for another one now */
	}
}

/* By who had the answer. */
static void ask_on(struct ways *w, const struct callback *b, struct entry *call)
{
	if (b->response || b->answer->sure)
		own(w, call, b->response ? b->response->id : b->answer->sure);
	else
		call->before = entry_ref(b->answer);
	for (int i = 0; i < WAYS; i++)
		join(call, flow_on(b->answer, i, b->number), i);
}

/* Is the connection kept by who had the answer? */
static bool keeps(const struct entry *answer, const struct entry *call)
{
	return answer->goes_on || (answer->prepares && call->executes);
}

static void ask(struct ways *w, const struct callback *b, struct entry *call)
{
	struct entry *reader = call->waits ? b->read : call->known;
	bool same = b->answer && call->conn == b->answer->conn;

	call->known = NULL;
	if (reader) {
		own(w, call, reader->id);
		for (int i = 0; i < WAYS; i++) {
			join(call, flow_of(reader, i, b->number), i);
			waits_no_more(&w->v[i], call->flow[i]);
		}
	} else if (b->answer && call->waits && (same ? keeps(b->answer, call) : !b->response)) {
		ask_on(w, b, call);
	} else if (same && call->waits) {
		ask_on_same(w, b, call);
	}
	for (int i = 0; i < WAYS; i++)
		(void)flow_of(call, i, b->number);
}

/* Whoever asks a database at once has found a connection: nobody waits for one. */
static void read_request(struct ways *w, const struct callback *b)
{
	bool database = false;

	for (size_t i = 0; i < b->asked_n; i++)
		database = database || b->asked[i]->database;
	for (int i = 0; i < WAYS; i++) {
		struct flow *f = flow_of(b->read, i, b->number);

		if (database)
			way_remove(&w->v[i], 0, w->v[i].n);
		else if (f && !b->asked_n && b->response != b->read)
			way_wait(&w->v[i], f);
	}
}

void ways_run(struct ways *w, const struct callback *b)
{
	struct callback known = *b;

	if (b->several)
		known.read = known.answer = NULL;
	w->open -= b->responses;
	w->calls -= b->answers;
	if (b->response)
		respond(w, &known);
	if (b->answer)
		way_given_back(&w->v[WAY_STATEMENT], b->answer, WAY_STATEMENT);
	if (b->answer && b->response)
		way_given_back(&w->v[WAY_REQUEST], b->answer, WAY_REQUEST);
	if (!turn_ends(w, b))
		for (size_t i = 0; i < b->asked_n; i++)
			ask(w, &known, b->asked[i]);
	turn_put(w, b);
	if (known.read)
		read_request(w, &known);
	w->open += b->reads;
	w->calls += b->calls;
}

void ways_begin(struct ways *w, long open, long calls, uint32_t number)
{
	w->open = open;
	w->calls = calls;
	for (int i = 0; i < WAYS; i++)
		begin_anew(w, i, number);
}

void ways_give_up(struct ways *w, struct entry *call)
{
	tell(w, call, 0);
	entry_unref(call->before);
	call->before = NULL;
}

void ways_clear(struct ways *w)
{
	for (int i = 0; i < WAYS; i++) {
		way_remove(&w->v[i], 0, w->v[i].n);
		while (w->v[i].taken_n)
			entry_unref(w->v[i].taken[--w->v[i].taken_n]);
		free(w->v[i].queue);
		w->v[i] = (struct way){ 0 };
	}
	turn_clear(w);
	w->open = w->calls = 0;
}
