/* SPDX-License-Identifier: Apache-2.0 */
/* Names to numbers, the same everywhere and for ever: SHA-1 (RFC 3174) and UUID version 5 (RFC 9562, section 5.5). */
#ifndef SONDE_TARGET_UUID5_H
#define SONDE_TARGET_UUID5_H

#include <stdint.h>

#include "util/bytes.h"

#define SHA1_SIZE 20
#define UUID_TEXT 37 /* with its NUL */

struct sha1 {
	uint32_t state[5];
	uint64_t total; /* bytes */
	uint8_t block[64];
};

void sha1_init(struct sha1 *s);
void sha1_add(struct sha1 *s, struct bytes b);
void sha1_end(struct sha1 *s, uint8_t ret[SHA1_SIZE]);

/* "xxxxxxxx-xxxx-5xxx-xxxx-xxxxxxxxxxxx" of a name in a namespace, which is a UUID as 16 bytes. */
void uuid5(const uint8_t space[16], struct bytes name, char ret[UUID_TEXT]);

#endif
