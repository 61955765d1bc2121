/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that exist already: a walk over /proc, at the start of each worker. */
#ifndef SONDE_KEEPER_PROCESSES_H
#define SONDE_KEEPER_PROCESSES_H

#include "channel/messages.h"

typedef void processes_fn(void *context, struct message_process *p);

/* Calls fn for each process but kernel threads; service is 0. 0 or negative errno. */
int processes_scan(processes_fn *fn, void *context);

#endif
