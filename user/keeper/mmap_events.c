/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keeper/mmap_events.h"

#include <errno.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

#define RING_PAGES 16 /* power of two; about 400 records, and resident memory for each CPU */

struct ring {
	int fd;
	struct perf_event_mmap_page *page; /* the control page; data follows */
};

struct mmap_events {
	int epoll;
	uint64_t lost;
	size_t page_size, rings_n;
	struct ring rings[];
};

/* perf_event_open(2), PERF_RECORD_MMAP2 without build id. */
struct record_mmap2 {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t major, minor;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
	char filename[PATH_MAX + sizeof(uint64_t)]; /* NUL-terminated and padded */
};

struct record_lost {
	struct perf_event_header header;
	uint64_t id, lost;
};

static size_t ring_bytes(const struct mmap_events *m)
{
	return m->page_size * (1 + RING_PAGES);
}

void mmap_events_close(struct mmap_events *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->rings_n; i++) {
		if (m->rings[i].page)
			munmap(m->rings[i].page, ring_bytes(m));
		if (m->rings[i].fd >= 0)
			close(m->rings[i].fd);
	}
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}

static void cleanup_mmap_events(struct mmap_events **m)
{
	mmap_events_close(*m);
}

static int open_ring(struct mmap_events *m, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1,
		.mmap2 = 1,
		.watermark = 1,
		.wakeup_watermark = 1, /* wake for every record: a probe must be in place before the library is used */
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	struct epoll_event want = { .events = EPOLLIN };
	struct ring *r = &m->rings[m->rings_n];
	void *page;

	r->page = NULL;
	r->fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	m->rings_n++;
	page = mmap(NULL, ring_bytes(m), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	r->page = page;
	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, r->fd, &want) < 0 ? -errno : 0;
}

int mmap_events_open(struct mmap_events **ret)
{
	_cleanup_(cleanup_mmap_events) struct mmap_events *m = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int r;

	if (cpus < 1)
		return -EINVAL;
	m = calloc(1, sizeof(*m) + (size_t)cpus * sizeof(m->rings[0]));
	if (!m)
		return -ENOMEM;
	m->page_size = (size_t)sysconf(_SC_PAGESIZE);
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++) {
		r = open_ring(m, cpu);
		if (r < 0 && r != -ENODEV) /* ENODEV: offline */
			return r;
	}
	if (m->rings_n == 0)
		return -ENODEV;
	*ret = TAKE_PTR(m);
	return 0;
}

int mmap_events_fd(const struct mmap_events *m)
{
	return m->epoll;
}

uint64_t mmap_events_lost(const struct mmap_events *m)
{
	return m->lost;
}

static bool starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_file(const struct record_mmap2 *record)
{
	const char *name = record->filename;

	return (record->prot & PROT_EXEC) && record->ino && name[0] == '/' && name[1] != '/' &&
	       !starts(name, "/memfd:") && !starts(name, "/dev/zero") && !starts(name, "/SYSV");
}

/* Copies out of the ring, where a record may run over the end. */
static void ring_copy(const struct ring *r, uint64_t from, void *to, size_t n)
{
	const char *data = (const char *)r->page + r->page->data_offset;
	size_t size = r->page->data_size, at = from & (size - 1), first = size - at < n ? size - at : n;

	memcpy(to, data + at, first);
	memcpy((char *)to + first, data, n - first);
}

static int hand_over(const struct ring *r, uint64_t at, size_t size, mmap_events_fn *fn, void *context)
{
	struct record_mmap2 record;
	struct message_mapped mapped;

	if (size <= offsetof(struct record_mmap2, filename))
		return 0;
	if (size > sizeof(record))
		size = sizeof(record);
	ring_copy(r, at, &record, size);
	((char *)&record)[size - 1] = '\0';
	if (!is_file(&record))
		return 0;
	mapped = (struct message_mapped){
		.kind = MESSAGE_MAPPED,
		.tgid = record.pid,
		.dev_major = record.major,
		.dev_minor = record.minor,
		.ino = record.ino,
		.ino_generation = record.ino_generation,
		.start = record.addr,
		.len = record.len,
		.pgoff = record.pgoff,
	};
	memcpy(mapped.path, record.filename, strnlen(record.filename, sizeof(mapped.path) - 1));
	fn(context, &mapped);
	return 1;
}

static int read_ring(struct mmap_events *m, struct ring *r, mmap_events_fn *fn, void *context)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE), tail = r->page->data_tail;
	int n = 0;

	while (head - tail >= sizeof(struct perf_event_header)) {
		struct perf_event_header header;
		struct record_lost lost;

		ring_copy(r, tail, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			tail = head; /* cannot be; do not spin on it */
			break;
		}
		if (header.type == PERF_RECORD_MMAP2) {
			n += hand_over(r, tail, header.size, fn, context);
		} else if (header.type == PERF_RECORD_LOST && header.size >= sizeof(lost)) {
			ring_copy(r, tail, &lost, sizeof(lost));
			m->lost += lost.lost;
		}
		tail += header.size;
	}
	__atomic_store_n(&r->page->data_tail, tail, __ATOMIC_RELEASE);
	return n;
}

int mmap_events_read(struct mmap_events *m, mmap_events_fn *fn, void *context)
{
	int n = 0;

	for (size_t i = 0; i < m->rings_n; i++)
		n += read_ring(m, &m->rings[i], fn, context);
	return n;
}
