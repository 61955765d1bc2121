/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a statement is that an event loop asked, told from the numbers of its callbacks: against a loop that is played
 * here, with a pool of connections and requests that use it in one way or another, and which knows whose each is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame/mysql.h"
#include "session/callbacks.h"

#define MS 1000000ULL
#define EXCHANGES 65536
#define OPEN 24
#define CONNS 4

enum use {
	BY_STATEMENT,	/* pool.query(), twice */
	BY_REQUEST,	/* pool.connect(), two statements, release() */
	IN_TRANSACTION, /* the same, between BEGIN and COMMIT */
	ELSEWHERE,	/* pool.query(), then half of them wait for something that is not seen; then another */
	AT_ONCE,	/* half of them ask both at once */
	PREPARED,	/* pool.execute(), twice: prepared, then run on the same connection */
	AT_TURNS_END,	/* as by postgres.js: what is asked is written when the loop's turn ends */
	ELSEWHERE_AT_TURNS_END,
};

struct job {
	struct event_exchange record;
	unsigned asked, waits; /* statements so far; those whose answers are not there yet */
	bool at_once;
	int conn;	    /* that it keeps, -1 = none */
	uint64_t elsewhere; /* until then, 0 = no more */
};

struct server {
	struct event_exchange record;
	struct job *job; /* NULL = free */
	bool prepared;
	uint64_t answers;
};

struct play {
	struct callbacks *callbacks;
	enum use use;
	unsigned random;
	uint64_t now;
	uint32_t number;
	uint64_t next_id;
	struct job jobs[OPEN], *queue[2 * OPEN];
	size_t queue_n;
	struct server servers[CONNS];
	int left[CONNS]; /* AT_TURNS_END: connections on which the turn's end asks */
	size_t left_n;
	uint64_t truth[EXCHANGES];
	unsigned right, wrong, none, calls;
	bool counted;  /* the probes are there */
	bool busy;     /* always as many requests as may be open */
	unsigned lost; /* so many requests that were open before are not told */
};

static unsigned chance(struct play *p, unsigned n)
{
	p->random = p->random * 1103515245 + 12345;
	return (p->random >> 16) % n;
}

static void told(void *ctx, uint64_t exchange, uint64_t request)
{
	struct play *p = ctx;

	assert_true(exchange < EXCHANGES && p->truth[exchange]);
	if (!request)
		p->none++;
	else if (request == p->truth[exchange])
		p->right++;
	else
		p->wrong++;
	p->truth[exchange] = 0; /* once */
}

static void begin_record(struct play *p, struct event_exchange *e, enum conn_role role, uint64_t conn)
{
	*e = (struct event_exchange){ .header = { .kind = EVENT_EXCHANGE, .conn = conn, .tgid = 7, .tid = 7 },
				      .id = p->next_id += 2,
				      .start = p->now,
				      .role = role,
				      .proto = role == ROLE_CLIENT ? PROTO_POSTGRES : PROTO_HTTP1,
				      .flags = p->counted ? EXCHANGE_CALLBACKS : 0 };
	if (p->counted)
		e->callbacks.asked = p->number;
}

static void end_record(struct play *p, struct event_exchange *e)
{
	e->first = e->first ? e->first : p->now;
	e->end = p->now;
	/* who answers is looked up for an answer anyway, for a request only where it was counted already */
	if (p->counted && (e->role == ROLE_CLIENT || e->flags & EXCHANGE_CALLBACKS)) {
		e->flags |= EXCHANGE_CALLBACKS;
		e->callbacks.answered = p->number;
	}
}

static void ask_now(struct play *p, struct job *j, int conn)
{
	struct server *s = &p->servers[conn];

	p->now += 1000;
	s->job = j;
	s->answers = p->now + 200000 + chance(p, 3000000) * (chance(p, 20) ? 1 : 30ULL);
	begin_record(p, &s->record, ROLE_CLIENT, 100 + (uint64_t)conn);
	assert_true(s->record.id < EXCHANGES);
	if (p->use == PREPARED) {
		s->record.proto = PROTO_MYSQL;
		s->record.method = s->prepared ? MYSQL_EXECUTE : MYSQL_PREPARE;
		s->prepared = !s->prepared;
	}
	j->asked += !s->prepared;
	s->record.transaction_goes_on = p->use == IN_TRANSACTION && j->asked < 4;
}

static void ask(struct play *p, struct job *j, int conn)
{
	if (p->use < AT_TURNS_END) {
		ask_now(p, j, conn);
		return;
	}
	p->servers[conn].job = j;
	p->servers[conn].answers = UINT64_MAX;
	p->left[p->left_n++] = conn;
}

static void end_turn(struct play *p)
{
	if (p->counted)
		p->number = (p->number | (CALLBACK_TURN - 1)) + 1;
	p->now += 10000;
	for (size_t i = 0; i < p->left_n; i++)
		ask_now(p, p->servers[p->left[i]].job, p->left[i]);
	p->left_n = 0;
}

/* The request wants a connection. */
static void want(struct play *p, struct job *j)
{
	for (int i = 0; i < CONNS; i++) {
		bool kept = false;

		for (int k = 0; k < OPEN; k++)
			kept = kept || p->jobs[k].conn == i;
		if (p->servers[i].job || kept)
			continue;
		if (p->use == BY_REQUEST || p->use == IN_TRANSACTION)
			j->conn = i;
		ask(p, j, i);
		return;
	}
	p->queue[p->queue_n++] = j;
}

static void release(struct play *p, int conn)
{
	struct job *j;

	if (!p->queue_n)
		return;
	j = p->queue[0];
	memmove(p->queue, p->queue + 1, --p->queue_n * sizeof(struct job *));
	if (p->use == BY_REQUEST || p->use == IN_TRANSACTION)
		j->conn = conn;
	ask(p, j, conn);
}

static void respond(struct play *p, struct job *j)
{
	p->now += 1000;
	end_record(p, &j->record);
	if (p->lost && p->counted && !(j->record.flags & EXCHANGE_CALLBACKS))
		p->lost--;
	else
		(void)callbacks_exchange(p->callbacks, &j->record);
	*j = (struct job){ .conn = -1 };
}

static void go_on(struct play *p, struct job *j)
{
	if (j->waits)
		return;
	if (j->asked >= (p->use == IN_TRANSACTION ? 4U : 2U)) {
		respond(p, j);
	} else if ((p->use == ELSEWHERE || p->use == ELSEWHERE_AT_TURNS_END) && !j->elsewhere && chance(p, 2)) {
		j->elsewhere = p->now + chance(p, 30000000);
	} else if (j->conn >= 0) {
		j->waits++;
		ask(p, j, j->conn);
	} else {
		j->waits++;
		want(p, j);
	}
}

static void callback(struct play *p)
{
	if (p->counted)
		p->number++;
	p->now += 10000;
}

static void read_request(struct play *p, struct job *j)
{
	callback(p);
	*j = (struct job){ .conn = -1, .waits = 1 };
	begin_record(p, &j->record, ROLE_SERVER, 1 + (uint64_t)(j - p->jobs));
	if (p->use == AT_ONCE && chance(p, 2)) {
		j->waits = 2;
		want(p, j);
	}
	want(p, j);
}

static void answer(struct play *p, int conn)
{
	struct server *s = &p->servers[conn];
	struct event_exchange record = s->record;
	struct job *j = s->job;
	bool last;

	callback(p);
	record.first = record.end = p->now;
	end_record(p, &record);
	p->truth[record.id] = j->record.id;
	p->calls++;
	s->job = NULL;
	if (!callbacks_exchange(p->callbacks, &record))
		p->truth[record.id] = 0;
	if (s->prepared) {
		ask(p, j, conn);
		return;
	}
	j->waits--;
	last = j->asked >= (p->use == IN_TRANSACTION ? 4U : 2U) && !j->waits;
	if (j->conn < 0 || last) { /* given back first, then what has waited for it goes on */
		j->conn = -1;
		release(p, conn);
	}
	go_on(p, j);
}

/* What comes next: an answer, what was waited for elsewhere, or another request. */
static void step(struct play *p, bool more)
{
	int best = -1;
	static const int loads[] = { OPEN, 12, 6, 3 };
	struct job *other = NULL, *idle = NULL;
	uint64_t next = UINT64_MAX;
	int limit = p->busy ? OPEN : loads[p->calls / 300 % 4];

	if (p->use >= AT_TURNS_END && limit > CONNS)
		limit = CONNS; /* where all are taken, postgres.js asks several things on one */
	if (p->use >= AT_TURNS_END && (p->left_n == CONNS || !chance(p, 3))) {
		end_turn(p);
		return;
	}
	for (int i = 0; i < CONNS; i++)
		if (p->servers[i].job && p->servers[i].answers < next)
			next = p->servers[best = i].answers;
	for (int i = 0; i < OPEN; i++) {
		if (!p->jobs[i].record.id && i < limit)
			idle = &p->jobs[i];
		else if (p->jobs[i].elsewhere > 1 && p->jobs[i].elsewhere < next)
			next = (other = &p->jobs[i])->elsewhere;
	}
	if (more && idle && chance(p, 2)) {
		p->now += chance(p, 100000);
		read_request(p, idle);
		return;
	}
	if (next != UINT64_MAX && next > p->now)
		p->now = next;
	if (other) {
		callback(p);
		other->elsewhere = 1;
		other->waits++;
		want(p, other);
	} else if (best >= 0) {
		answer(p, best);
	}
	callbacks_tick(p->callbacks, p->now);
}

static struct play *play_new(enum use use, unsigned seed)
{
	struct play *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	*p = (struct play){ .use = use, .random = seed, .now = 1000 * MS, .callbacks = callbacks_new(told, p) };
	return p;
}

static void play_on(struct play *p, unsigned statements, unsigned before)
{
	for (int i = 0; i < OPEN; i++)
		p->jobs[i].conn = -1;
	while (p->calls < statements) {
		p->counted = p->calls >= before;
		step(p, true);
	}
	for (int i = 0; i < 1000; i++)
		step(p, false);
	callbacks_flush(p->callbacks);
	callbacks_free(p->callbacks);
	assert_int_equal(p->wrong, 0);
	for (size_t i = 0; i < EXCHANGES; i++)
		assert_int_equal(p->truth[i], 0); /* all were told */
}

/* In so many hundredths a request was told. */
static unsigned part(enum use use, unsigned seed, unsigned before)
{
	struct play *p = play_new(use, seed);
	unsigned r;

	play_on(p, 6000, before);
	r = 100 * p->right / (p->right + p->none);
	free(p);
	return r;
}

static void ways_of_using_a_pool(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 8; seed++) {
		assert_in_range(part(BY_STATEMENT, seed, 0), 95, 100);
		assert_in_range(part(BY_REQUEST, seed, 0), 95, 100);
		assert_in_range(part(IN_TRANSACTION, seed, 0), 99, 100);
		assert_in_range(part(PREPARED, seed, 0), 95, 100);
		assert_in_range(part(AT_TURNS_END, seed, 0), 90, 100);
	}
}

static void counted_from_the_middle_on(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 8; seed++) {
		assert_in_range(part(BY_STATEMENT, seed, 500), 80, 100);
		assert_in_range(part(BY_REQUEST, seed, 500), 80, 100);
		assert_in_range(part(IN_TRANSACTION, seed, 500), 95, 100);
	}
}

/* Of a queue that is never empty its length is not known from the beginning. */
static unsigned part_when_busy(enum use use, unsigned seed, unsigned lost)
{
	struct play *p = play_new(use, seed);
	unsigned r;

	p->busy = true;
	p->lost = lost;
	play_on(p, 6000, 500);
	r = 100 * p->right / (p->right + p->none);
	free(p);
	return r;
}

static void from_a_wrong_beginning(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 4; seed++)
		for (unsigned lost = 0; lost <= 4; lost++) {
			assert_in_range(part_when_busy(BY_STATEMENT, seed, lost), 80, 100);
			assert_in_range(part_when_busy(BY_REQUEST, seed, lost), 80, 100);
		}
}

/* Of each at least the last: what a queue would say is not believed. */
static void what_is_not_seen(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++) {
		assert_in_range(part(ELSEWHERE, seed, 100 * (seed % 2)), 45, 100);
		assert_in_range(part(AT_ONCE, seed, 100 * (seed % 2)), 45, 100);
		assert_in_range(part(ELSEWHERE_AT_TURNS_END, seed, 100 * (seed % 2)), 45, 100);
	}
}

/* A request that asks in the callback that read it, of the number given. */
static void one_request(struct play *p, uint32_t number)
{
	struct event_exchange request, statement;

	p->counted = true;
	p->number = number;
	p->now += MS;
	begin_record(p, &request, ROLE_SERVER, 1);
	p->now += 1000;
	begin_record(p, &statement, ROLE_CLIENT, 100);
	p->number++;
	p->now += MS;
	end_record(p, &statement);
	p->truth[statement.id] = request.id;
	assert_true(callbacks_exchange(p->callbacks, &statement));
	end_record(p, &request);
	assert_false(callbacks_exchange(p->callbacks, &request));
}

static void numbers_begin_again(void **state)
{
	struct play *p = play_new(BY_STATEMENT, 1);

	(void)state;
	one_request(p, 50);
	one_request(p, 60);
	callbacks_tick(p->callbacks, p->now += 2000 * MS);
	assert_int_equal(p->right, 2);
	one_request(p, 7); /* what was kept of the thread is new */
	assert_int_equal(p->right, 2);
	callbacks_tick(p->callbacks, p->now += 2000 * MS);
	assert_int_equal(p->right, 3);
	callbacks_tick(p->callbacks, p->now += 120000 * MS); /* forgotten */
	one_request(p, 3);
	callbacks_tick(p->callbacks, p->now += 2000 * MS);
	assert_int_equal(p->right, 4);
	assert_int_equal(p->wrong + p->none, 0);
	callbacks_free(p->callbacks);
	free(p);
}

static void more_than_is_kept(void **state)
{
	struct play *p = play_new(BY_STATEMENT, 1);

	(void)state;
	for (uint32_t i = 0; i < 12000; i++) /* without a tick */
		one_request(p, 1 + 2 * i);
	callbacks_flush(p->callbacks);
	assert_int_equal(p->right, 12000);
	assert_int_equal(p->wrong + p->none, 0);
	callbacks_free(p->callbacks);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_of_using_a_pool),	  cmocka_unit_test(counted_from_the_middle_on),
		cmocka_unit_test(from_a_wrong_beginning), cmocka_unit_test(what_is_not_seen),
		cmocka_unit_test(numbers_begin_again),	  cmocka_unit_test(more_than_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
