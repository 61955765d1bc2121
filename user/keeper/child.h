/* SPDX-License-Identifier: Apache-2.0 */
/* The worker as a process: started without power, heard over its channel, reaped. */
#ifndef SONDE_KEEPER_CHILD_H
#define SONDE_KEEPER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel/handles.h"

struct child {
	pid_t pid;	/* 0 = none */
	int channel;	/* our end, non-blocking; -1 = hung up */
	uint64_t began; /* CLOCK_MONOTONIC ns */
};

#define CHILD_NONE ((struct child){ .channel = -1 })

struct loader;

/*
 * Forks a worker with these handles, some of which are the loader's; their channel is made here. 0 or negative errno.
 */
int child_start(struct child *c, const struct config *cfg, struct ledger *ledger, struct loader *loader,
		const struct worker_handles *handles);
void child_hang_up(struct child *c);
/* True when it has ended: *ret_status as of waitpid. */
bool child_reap(struct child *c, int *ret_status);
void child_kill(struct child *c);

#endif
