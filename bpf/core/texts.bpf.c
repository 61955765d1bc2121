/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Simple queries that were asked before, but for their numbers (include/frame/sqlsame.h): what is found in one is found
 * in the next, without going through it. All share one table; who finds a place being written goes the long way.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "frame/sqlsame.h"
#include "maps.bpf.h"

#define BLOCK 64

static __always_inline struct known_text *text_at(__u32 place)
{
	return bpf_map_lookup_elem(&texts, &place);
}

static __always_inline __u64 mix(__u64 h, __u64 w)
{
	h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

/* The upper halves of eight bytes at `at`: all digits have the same. */
static __always_inline __u64 digitless(const struct capture *d, __u32 at)
{
	at = frame_inside(at, TEXT_MAX - 1);
	return frame_load64(&d->b[at]) & 0xf0f0f0f0f0f0f0f0ULL;
}

/* Of a message of n bytes: it is the same for texts that differ in digits alone. */
static __always_inline __u32 place_of(const struct capture *d, __u32 n)
{
	__u64 h = mix(n, digitless(d, 8));

	h = mix(h, digitless(d, n / 2));
	h = mix(h, digitless(d, n - 8));
	return h & (TEXTS - 1);
}

/* Words of [at, at + BLOCK) and before n, all eight bytes of them. Not 0: some are not as they were kept. */
__noinline int text_differs_block(struct known_text *k, struct capture *d, __u32 at, __u32 n)
{
	const char *p, *q;
	__u64 differs = 0;
	__u32 i;

	asm volatile("" : "+r"(at));
	if (!k || !d || at > TEXT_MAX - BLOCK)
		return 1;
	p = &d->b[at];
	q = &k->text[at];
#pragma unroll
	for (i = 0; i < BLOCK; i += 8) {
		__u64 w, kept;

		if (at + i + 8 > n)
			break;
		w = *(const __u64 *)(p + i);
		kept = *(const __u64 *)(q + i);
		if (w != kept)
			differs |= sqlsame_differs(w, kept);
	}
	return differs != 0;
}

/* The last eight bytes may be of two words. */
static __always_inline int text_differs(struct known_text *k, struct capture *d, __u32 n)
{
	__u32 at = frame_inside(n - 8, TEXT_MAX - 1), i;

	if (at > TEXT_MAX - 8 || sqlsame_differs(frame_load64(&d->b[at]), *(const __u64 *)&k->text[at]))
		return 1;
	for (i = 0; i < TEXT_MAX / BLOCK; i++) {
		if (i * BLOCK + 8 > n)
			break;
		if (text_differs_block(k, d, i * BLOCK, n))
			return 1;
	}
	return 0;
}

__noinline int texts_know(struct conn *c)
{
	struct known_text *k;
	__u64 operation;
	__u32 n, turn, place;
	__u8 several;

	if (!c)
		return 0;
	n = c->ex.request_len;
	if (n < TEXT_MIN || n > TEXT_MAX || frame_be32(&c->data.b[1]) != n - 1)
		return 0;
	place = place_of(&c->data, n);
	c->pg.place = place + 1;
	c->pg.place_len = n;
	k = text_at(place);
	if (!k || k->len != n)
		return 0;
	turn = *(volatile __u32 *)&k->turn;
	asm volatile("" ::: "memory");
	operation = k->operation;
	several = k->several;
	if (text_differs(k, &c->data, n))
		return 0;
	asm volatile("" ::: "memory"); /* x86 keeps loads in order */
	if (turn & 1 || *(volatile __u32 *)&k->turn != turn || k->len != n)
		return 0;
	if (k->wasted)
		k->wasted = 0;
	c->pg.several = several;
	c->pg.operation = operation;
	return 1;
}

/* Keeps [at, at + BLOCK) of the text. Not 0: it has bytes of which none is kept. */
__noinline int text_keep_block(struct known_text *k, struct capture *d, __u32 at, __u32 n)
{
	__u64 open, high = 0;
	const char *p;
	char *q;
	__u32 i;

	asm volatile("" : "+r"(at));
	if (!k || !d || at > TEXT_MAX - BLOCK)
		return 1;
	p = &d->b[at];
	q = &k->text[at];
	open = k->open;
#pragma unroll
	for (i = 0; i < BLOCK; i += 8) {
		__u64 w = *(const __u64 *)(p + i);

		*(__u64 *)(q + i) = sqlsame_kept(w, &open);
		if (at + i + 8 <= n)
			high |= w;
	}
	k->open = open;
	return (high & SQLSAME_TOPS) != 0;
}

#define WASTED_MAX 4
#define WASTED_TRIES 32

__noinline int texts_learn(struct conn *c)
{
	struct known_text *k;
	__u64 operation;
	__u32 n, at, turn, i;
	int whole = 1;

	if (!c || !c->pg.place || c->pg.operation || !c->ex.operation || c->pg.several == PG_SEVERAL)
		return 0;
	operation = c->ex.operation;
	n = c->pg.place_len;
	k = text_at(c->pg.place - 1);
	if (!k || n != c->ex.request_len || n != c->ex.request_bytes || n < TEXT_MIN || n > TEXT_MAX)
		return 0;
	if (k->last != operation) {
		k->last = operation;
		return 0;
	}
	/* What differs in more than numbers each time is not worth its keeping. */
	if (k->wasted >= WASTED_MAX && ++k->tries % WASTED_TRIES)
		return 0;
	turn = *(volatile __u32 *)&k->turn;
	if (turn & 1 || __sync_val_compare_and_swap(&k->turn, turn, turn + 1) != turn)
		return 0;
	k->open = 0;
	for (i = 0; i < TEXT_MAX / BLOCK && i * BLOCK < n; i++)
		if (text_keep_block(k, &c->data, i * BLOCK, n))
			whole = 0;
	at = frame_inside(n - 8, TEXT_MAX - 1);
	if (frame_load64(&c->data.b[at]) & SQLSAME_TOPS)
		whole = 0;
	k->operation = operation;
	k->several = c->pg.several;
	k->len = whole ? n : 0;
	if (k->wasted < WASTED_MAX)
		k->wasted++;
	__sync_lock_test_and_set(&k->turn, turn + 2);
	return 0;
}
