/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that histogram keys were given, kept outside the worker (an anonymous file that the keeper holds), so that
 * a worker that takes over after a crash gives the same keys the same attributes and their series go on. Nothing in it
 * but metric attributes: what was exported anyway.
 */
#ifndef SONDE_WORKER_NAMES_H
#define SONDE_WORKER_NAMES_H

#include <stdbool.h>

#include "hist.h"
#include "model/attr.h"
#include "model/metric.h"

#define NAMES_BYTES_MAX (16u << 20) /* of the file; what comes after has to be learnt anew */

struct name {
	struct hist_key key;
	enum metric_id metric;
	bool ignore;
	struct attrs attrs;
};

/* Appends. fd -1: does nothing. 0 or negative errno; a name that does not fit whole is not written at all. */
int names_write(int fd, const struct name *n);
/* Calls fn for each name, from the first; fn takes over n->attrs. Stops at bytes that make no sense. */
void names_read(int fd, void (*fn)(void *context, struct name *n), void *context);

#endif
