/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stays of the BPF object when all of it is loaded and attached: descriptors, and the variables that are shared
 * with it. libbpf's own account of it, with all instructions and types, takes megabytes, and nobody asks it any more.
 */
#ifndef SONDE_KEEPER_HELD_H
#define SONDE_KEEPER_HELD_H

#include <stddef.h>

#define HELD_NAME_MAX 24
#define HELD_MAPS_MAX 48
#define HELD_PROGRAMS_MAX 48

struct sonde_bpf;

struct held_fd {
	char name[HELD_NAME_MAX];
	int fd;
};

struct held {
	struct held_fd maps[HELD_MAPS_MAX], programs[HELD_PROGRAMS_MAX];
	size_t maps_n, programs_n;
	struct sonde_bpf__bss *bss;   /* NULL where nothing is held */
	struct sonde_bpf__data *data; /* as bss: mapped from the kernel, written by both */
	size_t bss_size, data_size;
};

/* From an object that is loaded; it may be destroyed then. Negative errno: nothing is held. */
int held_take(struct held *h, const struct sonde_bpf *object);
/* Closes and unmaps it in this process; programs that are attached stay so. Also where nothing is held. */
void held_drop(struct held *h);

/* By their names in the object; -1: there is none, or it was not loaded. */
int held_map(const struct held *h, const char *name);
int held_program(const struct held *h, const char *name);

#endif
