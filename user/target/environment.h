/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a target's environment (NUL-separated, as in /proc/PID/environ), and the one of them that is a list. Pure.
 */
#ifndef SONDE_TARGET_ENVIRONMENT_H
#define SONDE_TARGET_ENVIRONMENT_H

#include "model/attr.h"
#include "util/bytes.h"

/* The value of a variable, empty when it is not set or empty (to OpenTelemetry these are the same). */
struct bytes environment_get(struct bytes environment, const char *name);

/* Longest value that is kept, in characters; a resource goes out with every request. */
#define ENVIRONMENT_VALUE_MAX 1024
/* Attributes that a list may bring an owner to: there must be room for what was seen. More are counted as dropped. */
#define ENVIRONMENT_ATTRIBUTES_MAX 96

typedef bool environment_wanted_fn(struct bytes key);

/*
 * Sets what OTEL_RESOURCE_ATTRIBUTES lists ("key=value,..." with percent-encoding; resource SDK specification,
 * "Specifying resource information via an environment variable"), where wanted says so (NULL = all). False, and nothing
 * set, when any part of it cannot be decoded.
 */
bool environment_attributes(struct bytes list, environment_wanted_fn *wanted, struct attrs *to);

#endif
