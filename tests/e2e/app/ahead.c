/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead HTTP-PORT POSTGRES-PORT USER DATABASE: what Puma 8 looks like from outside. A thread that has
 * answered reads the next request of that client, if it is there, and leaves it to whichever thread is free, in the
 * order in which they came; so each has read several that others work on. /orders/ID/ runs two statements whose column
 * is named after ID; other paths run none.
 */
#include <poll.h>
#include <pthread.h>

#include "service.h"

#define CLIENTS 256
#define THREADS 3
#define AHEAD_MS 2 /* as long as it takes a client to ask again, or nearly */

static struct request {
	int fd, orders;
	char id[16];
} queue[CLIENTS];
static unsigned first, end;
static int idle[CLIENTS], idle_n, woken[2];
static char **arg;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t come = PTHREAD_COND_INITIALIZER;

/* False: the client has left. */
static int read_and_leave(int fd)
{
	struct request r = { .fd = fd };

	r.orders = request_read(&r.fd, r.id);
	if (r.orders < 0)
		return 0;
	pthread_mutex_lock(&lock);
	queue[end++ % CLIENTS] = r;
	pthread_cond_signal(&come);
	pthread_mutex_unlock(&lock);
	return 1;
}

static void wait_again(int fd)
{
	pthread_mutex_lock(&lock);
	if (idle_n < CLIENTS)
		idle[idle_n++] = fd;
	pthread_mutex_unlock(&lock);
}

static __attribute__((noreturn)) void *worker(void *unused)
{
	int sql = database(atoi(arg[2]), arg[3], arg[4]);
	struct request r;

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (first == end)
			pthread_cond_wait(&come, &lock);
		r = queue[first++ % CLIENTS];
		pthread_mutex_unlock(&lock);
		for (int second = 0; r.orders && second < 2; second++) {
			ask_for(sql, second, r.id);
			answered(sql);
		}
		answer_ok(r.fd);
		if (poll(&(struct pollfd){ r.fd, POLLIN, 0 }, 1, AHEAD_MS) > 0)
			read_and_leave(r.fd);
		else {
			wait_again(r.fd);
			put(woken[1], "x", 1);
		}
	}
}

/* Puma's reactor: reads what clients ask that were waited for too long, and takes new ones in. */
int main(int argc, char **argv)
{
	struct pollfd p[CLIENTS + 2];
	pthread_t thread;
	char b[64];
	int n;

	if (argc != 5 || pipe(woken))
		return 2;
	arg = argv;
	p[0] = (struct pollfd){ tcp(atoi(argv[1]), bind), POLLIN, 0 };
	p[1] = (struct pollfd){ woken[0], POLLIN, 0 };
	listen(p[0].fd, CLIENTS);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, worker, NULL))
			return 1;
	for (;;) {
		pthread_mutex_lock(&lock);
		n = idle_n;
		for (int i = 0; i < n; i++)
			p[i + 2] = (struct pollfd){ idle[i], POLLIN, 0 };
		idle_n = 0;
		pthread_mutex_unlock(&lock);
		if (poll(p, (nfds_t)n + 2, -1) < 0)
			return 1;
		for (int i = 2; i < n + 2; i++)
			if (!p[i].revents)
				wait_again(p[i].fd);
			else
				read_and_leave(p[i].fd);
		if (p[1].revents && read(woken[0], b, sizeof(b)) < 0)
			return 1;
		if (p[0].revents)
			wait_again(accept(p[0].fd, NULL, NULL));
	}
}
