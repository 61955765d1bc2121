/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check between the kernel side, or a recording, and everything that follows: behind it every length fits in the
 * record, every enum that is used as an index has a known value and every string ends. Pure.
 */
#ifndef SONDE_DECODE_DECODE_H
#define SONDE_DECODE_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "event.h"

/*
 * Checks one record of `size` bytes at data, which must be 8-byte aligned. 0 and *ret, which points into data, or
 * -EBADMSG (too short, or a field makes no sense), -EPROTO (a version or kind that this build does not know).
 */
int decode_event(const void *data, size_t size, const struct event_header **ret);
/* Was a record that makes no sense one that the kernel counted as a span? As far as it can be read. */
bool decode_is_span(const void *data, size_t size);

#endif
