/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedulers HTTP-PORT POSTGRES-PORT USER DATABASE: what a service on Erlang's virtual machine looks like from outside.
 * Each client's connection is a process of its own kind, which any of a few threads runs from where it waits to where
 * it waits next: one reads a request, another asks for it, a third reads that answer. /orders/ID/ runs two statements
 * whose column is named after ID; other paths run none.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>

#include "service.h"

#define TASKS 64
#define CONNECTIONS 4
#define THREADS 3

static struct task {
	int fd, sql, step; /* 0 = none */
	uint64_t since;
	void (*next)(struct task *); /* what may run; NULL: it waits for its client, or for an answer */
	char id[16];
} tasks[TASKS];
static int idle[CONNECTIONS], idle_n = CONNECTIONS, listener, turn;
static uint64_t turns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;

static void ask(struct task *t)
{
	if (!t->sql)
		t->sql = idle[--idle_n];
	ask_for(t->sql, t->step, t->id);
}

static void answer(struct task *t)
{
	answer_ok(t->fd);
}

static void request(struct task *t)
{
	int orders = request_read(&t->fd, t->id);

	if (orders < 0)
		return;
	t->step = 0;
	t->next = orders ? ask : answer;
}

static void statement_done(struct task *t)
{
	answered(t->sql);
	t->next = ask;
	if (!t->step++)
		return;
	idle[idle_n++] = t->sql;
	t->sql = 0;
	t->next = answer;
}

/* The one that waits longest, of those that need no connection or get one. */
static struct task *runnable(void)
{
	struct task *first = NULL;

	for (struct task *t = tasks; t < tasks + TASKS; t++)
		if (t->next && (t->next != ask || t->sql || idle_n) && (!first || t->since < first->since))
			first = t;
	return first;
}

static void accept_task(void)
{
	for (struct task *t = tasks; t < tasks + TASKS; t++)
		if (!t->fd) {
			*t = (struct task){ .fd = accept(listener, NULL, NULL) };
			return;
		}
}

/* Reads what has come for one of them. */
static void wait_for_one(void)
{
	struct pollfd p[TASKS + 1];

	p[TASKS] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (int i = 0; i < TASKS; i++)
		p[i] = (struct pollfd){ tasks[i].next ? -1 : tasks[i].sql ?: tasks[i].fd ?: -1, POLLIN, 0 };
	if (poll(p, TASKS + 1, -1) < 0)
		exit(1);
	if (p[TASKS].revents)
		return accept_task();
	for (int i = 0; i < TASKS; i++)
		if (p[i].revents) {
			tasks[i].since = ++turns;
			return (tasks[i].sql ? statement_done : request)(&tasks[i]);
		}
}

static __attribute__((noreturn)) void *scheduler(void *number)
{
	void (*run)(struct task *);
	struct task *t;

	for (pthread_mutex_lock(&lock);;) {
		while (turn != (int)(intptr_t)number)
			pthread_cond_wait(&turned, &lock);
		t = runnable();
		if (t) {
			run = t->next;
			t->next = NULL;
			run(t);
		} else {
			wait_for_one();
		}
		turn = rand() % THREADS;
		pthread_cond_broadcast(&turned);
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 5)
		return 2;
	listener = tcp(atoi(argv[1]), bind);
	for (int i = 0; i < CONNECTIONS; i++)
		idle[i] = database(atoi(argv[2]), argv[3], argv[4]);
	listen(listener, TASKS);
	for (intptr_t i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, scheduler, (void *)i))
			return 1;
	scheduler(NULL);
}
