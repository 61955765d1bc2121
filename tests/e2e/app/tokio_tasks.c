/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokio_tasks HTTP-PORT POSTGRES-PORT USER DATABASE: what a service on Rust's tokio looks like from outside. Each
 * client's connection is a task, whose number stands in a thread-local variable of tokio's name and layout while it
 * runs; one thread runs them all, each where it waits for a byte, or for one of 4 connections to PostgreSQL, the newest
 * first. /orders/ID/ runs two statements whose column is named after ID; other paths run none.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "service.h"

#define TASKS 64
#define CONNECTIONS 4

struct context {
	uint64_t before[6], task, behind[3];
};

static __thread volatile struct context context __asm__("_ZN5tokio7runtime7context7CONTEXT$28_$u7b$$u7b$closure$u7d$$"
							"u7d$23__RUST_STD_INTERNAL_VAL17h0123456789abcdefE");

static struct task {
	int fd, sql, step, queued; /* 0 = none */
	uint64_t number, since;
	char id[16];
} tasks[TASKS];
static int idle[CONNECTIONS], idle_n = CONNECTIONS;
static uint64_t numbers = 2, turns;

static void ask(struct task *t)
{
	ask_for(t->sql, t->step, t->id);
}

static void request(struct task *t)
{
	int orders = request_read(&t->fd, t->id);

	if (orders < 0)
		return;
	if (!orders)
		return answer_ok(t->fd);
	t->queued = 1;
	t->step = 0;
	t->since = ++turns;
}

static void statement_done(struct task *t)
{
	answered(t->sql);
	if (!t->step++)
		return ask(t);
	idle[idle_n++] = t->sql;
	t->sql = 0;
	answer_ok(t->fd);
}

static struct task *next_queued(void)
{
	struct task *newest = NULL;

	for (struct task *t = tasks; t < tasks + TASKS; t++)
		if (t->queued && (!newest || t->since > newest->since))
			newest = t;
	return newest;
}

static void run(struct task *t, void (*step)(struct task *))
{
	context.task = t->number;
	step(t);
	context.task = 0;
}

static void accept_task(int listener)
{
	for (struct task *t = tasks; t < tasks + TASKS; t++)
		if (!t->fd) {
			*t = (struct task){ .fd = accept(listener, NULL, NULL), .number = ++numbers };
			return;
		}
}

int main(int argc, char **argv)
{
	struct pollfd p[TASKS + 1];
	struct task *t;

	if (argc != 5)
		return 2;
	p[TASKS] = (struct pollfd){ .fd = tcp(atoi(argv[1]), bind), .events = POLLIN };
	for (int i = 0; i < CONNECTIONS; i++)
		idle[i] = database(atoi(argv[2]), argv[3], argv[4]);
	for (listen(p[TASKS].fd, TASKS);;) {
		for (int i = 0; i < TASKS; i++)
			p[i] = (struct pollfd){ tasks[i].queued ? -1 : tasks[i].sql ?: tasks[i].fd ?: -1, POLLIN, 0 };
		if (poll(p, TASKS + 1, -1) < 0)
			return 1;
		for (int i = 0; i < TASKS; i++)
			if (p[i].revents)
				run(&tasks[i], tasks[i].sql ? statement_done : request);
		if (p[TASKS].revents)
			accept_task(p[TASKS].fd);
		while (idle_n && (t = next_queued())) {
			t->sql = idle[--idle_n];
			t->queued = 0;
			run(t, ask);
		}
	}
}
