/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket_calls ROUNDS: a client and a server, one process each, exchange HTTP requests by every system call that moves
 * bytes of a stream socket, over IPv4, IPv6 and Unix sockets. The path of a request names family and call; of its
 * ROUNDS requests on one kept connection every second is a POST. Prints "family TAB call TAB requests" a line; what the
 * kernel refuses (io_uring may be forbidden) has "-" for the number.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY 9000 /* of a POST, and of each answer: several reads and more than one copy of a hook */
#define BLOCK 4096
#define BUFFERS 16
#define GROUP 7

struct end {
	int fd, memory, pipe[2];
	struct io_uring ring;
	struct io_uring_buf_ring *provided;
	char *pool;
	char held[BLOCK]; /* of a provided buffer, what was not asked for yet */
	size_t holds, from;
	int armed;
	int flags; /* of each request of the ring */
};

struct call {
	const char *name;
	long (*take)(struct end *e, char *b, size_t n);
	void (*give)(struct end *e, char *head, size_t h, char *body, size_t n);
	int (*ready)(struct end *e); /* false: this kernel does not have it */
};

static char body[BODY];

static void need(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

/* --- read, readv, recv, recvmsg, recvmmsg and their like --- */

static long take_read(struct end *e, char *b, size_t n)
{
	return read(e->fd, b, n);
}

static void all_by(struct end *e, long (*call)(struct end *e, char *b, size_t n), char *b, size_t n)
{
	long done;

	for (; n; b += done, n -= done) {
		done = call(e, b, n);
		need(done > 0, "send");
	}
}

static long write_some(struct end *e, char *b, size_t n)
{
	return write(e->fd, b, n);
}

static void give_write(struct end *e, char *head, size_t h, char *b, size_t n)
{
	all_by(e, write_some, head, h);
	all_by(e, write_some, b, n);
}

/* In turns: an empty one first, and the head in two pieces; the head in one, as most servers do. */
static int pieces(struct iovec *v, char *head, size_t h, char *b, size_t n)
{
	static int turn;

	if (turn++ % 2) {
		v[0] = (struct iovec){ head, h };
		v[1] = (struct iovec){ b, n > 10 ? 10 : n };
		v[2] = (struct iovec){ b + v[1].iov_len, n - v[1].iov_len };
		v[3] = (struct iovec){ b, 0 };
		return 4;
	}
	v[0] = (struct iovec){ head, 0 };
	v[1] = (struct iovec){ head, h > 20 ? 20 : h };
	v[2] = (struct iovec){ head + v[1].iov_len, h - v[1].iov_len };
	v[3] = (struct iovec){ b, n };
	return 4;
}

static size_t total(const struct iovec *v, int n)
{
	size_t all = 0;

	while (n-- > 0)
		all += v[n].iov_len;
	return all;
}

static long take_readv(struct end *e, char *b, size_t n)
{
	struct iovec v[4];

	return readv(e->fd, v, pieces(v, b, n, b, 0) - 1);
}

static void give_writev(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec v[4];
	int count = pieces(v, head, h, b, n);

	need(writev(e->fd, v, count) == (long)total(v, count), "writev");
}

/* A piece for each word, blank and line's end, as Varnish writes. */
static void give_words(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec v[64];
	size_t at, word;
	int count = 0;

	for (at = 0; at < h; at += v[count++].iov_len) {
		word = strcspn(head + at, " \r");
		v[count] = (struct iovec){ head + at, word ? word : head[at] == ' ' ? 1 : 2 };
	}
	v[count++] = (struct iovec){ b, n };
	need(writev(e->fd, v, count) == (long)total(v, count), "writev");
}

static long take_recv(struct end *e, char *b, size_t n)
{
	need(recv(e->fd, b, 64, MSG_PEEK) >= 0, "peek");
	return recv(e->fd, b, n, 0);
}

static void give_send(struct end *e, char *head, size_t h, char *b, size_t n)
{
	need(send(e->fd, head, h, n ? MSG_MORE : 0) == (long)h, "send");
	need(!n || send(e->fd, b, n, MSG_NOSIGNAL) == (long)n, "send");
}

static long take_recvmsg(struct end *e, char *b, size_t n)
{
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = pieces(v, b, n, b, 0) - 1 };

	return recvmsg(e->fd, &m, 0);
}

static void give_sendmsg(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = pieces(v, head, h, b, n) };

	need(sendmsg(e->fd, &m, 0) == (long)total(v, 4), "sendmsg");
}

static long take_recvmmsg(struct end *e, char *b, size_t n)
{
	struct iovec first = { b, n > 1000 ? 1000 : n }, second = { b + first.iov_len, n - first.iov_len };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &first, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &second, .msg_iovlen = 1 } } };
	int got = recvmmsg(e->fd, m, second.iov_len ? 2 : 1, MSG_WAITFORONE, NULL);

	need(got >= 0, "recvmmsg");
	return got ? m[0].msg_len + (got > 1 ? m[1].msg_len : 0) : 0;
}

static void give_sendmmsg(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec first = { head, h }, second = { b, n };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &first, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &second, .msg_iovlen = 1 } } };
	int messages = n ? 2 : 1;

	need(sendmmsg(e->fd, m, messages, 0) == messages && m[0].msg_len == h && (!n || m[1].msg_len == n), "sendmmsg");
}

/* --- bytes that come from files and go through pipes --- */

static void give_sendfile(struct end *e, char *head, size_t h, char *b, size_t n)
{
	off_t from = 0;

	need(send(e->fd, head, h, n ? MSG_MORE : 0) == (long)h, "send");
	need(!n || pwrite(e->memory, b, n, 0) == (long)n, "pwrite");
	while ((size_t)from < n)
		need(sendfile(e->fd, e->memory, &from, n - from) > 0, "sendfile");
}

static void give_splice(struct end *e, char *head, size_t h, char *b, size_t n)
{
	long done, at, moved;

	need(send(e->fd, head, h, 0) == (long)h, "send");
	for (; n; b += done, n -= done) {
		done = write(e->pipe[1], b, n > BLOCK ? BLOCK : n);
		need(done > 0, "pipe");
		for (at = 0; at < done; at += moved) {
			moved = splice(e->pipe[0], NULL, e->fd, NULL, done - at, 0);
			need(moved > 0, "splice");
		}
	}
}

/* A head is received, exactly; what follows it is spliced. */
static long take_splice(struct end *e, char *b, size_t n)
{
	long got = recv(e->fd, b, n, MSG_PEEK), moved;
	char *end = got > 0 ? memmem(b, got, "\r\n\r\n", 4) : NULL;

	if (got <= 0)
		return got;
	if (end)
		return recv(e->fd, b, end + 4 - b, 0);
	moved = splice(e->fd, NULL, e->pipe[1], NULL, n > BLOCK ? BLOCK : n, 0);
	need(moved > 0, "splice");
	return read(e->pipe[0], b, moved);
}

static long take_nonblock(struct end *e, char *b, size_t n)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };
	long got;

	while ((got = recv(e->fd, b, n, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		poll(&p, 1, 1000);
	return got;
}

static int zerocopy_ready(struct end *e)
{
	int one = 1;

	return setsockopt(e->fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0;
}

static void give_zerocopy(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct pollfd p = { .fd = e->fd };
	char control[256];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };

	give_write(e, head, h, b, 0);
	need(!n || send(e->fd, b, n, MSG_ZEROCOPY) == (long)n, "zerocopy");
	if (n && poll(&p, 1, 1000) == 1)
		need(recvmsg(e->fd, &m, MSG_ERRQUEUE) == 0, "error queue");
}

/* --- io_uring --- */

static int ring_ready(struct end *e)
{
	return io_uring_queue_init(BUFFERS, &e->ring, 0) == 0;
}

static int polled_ready(struct end *e)
{
	return io_uring_queue_init(BUFFERS, &e->ring, IORING_SETUP_SQPOLL) == 0;
}

static struct io_uring_sqe *next(struct end *e)
{
	return io_uring_get_sqe(&e->ring);
}

static long done(struct end *e)
{
	struct io_uring_cqe *c;
	long result;

	need(io_uring_submit(&e->ring) >= 0 && io_uring_wait_cqe(&e->ring, &c) == 0, "io_uring");
	result = c->res;
	io_uring_cqe_seen(&e->ring, c);
	return result;
}

static long ring_recv(struct end *e, char *b, size_t n)
{
	struct io_uring_sqe *s = next(e);

	io_uring_prep_recv(s, e->flags & IOSQE_FIXED_FILE ? 0 : e->fd, b, n, 0);
	s->flags |= e->flags;
	return done(e);
}

static long ring_send(struct end *e, char *b, size_t n)
{
	struct io_uring_sqe *s = next(e);

	io_uring_prep_send(s, e->flags & IOSQE_FIXED_FILE ? 0 : e->fd, b, n, 0);
	s->flags |= e->flags;
	return done(e);
}

static void give_ring(struct end *e, char *head, size_t h, char *b, size_t n)
{
	all_by(e, ring_send, head, h);
	all_by(e, ring_send, b, n);
}

/* By a thread of the kernel's. */
static int async_ready(struct end *e)
{
	e->flags = IOSQE_ASYNC;
	return ring_ready(e);
}

/* By a place in the ring's own table of files. */
static int fixed_ready(struct end *e)
{
	e->flags = IOSQE_FIXED_FILE;
	return ring_ready(e) && io_uring_register_files(&e->ring, &e->fd, 1) == 0;
}

static long ring_recvmsg(struct end *e, char *b, size_t n)
{
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = pieces(v, b, n, b, 0) - 1 };

	io_uring_prep_recvmsg(next(e), e->fd, &m, 0);
	return done(e);
}

static void give_ring_msg(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec v[4];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = pieces(v, head, h, b, n) };

	io_uring_prep_sendmsg(next(e), e->fd, &m, MSG_WAITALL);
	need(done(e) == (long)total(v, 4), "sendmsg");
}

static long ring_read(struct end *e, char *b, size_t n)
{
	io_uring_prep_read(next(e), e->fd, b, n, 0);
	return done(e);
}

static long ring_write(struct end *e, char *b, size_t n)
{
	io_uring_prep_write(next(e), e->fd, b, n, 0);
	return done(e);
}

static void give_ring_write(struct end *e, char *head, size_t h, char *b, size_t n)
{
	all_by(e, ring_write, head, h);
	all_by(e, ring_write, b, n);
}

static long ring_readv(struct end *e, char *b, size_t n)
{
	struct iovec v[4];

	io_uring_prep_readv(next(e), e->fd, v, pieces(v, b, n, b, 0) - 1, 0);
	return done(e);
}

static void give_ring_writev(struct end *e, char *head, size_t h, char *b, size_t n)
{
	struct iovec v[4];

	io_uring_prep_writev(next(e), e->fd, v, pieces(v, head, h, b, n), 0);
	need(done(e) == (long)total(v, 4), "writev");
}

/* One request of the ring receives again and again, into buffers that the kernel takes from a pool. */
static void provide(struct end *e, int i)
{
	io_uring_buf_ring_add(e->provided, e->pool + i * BLOCK, BLOCK, i, BUFFERS - 1, 0);
	io_uring_buf_ring_advance(e->provided, 1);
}

static int multishot_ready(struct end *e)
{
	struct io_uring_buf_reg r = { .ring_entries = BUFFERS, .bgid = GROUP };
	int i;

	e->provided = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	e->pool = malloc(BUFFERS * BLOCK);
	r.ring_addr = (unsigned long)e->provided;
	if (!ring_ready(e) || io_uring_register_buf_ring(&e->ring, &r, 0))
		return 0;
	io_uring_buf_ring_init(e->provided);
	for (i = 0; i < BUFFERS; i++)
		provide(e, i);
	return 1;
}

static void arm(struct end *e)
{
	struct io_uring_sqe *s = next(e);

	io_uring_prep_recv_multishot(s, e->fd, NULL, 0, 0);
	s->flags |= IOSQE_BUFFER_SELECT;
	s->buf_group = GROUP;
	e->armed = 1;
	need(io_uring_submit(&e->ring) >= 0, "io_uring");
}

static long take_multishot(struct end *e, char *b, size_t n)
{
	struct io_uring_cqe *c;
	int buffer;

	if (e->holds == e->from) {
		if (!e->armed)
			arm(e);
		need(io_uring_wait_cqe(&e->ring, &c) == 0, "io_uring");
		e->armed = !!(c->flags & IORING_CQE_F_MORE);
		if (c->res <= 0)
			return c->res;
		buffer = c->flags >> IORING_CQE_BUFFER_SHIFT;
		e->holds = c->res;
		e->from = 0;
		memcpy(e->held, e->pool + buffer * BLOCK, e->holds);
		provide(e, buffer);
		io_uring_cqe_seen(&e->ring, c);
	}
	if (n > e->holds - e->from)
		n = e->holds - e->from;
	memcpy(b, e->held + e->from, n);
	e->from += n;
	return n;
}

static const struct call calls[] = {
	{ "read", take_read, give_write, NULL },
	{ "readv", take_readv, give_writev, NULL },
	{ "words", take_read, give_words, NULL },
	{ "recv", take_recv, give_send, NULL },
	{ "recvmsg", take_recvmsg, give_sendmsg, NULL },
	{ "recvmmsg", take_recvmmsg, give_sendmmsg, NULL },
	{ "nonblock", take_nonblock, give_send, NULL },
	{ "sendfile", take_read, give_sendfile, NULL },
	{ "splice", take_splice, give_splice, NULL },
	{ "zerocopy", take_read, give_zerocopy, zerocopy_ready },
	{ "uring_recv", ring_recv, give_ring, ring_ready },
	{ "uring_recvmsg", ring_recvmsg, give_ring_msg, ring_ready },
	{ "uring_read", ring_read, give_ring_write, ring_ready },
	{ "uring_readv", ring_readv, give_ring_writev, ring_ready },
	{ "uring_async", ring_recv, give_ring, async_ready },
	{ "uring_fixed", ring_recv, give_ring, fixed_ready },
	{ "uring_polled", ring_recv, give_ring, polled_ready },
	{ "uring_multishot", take_multishot, give_write, multishot_ready },
};

/* --- what they exchange --- */

/* Of the message that begins with b; 0: its head is not complete. */
static size_t size_of(const char *b)
{
	const char *end = strstr(b, "\r\n\r\n"), *length = strstr(b, "Content-Length: ");

	return end ? (size_t)(end + 4 - b) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0) : 0;
}

/* False: the other end has closed. */
static int message(struct end *e, const struct call *c)
{
	char b[BODY + 1024];
	size_t n = 0, all = 0;
	long got;

	while (!all || n < all) {
		got = c->take(e, b + n, (all ? all : sizeof(b) - 1) - n);
		if (!got && !n)
			return 0;
		need(got > 0, c->name);
		n += got;
		b[n] = 0;
		all = all ? all : size_of(b);
	}
	return 1;
}

static void end_of(struct end *e, int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* no waiting for what a Unix socket has not */
	*e = (struct end){ .fd = fd, .memory = memfd_create("body", 0) };
	need(e->memory >= 0 && pipe(e->pipe) == 0, "pipe");
}

static void serve(int listener, const struct call *c)
{
	char head[256];
	struct end e;
	int n;

	end_of(&e, accept(listener, NULL, NULL));
	need(!c->ready || c->ready(&e), c->name);
	n = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", BODY);
	while (message(&e, c))
		c->give(&e, head, n, body, BODY);
	_exit(0);
}

static void ask(struct end *e, const struct call *c, const char *family, int i)
{
	int post = i % 2;
	char head[256];
	int n = sprintf(head, "%s /%s/%s/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
			post ? "POST" : "GET", family, c->name, i, post ? BODY : 0);

	c->give(e, head, n, body, post ? BODY : 0);
	need(message(e, c), c->name);
}

struct family {
	const char *name;
	struct sockaddr_storage at;
	socklen_t size;
};

static void families(struct family *f)
{
	struct sockaddr_in *v4 = (void *)&f[0].at;
	struct sockaddr_in6 *v6 = (void *)&f[1].at;
	struct sockaddr_un *un = (void *)&f[2].at;

	f[0].name = "tcp4";
	f[0].size = sizeof(*v4);
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f[1].name = "tcp6";
	f[1].size = sizeof(*v6);
	v6->sin6_family = AF_INET6;
	v6->sin6_addr = in6addr_loopback;
	f[2].name = "unix";
	un->sun_family = AF_UNIX;
	f[2].size = sizeof(sa_family_t); /* the kernel chooses an abstract name */
}

static void exchange(const struct family *f, const struct call *c, int rounds)
{
	int listener = socket(f->at.ss_family, SOCK_STREAM, 0), fd = socket(f->at.ss_family, SOCK_STREAM, 0), status, i;
	struct sockaddr_storage at = f->at;
	socklen_t size = sizeof(at);
	struct end e;
	pid_t server;

	need(bind(listener, (void *)&at, f->size) == 0 && listen(listener, 1) == 0, f->name);
	need(getsockname(listener, (void *)&at, &size) == 0, "getsockname");
	end_of(&e, fd);
	if (c->ready && !c->ready(&e)) {
		printf("%s\t%s\t-\n", f->name, c->name);
		return;
	}
	fflush(stdout);
	server = fork();
	if (server == 0) {
		close(fd);
		serve(listener, c);
	}
	need(connect(fd, (void *)&at, size) == 0, "connect");
	for (i = 0; i < rounds; i++)
		ask(&e, c, f->name, i);
	shutdown(fd, SHUT_RDWR);
	need(waitpid(server, &status, 0) == server && status == 0, c->name);
	printf("%s\t%s\t%d\n", f->name, c->name, rounds);
	if (c->ready && c->ready != zerocopy_ready)
		io_uring_queue_exit(&e.ring);
	close(fd);
	close(listener);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	struct family f[3] = { 0 };
	size_t i, k;

	alarm(120);
	families(f);
	memset(body, 'b', sizeof(body));
	for (i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		for (k = 0; k < sizeof(calls) / sizeof(calls[0]); k++)
			exchange(&f[i], &calls[k], rounds);
	return 0;
}
