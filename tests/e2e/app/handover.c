/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover HTTP-PORT POSTGRES-PORT USER DATABASE: a web service whose threads, one for each client, leave the database
 * to threads of a pool and wait for them. /orders/ID/ runs two statements whose column is named after ID; other paths
 * run none.
 */
#include <pthread.h>

#include "service.h"

#define POOL 2

static struct job {
	struct job *next;
	char id[16];
	pthread_mutex_t done; /* locked until it is */
} * jobs;
static char **arg;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t come = PTHREAD_COND_INITIALIZER;

static __attribute__((noreturn)) void *worker(void *unused)
{
	int fd = 0;
	struct job *j;

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!jobs)
			pthread_cond_wait(&come, &lock);
		j = jobs;
		jobs = j->next;
		pthread_mutex_unlock(&lock);
		if (!fd)
			fd = database(atoi(arg[2]), arg[3], arg[4]);
		for (int second = 0; second < 2; second++) {
			ask_for(fd, second, j->id);
			answered(fd);
		}
		pthread_mutex_unlock(&j->done);
	}
}

static void *client(void *socket)
{
	struct job j;
	int fd = (int)(intptr_t)socket, orders;

	pthread_mutex_init(&j.done, NULL);
	while ((orders = request_read(&fd, j.id)) >= 0) {
		if (orders) {
			pthread_mutex_lock(&j.done);
			pthread_mutex_lock(&lock);
			j.next = jobs;
			jobs = &j;
			pthread_cond_signal(&come);
			pthread_mutex_unlock(&lock);
			pthread_mutex_lock(&j.done);
			pthread_mutex_unlock(&j.done);
		}
		answer_ok(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int listener;

	arg = argv;
	if (argc != 5)
		return 2;
	listener = tcp(atoi(argv[1]), bind);
	for (int i = 0; i < POOL; i++)
		if (pthread_create(&thread, NULL, worker, NULL))
			return 1;
	listen(listener, 64);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 || pthread_create(&thread, NULL, client, (void *)(intptr_t)fd))
			return 1;
		pthread_detach(thread);
	}
}
