/* SPDX-License-Identifier: Apache-2.0 */
#include "util/hashmap.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util/clock.h"

#define MIN_BUCKETS 16
#define SPARES_MAX                                                                                        \
	64 /* entries that were removed and wait to be used again: some maps hold things for moments only \
	    */

/* One entry: this header, the key, the value, each aligned for any type. */
struct node {
	struct node *older, *newer; /* order of use */
	struct node *chain;	    /* same bucket */
	uint64_t hash;
	_Alignas(max_align_t) char data[];
};

struct hashmap {
	size_t key_size, value_size, value_offset;
	size_t max_entries, count, buckets_n; /* buckets_n: a power of two */
	struct node **buckets;
	struct node *oldest, *newest;
	struct node *spares; /* linked by chain */
	size_t spares_n;
	hashmap_drop_fn *drop;
	void *context;
	uint64_t seed;
};

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

struct sip {
	uint64_t a, b, c, d;
};

static inline __attribute__((always_inline)) void sip_round(struct sip *v)
{
	v->a += v->b;
	v->c += v->d;
	v->b = rotl(v->b, 13) ^ v->a;
	v->d = rotl(v->d, 16) ^ v->c;
	v->a = rotl(v->a, 32) + v->d;
	v->c += v->b;
	v->b = rotl(v->b, 17) ^ v->c;
	v->d = rotl(v->d, 21) ^ v->a;
	v->c = rotl(v->c, 32);
}

static inline __attribute__((always_inline)) void sip_word(struct sip *v, uint64_t word)
{
	v->d ^= word;
	sip_round(v);
	v->a ^= word;
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", with c = 1, d = 3). */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n)
{
	uint64_t k0 = seed, k1 = seed * 0x9e3779b97f4a7c15ULL; /* any odd factor: a second half for the 128-bit key */
	struct sip v = { k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL, k0 ^ 0x6c7967656e657261ULL,
			 k1 ^ 0x7465646279746573ULL };
	const unsigned char *s = p;
	uint64_t word, last = (uint64_t)n << 56;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&word, s, 8);
		sip_word(&v, le64toh(word));
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)s[i] << (8 * i);
	sip_word(&v, last);
	v.c ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&v);
	return v.a ^ v.b ^ v.c ^ v.d;
}

static inline uint64_t fold(uint64_t hash, uint64_t word, uint64_t factor)
{
	unsigned __int128 product = (unsigned __int128)(hash ^ word) * factor;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Keys are a few words, mostly one, and every span looks up twenty: a chain of 64 x 64 -> 128 bit products, both halves
 * folded (as in wyhash by Wang Yi). Full buckets cost time only, and to fill one needs the seed, which nobody is told.
 */
static inline uint64_t hash_key(const struct hashmap *m, const void *key)
{
	const unsigned char *s = key;
	uint64_t hash = m->seed, factor = m->seed ^ 0x9e3779b97f4a7c15ULL, word;
	size_t left = m->key_size;

	for (; left >= sizeof(word); left -= sizeof(word)) {
		memcpy(&word, s, sizeof(word));
		hash = fold(hash, word, factor);
		factor = rotl(factor, 23);
		s += sizeof(word);
	}
	if (!left)
		return hash;
	word = 0;
	if (left == sizeof(uint32_t))
		memcpy(&word, s, sizeof(uint32_t));
	else
		memcpy(&word, s, left);
	return fold(hash, word, factor);
}

static inline bool same_key(const struct hashmap *m, const struct node *e, const void *key)
{
	if (m->key_size == sizeof(uint64_t))
		return memcmp(e->data, key, sizeof(uint64_t)) == 0;
	if (m->key_size == sizeof(uint32_t))
		return memcmp(e->data, key, sizeof(uint32_t)) == 0;
	if (m->key_size == 2 * sizeof(uint64_t))
		return memcmp(e->data, key, 2 * sizeof(uint64_t)) == 0;
	return memcmp(e->data, key, m->key_size) == 0;
}

static void *node_value(const struct hashmap *m, struct node *e)
{
	return e->data + m->value_offset;
}

static void unlink_order(struct hashmap *m, struct node *e)
{
	*(e->older ? &e->older->newer : &m->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &m->newest) = e->older;
}

static void link_newest(struct hashmap *m, struct node *e)
{
	e->older = m->newest;
	e->newer = NULL;
	*(m->newest ? &m->newest->newer : &m->oldest) = e;
	m->newest = e;
}

static struct node **bucket(const struct hashmap *m, uint64_t hash)
{
	return &m->buckets[hash & (m->buckets_n - 1)];
}

static void unlink_chain(struct hashmap *m, struct node *e)
{
	struct node **at = bucket(m, e->hash);

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
}

/* Out of memory only makes chains longer. */
static void grow(struct hashmap *m)
{
	size_t n = m->buckets_n * 2;
	struct node **buckets = calloc(n, sizeof(struct node *));

	if (!buckets)
		return;
	free(m->buckets);
	m->buckets = buckets;
	m->buckets_n = n;
	for (struct node *e = m->oldest; e; e = e->newer) {
		struct node **at = bucket(m, e->hash);

		e->chain = *at;
		*at = e;
	}
}

static inline struct node *find(const struct hashmap *m, const void *key, uint64_t hash)
{
	for (struct node *e = *bucket(m, hash); e; e = e->chain)
		if (e->hash == hash && same_key(m, e, key))
			return e;
	return NULL;
}

static inline struct node *look_up(const struct hashmap *m, const void *key)
{
	return m->count ? find(m, key, hash_key(m, key)) : NULL;
}

struct hashmap *hashmap_new(size_t key_size, size_t value_size, size_t max_entries, hashmap_drop_fn *drop,
			    void *context)
{
	const size_t align = _Alignof(max_align_t);
	struct hashmap *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct hashmap){
		.key_size = key_size,
		.value_size = value_size,
		.value_offset = (key_size + align - 1) / align * align,
		.max_entries = max_entries ? max_entries : 1,
		.buckets_n = MIN_BUCKETS,
		.drop = drop,
		.context = context,
	};
	/* Blocks only in the first moments of a boot; the clock is better than waiting for entropy. */
	if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) != sizeof(m->seed))
		m->seed = clock_realtime() ^ (uintptr_t)m;
	m->buckets = calloc(m->buckets_n, sizeof(struct node *));
	if (!m->buckets) {
		free(m);
		return NULL;
	}
	return m;
}

void hashmap_free(struct hashmap *m)
{
	if (!m)
		return;
	for (struct node *e = m->oldest, *newer; e; e = newer) {
		newer = e->newer;
		if (m->drop)
			m->drop(m->context, e->data, node_value(m, e));
		free(e);
	}
	for (struct node *e = m->spares, *next; e; e = next) {
		next = e->chain;
		free(e);
	}
	free(m->buckets);
	free(m);
}

size_t hashmap_count(const struct hashmap *m)
{
	return m->count;
}

void *hashmap_get(struct hashmap *m, const void *key)
{
	struct node *e = look_up(m, key);

	if (!e)
		return NULL;
	if (e != m->newest) {
		unlink_order(m, e);
		link_newest(m, e);
	}
	return node_value(m, e);
}

void *hashmap_peek(const struct hashmap *m, const void *key)
{
	struct node *e = look_up(m, key);

	return e ? node_value(m, e) : NULL;
}

/* Takes the entry out of both structures; its memory is the caller's. */
static void detach(struct hashmap *m, struct node *e)
{
	unlink_chain(m, e);
	unlink_order(m, e);
	m->count--;
}

static struct node *take_memory(struct hashmap *m)
{
	struct node *e = m->spares;

	if (!e)
		return malloc(offsetof(struct node, data) + m->value_offset + m->value_size);
	m->spares = e->chain;
	m->spares_n--;
	return e;
}

static void give_memory(struct hashmap *m, struct node *e)
{
	if (m->spares_n >= SPARES_MAX) {
		free(e);
		return;
	}
	e->chain = m->spares;
	m->spares = e;
	m->spares_n++;
}

void *hashmap_put(struct hashmap *m, const void *key, bool *ret_new)
{
	uint64_t hash = hash_key(m, key);
	struct node *e = find(m, key, hash), **at;

	if (e) {
		unlink_order(m, e);
		link_newest(m, e);
		if (ret_new)
			*ret_new = false;
		return node_value(m, e);
	}
	if (m->count >= m->max_entries) {
		e = m->oldest;
		detach(m, e);
		if (m->drop)
			m->drop(m->context, e->data, node_value(m, e));
	} else {
		e = take_memory(m);
		if (!e)
			return NULL;
	}
	if (m->count >= m->buckets_n)
		grow(m);
	memset(node_value(m, e), 0, m->value_size);
	memcpy(e->data, key, m->key_size);
	e->hash = hash;
	at = bucket(m, hash);
	e->chain = *at;
	*at = e;
	link_newest(m, e);
	m->count++;
	if (ret_new)
		*ret_new = true;
	return node_value(m, e);
}

bool hashmap_remove(struct hashmap *m, const void *key)
{
	struct node *e = look_up(m, key);

	if (!e)
		return false;
	detach(m, e);
	give_memory(m, e);
	return true;
}

void *hashmap_oldest(struct hashmap *m, const void **ret_key)
{
	if (!m->oldest)
		return NULL;
	if (ret_key)
		*ret_key = m->oldest->data;
	return node_value(m, m->oldest);
}

/* The cursor is the entry to return next, so that the current one can go; the map itself stands for the end. */
void *hashmap_next(struct hashmap *m, void **cursor, const void **ret_key)
{
	struct node *e = *cursor ? *cursor : m->oldest;

	if (*cursor == m || !e)
		return NULL;
	*cursor = e->newer ? (void *)e->newer : (void *)m;
	if (ret_key)
		*ret_key = e->data;
	return node_value(m, e);
}
