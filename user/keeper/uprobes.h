/* SPDX-License-Identifier: Apache-2.0 */
/* Probes on functions of libraries, at offsets that the worker found in the file. */
#ifndef SONDE_KEEPER_UPROBES_H
#define SONDE_KEEPER_UPROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/messages.h"
#include "keeper/loader.h"

struct uprobes;

/* Does this kernel attach many probes in one go (uprobe_multi, Linux 6.6)? */
bool uprobes_multi(void);

struct uprobes *uprobes_new(struct loader *l); /* NULL when out of memory */
void uprobes_free(struct uprobes *u);	       /* detaches all; NULL is allowed */
/*
 * Probes the file behind fd, for all processes that map it now or later. The offsets are a stranger's word: each must
 * lie inside the file. *ret_handle is for uprobes_detach. 0 or negative errno.
 */
int uprobes_attach(struct uprobes *u, int fd, const struct message_point *points, size_t n, uint32_t *ret_handle);
int uprobes_detach(struct uprobes *u, uint32_t handle);
/* Every second: functions of libpq that move COPY data are probed no more where they are called too often. */
void uprobes_tick(struct uprobes *u);

#endif
