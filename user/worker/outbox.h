/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the keeper, kept in order when it is slow. Never blocks. */
#ifndef SONDE_WORKER_OUTBOX_H
#define SONDE_WORKER_OUTBOX_H

#include <stddef.h>

struct outbox;

/* sock -1: there is no keeper (replay); everything is taken and forgotten. NULL when out of memory. */
struct outbox *outbox_new(int sock);
void outbox_free(struct outbox *o); /* NULL is allowed */
/* Sends or keeps. -ENOBUFS: too much is waiting already; -ENOMEM; or what the socket said. */
int outbox_send(struct outbox *o, const void *message, size_t size);
/* Sends what was kept, as far as the keeper takes it. 0 or negative errno. */
int outbox_flush(struct outbox *o);

#endif
