/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#ifndef SONDE_PROBED_H
#define SONDE_PROBED_H

#include "types.h"

#define PROBED_FILES_MAX 64

/* Of each file that is probed; the cookies of its probes have its number in the upper half. The keeper writes it. */
struct probed_file {
	__u64 copies;	     /* calls of PQputCopyData and PQgetCopyData, counted in the kernel */
	__u32 copies_unseen; /* they were many, and their probes were taken off */
	__u32 whole;	     /* all probes are in: what only some of them saw would be half of what was said */
};

#endif
