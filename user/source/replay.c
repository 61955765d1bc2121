/* SPDX-License-Identifier: Apache-2.0 */
#include "source/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX 4096

struct replay {
	int fd;
	uint64_t offset, next; /* of the current record and of the one behind it */
	struct recording_header header;
	size_t have, used; /* bytes in data, and how many of them were handed out */
	_Alignas(8) char data[RECORDING_PAYLOAD_MAX + 64];
};

/* Makes n unread bytes available at *ret, aligned. 1, 0 when the file ends before the first of them, -EBADMSG when
 * later. */
static int need(struct replay *r, size_t n, const char **ret)
{
	if (r->have - r->used < n) {
		memmove(r->data, r->data + r->used, r->have - r->used);
		r->have -= r->used;
		r->used = 0;
	}
	while (r->have - r->used < n) {
		ssize_t got = read(r->fd, r->data + r->have, sizeof(r->data) - r->have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return r->have == r->used ? 0 : -EBADMSG;
		r->have += (size_t)got;
	}
	*ret = r->data + r->used;
	return 1;
}

static int read_header(struct replay *r)
{
	struct recording_header *h = &r->header;
	const char *p;
	int e = need(r, sizeof(*h), &p);

	if (e != 1)
		return e < 0 && e != -EBADMSG ? e : -EPROTONOSUPPORT;
	memcpy(h, p, sizeof(*h));
	if (memcmp(h->magic, RECORDING_MAGIC, sizeof(h->magic)) != 0)
		return -EPROTONOSUPPORT;
	if (h->version != RECORDING_VERSION || h->size < sizeof(*h) || h->size > HEADER_MAX || h->size % 8)
		return -EPROTO;
	e = need(r, h->size, &p);
	if (e != 1)
		return e < 0 ? e : -EBADMSG;
	r->used += h->size;
	r->next = h->size;
	h->host_name[sizeof(h->host_name) - 1] = '\0';
	h->host_id[sizeof(h->host_id) - 1] = '\0';
	h->kernel[sizeof(h->kernel) - 1] = '\0';
	return 0;
}

int replay_new(int fd, struct replay **ret)
{
	struct replay *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	e = read_header(r);
	if (e) {
		replay_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void replay_free(struct replay *r)
{
	free(r);
}

const struct recording_header *replay_header(const struct replay *r)
{
	return &r->header;
}

int replay_next(struct replay *r, struct replay_record *ret)
{
	struct recording_entry entry;
	const char *p;
	size_t padded;
	int e;

	r->offset = r->next;
	e = need(r, sizeof(entry), &p);
	if (e != 1)
		return e;
	memcpy(&entry, p, sizeof(entry));
	if (entry.size > RECORDING_PAYLOAD_MAX || entry.type < RECORDING_EVENT || entry.type > RECORDING_READING)
		return -EBADMSG;
	r->used += sizeof(entry);
	padded = (entry.size + 7u) & ~(size_t)7;
	e = padded ? need(r, padded, &p) : 1;
	if (e != 1)
		return e < 0 ? e : -EBADMSG;
	r->used += padded;
	r->next += sizeof(entry) + padded;
	*ret = (struct replay_record){ (enum recording_type)entry.type, entry.time, p, entry.size };
	return 1;
}

uint64_t replay_offset(const struct replay *r)
{
	return r->offset;
}
