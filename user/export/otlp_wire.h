/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few forms of the protobuf wire format (protobuf.dev, "Encoding") that a span needs. Sizes first, then bytes: a
 * message inside another begins with its length. Writers return what follows the bytes they wrote.
 */
#ifndef SONDE_EXPORT_OTLP_WIRE_H
#define SONDE_EXPORT_OTLP_WIRE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static inline size_t wire_varint_size(uint64_t v)
{
	size_t top_bit = 63 - (size_t)__builtin_clzll(v | 1);

	return top_bit / 7 + 1;
}

/* Of a field with a number below 16 and n bytes behind their length. */
static inline size_t wire_bytes_size(size_t n)
{
	return 1 + wire_varint_size(n) + n;
}

static inline uint8_t *wire_varint(uint8_t *to, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)v;
	return to;
}

static inline uint8_t *wire_tag(uint8_t *to, unsigned field, enum wire_type type)
{
	return wire_varint(to, (uint64_t)field << 3 | type);
}

static inline uint8_t *wire_bytes(uint8_t *to, unsigned field, const void *p, size_t n)
{
	to = wire_varint(wire_tag(to, field, WIRE_BYTES), n);
	memcpy(to, p, n);
	return to + n;
}

static inline uint8_t *wire_fixed64(uint8_t *to, unsigned field, uint64_t v)
{
	to = wire_tag(to, field, WIRE_FIXED64);
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
	return to + sizeof(v);
}

static inline uint8_t *wire_fixed32(uint8_t *to, unsigned field, uint32_t v)
{
	to = wire_tag(to, field, WIRE_FIXED32);
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
	return to + sizeof(v);
}

#endif
