/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections to databases each service has, used and idle, by pool: db.client.connection.count. */
#ifndef SONDE_WORKER_POOLS_H
#define SONDE_WORKER_POOLS_H

#include <stdint.h>

#include "model/metric.h"
#include "session/trace.h"
#include "worker/processes.h"

struct pools;

/* start: ns since the Unix epoch. NULL when out of memory. */
struct pools *pools_new(struct processes *processes, uint64_t start);
void pools_free(struct pools *p); /* NULL is allowed */
/* Adds two points for each pool that has connections, or had some before. */
void pools_collect(struct pools *p, struct assembly *a, struct metric_set *ret);

#endif
