/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokio_hands HTTP-PORT POSTGRES-PORT USER DATABASE MODE: services on Rust's tokio whose requests' tasks do not ask
 * themselves, as they look from outside: tasks and their numbers as tokio keeps them, functions of its names that wake
 * and number them, all in one thread. /orders/ID/ runs two statements whose column is named after ID. MODE:
 *
 * connections  each of 4 connections is a task, which one request at a time has, and to which it sends what it asks
 * shared       there is one, for all: what was sent to it goes out in one write, and who sends after another wakes
 * nobody started      for each statement a task is started, which waits for one of 4 connections, and asks there itself
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stddef.h>

#include "service.h"

#define REQUESTS 64
#define CONNECTIONS 4
#define RUNNING 1
#define NOTIFIED 4

static __thread volatile struct {
	uint64_t before[6], task, behind[3];
} context __asm__("_ZN5tokio7runtime7context7CONTEXT$28_$u7b$$u7b$closure$u7d$$"
		  "u7d$23__RUST_STD_INTERNAL_VAL17h0123456789abcdefE");

struct task {
	uint64_t state;
	void *next;
	const uint64_t *vtable;
	uint64_t owner, more[4], number;
};

static const uint64_t vtable[10] = { [9] = offsetof(struct task, number) };
static uint64_t numbers = 2, turns;

struct request {
	struct task t, started; /* started: number 0 = none */
	struct connection *has;
	int fd, step, asks, is_sent;
	uint64_t since; /* waits for a connection, 0 = no */
	char id[16];
};

struct connection {
	struct task t;
	int fd, has_waker, queue_n, sent_n, free;
	struct request *queue[REQUESTS], *sent[REQUESTS];
};

static struct request requests[REQUESTS];
static struct connection connections[CONNECTIONS];
static int connections_n = CONNECTIONS, starts;

__attribute__((noinline)) void
wake_by_val(struct task *t) __asm__("_ZN5tokio7runtime4task5waker11wake_by_val17h0123456789abcdefE");
__attribute__((noinline)) void
wake_by_ref(struct task *t) __asm__("_ZN5tokio7runtime4task5waker11wake_by_ref17h0123456789abcdefE");
__attribute__((noinline)) struct task *
bind_inner(void *list,
	   struct task *t) __asm__("_ZN5tokio7runtime4task4list19OwnedTasks$LT$S$GT$10bind_inner17h0123456789abcdefE");

void wake_by_val(struct task *t)
{
	t->state |= NOTIFIED;
}

void wake_by_ref(struct task *t)
{
	__atomic_or_fetch(&t->state, NOTIFIED, __ATOMIC_SEQ_CST);
}

struct task *bind_inner(void *list, struct task *t)
{
	t->owner = (uint64_t)list;
	return t;
}

static void begin(struct task *t)
{
	*t = (struct task){ .vtable = vtable, .number = ++numbers };
	bind_inner(&numbers, t);
}

static void enter(struct task *t)
{
	t->state = RUNNING;
	context.task = t->number;
}

static void leave(struct task *t)
{
	context.task = 0;
	t->state &= ~(uint64_t)RUNNING;
}

/* --- requests --- */

static void send_to(struct connection *c, struct request *r)
{
	c->queue[c->queue_n++] = r;
	if (c->has_waker)
		wake_by_val(&c->t);
	c->has_waker = 0;
}

static struct connection *idle(void)
{
	for (struct connection *c = connections; c < connections + connections_n; c++)
		if (c->free)
			return c;
	return NULL;
}

/* The current task has a connection, or waits for one. */
static void take(struct request *r)
{
	struct connection *c = connections_n == 1 ? connections : idle();

	r->since = c ? 0 : ++turns;
	if (!c)
		return;
	c->free = 0;
	r->has = c;
	if (!starts)
		return send_to(c, r);
	ask_for(c->fd, r->step, r->id);
	c->sent[c->sent_n++] = r;
}

/* And gives it back: the newest of those that wait is woken, and finds it. */
static void give_back(struct request *r)
{
	struct request *newest = NULL;

	r->has->free = 1;
	r->has = NULL;
	for (struct request *w = requests; w < requests + REQUESTS; w++)
		if (w->since && !((starts ? &w->started : &w->t)->state & NOTIFIED) &&
		    (!newest || w->since > newest->since))
			newest = w;
	if (newest)
		wake_by_val(starts ? &newest->started : &newest->t);
}

static void next_statement(struct request *r)
{
	if (!starts)
		return r->has ? send_to(r->has, r) : take(r);
	begin(&r->started);
	wake_by_ref(&r->started); /* it is to run */
}

static void run_request(struct request *r)
{
	int orders;

	if (r->since)
		return take(r);
	if (!r->asks) {
		orders = request_read(&r->fd, r->id);
		if (!orders)
			answer_ok(r->fd);
		r->asks = orders > 0;
		r->step = 0;
		return orders > 0 ? next_statement(r) : (void)0;
	}
	if (!r->step++)
		return next_statement(r);
	r->asks = 0;
	if (r->has && connections_n > 1)
		give_back(r);
	answer_ok(r->fd);
}

/* --- connections --- */

/* All that was sent to it goes out together. */
static void write_queue(struct connection *c)
{
	char all[REQUESTS * 128];
	int n = 0, pair[2];
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		exit(1);
	for (int i = 0; i < c->queue_n; i++) {
		ask_for(pair[0], c->queue[i]->step, c->queue[i]->id);
		got = read(pair[1], all + n, 128);
		n += got > 0 ? (int)got : 0;
		c->sent[c->sent_n++] = c->queue[i];
	}
	close(pair[0]);
	close(pair[1]);
	c->queue_n = 0;
	c->has_waker = 1;
	put(c->fd, all, (size_t)n);
}

static void read_answers(struct connection *c)
{
	char b[65536];
	ssize_t n = 0, r;
	int done = 0;

	do { /* to the end of an answer */
		r = read(c->fd, b + n, sizeof(b) - (size_t)n);
		if (r <= 0)
			exit(1);
		n += r;
	} while (n < 6 || memcmp(b + n - 6, "Z\0\0\0\5", 5) != 0);
	for (ssize_t i = 0; i + 6 <= n; i++)
		done += memcmp(b + i, "Z\0\0\0\5", 5) == 0;
	for (int i = 0; i < done; i++)
		wake_by_val(&c->sent[i]->t);
	c->sent_n -= done;
	memmove(c->sent, c->sent + done, (size_t)c->sent_n * sizeof(c->sent[0]));
}

static void run_connection(struct connection *c, int readable)
{
	enter(&c->t);
	if (readable)
		read_answers(c);
	if (c->queue_n)
		write_queue(c);
	leave(&c->t);
}

/* --- tasks that were started --- */

static void run_started(struct request *r, int readable)
{
	enter(&r->started);
	if (readable) {
		answered(r->has->fd);
		r->has->sent_n = 0;
		give_back(r);
		wake_by_val(&r->t);
	} else {
		take(r);
	}
	leave(&r->started);
}

static void accept_request(int listener)
{
	for (struct request *r = requests; r < requests + REQUESTS; r++)
		if (!r->fd) {
			*r = (struct request){ .fd = accept(listener, NULL, NULL) };
			begin(&r->t);
			return;
		}
}

/* Whatever is woken runs, until nothing is. */
static void run_woken(void)
{
	for (int ran = 1; ran;) {
		ran = 0;
		for (struct request *r = requests; r < requests + REQUESTS; r++) {
			if (r->t.state & NOTIFIED) {
				ran = 1;
				enter(&r->t);
				run_request(r);
				leave(&r->t);
			}
			if (r->started.state & NOTIFIED) {
				ran = 1;
				run_started(r, 0);
			}
		}
		for (struct connection *c = connections; c < connections + connections_n; c++)
			if (c->t.state & NOTIFIED) {
				ran = 1;
				run_connection(c, 0);
			}
	}
}

/* What can be read is told to its task by no other. */
static void run_readable(struct pollfd *p)
{
	for (int i = 0; i < REQUESTS; i++)
		if (p[i].revents)
			wake_by_ref(&requests[i].t);
	for (int i = 0; i < connections_n; i++) {
		struct connection *c = &connections[i];

		if (!p[REQUESTS + i].revents)
			continue;
		if (starts) {
			wake_by_ref(&c->sent[0]->started);
			run_started(c->sent[0], 1);
		} else {
			wake_by_ref(&c->t);
			run_connection(c, 1);
		}
	}
}

int main(int argc, char **argv)
{
	struct pollfd p[REQUESTS + CONNECTIONS + 1] = { 0 };
	struct pollfd *listener = &p[REQUESTS + CONNECTIONS];

	if (argc != 6)
		return 2;
	*listener = (struct pollfd){ .fd = tcp(atoi(argv[1]), bind), .events = POLLIN };
	starts = !strcmp(argv[5], "started");
	connections_n = strcmp(argv[5], "shared") ? CONNECTIONS : 1;
	for (int i = 0; i < connections_n; i++) {
		connections[i] = (struct connection){ .fd = database(atoi(argv[2]), argv[3], argv[4]),
						      .has_waker = 1,
						      .free = 1 };
		begin(&connections[i].t);
	}
	for (listen(listener->fd, REQUESTS);;) {
		for (int i = 0; i < REQUESTS; i++)
			p[i] = (struct pollfd){ requests[i].asks || !requests[i].fd ? -1 : requests[i].fd, POLLIN, 0 };
		for (int i = 0; i < CONNECTIONS; i++)
			p[REQUESTS + i] = (struct pollfd){ connections[i].sent_n ? connections[i].fd : -1, POLLIN, 0 };
		if (poll(p, REQUESTS + CONNECTIONS + 1, -1) < 0)
			return 1;
		run_readable(p);
		run_woken();
		if (listener->revents)
			accept_request(listener->fd);
	}
}
