/* SPDX-License-Identifier: Apache-2.0 */
/* The chained blocks behind struct attrs. Only user/model includes this. */
#ifndef SONDE_MODEL_TEXT_H
#define SONDE_MODEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "model/attr.h"

#define TEXT_BLOCK 496 /* bytes of a block with its header: fills a 512-byte malloc chunk */

struct text_block {
	struct text_block *next; /* older */
	size_t cap, used;
	bool borrowed; /* part of another allocation: not freed here */
	_Alignas(8) char data[];
};

/* Makes the block of size bytes (header included) at b a first block that attrs_free() leaves alone; the first
 * attributes are in it. */
void text_block_first(struct attrs *a, struct text_block *b, size_t size);
/* A copy of the first max characters of s (0 = all), made valid UTF-8 and NUL-terminated; p is NULL when s is empty. */
struct bytes attrs_clean_text(struct attrs *a, struct bytes s, size_t max);

#endif
