/* SPDX-License-Identifier: Apache-2.0 */
/* Request bytes that came in records of their own, before the exchange they belong to. One exchange at a time. */
#ifndef SONDE_CONN_FRAGMENTS_H
#define SONDE_CONN_FRAGMENTS_H

#include <stdint.h>

#include "util/buf.h"
#include "util/bytes.h"

#define FRAGMENTS_MAX 65536 /* bytes of one request */

struct fragments {
	uint64_t exchange;
	uint32_t offset; /* of the first byte, in the request */
	struct buf bytes;
};

/* Bytes must follow one another: behind a hole nothing is kept. A new exchange lets go of the one before. */
void fragments_add(struct fragments *f, uint64_t exchange, uint32_t offset, struct bytes data);
/* What continues a request whose first n bytes are known; empty when there is a hole between. */
struct bytes fragments_after(const struct fragments *f, uint64_t exchange, uint32_t n);
void fragments_free(struct fragments *f);

#endif
