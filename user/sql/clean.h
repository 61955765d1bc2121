/* SPDX-License-Identifier: Apache-2.0 */
/* Text as it may be shown: valid UTF-8 (RFC 3629), each byte that is not becomes U+FFFD, control characters become
 * spaces. */
#ifndef SONDE_SQL_CLEAN_H
#define SONDE_SQL_CLEAN_H

#include "util/buf.h"
#include "util/bytes.h"

#define SQL_CHAR_MAX 4

/* How many bytes at the start are shown as they are, and are one character each. */
size_t sql_clean_run(struct bytes text);

/* Takes one character off the text, which must not be empty; ret is what to show for it. Returns how many bytes that
 * is. */
size_t sql_clean_char(struct bytes *text, char ret[SQL_CHAR_MAX]);

/* Appends the text; returns how many characters that is. */
size_t sql_clean(struct buf *out, struct bytes text);

/* How many bytes the first n characters of clean text have. */
size_t sql_chars_length(struct bytes text, size_t n);

#endif
