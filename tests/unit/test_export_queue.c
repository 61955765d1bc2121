/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "export/mailbox.h"
#include "export/queue.h"
#include "util/clock.h"
#include "util/ledger.h"

#define MS 1000000ULL

/* A destination that does as it is told, one row for each request; the last row goes on for ever. */
struct step {
	enum send_result result;
	uint64_t rejected, wait;
	bool silent;
	size_t takes;	   /* at most so many spans of a request, 0 = all */
	uint32_t delay_ms; /* before the answer, ended by the deadline */
};

struct destination {
	pthread_mutex_t lock;
	const struct step *steps;
	size_t step, steps_n;
	size_t requests, spans, largest;
	uint64_t at[64]; /* when each request came */
	uint64_t order;	 /* ids of accepted spans, each to be one above the last */
	bool disordered;
};

static struct ledger ledger;
static struct resource *resource;

static void send_spans(void *context, struct span *const *v, size_t n, const struct send_deadline *deadline,
		       size_t *ret_taken, struct send_verdict *ret)
{
	struct destination *d = context;
	struct step s;

	pthread_mutex_lock(&d->lock);
	s = d->steps[d->step];
	if (d->step + 1 < d->steps_n)
		d->step++;
	if (d->requests < 64)
		d->at[d->requests] = clock_monotonic();
	d->requests++;
	*ret_taken = s.takes && s.takes < n ? s.takes : n;
	if (*ret_taken > d->largest)
		d->largest = *ret_taken;
	if (s.result == SEND_ACCEPTED) {
		d->spans += *ret_taken;
		for (size_t i = 0; i < *ret_taken; i++) {
			d->disordered |= v[i]->start != d->order + 1;
			d->order = v[i]->start;
		}
	}
	pthread_mutex_unlock(&d->lock);
	for (uint32_t i = 0; i < s.delay_ms && clock_monotonic() < deadline->at(deadline->context); i++)
		usleep(1000);
	*ret = (struct send_verdict){ .result = s.result, .rejected = s.rejected, .wait = s.wait, .silent = s.silent };
}

static size_t requests(struct destination *d)
{
	size_t n;

	pthread_mutex_lock(&d->lock);
	n = d->requests;
	pthread_mutex_unlock(&d->lock);
	return n;
}

static struct queue *open_queue(struct destination *d, const struct step *steps, size_t n, struct queue_options o)
{
	struct queue *q;

	*d = (struct destination){ .steps = steps, .steps_n = n, .lock = PTHREAD_MUTEX_INITIALIZER };
	o.max_spans = o.max_spans ? o.max_spans : 1000;
	o.max_bytes = o.max_bytes ? o.max_bytes : 100 << 20;
	o.batch = o.batch ? o.batch : 10;
	o.schedule_ms = o.schedule_ms ? o.schedule_ms : 20;
	o.times = o.times.give_up ? o.times
				  : (struct retry_times){ .call_first = 10 * MS,
							  .requeue_first = 40 * MS,
							  .requeue_max = 100 * MS,
							  .give_up = 5000 * MS };
	o.ledger = &ledger;
	o.send = send_spans;
	o.context = d;
	q = queue_new(&o);
	assert_non_null(q);
	return q;
}

static uint64_t next_id;

static void push(struct queue *q, size_t n)
{
	while (n--) {
		struct span *s = span_new(resource);

		s->start = ++next_id;
		queue_push(q, &s, 1);
		span_unref(s);
	}
}

static uint64_t settled(void)
{
	return ledger_get(&ledger, USER_spans_exported) + ledger_get(&ledger, USER_queue_full) +
	       ledger_get(&ledger, USER_export_refused) + ledger_get(&ledger, USER_export_failed) +
	       ledger_get(&ledger, USER_shutdown);
}

static void wait_settled(uint64_t n)
{
	for (int i = 0; i < 5000 && settled() < n; i++)
		usleep(1000);
	assert_int_equal(settled(), n);
}

static void assert_ledger(uint64_t exported, uint64_t full, uint64_t refused, uint64_t failed, uint64_t shutdown)
{
	assert_int_equal(ledger_get(&ledger, USER_spans_exported), exported);
	assert_int_equal(ledger_get(&ledger, USER_queue_full), full);
	assert_int_equal(ledger_get(&ledger, USER_export_refused), refused);
	assert_int_equal(ledger_get(&ledger, USER_export_failed), failed);
	assert_int_equal(ledger_get(&ledger, USER_shutdown), shutdown);
}

static int setup(void **state)
{
	(void)state;
	memset(&ledger, 0, sizeof(ledger));
	resource = resource_new();
	next_id = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(resource->refs, 1); /* every span was let go */
	resource_unref(resource);
	return 0;
}

static void test_batches(void **state)
{
	static const struct step well[] = { { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, well, 1, (struct queue_options){ .schedule_ms = 1000 });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 10);
	wait_settled(10);
	assert_true(clock_monotonic() - begin < 900 * MS); /* a full batch does not wait */
	assert_int_equal(requests(&d), 1);
	begin = clock_monotonic();
	push(q, 3);
	wait_settled(13);
	assert_true(clock_monotonic() - begin >= 990 * MS); /* a part of one does */
	push(q, 25);
	queue_close(q, 1000);
	assert_ledger(38, 0, 0, 0, 0);
	assert_int_equal(d.largest, 10);
	assert_false(d.disordered);
}

static void test_bounds(void **state)
{
	static const struct step slow[] = { { .result = SEND_ACCEPTED, .delay_ms = 200 } };
	struct destination d;
	struct queue *q = open_queue(&d, slow, 1, (struct queue_options){ .max_spans = 30 });

	(void)state;
	push(q, 10);
	for (int i = 0; i < 1000 && !requests(&d); i++)
		usleep(1000);
	push(q, 100); /* ten are under way, and count too */
	assert_int_equal(ledger_get(&ledger, USER_queue_full), 80);
	queue_close(q, 3000);
	assert_ledger(30, 80, 0, 0, 0);
}

static void test_bound_in_bytes(void **state)
{
	static const struct step well[] = { { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, well, 1,
				     (struct queue_options){ .max_bytes = 20000, .batch = 500, .schedule_ms = 60000 });
	static char text[10000];
	struct span *s;

	(void)state;
	push(q, 100);
	assert_true(ledger_get(&ledger, USER_queue_full) >= 75 && ledger_get(&ledger, USER_queue_full) <= 85);
	s = span_new(resource);
	memset(text, 'x', sizeof(text));
	attrs_str(&s->attrs, "text", bytes_of(text, sizeof(text)), 0);
	assert_true(span_memory(s) > sizeof(text));
	queue_push(q, &s, 1);
	span_unref(s);
	queue_close(q, 1000);
	assert_int_equal(settled(), 101);
	assert_int_equal(ledger_get(&ledger, USER_spans_exported), 101 - ledger_get(&ledger, USER_queue_full));
}

/* A source that can wait, of more than the queue holds: nothing is lost to a slow destination. */
static void test_patience(void **state)
{
	static const struct step slow[] = { { .result = SEND_ACCEPTED, .delay_ms = 3 } };
	struct destination d;
	struct queue *q = open_queue(&d, slow, 1, (struct queue_options){ .max_spans = 20, .patience_ms = 5000 });

	(void)state;
	push(q, 500);
	wait_settled(500);
	assert_ledger(500, 0, 0, 0, 0);
	queue_close(q, 1000);
}

/* A destination that takes nothing is waited for once, and again when it took something. */
static void test_patience_ends(void **state)
{
	static const struct step dead[] = { { .result = SEND_RETRY, .delay_ms = 10 } };
	struct destination d;
	struct queue *q = open_queue(&d, dead, 1, (struct queue_options){ .max_spans = 20, .patience_ms = 100 });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 500);
	assert_int_equal(ledger_get(&ledger, USER_queue_full), 480);
	assert_in_range(clock_monotonic() - begin, 100 * MS, 1000 * MS);
	queue_close(q, 10);
	assert_int_equal(settled(), 500);
}

static void test_refused_is_not_sent_again(void **state)
{
	static const struct step steps[] = { { .result = SEND_REFUSED },
					     { .result = SEND_ACCEPTED, .rejected = 4 },
					     { .result = SEND_ACCEPTED, .rejected = 1000 },
					     { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, steps, 4, (struct queue_options){ 0 });

	(void)state;
	push(q, 40);
	wait_settled(40);
	assert_int_equal(requests(&d), 4);
	queue_close(q, 1000);
	assert_ledger(16, 0, 24, 0, 0);
}

static void test_split_request_settles_part_by_part(void **state)
{
	static const struct step steps[] = { { .result = SEND_ACCEPTED, .takes = 3 },
					     { .result = SEND_RETRY },
					     { .result = SEND_REFUSED, .takes = 2 },
					     { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, steps, 4, (struct queue_options){ 0 });

	(void)state;
	push(q, 10);
	wait_settled(10);
	assert_int_equal(requests(&d), 4);
	queue_close(q, 1000);
	assert_ledger(8, 0, 2, 0, 0);
}

static void test_waits_grow_within_a_call(void **state)
{
	static const struct step steps[] = { { .result = SEND_RETRY },
					     { .result = SEND_RETRY },
					     { .result = SEND_RETRY },
					     { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, steps, 4, (struct queue_options){ .timeout_ms = 5000 });

	(void)state;
	push(q, 10);
	wait_settled(10);
	queue_close(q, 1000);
	assert_ledger(10, 0, 0, 0, 0);
	assert_int_equal(d.requests, 4);
	assert_true(d.at[1] - d.at[0] >= 5 * MS);  /* 10 ms, half of it at least */
	assert_true(d.at[2] - d.at[1] >= 10 * MS); /* 20 ms */
	assert_true(d.at[3] - d.at[2] >= 20 * MS); /* 40 ms */
	assert_false(d.disordered);
}

static void test_retry_after_is_honoured(void **state)
{
	static const struct step steps[] = { { .result = SEND_RETRY, .wait = 300 * MS }, { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, steps, 2, (struct queue_options){ .timeout_ms = 50 });

	(void)state;
	push(q, 30); /* not the batches behind it either */
	wait_settled(30);
	queue_close(q, 1000);
	assert_ledger(30, 0, 0, 0, 0);
	assert_true(d.at[1] - d.at[0] >= 299 * MS);
}

static void test_gives_up_after_a_while(void **state)
{
	static const struct step dead[] = { { .result = SEND_RETRY, .silent = true } };
	struct destination d;
	const struct retry_times times = {
		.call_first = 10 * MS, .requeue_first = 40 * MS, .requeue_max = 80 * MS, .give_up = 400 * MS
	};
	struct queue *q = open_queue(&d, dead, 1, (struct queue_options){ .timeout_ms = 30, .times = times });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 10);
	wait_settled(10);
	assert_true(clock_monotonic() - begin >= 250 * MS);
	assert_true(clock_monotonic() - begin < 2000 * MS);
	assert_true(requests(&d) >= 4);
	queue_close(q, 1000);
	assert_ledger(0, 0, 0, 10, 0);
}

static void test_recovery_sends_all_that_waits(void **state)
{
	static const struct step steps[] = { { .result = SEND_RETRY },	 { .result = SEND_RETRY },
					     { .result = SEND_RETRY },	 { .result = SEND_RETRY },
					     { .result = SEND_RETRY },	 { .result = SEND_RETRY },
					     { .result = SEND_ACCEPTED } };
	const struct retry_times times = {
		.call_first = 10 * MS, .requeue_first = 200 * MS, .requeue_max = 60000 * MS, .give_up = 60000 * MS
	};
	struct destination d;
	struct queue *q = open_queue(&d, steps, 7, (struct queue_options){ .timeout_ms = 15, .times = times });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 50);
	wait_settled(50);
	assert_true(clock_monotonic() - begin < 4000 * MS);
	queue_close(q, 1000);
	assert_ledger(50, 0, 0, 0, 0);
}

static void test_close_of_a_dead_destination_is_quick(void **state)
{
	static const struct step dead[] = { { .result = SEND_RETRY, .silent = true } };
	struct destination d;
	struct queue *q = open_queue(&d, dead, 1, (struct queue_options){ .timeout_ms = 10000 });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 35);
	queue_close(q, 5000);
	assert_true(clock_monotonic() - begin < 1000 * MS);
	assert_ledger(0, 0, 0, 0, 35);
}

static void test_close_is_bounded(void **state)
{
	static const struct step hang[] = { { .result = SEND_RETRY, .silent = true, .delay_ms = 60000 } };
	struct destination d;
	struct queue *q = open_queue(&d, hang, 1, (struct queue_options){ .timeout_ms = 0 });
	uint64_t begin = clock_monotonic();

	(void)state;
	push(q, 35);
	for (int i = 0; i < 1000 && !requests(&d); i++)
		usleep(1000);
	queue_close(q, 100);
	assert_true(clock_monotonic() - begin < 2000 * MS);
	assert_ledger(0, 0, 0, 0, 35);
}

static void test_close_respects_retry_after(void **state)
{
	static const struct step busy[] = { { .result = SEND_RETRY, .wait = 50 * MS }, { .result = SEND_ACCEPTED } };
	struct destination d;
	struct queue *q = open_queue(&d, busy, 2, (struct queue_options){ .timeout_ms = 1000 });

	(void)state;
	push(q, 5);
	queue_close(q, 2000);
	assert_ledger(5, 0, 0, 0, 0);
	assert_true(d.at[1] - d.at[0] >= 49 * MS);
}

static void test_never_used(void **state)
{
	struct destination d;

	(void)state;
	queue_close(open_queue(&d, NULL, 0, (struct queue_options){ 0 }), 1000);
	queue_close(NULL, 0);
	assert_ledger(0, 0, 0, 0, 0);
}

/* --- mailbox --- */

struct post {
	pthread_mutex_t lock;
	const enum send_result *steps;
	size_t n, steps_n, delivered;
	char last[16];
};

static void send_body(void *context, struct bytes body, const struct send_deadline *deadline, struct send_verdict *ret)
{
	struct post *p = context;

	(void)deadline;
	pthread_mutex_lock(&p->lock);
	ret->result = p->steps[p->n < p->steps_n ? p->n : p->steps_n - 1];
	p->n++;
	if (ret->result == SEND_ACCEPTED) {
		p->delivered++;
		memcpy(p->last, body.p, body.n + 1);
	}
	pthread_mutex_unlock(&p->lock);
}

static struct mailbox *open_mailbox(struct post *p, const enum send_result *steps, size_t n, uint32_t timeout_ms)
{
	struct mailbox_options o = { .timeout_ms = timeout_ms, .send = send_body, .context = p };

	o.times = (struct retry_times){ .call_first = 10 * MS, .give_up = 1000 * MS };
	*p = (struct post){ .lock = PTHREAD_MUTEX_INITIALIZER, .steps = steps, .steps_n = n };
	return mailbox_new(&o);
}

static void put(struct mailbox *m, const char *a, const char *b)
{
	struct buf *bodies = calloc(2, sizeof(*bodies));

	buf_str(&bodies[0], a);
	if (b)
		buf_str(&bodies[1], b);
	mailbox_put(m, bodies, b ? 2 : 1);
}

static void test_mailbox(void **state)
{
	static const enum send_result steps[] = { SEND_RETRY, SEND_ACCEPTED, SEND_REFUSED, SEND_ACCEPTED };
	struct post p;
	struct mailbox *m = open_mailbox(&p, steps, 4, 1000);
	size_t n = 99;

	(void)state;
	assert_true(mailbox_settled(m, 0, &n));
	assert_int_equal(n, 0);
	put(m, "one", NULL);
	assert_true(mailbox_settled(m, 1000, &n));
	assert_int_equal(n, 1);
	assert_string_equal(p.last, "one");
	put(m, "refused", "two"); /* a refused body is settled, and keeps nobody waiting */
	mailbox_close(m, 1000);
	assert_string_equal(p.last, "two");
	assert_int_equal(p.delivered, 2);
}

static void test_mailbox_keeps_the_newest(void **state)
{
	static const enum send_result dead[] = { SEND_RETRY };
	struct post p;
	struct mailbox *m = open_mailbox(&p, dead, 1, 0);
	size_t n = 99;
	static const enum send_result well[] = { SEND_ACCEPTED };

	(void)state;
	put(m, "old", NULL);
	usleep(20000);
	assert_false(mailbox_settled(m, 10, &n));
	assert_int_equal(n, 99);
	put(m, "newer", NULL);
	put(m, "newest", NULL);
	pthread_mutex_lock(&p.lock);
	p.steps = well;
	pthread_mutex_unlock(&p.lock);
	assert_true(mailbox_settled(m, 2000, &n));
	assert_string_equal(p.last, "newest");
	mailbox_close(m, 100);
	mailbox_close(NULL, 0);
}

static void test_mailbox_gives_up(void **state)
{
	static const enum send_result dead[] = { SEND_ACCEPTED, SEND_RETRY };
	struct post p;
	struct mailbox *m = open_mailbox(&p, dead, 2, 50);
	size_t n = 99;

	(void)state;
	put(m, "a", "b");
	assert_true(mailbox_settled(m, 2000, &n));
	assert_int_equal(n, 1); /* the first body only */
	mailbox_close(m, 100);
}

static void test_jitter(void **state)
{
	struct retry_random r = { 7 };
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	assert_int_equal(retry_jitter(&r, 0), 0);
	for (int i = 0; i < 10000; i++) {
		uint64_t w = retry_jitter(&r, 1000);

		least = w < least ? w : least;
		most = w > most ? w : most;
	}
	assert_true(least >= 500 && least < 510);
	assert_true(most < 1500 && most > 1490);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_batches),
		TEST(test_bounds),
		TEST(test_bound_in_bytes),
		TEST(test_patience),
		TEST(test_patience_ends),
		TEST(test_refused_is_not_sent_again),
		TEST(test_split_request_settles_part_by_part),
		TEST(test_waits_grow_within_a_call),
		TEST(test_retry_after_is_honoured),
		TEST(test_gives_up_after_a_while),
		TEST(test_recovery_sends_all_that_waits),
		TEST(test_close_of_a_dead_destination_is_quick),
		TEST(test_close_is_bounded),
		TEST(test_close_respects_retry_after),
		TEST(test_never_used),
		TEST(test_mailbox),
		TEST(test_mailbox_keeps_the_newest),
		TEST(test_mailbox_gives_up),
		TEST(test_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
