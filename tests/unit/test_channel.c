/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/messages.h"
#include "util/cleanup.h"

struct pair {
	int a, b;
};

static int open_descriptors(void)
{
	_cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	return n;
}

static int setup(void **state)
{
	static struct pair p;
	int socks[2];

	assert_int_equal(channel_pair(socks), 0);
	p = (struct pair){ socks[0], socks[1] };
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	if (p->a >= 0)
		close(p->a);
	if (p->b >= 0)
		close(p->b);
	return 0;
}

static void test_packets_keep_their_borders(void **state)
{
	struct pair *p = *state;
	struct message_plain m = { .kind = MESSAGE_READY, .value = 7 };
	char big[MESSAGE_MAX], in[MESSAGE_MAX];
	int fd = 99;

	memset(big, 'x', sizeof(big));
	assert_int_equal(channel_send(p->a, &m, sizeof(m), -1), 0);
	assert_int_equal(channel_send(p->a, big, sizeof(big), -1), 0);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), sizeof(m));
	assert_memory_equal(in, &m, sizeof(m));
	assert_int_equal(fd, -1);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
}

static void test_close_on_exec(void **state)
{
	struct pair *p = *state;

	assert_true(fcntl(p->a, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(p->b, F_GETFD) & FD_CLOEXEC);
}

static void test_descriptor_travels(void **state)
{
	struct pair *p = *state;
	_cleanup_close_ int sent = open("/proc/self/exe", O_RDONLY);
	int before = open_descriptors(), fd = -1;
	struct stat x, y;
	char in[16];

	assert_int_equal(channel_send(p->a, "m", 1, sent), 0);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 1);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(sent, &x), 0);
	assert_int_equal(fstat(fd, &y), 0);
	assert_int_equal(x.st_ino, y.st_ino);
	close(fd);
	assert_int_equal(open_descriptors(), before);
}

static void test_too_large_is_an_error(void **state)
{
	struct pair *p = *state;
	_cleanup_close_ int sent = open("/dev/null", O_RDONLY);
	int before = open_descriptors(), fd = 99;
	char in[4];

	assert_int_equal(channel_send(p->a, "longer", 6, sent), 0);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), -EMSGSIZE);
	assert_int_equal(fd, 99);
	assert_int_equal(open_descriptors(), before);
	/* the next packet is whole */
	assert_int_equal(channel_send(p->a, "four", 4, -1), 0);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 4);
	assert_memory_equal(in, "four", 4);
}

static void test_sender_is_checked(void **state)
{
	struct pair *p = *state;
	char big[MESSAGE_MAX + 1] = { 0 };

	assert_int_equal(channel_send(p->a, big, sizeof(big), -1), -EMSGSIZE);
	assert_int_equal(channel_send(p->a, big, 0, -1), -EINVAL);
	assert_int_equal(channel_send(p->a, big, 1, 9999), -EBADF);
}

/* A hostile peer: more descriptors than the one that is allowed, with a message or without. */
static void send_descriptors(int sock, int n, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = "m", .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space };
	struct cmsghdr *c;
	int fds[64];

	for (int i = 0; i < n; i++)
		fds[i] = STDERR_FILENO;
	msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), size);
}

static void test_surplus_descriptors_are_closed(void **state)
{
	static const int counts[] = { 2, 3, 8, 9, 64 };
	struct pair *p = *state;

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		int before = open_descriptors(), fd = -1;
		char in[16];

		send_descriptors(p->a, counts[i], 1);
		assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 1);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(open_descriptors(), before);

		send_descriptors(p->a, counts[i], 0);
		assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 0);
		assert_int_equal(open_descriptors(), before);
	}
}

static void test_other_side_gone(void **state)
{
	struct pair *p = *state;
	char in[16];
	int fd = 99;

	assert_int_equal(channel_send(p->a, "last", 4, -1), 0);
	close(p->a);
	p->a = -1;
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 4);
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 0);
	assert_int_equal(channel_send(p->b, "x", 1, -1), -EPIPE); /* and no SIGPIPE */
}

/* The peer died with our packet unread in its queue: the kernel says ECONNRESET once; it is the same end. */
static void test_other_side_died_unread(void **state)
{
	struct pair *p = *state;
	char in[16];
	int fd = 99;

	assert_int_equal(channel_send(p->b, "unread", 6, -1), 0);
	close(p->a);
	p->a = -1;
	assert_int_equal(channel_receive(p->b, in, sizeof(in), &fd), 0);
}

static void test_slow_reader_does_not_block(void **state)
{
	struct pair *p = *state;
	char m[1024] = { 0 };
	int n = 0, r;

	assert_int_equal(fcntl(p->a, F_SETFL, O_NONBLOCK), 0);
	while ((r = channel_send(p->a, m, sizeof(m), -1)) == 0 && n < 100000)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n >= 64); /* room for a burst */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packets_keep_their_borders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_on_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptor_travels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_surplus_descriptors_are_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_side_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_side_died_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader_does_not_block, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
