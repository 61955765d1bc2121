/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times. Inside the agent everything is CLOCK_MONOTONIC nanoseconds; the wall clock appears only where a record leaves.
 * The offset between them is measured again from time to time; both ends of one span must use one measurement.
 */
#ifndef SONDE_UTIL_CLOCK_H
#define SONDE_UTIL_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic(void); /* ns */
uint64_t clock_realtime(void);	/* ns since the Unix epoch */
/* CLOCK_REALTIME - CLOCK_MONOTONIC in ns, measured now: the best of several tries. */
int64_t clock_offset(void);

#endif
