/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as printf() writes them, without printf(): it takes some thousand instructions for each. */
#ifndef SONDE_UTIL_NUMBER_H
#define SONDE_UTIL_NUMBER_H

#include <stdint.h>

#include "util/buf.h"

void number_unsigned(struct buf *to, uint64_t v);	 /* %PRIu64 */
void number_signed(struct buf *to, int64_t v);		 /* %PRId64 */
char *number_put(char *to, uint64_t v, unsigned digits); /* the last so many digits, 20 at most; returns their end */
/* %.17g: every double has text of its own. */
void number_double(struct buf *to, double v);

#endif
