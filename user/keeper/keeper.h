/* SPDX-License-Identifier: Apache-2.0 */
/* The privileged process: loads and attaches, watches processes, opens target files; parses nothing a target wrote. */
#ifndef SONDE_KEEPER_KEEPER_H
#define SONDE_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/handles.h"

/* What a worker runs: set where the program is put together (user/wiring.c), so that the keeper knows no stage of it.
 */
extern worker_main_fn *const keeper_worker;

/* Exit statuses of the sub-commands. */
enum { EXIT_CONFIG = 2, EXIT_KERNEL = 3 };

/* Observes until SIGINT, SIGTERM or the end of cfg->duration_s. Exit status. Prints "kernel" and error lines itself. */
int keeper_run(const struct config *cfg);
/* Runs the worker's pipeline over a recording, without privileges. Exit status. */
int keeper_replay(const struct config *cfg, const char *path);

/* One line of `sonde check`: filled by features_probe(). */
enum feature_state { FEATURE_NO, FEATURE_YES, FEATURE_USED };

struct feature {
	const char *group; /* "kernel", "sockets", "libraries", "processes", "privileges" */
	const char *name;  /* "sock_send_length", "fentry", ... */
	enum feature_state state;
	char why[160];	/* plain words: why not, or what it means; empty = nothing to say */
	char lose[160]; /* what the user loses by its absence; empty = nothing */
};

struct features {
	char kernel[256]; /* one line: release, BTF, lockdown, ... */
	struct feature v[24];
	size_t n;
	bool usable;	    /* the main job works */
	char advice[256];   /* the first thing to change, when it does not */
	uint64_t map_bytes; /* kernel memory locked by the maps */
	bool map_bytes_at_most;
};

/* Tries to load and attach each program by itself; needs root. 0 or negative errno (then advice says what to do). */
int features_probe(const struct config *cfg, struct features *ret);

#endif
