/* SPDX-License-Identifier: Apache-2.0 */
#include "source/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/hashmap.h"

#define FLUSH_BYTES (64u << 10)

struct recorder {
	int fd;
	int error; /* first failure; nothing is written after it */
	struct buf pending;
};

int recorder_new(int fd, const struct recording_header *header, struct recorder **ret)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	buf_add(&r->pending, bytes_of(header, sizeof(*header)));
	e = recorder_flush(r);
	if (e) {
		recorder_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

int recorder_add(struct recorder *r, enum recording_type type, uint64_t time, const void *payload, size_t size)
{
	static const char zeros[8];
	struct recording_entry entry = { .size = (uint32_t)size, .type = (uint16_t)type, .time = time };

	if (r->error)
		return r->error;
	if (size > RECORDING_PAYLOAD_MAX)
		return -EMSGSIZE;
	buf_add(&r->pending, bytes_of(&entry, sizeof(entry)));
	buf_add(&r->pending, bytes_of(payload, size));
	buf_add(&r->pending, bytes_of(zeros, -size & 7));
	return r->pending.failed || r->pending.n >= FLUSH_BYTES ? recorder_flush(r) : 0;
}

int recorder_flush(struct recorder *r)
{
	size_t done = 0;

	if (!r->error && r->pending.failed)
		r->error = -ENOMEM;
	while (!r->error && done < r->pending.n) {
		ssize_t n = write(r->fd, r->pending.p + done, r->pending.n - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			r->error = n == 0 ? -EIO : -errno;
	}
	buf_reset(&r->pending);
	return r->error;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	buf_free(&r->pending);
	free(r);
}

static int64_t boottime_offset(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (boot.tv_sec - mono.tv_sec) * 1000000000LL + boot.tv_nsec - mono.tv_nsec;
}

void recording_describe(struct recording_header *ret, uint64_t started)
{
	_cleanup_close_ int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	struct recording_header h = { .version = RECORDING_VERSION, .size = sizeof(h), .started = started };
	struct utsname uts;
	char id[64];
	ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));

	memcpy(h.magic, RECORDING_MAGIC, sizeof(h.magic));
	h.realtime_offset = clock_offset();
	h.boottime_offset = boottime_offset();
	h.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	if (uname(&uts) == 0) {
		snprintf(h.host_name, sizeof(h.host_name), "%s", uts.nodename);
		snprintf(h.kernel, sizeof(h.kernel), "%s", uts.release);
	}
	if (n > 0) /* the fixed seeds only have to give every host the same digest in all of its recordings */
		snprintf(h.host_id, sizeof(h.host_id), "%016llx%016llx",
			 (unsigned long long)hash_bytes(1, id, (size_t)n),
			 (unsigned long long)hash_bytes(2, id, (size_t)n));
	*ret = h;
}
