/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few forms of the protobuf wire format (protobuf.dev, "Encoding") that traces need, written from the end to the
 * beginning: a message inside another begins with its length, which is known by then, and nothing is measured first.
 * Writers are given where what follows begins, put their bytes in front of it, and return where those begin.
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

static inline uint8_t *wire_varint(uint8_t *at, uint64_t v)
{
	uint8_t *p;

	if (v < 0x80) {
		*--at = (uint8_t)v;
		return at;
	}
	at -= wire_varint_size(v);
	for (p = at; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p = (uint8_t)v;
	return at;
}

static inline uint8_t *wire_tag(uint8_t *at, unsigned field, enum wire_type type)
{
	return wire_varint(at, (uint64_t)field << 3 | type);
}

/* memcpy() for what is short as a rule, without the call. */
static inline void wire_copy(uint8_t *to, const void *p, size_t n)
{
	const uint8_t *from = p;

	if (n >= 16) {
		for (size_t i = 0; i + 16 < n; i += 16)
			memcpy(to + i, from + i, 16);
		memcpy(to + n - 16, from + n - 16, 16);
	} else if (n >= 8) {
		memcpy(to, from, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	} else if (n) {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
}

/* The head of a field, with a number below 16, whose n bytes are written already. */
static inline uint8_t *wire_head(uint8_t *at, unsigned field, size_t n)
{
	if (n < 0x80) {
		at -= 2;
		at[1] = (uint8_t)n;
		at[0] = (uint8_t)(field << 3 | WIRE_BYTES);
		return at;
	}
	return wire_tag(wire_varint(at, n), field, WIRE_BYTES);
}

static inline uint8_t *wire_bytes(uint8_t *at, unsigned field, const void *p, size_t n)
{
	wire_copy(at - n, p, n);
	return wire_head(at - n, field, n);
}

static inline uint8_t *wire_fixed64(uint8_t *at, unsigned field, uint64_t v)
{
	v = htole64(v);
	at -= sizeof(v);
	memcpy(at, &v, sizeof(v));
	return wire_tag(at, field, WIRE_FIXED64);
}

static inline uint8_t *wire_fixed32(uint8_t *at, unsigned field, uint32_t v)
{
	v = htole32(v);
	at -= sizeof(v);
	memcpy(at, &v, sizeof(v));
	return wire_tag(at, field, WIRE_FIXED32);
}

#endif
