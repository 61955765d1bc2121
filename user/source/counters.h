/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the kernel side's counters (enum kernel_counter), kept per CPU. */
#ifndef SONDE_SOURCE_COUNTERS_H
#define SONDE_SOURCE_COUNTERS_H

#include <stdint.h>

#include "drops.h"

/* Sums over the CPUs. 0, or negative errno with ret untouched. */
int counters_read(int map_fd, uint64_t ret[KERNEL_COUNTER_COUNT]);

#endif
