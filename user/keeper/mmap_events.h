/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable mappings of files, of the whole host, as they happen: perf side-band records (PERF_RECORD_MMAP2,
 * perf_event_open(2)) of a dummy software event on each CPU. A library is known this way before its first function
 * runs, and nothing has to walk /proc. Only CPUs that are online at open are watched. Needs CAP_PERFMON.
 */
#ifndef SONDE_KEEPER_MMAP_EVENTS_H
#define SONDE_KEEPER_MMAP_EVENTS_H

#include <stdint.h>

#include "channel/messages.h"

struct mmap_events;

typedef void mmap_events_fn(void *context, const struct message_mapped *mapped);

/* 0 or negative errno (-EACCES, -EPERM: not privileged; -ENOENT, -EOPNOTSUPP: kernel without perf events). */
int mmap_events_open(struct mmap_events **ret);
void mmap_events_close(struct mmap_events *m); /* NULL is allowed */
/* Readable when there are records. For poll and epoll, owned by m. */
int mmap_events_fd(const struct mmap_events *m);
/* Hands over what has come, in order per CPU: real files only, no anonymous, vdso or memfd memory. Their number. */
int mmap_events_read(struct mmap_events *m, mmap_events_fn *fn, void *context);
/* Records lost so far because a ring was full when they came. */
uint64_t mmap_events_lost(const struct mmap_events *m);

#endif
