/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run: everything that is held goes out, and the summary says what there was. */
#ifndef SONDE_WORKER_FINISH_H
#define SONDE_WORKER_FINISH_H

#include <stdint.h>

#include "worker/pipeline.h"

/* now: CLOCK_MONOTONIC ns of the observed time. flush_ms: how long destinations may take. */
void finish(struct pipeline *p, uint64_t now, uint32_t flush_ms);

#endif
