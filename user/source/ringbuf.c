/* SPDX-License-Identifier: Apache-2.0 */
#include "source/ringbuf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Larger than any record: events are bounded by EVENT_STREAM_MAX and the like, a few KiB. */
#define WINDOW_BYTES (512u << 10)

struct source {
	int fd;
	size_t page, ring_bytes, window_bytes;
	unsigned long *consumer; /* the only page that we may write; see IN_HAND */
	bool skip;		 /* the first record was in a dead worker's hands */
	const unsigned long *producer;
	const char *window; /* the ring from byte `base` on; NULL = nothing mapped */
	size_t base;	    /* page-aligned offset in the ring, below ring_bytes */
	source_record_fn *record;
	void *context;
};

/*
 * The kernel looks at the first word of the consumer's page only. Here stands, one up, the position of the record at
 * hand: a worker that dies with it leaves both words alike, and the next one does not take the record again. Its span
 * would be counted as lost and as exported; and if it was the record that killed, it would kill once more.
 */
#define IN_HAND 8

static int map_pages(struct source *s, int protection, off_t offset, size_t bytes, void *ret)
{
	void *p = mmap(NULL, bytes, protection, MAP_SHARED, s->fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)ret = p;
	return 0;
}

int source_map(int fd, size_t ring_bytes, source_record_fn *record, void *context, struct source **ret)
{
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->page = (size_t)sysconf(_SC_PAGESIZE);
	s->ring_bytes = ring_bytes;
	/* A small ring is mapped as the kernel offers it, twice in a row; else a window slides over that. */
	s->window_bytes = 2 * ring_bytes < WINDOW_BYTES ? 2 * ring_bytes : WINDOW_BYTES;
	s->record = record;
	s->context = context;
	r = map_pages(s, PROT_READ | PROT_WRITE, 0, s->page, &s->consumer);
	if (!r)
		r = map_pages(s, PROT_READ, (off_t)s->page, s->page, &s->producer);
	if (r) {
		source_free(s);
		return r;
	}
	s->skip = s->consumer[IN_HAND] == *s->consumer + 1;
	*ret = s;
	return 0;
}

int source_new(int map_fd, source_record_fn *record, void *context, struct source **ret)
{
	struct bpf_map_info info = { 0 };
	__u32 info_len = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	return source_map(map_fd, info.max_entries, record, context, ret);
}

void source_free(struct source *s)
{
	if (!s)
		return;
	if (s->window)
		munmap((void *)s->window, s->window_bytes);
	if (s->producer)
		munmap((void *)s->producer, s->page);
	if (s->consumer)
		munmap(s->consumer, s->page);
	free(s);
}

/* Where the n bytes at position pos can be read. The kernel maps the ring twice in a row, so no record is in two parts.
 */
static int view(struct source *s, unsigned long pos, size_t n, const char **ret)
{
	size_t offset = pos & (s->ring_bytes - 1);
	int r;

	if (!s->window || offset < s->base || offset + n > s->base + s->window_bytes) {
		if (s->window)
			munmap((void *)s->window, s->window_bytes);
		s->window = NULL;
		s->base = s->window_bytes == 2 * s->ring_bytes ? 0 : offset & ~(s->page - 1);
		r = map_pages(s, PROT_READ, (off_t)(2 * s->page + s->base), s->window_bytes, &s->window);
		if (r)
			return r;
		if (offset + n > s->base + s->window_bytes)
			return -EMSGSIZE;
	}
	*ret = s->window + (offset - s->base);
	return 0;
}

int source_poll(struct source *s, unsigned max)
{
	unsigned long pos = *s->consumer; /* nobody else writes it */
	unsigned taken = 0;
	int r = 0;

	while (!r && taken < max && pos != __atomic_load_n(s->producer, __ATOMIC_ACQUIRE)) {
		const char *p;
		__u32 len, size;

		r = view(s, pos, BPF_RINGBUF_HDR_SZ, &p);
		if (r)
			break;
		len = __atomic_load_n((const __u32 *)p, __ATOMIC_ACQUIRE);
		if (len & BPF_RINGBUF_BUSY_BIT)
			break; /* reserved, not written yet */
		size = len & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
			r = view(s, pos, BPF_RINGBUF_HDR_SZ + (size_t)size, &p);
			if (r)
				break;
			__atomic_store_n(&s->consumer[IN_HAND], pos + 1, __ATOMIC_RELEASE);
			r = s->skip ? 0 : s->record(s->context, p + BPF_RINGBUF_HDR_SZ, size);
			if (r == -EAGAIN)
				break;
			s->skip = false;
			taken++;
		}
		pos += (BPF_RINGBUF_HDR_SZ + (unsigned long)size + 7) & ~7UL;
		__atomic_store_n(s->consumer, pos, __ATOMIC_RELEASE);
	}
	return r && r != -EAGAIN ? r : (int)taken;
}
