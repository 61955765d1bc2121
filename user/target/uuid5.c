/* SPDX-License-Identifier: Apache-2.0 */
#include "target/uuid5.h"

#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, unsigned int n)
{
	return x << n | x >> (32 - n);
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

void sha1_init(struct sha1 *s)
{
	*s = (struct sha1){ .state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 } };
}

static void compress(struct sha1 *s)
{
	uint32_t w[80], v[5];

	for (int i = 0; i < 16; i++)
		w[i] = load_be32(s->block + 4 * i);
	for (int i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	memcpy(v, s->state, sizeof(v));
	for (int i = 0; i < 80; i++) {
		uint32_t f, k, t;

		if (i < 20) {
			f = (v[1] & v[2]) | (~v[1] & v[3]);
			k = 0x5a827999;
		} else if (i < 40) {
			f = v[1] ^ v[2] ^ v[3];
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
			k = 0x8f1bbcdc;
		} else {
			f = v[1] ^ v[2] ^ v[3];
			k = 0xca62c1d6;
		}
		t = rotate(v[0], 5) + f + v[4] + w[i] + k;
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotate(v[1], 30);
		v[1] = v[0];
		v[0] = t;
	}
	for (int i = 0; i < 5; i++)
		s->state[i] += v[i];
}

void sha1_add(struct sha1 *s, struct bytes b)
{
	while (b.n) {
		size_t at = s->total % sizeof(s->block), n = sizeof(s->block) - at;

		if (n > b.n)
			n = b.n;
		memcpy(s->block + at, b.p, n);
		s->total += n;
		if (at + n == sizeof(s->block))
			compress(s);
		b = bytes_tail(b, n);
	}
}

void sha1_end(struct sha1 *s, uint8_t ret[SHA1_SIZE])
{
	static const char padding[64] = { (char)0x80 };
	uint64_t bits = s->total * 8;
	uint8_t length[8];

	sha1_add(s, bytes_of(padding, 1 + (119 - s->total % 64) % 64));
	store_be32(length, (uint32_t)(bits >> 32));
	store_be32(length + 4, (uint32_t)bits);
	sha1_add(s, bytes_of(length, sizeof(length)));
	for (int i = 0; i < 5; i++)
		store_be32(ret + 4 * i, s->state[i]);
}

void uuid5(const uint8_t space[16], struct bytes name, char ret[UUID_TEXT])
{
	uint8_t h[SHA1_SIZE];
	struct sha1 s;
	char *to = ret;

	sha1_init(&s);
	sha1_add(&s, bytes_of(space, 16));
	sha1_add(&s, name);
	sha1_end(&s, h);
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x50);
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		to += sprintf(to, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", h[i]);
}
