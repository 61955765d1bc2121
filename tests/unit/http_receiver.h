/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP receiver in the test's own process, which keeps requests and answers as it is told. */
#ifndef SONDE_TESTS_HTTP_RECEIVER_H
#define SONDE_TESTS_HTTP_RECEIVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"

#define REQUESTS_MAX 64
#define CONNECTIONS_MAX 64

/* One answer; the last one goes on for ever. */
struct answer {
	int status;
	const char *headers; /* each with CRLF */
	const char *body;
	size_t body_n;	   /* of body, strlen when 0 */
	size_t endless;	   /* so many bytes of body follow, in chunks */
	uint32_t delay_ms; /* before it, or half-way through the body: */
	bool stall;
	bool raw;    /* body is sent alone, without any HTTP */
	bool hangup; /* the connection ends without an answer */
};

struct request {
	char head[2048];
	char *body;
	size_t n;
	uint64_t at;
	int connection;
};

static struct receiver {
	int fd;
	uint16_t port;
	pthread_t acceptor, threads[CONNECTIONS_MAX];
	int fds[CONNECTIONS_MAX];
	pthread_mutex_t lock;
	int connections;
	size_t n, answers_n;
	const struct answer *answers;
	struct request requests[REQUESTS_MAX];
	bool stopping;
} rx;

static void send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0)
			return;
		p += r;
		n -= (size_t)r;
	}
}

static bool read_request(int fd, struct request *r)
{
	static const char length[] = "Content-Length: ";
	size_t have = 0;
	char *end = NULL;
	const char *field;

	while (!end) {
		ssize_t n = recv(fd, r->head + have, sizeof(r->head) - 1 - have, 0);

		if (n <= 0)
			return false;
		have += (size_t)n;
		r->head[have] = '\0';
		end = strstr(r->head, "\r\n\r\n");
	}
	field = strcasestr(r->head, length);
	r->n = field ? strtoul(field + strlen(length), NULL, 10) : 0;
	r->body = malloc(r->n + 1);
	have -= (size_t)(end + 4 - r->head);
	memcpy(r->body, end + 4, have);
	end[2] = '\0';
	while (have < r->n) {
		ssize_t n = recv(fd, r->body + have, r->n - have, 0);

		if (n <= 0) {
			free(r->body);
			return false;
		}
		have += (size_t)n;
	}
	r->at = clock_monotonic();
	return true;
}

static void pause_ms(uint32_t ms)
{
	for (uint32_t i = 0; i < ms && !__atomic_load_n(&rx.stopping, __ATOMIC_RELAXED); i++)
		usleep(1000);
}

/* False: the connection ends. */
static bool reply(int fd, const struct answer *a)
{
	static char filler[65536];
	size_t n = a->body_n ? a->body_n : a->body ? strlen(a->body) : 0;
	char head[512];
	int len;

	if (!a->stall)
		pause_ms(a->delay_ms);
	if (a->hangup)
		return false;
	if (a->raw) {
		send_all(fd, a->body, n);
		return false;
	}
	len = snprintf(head, sizeof(head), "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", a->status,
		       n + a->endless + (a->stall ? 100 : 0), a->headers ? a->headers : "");
	send_all(fd, head, (size_t)len);
	send_all(fd, a->body ? a->body : "", n);
	for (size_t sent = 0; sent < a->endless; sent += sizeof(filler))
		send_all(fd, filler, sizeof(filler));
	if (a->stall)
		pause_ms(a->delay_ms);
	return !a->stall;
}

static void *serve(void *arg)
{
	int index = (int)(intptr_t)arg, fd = rx.fds[index];
	struct request r;

	while (read_request(fd, &r)) {
		struct answer a;

		r.connection = index;
		pthread_mutex_lock(&rx.lock);
		a = rx.answers[rx.n < rx.answers_n ? rx.n : rx.answers_n - 1];
		if (rx.n < REQUESTS_MAX)
			rx.requests[rx.n++] = r;
		else
			free(r.body);
		pthread_mutex_unlock(&rx.lock);
		if (!reply(fd, &a))
			break;
	}
	shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void *accept_all(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(rx.fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		assert_true(rx.connections < CONNECTIONS_MAX);
		rx.fds[rx.connections] = fd;
		pthread_create(&rx.threads[rx.connections], NULL, serve, (void *)(intptr_t)rx.connections);
		rx.connections++;
	}
}

static void receiver_start(const struct answer *answers, size_t n)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	rx = (struct receiver){ .lock = PTHREAD_MUTEX_INITIALIZER, .answers = answers, .answers_n = n };
	rx.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rx.fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(rx.fd, 16), 0);
	getsockname(rx.fd, (struct sockaddr *)&at, &len);
	rx.port = ntohs(at.sin_port);
	pthread_create(&rx.acceptor, NULL, accept_all, NULL);
}

static void receiver_stop(void)
{
	__atomic_store_n(&rx.stopping, true, __ATOMIC_RELAXED);
	shutdown(rx.fd, SHUT_RDWR);
	pthread_join(rx.acceptor, NULL);
	close(rx.fd);
	for (int i = 0; i < rx.connections; i++) {
		shutdown(rx.fds[i], SHUT_RDWR);
		pthread_join(rx.threads[i], NULL);
		close(rx.fds[i]);
	}
	for (size_t i = 0; i < rx.n; i++)
		free(rx.requests[i].body);
}

static size_t received(void)
{
	size_t n;

	pthread_mutex_lock(&rx.lock);
	n = rx.n;
	pthread_mutex_unlock(&rx.lock);
	return n;
}

#endif
