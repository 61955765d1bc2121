/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/outbox.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/messages.h"
#include "util/buf.h"

#define WAITING_MAX (1u << 20)

struct outbox {
	int sock;
	struct buf waiting; /* uint32_t size and message, again and again */
	size_t sent;	    /* bytes of it that went out */
};

struct outbox *outbox_new(int sock)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (o)
		o->sock = sock;
	return o;
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	buf_free(&o->waiting);
	free(o);
}

int outbox_send(struct outbox *o, const void *message, size_t size)
{
	uint32_t n = (uint32_t)size;
	int r;

	if (o->sock < 0)
		return 0;
	if (o->waiting.n == o->sent) {
		r = channel_send(o->sock, message, size, -1);
		if (r != -EAGAIN)
			return r;
	}
	if (o->waiting.n - o->sent + size > WAITING_MAX)
		return -ENOBUFS;
	if (!buf_reserve(&o->waiting, sizeof(n) + size)) {
		o->waiting.failed = false; /* what waits is whole, and memory may come back */
		return -ENOMEM;
	}
	buf_add(&o->waiting, bytes_of(&n, sizeof(n)));
	buf_add(&o->waiting, bytes_of(message, size));
	return 0;
}

int outbox_flush(struct outbox *o)
{
	while (o->sent < o->waiting.n) {
		uint32_t n;
		int r;

		memcpy(&n, o->waiting.p + o->sent, sizeof(n));
		r = channel_send(o->sock, o->waiting.p + o->sent + sizeof(n), n, -1);
		if (r == -EAGAIN)
			return 0;
		if (r)
			return r;
		o->sent += sizeof(n) + n;
	}
	if (o->sent)
		buf_free(&o->waiting);
	o->sent = 0;
	return 0;
}
