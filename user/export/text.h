/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strangers' text for people: three significant digits, thousands separated, no control characters. */
#ifndef SONDE_EXPORT_TEXT_H
#define SONDE_EXPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/bytes.h"

#define TEXT_NUMBER 32 /* room that every text_* number fits */

/* "312 us", "1.24 ms", "48.1 ms", "2.08 s", "12 min 28 s". Returns out. */
const char *text_duration(char out[TEXT_NUMBER], double seconds);
/* "437,412" */
const char *text_count(char out[TEXT_NUMBER], uint64_t n);
/* "0.1 %", "46 %"; part of whole, "-" when whole is 0. Never rounds something to nothing or most to all. */
const char *text_percent(char out[TEXT_NUMBER], double part, double whole);
/* "9.2 MiB" */
const char *text_bytes(char out[TEXT_NUMBER], uint64_t n);

/*
 * Appends at most max columns of s (0 = no limit): runs of white space become one space; control characters, and what
 * could turn or hide text on a terminal, become '?', as does everything beyond ASCII when utf8 is false. What was cut
 * ends in an ellipsis. Returns the columns written, one for each character.
 */
size_t text_clean(struct buf *b, struct bytes s, size_t max, bool utf8);
/* Characters in s. */
size_t text_columns(struct bytes s);

#endif
