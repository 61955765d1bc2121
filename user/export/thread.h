/* SPDX-License-Identifier: Apache-2.0 */
/* A sender's thread with the lock and condition it waits on, and a deadline for its end. */
#ifndef SONDE_EXPORT_THREAD_H
#define SONDE_EXPORT_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct thread {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t id;
	bool started;
	bool stopping;	  /* under lock */
	uint64_t stop_at; /* CLOCK_MONOTONIC ns, when stopping; under lock */
};

int thread_init(struct thread *t);
/* Starts run(arg) if that was not done yet; a failure is tried again at the next call. Signals go to other threads. */
void thread_start(struct thread *t, void *(*run)(void *arg), void *arg);
/* Asks the thread to end until timeout_ms from now, and waits for it. */
void thread_stop(struct thread *t, uint32_t timeout_ms);
void thread_free(struct thread *t);

/* Under the lock: */
void thread_wake(struct thread *t);
/* Waits until woken, or the time: UINT64_MAX = no time. Also ends at stop_at. */
void thread_wait(struct thread *t, uint64_t until);
/* Waits until the time. The beginning of the end cuts it short, unless firm; stop_at always does. */
void thread_pause(struct thread *t, uint64_t until, bool firm);
/* The earlier of at and, when stopping, stop_at. */
uint64_t thread_deadline(const struct thread *t, uint64_t at);

#endif
