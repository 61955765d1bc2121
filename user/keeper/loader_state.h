/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the loader share; nobody else includes it. */
#ifndef SONDE_KEEPER_LOADER_STATE_H
#define SONDE_KEEPER_LOADER_STATE_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/backend.h"
#include "keeper/held.h"
#include "libpq.h"
#include "proc.h"
#include "sonde.skel.h"

#define LINKS_MAX 24

struct loader {
	struct sonde_bpf *skel; /* until all is attached, then NULL */
	struct held held;
	const struct backend *backend;
	struct bpf_link *links[LINKS_MAX];
	const char *linked[LINKS_MAX];
	size_t links_n;
	struct bpf_link *sweep, *sockets;
	bool uprobe_multi, libraries, libraries_wanted;
	char no_libraries[128]; /* why this kernel cannot have libraries probed; empty: not known to refuse */
	unsigned sweeps;
	uint64_t libpq_left;
};

#endif
