/* SPDX-License-Identifier: Apache-2.0 */
#include "export/thread.h"

#include <signal.h>
#include <time.h>

#include "util/clock.h"

#define STACK (512u << 10) /* name resolution and TLS handshakes fit well */

int thread_init(struct thread *t)
{
	pthread_condattr_t attr;
	int r;

	*t = (struct thread){ 0 };
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (r == 0)
		r = pthread_mutex_init(&t->lock, NULL);
	return -r;
}

void thread_start(struct thread *t, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, before;

	if (t->started)
		return;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	t->started = pthread_create(&t->id, &attr, run, arg) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

void thread_stop(struct thread *t, uint32_t timeout_ms)
{
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	t->stop_at = clock_monotonic() + timeout_ms * 1000000ULL;
	thread_wake(t);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->id, NULL);
}

void thread_free(struct thread *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->wake);
}

void thread_wake(struct thread *t)
{
	pthread_cond_broadcast(&t->wake);
}

uint64_t thread_deadline(const struct thread *t, uint64_t at)
{
	return t->stopping && t->stop_at < at ? t->stop_at : at;
}

void thread_wait(struct thread *t, uint64_t until)
{
	struct timespec at;

	until = thread_deadline(t, until);
	if (until == UINT64_MAX) {
		pthread_cond_wait(&t->wake, &t->lock);
		return;
	}
	at = (struct timespec){ .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };
	pthread_cond_timedwait(&t->wake, &t->lock, &at);
}

void thread_pause(struct thread *t, uint64_t until, bool firm)
{
	bool was_stopping = t->stopping;

	while (clock_monotonic() < thread_deadline(t, until)) {
		if (t->stopping && !was_stopping && !firm)
			return;
		thread_wait(t, until);
	}
}
