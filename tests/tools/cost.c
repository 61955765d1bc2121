/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost REQUESTS: a client and a server, one process each, exchange small HTTP requests on one loopback connection;
 * prints time stamp counts per request. Under QEMU's -icount shift=0 these are guest instructions. Four calls a
 * request.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define WARM_UP 2000

static const char request[] = "GET /orders/17/ HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

static void need(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void serve(int listener)
{
	int fd = accept(listener, NULL, NULL), one = 1;
	char b[512];

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (recv(fd, b, sizeof(b), 0) > 0)
		need(send(fd, answer, sizeof(answer) - 1, 0) == sizeof(answer) - 1, "send");
	_exit(0);
}

static void ask(int fd)
{
	char b[512];

	need(send(fd, request, sizeof(request) - 1, 0) == sizeof(request) - 1, "send");
	need(recv(fd, b, sizeof(b), 0) == sizeof(answer) - 1, "recv");
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int n = argc > 1 ? atoi(argv[1]) : 10000, listener = socket(AF_INET, SOCK_STREAM, 0), fd, one = 1;
	socklen_t size = sizeof(at);
	unsigned long long start;

	need(bind(listener, (void *)&at, size) == 0 && listen(listener, 1) == 0, "bind");
	need(getsockname(listener, (void *)&at, &size) == 0, "getsockname");
	if (fork() == 0)
		serve(listener);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	need(connect(fd, (void *)&at, size) == 0, "connect");
	for (int i = 0; i < WARM_UP; i++)
		ask(fd);
	start = __rdtsc();
	for (int i = 0; i < n; i++)
		ask(fd);
	printf("%.1f\n", (double)(__rdtsc() - start) / n);
	close(fd);
	wait(NULL);
	return 0;
}
