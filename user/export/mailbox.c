/* SPDX-License-Identifier: Apache-2.0 */
#include "export/mailbox.h"

#include <stdlib.h>

#include "export/thread.h"
#include "util/clock.h"

struct letter {
	struct buf *bodies; /* owned, both */
	size_t n;
};

struct mailbox {
	struct mailbox_options o;
	struct thread thread;
	/* under thread.lock: */
	struct letter waiting;
	bool sending;
	size_t settled; /* bodies of the last letter */
	uint64_t call_before;
	struct retry_random random;
};

struct mailbox *mailbox_new(const struct mailbox_options *o)
{
	struct mailbox *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->o = *o;
	m->random.state = clock_monotonic();
	if (thread_init(&m->thread) < 0) {
		free(m);
		return NULL;
	}
	return m;
}

static void letter_free(struct letter *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_free(&l->bodies[i]);
	free(l->bodies);
	*l = (struct letter){ 0 };
}

static uint64_t call_deadline(void *context)
{
	struct mailbox *m = context;
	uint64_t at;

	pthread_mutex_lock(&m->thread.lock);
	at = thread_deadline(&m->thread, m->call_before);
	pthread_mutex_unlock(&m->thread.lock);
	return at;
}

/* Sends one body until it is settled. False: given up. Under the lock. */
static bool deliver(struct mailbox *m, struct bytes body)
{
	const struct send_deadline deadline = { call_deadline, m };
	uint64_t wait = m->o.times.call_first;

	for (;;) {
		struct send_verdict v = { .result = SEND_RETRY };
		uint64_t now, pause;

		pthread_mutex_unlock(&m->thread.lock);
		m->o.send(m->o.context, body, &deadline, &v);
		pthread_mutex_lock(&m->thread.lock);
		if (v.result != SEND_RETRY)
			return true;
		now = clock_monotonic();
		pause = retry_jitter(&m->random, wait);
		if (pause < v.wait)
			pause = v.wait;
		if (m->waiting.n || now + pause >= thread_deadline(&m->thread, m->call_before) ||
		    (m->thread.stopping && v.silent))
			return false;
		thread_pause(&m->thread, now + pause, v.wait > 0);
		wait *= 2;
	}
}

static void *run(void *arg)
{
	struct mailbox *m = arg;

	pthread_mutex_lock(&m->thread.lock);
	for (;;) {
		struct letter l = m->waiting;

		if (!l.n) {
			if (m->thread.stopping)
				break;
			thread_wait(&m->thread, UINT64_MAX);
			continue;
		}
		m->waiting = (struct letter){ 0 };
		m->sending = true;
		m->call_before =
			clock_monotonic() + (m->o.timeout_ms ? m->o.timeout_ms * 1000000ULL : m->o.times.give_up);
		m->settled = 0;
		while (m->settled < l.n && deliver(m, buf_bytes(&l.bodies[m->settled])))
			m->settled++;
		m->sending = false;
		letter_free(&l);
		thread_wake(&m->thread);
	}
	pthread_mutex_unlock(&m->thread.lock);
	return NULL;
}

bool mailbox_settled(struct mailbox *m, uint32_t wait_ms, size_t *ret_settled)
{
	uint64_t until = clock_monotonic() + wait_ms * 1000000ULL;
	bool busy;

	pthread_mutex_lock(&m->thread.lock);
	while ((m->sending || m->waiting.n) && clock_monotonic() < until)
		thread_wait(&m->thread, until);
	busy = m->sending || m->waiting.n;
	if (!busy)
		*ret_settled = m->settled;
	pthread_mutex_unlock(&m->thread.lock);
	return !busy;
}

void mailbox_put(struct mailbox *m, struct buf *bodies, size_t n)
{
	pthread_mutex_lock(&m->thread.lock);
	letter_free(&m->waiting);
	m->waiting = (struct letter){ bodies, n };
	thread_wake(&m->thread);
	pthread_mutex_unlock(&m->thread.lock);
	thread_start(&m->thread, run, m);
}

void mailbox_close(struct mailbox *m, uint32_t timeout_ms)
{
	if (!m)
		return;
	thread_stop(&m->thread, timeout_ms);
	letter_free(&m->waiting);
	thread_free(&m->thread);
	free(m);
}
