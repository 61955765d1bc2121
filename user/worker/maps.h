/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/PID/maps (proc(5)), which names files that strangers made. */
#ifndef SONDE_WORKER_MAPS_H
#define SONDE_WORKER_MAPS_H

#include <stdint.h>

#include "channel/messages.h"

typedef void maps_fn(void *context, const struct message_mapped *m);

/* Calls fn for each file that is mapped executable, as if it were mapped now. Lines that make no sense are skipped. */
void maps_read(int fd, uint32_t tgid, maps_fn *fn, void *context);

#endif
