/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the BPF ring buffer that the kernel side fills, by its map descriptor, without any capability (Linux 5.19+).
 *
 * libbpf's ring_buffer maps the whole ring twice in a row and all of its pages count as ours from the first moment:
 * 16 MiB of resident memory for a ring of 8 MiB. Here a window of it is mapped and moved along, so the cost is the
 * window. Layout and protocol: Linux Documentation/bpf/ringbuf.rst and include/uapi/linux/bpf.h (BPF_RINGBUF_*).
 */
#ifndef SONDE_SOURCE_RINGBUF_H
#define SONDE_SOURCE_RINGBUF_H

#include <stddef.h>
#include <stdint.h>

struct source;

/*
 * One record, 8-byte aligned, valid only during the call. 0: taken. -EAGAIN: not now, the poll ends and the same record
 * comes again with the next one. Any other negative errno: taken, and source_poll() ends and returns it.
 */
typedef int source_record_fn(void *context, const void *data, size_t size);

/* Negative errno when the descriptor is no ring buffer or cannot be mapped. The descriptor stays the caller's. */
int source_new(int map_fd, source_record_fn *record, void *context, struct source **ret);
/* As source_new(), for what is laid out like a ring buffer of ring_bytes (a power of two, at least a page). */
int source_map(int fd, size_t ring_bytes, source_record_fn *record, void *context, struct source **ret);
void source_free(struct source *s); /* NULL is allowed */
/* Hands over at most max records that are ready; never waits. How many were taken, or a negative errno. */
int source_poll(struct source *s, unsigned max);

#endif
