/* SPDX-License-Identifier: Apache-2.0 */
/* For services in C: sockets, and PostgreSQL as it is spoken on them. What fails ends the program. */
#ifndef SERVICE_H
#define SERVICE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int tcp(int port, int (*use)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || use(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		exit(1);
	return fd;
}

static void put(int fd, const void *what, size_t n)
{
	if (write(fd, what, n) != (ssize_t)n)
		exit(1);
}

/* Until the server is ready for the next; its answers are small. */
static void answered(int fd)
{
	char b[8192];
	ssize_t n = 0, r;

	while (n < 6 || memcmp(b + n - 6, "Z\0\0\0\5", 5) != 0) {
		r = read(fd, b + n, sizeof(b) - (size_t)n);
		if (r <= 0)
			exit(1);
		n += r;
	}
}

static int database(int port, const char *user, const char *name)
{
	char b[256];
	int fd = tcp(port, connect), n;

	n = snprintf(b + 8, sizeof(b) - 8, "user%c%s%cdatabase%c%s%c", 0, user, 0, 0, name, 0) + 9;
	memcpy(b, (uint32_t[]){ htonl((uint32_t)n), htonl(196608) }, 8);
	put(fd, b, (size_t)n);
	answered(fd);
	return fd;
}

/* The first or the second statement of the request whose id is given. */
static void ask_for(int fd, int second, const char *id)
{
	char b[128];
	int n = snprintf(b + 5, sizeof(b) - 5, second ? "SELECT generate_series(1, 3) AS id_%s" : "SELECT 1 AS id_%s",
			 id) +
		1;

	b[0] = 'Q';
	memcpy(b + 1, (uint32_t[]){ htonl((uint32_t)n + 4) }, 4);
	put(fd, b, (size_t)n + 5);
}

static void answer_ok(int fd)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

	put(fd, ok, sizeof(ok) - 1);
}

/* A request's head, which comes in one piece. 1: of /orders/ID/; 2: of /warm/ID/; 0: of something else; -1: the client
 * has left, and *fd is 0. */
static int request_read(int *fd, char id[16])
{
	char b[4096];
	ssize_t n = read(*fd, b, sizeof(b) - 1);

	if (n <= 0) {
		close(*fd);
		*fd = 0;
		return -1;
	}
	b[n] = '\0';
	if (!strncmp(b, "GET /warm/", 10))
		return 2;
	return sscanf(b, "GET /orders/%15[a-z0-9]/", id) == 1;
}

#endif
