/* SPDX-License-Identifier: Apache-2.0 */
#include "export/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "export/thread.h"
#include "util/clock.h"
#include "util/ledger.h"

/* Spans taken from the queue together; at: how many of them are settled. */
struct batch {
	struct batch *next;
	size_t n, at;
	uint64_t failed;   /* when it first failed, 0 = not yet */
	uint64_t due;	   /* when to try again */
	uint64_t interval; /* the next wait */
	struct span *v[];
};

struct queue {
	struct queue_options o;
	struct thread thread;
	/* under thread.lock: */
	struct span **ring;
	size_t head, n;	    /* in the ring */
	size_t held, bytes; /* everywhere */
	uint64_t oldest;    /* when the first of the ring came */
	struct batch *retry;
	uint64_t not_before;  /* the destination asked to be left alone until then */
	uint64_t call_before; /* deadline of the call under way */
	bool gave_up;	      /* the last push waited for room in vain */
	struct retry_random random;
};

struct queue *queue_new(const struct queue_options *o)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->o = *o;
	q->random.state = clock_monotonic();
	q->ring = calloc(o->max_spans, sizeof(struct span *));
	if (!q->ring || thread_init(&q->thread) < 0) {
		free(q->ring);
		free(q);
		return NULL;
	}
	return q;
}

/* Forgets n spans that were counted. Under the lock. */
static void release(struct queue *q, struct span **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		q->bytes -= span_memory(v[i]);
		span_unref(v[i]);
	}
	q->held -= n;
	if (q->o.patience_ms)
		thread_wake(&q->thread); /* somebody may wait for room */
}

/* Counts what is left of a batch, and frees it. Under the lock. */
static void batch_drop(struct queue *q, struct batch *b, enum user_counter reason)
{
	ledger_add(q->o.ledger, reason, b->n - b->at);
	release(q, b->v + b->at, b->n - b->at);
	free(b);
}

static uint64_t call_deadline(void *context)
{
	struct queue *q = context;
	uint64_t at;

	pthread_mutex_lock(&q->thread.lock);
	at = thread_deadline(&q->thread, q->call_before);
	pthread_mutex_unlock(&q->thread.lock);
	return at;
}

static struct batch *take_retry(struct queue *q, uint64_t now)
{
	for (struct batch **p = &q->retry; *p; p = &(*p)->next) {
		struct batch *b = *p;

		if (q->thread.stopping || b->due <= now) {
			*p = b->next;
			return b;
		}
	}
	return NULL;
}

static struct batch *take_new(struct queue *q, uint64_t now)
{
	size_t n = q->n < q->o.batch ? q->n : q->o.batch;
	struct batch *b = malloc(sizeof(*b) + n * sizeof(b->v[0]));

	if (!b)
		return NULL;
	*b = (struct batch){ .n = n, .interval = q->o.times.requeue_first };
	for (size_t i = 0; i < n; i++) {
		b->v[i] = q->ring[q->head];
		q->head = (q->head + 1) % q->o.max_spans;
	}
	q->n -= n;
	q->oldest = now;
	return b;
}

/* What is to be sent next, waiting for it. NULL: the queue is closing, and nothing or no time is left. Under the lock.
 */
static struct batch *next_batch(struct queue *q)
{
	for (;;) {
		uint64_t now = clock_monotonic(), wake = UINT64_MAX, due;
		struct batch *b;

		if (q->thread.stopping &&
		    ((!q->n && !q->retry) || now >= q->thread.stop_at || q->not_before >= q->thread.stop_at))
			return NULL;
		if (now < q->not_before) {
			thread_wait(&q->thread, q->not_before);
			continue;
		}
		b = take_retry(q, now);
		if (b)
			return b;
		if (q->n) {
			due = q->oldest + q->o.schedule_ms * 1000000ULL;
			b = q->n >= q->o.batch || now >= due || q->thread.stopping ? take_new(q, now) : NULL;
			if (b)
				return b;
			wake = now < due ? due : now + 100000000; /* no memory just now */
		}
		for (b = q->retry; b; b = b->next)
			if (b->due < wake)
				wake = b->due;
		thread_wait(&q->thread, wake);
	}
}

/* Keeps what is left of a batch for later, or gives it up. Under the lock. */
static void put_back(struct queue *q, struct batch *b, uint64_t wait)
{
	uint64_t now = clock_monotonic(), pause = retry_jitter(&q->random, b->interval);

	if (q->thread.stopping) {
		batch_drop(q, b, USER_shutdown);
		return;
	}
	if (pause < wait)
		pause = wait;
	if (now + pause - b->failed > q->o.times.give_up) {
		batch_drop(q, b, USER_export_failed);
		return;
	}
	b->due = now + pause;
	b->interval += b->interval / 2;
	if (b->interval > q->o.times.requeue_max)
		b->interval = q->o.times.requeue_max;
	b->next = q->retry;
	q->retry = b;
}

static void settle(struct queue *q, struct batch *b, size_t n, const struct send_verdict *v)
{
	uint64_t rejected = v->result == SEND_REFUSED ? n : v->rejected < n ? v->rejected : n;

	ledger_add(q->o.ledger, USER_export_refused, rejected);
	ledger_add(q->o.ledger, USER_spans_exported, n - rejected);
	release(q, b->v + b->at, n);
	b->at += n;
	for (struct batch *r = q->retry; v->result == SEND_ACCEPTED && r; r = r->next)
		r->due = 0; /* it is well again */
}

/* One call: requests and the waits between them, until all is settled or the time is over. Under the lock. */
static void deliver(struct queue *q, struct batch *b)
{
	const struct send_deadline deadline = { call_deadline, q };
	uint64_t wait = q->o.times.call_first, now = clock_monotonic();

	q->call_before = now + (q->o.timeout_ms ? q->o.timeout_ms * 1000000ULL : q->o.times.give_up);
	while (b->at < b->n) {
		struct send_verdict v = { .result = SEND_RETRY };
		size_t taken = 1;
		uint64_t pause;

		if (clock_monotonic() >= thread_deadline(&q->thread, q->call_before)) {
			b->failed = b->failed ? b->failed : clock_monotonic();
			put_back(q, b, 0);
			return;
		}
		pthread_mutex_unlock(&q->thread.lock);
		q->o.send(q->o.context, b->v + b->at, b->n - b->at, &deadline, &taken, &v);
		pthread_mutex_lock(&q->thread.lock);
		if (v.result != SEND_RETRY) {
			settle(q, b, taken, &v);
			wait = q->o.times.call_first;
			continue;
		}
		now = clock_monotonic();
		b->failed = b->failed ? b->failed : now;
		if (v.wait > q->o.times.give_up)
			v.wait = q->o.times.give_up;
		if (v.wait)
			q->not_before = now + v.wait;
		pause = retry_jitter(&q->random, wait);
		if (pause < v.wait)
			pause = v.wait;
		if (now + pause >= thread_deadline(&q->thread, q->call_before) || (q->thread.stopping && v.silent)) {
			put_back(q, b, v.wait);
			return;
		}
		thread_pause(&q->thread, now + pause, v.wait > 0);
		wait *= 2;
	}
	free(b);
}

static void *run(void *arg)
{
	struct queue *q = arg;
	struct batch *b;

	pthread_mutex_lock(&q->thread.lock);
	while ((b = next_batch(q)))
		deliver(q, b);
	pthread_mutex_unlock(&q->thread.lock);
	return NULL;
}

static bool fits(const struct queue *q, size_t bytes)
{
	return q->held < q->o.max_spans && bytes <= q->o.max_bytes - q->bytes;
}

/* Waits until the thread made room, when that is wanted. Under the lock. */
static void await_room(struct queue *q, size_t bytes)
{
	uint64_t until = clock_monotonic() + q->o.patience_ms * 1000000ULL;

	if (q->gave_up || !q->thread.started || bytes > q->o.max_bytes)
		return;
	thread_wake(&q->thread);
	while (!fits(q, bytes) && clock_monotonic() < until)
		thread_wait(&q->thread, until);
	q->gave_up = !fits(q, bytes);
}

void queue_push(struct queue *q, struct span *const *v, size_t n)
{
	size_t before, lost = 0;

	thread_start(&q->thread, run, q);
	pthread_mutex_lock(&q->thread.lock);
	before = q->n;
	for (size_t i = 0; i < n; i++) {
		size_t bytes = span_memory(v[i]);

		if (q->o.patience_ms && !fits(q, bytes)) {
			await_room(q, bytes);
			before = 0; /* the thread may have gone to sleep since */
		}
		if (!fits(q, bytes)) {
			lost++;
			continue;
		}
		q->gave_up = false;
		q->ring[(q->head + q->n) % q->o.max_spans] = span_ref(v[i]);
		q->n++;
		q->held++;
		q->bytes += bytes;
	}
	if (!before && q->n)
		q->oldest = clock_monotonic();
	if ((!before && q->n) || (before < q->o.batch && q->n >= q->o.batch))
		thread_wake(&q->thread);
	pthread_mutex_unlock(&q->thread.lock);
	if (lost)
		ledger_add(q->o.ledger, USER_queue_full, lost);
}

void queue_close(struct queue *q, uint32_t timeout_ms)
{
	struct batch *b;

	if (!q)
		return;
	thread_stop(&q->thread, timeout_ms);
	/* What the thread left, or everything when it could never be started. */
	while ((b = q->retry)) {
		q->retry = b->next;
		batch_drop(q, b, USER_shutdown);
	}
	ledger_add(q->o.ledger, USER_shutdown, q->n);
	for (; q->n; q->n--) {
		release(q, &q->ring[q->head], 1);
		q->head = (q->head + 1) % q->o.max_spans;
	}
	thread_free(&q->thread);
	free(q->ring);
	free(q);
}
