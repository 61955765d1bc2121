/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from strangers made valid UTF-8 (RFC 3629). Each maximal part that is not valid becomes one U+FFFD, as the
 * Unicode Standard advises (chapter 3.9, "U+FFFD Substitution of Maximal Subparts").
 */
#ifndef SONDE_MODEL_UTF8_H
#define SONDE_MODEL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"

/* Bytes of the character at the start of s (never 0 unless s is empty). *ret_valid: it is one; else a part to replace.
 */
size_t utf8_next(struct bytes s, bool *ret_valid);
/* Bytes of s before its first that is not ASCII: nearly all text is, and eight are told at once. */
size_t utf8_ascii_head(struct bytes s);
/* The first max characters of s, 0 = all. */
struct bytes utf8_head(struct bytes s, size_t max);
/* Size of s made valid. */
size_t utf8_clean_size(struct bytes s);
/* Writes utf8_clean_size(s) bytes. */
void utf8_clean(char *out, struct bytes s);

#endif
