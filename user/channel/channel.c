/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "channel/messages.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/cleanup.h"

#define CHANNEL_BUFFER (1 << 20)

/* Room for more descriptors than are wanted, so that surplus ones arrive, and can be closed, rather than confuse. */
#define CHANNEL_FDS 8

int channel_send(int sock, const void *message, size_t size, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (size == 0)
		return -EINVAL; /* would look like the end of the other side */
	if (size > MESSAGE_MAX)
		return -EMSGSIZE;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The first descriptor of the packet; all others are closed. */
static int take_first_fd(struct msghdr *msg)
{
	int first = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

int channel_receive(int sock, void *message, size_t size, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space };
	_cleanup_close_ int fd = -1;
	ssize_t n;

	do {
		msg.msg_controllen = sizeof(control.space);
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	fd = take_first_fd(&msg);
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (n == 0)
		return 0;
	*ret_fd = take_fd(&fd);
	return (int)n;
}

int channel_pair(int ret_socks[2])
{
	int socks[2], room = CHANNEL_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	/* Best effort: FORCE needs CAP_NET_ADMIN, the plain option stops at net.core.wmem_max. */
	for (int i = 0; i < 2; i++)
		if (setsockopt(socks[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
			(void)setsockopt(socks[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	ret_socks[0] = socks[0];
	ret_socks[1] = socks[1];
	return 0;
}
