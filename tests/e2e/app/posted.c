/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posted HTTP-PORT POSTGRES-PORT USER DATABASE: what a service on Boost.Asio or cpprestsdk looks like from outside.
 * Each step of a request is posted to a queue, from which any of a few threads takes it: one reads the request, another
 * asks for it, a third writes the answer. /orders/ID/ runs two statements whose column is named after ID, /warm/ID/ two
 * whose column has no such name; other paths run none.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/epoll.h>

#include "service.h"

#define TASKS 64
#define CONNECTIONS 4
#define THREADS 12

static struct task {
	int fd, named; /* fd 0 = none */
	void (*step)(struct task *);
	struct task *next;
	char id[16];
} tasks[TASKS], *first, **last = &first;
static int idle[CONNECTIONS], idle_n = CONNECTIONS, polled;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted = PTHREAD_COND_INITIALIZER, returned = PTHREAD_COND_INITIALIZER;

static void post(struct task *t, void (*step)(struct task *))
{
	pthread_mutex_lock(&lock);
	t->step = step;
	t->next = NULL;
	*last = t;
	last = &t->next;
	pthread_cond_signal(&posted);
	pthread_mutex_unlock(&lock);
}

static void await(struct task *t, int how)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = t };

	if (epoll_ctl(polled, how, t->fd, &e))
		exit(1);
}

static void answer(struct task *t)
{
	int fd = t->fd;

	await(t, EPOLL_CTL_MOD); /* before its client may send the next, or leave */
	answer_ok(fd);
}

static void ask(struct task *t)
{
	static const char select_1[] = "Q\0\0\0\rSELECT 1";
	int sql;

	pthread_mutex_lock(&lock);
	while (!idle_n)
		pthread_cond_wait(&returned, &lock);
	sql = idle[--idle_n];
	pthread_mutex_unlock(&lock);
	for (int second = 0; second < 2; second++) {
		if (t->named)
			ask_for(sql, second, t->id);
		else
			put(sql, select_1, sizeof(select_1));
		answered(sql);
	}
	pthread_mutex_lock(&lock);
	idle[idle_n++] = sql;
	pthread_cond_signal(&returned);
	pthread_mutex_unlock(&lock);
	post(t, answer);
}

static void request(struct task *t)
{
	int what = request_read(&t->fd, t->id);

	if (what < 0)
		return;
	t->named = what == 1;
	post(t, what ? ask : answer);
}

static __attribute__((noreturn)) void *worker(void *unused)
{
	struct task *t;

	for ((void)unused;; t->step(t)) {
		pthread_mutex_lock(&lock);
		while (!first)
			pthread_cond_wait(&posted, &lock);
		t = first;
		first = t->next;
		if (!first)
			last = &first;
		pthread_mutex_unlock(&lock);
	}
}

static void accept_one(int listener)
{
	for (struct task *t = tasks; t < tasks + TASKS; t++)
		if (!t->fd) {
			t->fd = accept(listener, NULL, NULL);
			await(t, EPOLL_CTL_ADD);
			return;
		}
}

int main(int argc, char **argv)
{
	struct epoll_event e = { .events = EPOLLIN };
	pthread_t thread;
	int listener;

	if (argc != 5)
		return 2;
	listener = tcp(atoi(argv[1]), bind);
	for (int i = 0; i < CONNECTIONS; i++)
		idle[i] = database(atoi(argv[2]), argv[3], argv[4]);
	polled = epoll_create1(0);
	if (listen(listener, TASKS) || epoll_ctl(polled, EPOLL_CTL_ADD, listener, &e))
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, worker, NULL))
			return 1;
	for (;;)
		if (epoll_wait(polled, &e, 1, -1) == 1) {
			if (e.data.ptr)
				post(e.data.ptr, request);
			else
				accept_one(listener);
		}
}
