/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded hash map from fixed-size keys to fixed-size values with least-recently-used order. Keys are compared by
 * their bytes: zero their padding. Pointers to values stay valid until the entry is removed or evicted.
 * Hashing is keyed with a random seed (SipHash-1-3 or as strong), so that strangers cannot choose collisions.
 */
#ifndef SONDE_UTIL_HASHMAP_H
#define SONDE_UTIL_HASHMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hashmap;

/* Called for an entry that is evicted to make room, or freed with the map. May be NULL. Must not touch the map. */
typedef void hashmap_drop_fn(void *context, const void *key, void *value);

/* max_entries bounds the map: inserting into a full one evicts the least recently used. NULL when out of memory. */
struct hashmap *hashmap_new(size_t key_size, size_t value_size, size_t max_entries, hashmap_drop_fn *drop,
			    void *context);
void hashmap_free(struct hashmap *m); /* NULL is allowed */
size_t hashmap_count(const struct hashmap *m);
/* The value, or NULL. Makes the entry the most recently used. */
void *hashmap_get(struct hashmap *m, const void *key);
/* The value, without changing the order. */
void *hashmap_peek(const struct hashmap *m, const void *key);
/* The value of the key, inserted zeroed when it is new (then *ret_new is true; ret_new may be NULL). NULL: no memory */
void *hashmap_put(struct hashmap *m, const void *key, bool *ret_new);
/* Removes without calling drop. False when the key is not there. */
bool hashmap_remove(struct hashmap *m, const void *key);
/* The least recently used entry's value and key, or NULL when empty. */
void *hashmap_oldest(struct hashmap *m, const void **ret_key);
/* Walks all entries, oldest first: start with *cursor = NULL; the current entry may be removed while walking. */
void *hashmap_next(struct hashmap *m, void **cursor, const void **ret_key);

/* The keyed hash by itself. */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);

#endif
