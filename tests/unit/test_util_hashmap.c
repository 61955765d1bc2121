/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/hashmap.h"

/* Expected: CPython 3.11's hash(b"...") with PYTHONHASHSEED=0, which is SipHash-1-3 with a zero key. */
static void test_hash_is_siphash13(void **state)
{
	(void)state;
	assert_int_equal(hash_bytes(0, "a", 1), 0x407448d2b89b1813ULL);
	assert_int_equal(hash_bytes(0, "abcdefg", 7), 0x6db12aae9070f506ULL);
	assert_int_equal(hash_bytes(0, "abcdefgh", 8), 0x3f7b849c0b8e35eaULL);
	assert_int_equal(hash_bytes(0, "hello world, this is sonde", 26), 0xb84fa975cc9b7ceULL);
}

static void test_hash_depends_on_seed(void **state)
{
	(void)state;
	assert_int_not_equal(hash_bytes(1, "a", 1), hash_bytes(2, "a", 1));
	assert_int_equal(hash_bytes(7, "", 0), hash_bytes(7, NULL, 0));
}

struct dropped {
	unsigned n;
	uint32_t key[8], value[8];
};

static void remember(void *context, const void *key, void *value)
{
	struct dropped *d = context;

	assert_true(d->n < 8);
	memcpy(&d->key[d->n], key, 4);
	memcpy(&d->value[d->n++], value, 4);
}

static uint32_t *put(struct hashmap *m, uint32_t key, uint32_t value)
{
	uint32_t *v = hashmap_put(m, &key, NULL);

	assert_non_null(v);
	*v = value;
	return v;
}

static void test_put_get_remove(void **state)
{
	struct hashmap *m = hashmap_new(4, 4, 100, NULL, NULL);
	uint32_t key = 5, other = 6, *v;
	bool new = false;

	(void)state;
	assert_null(hashmap_get(m, &key));
	assert_null(hashmap_oldest(m, NULL));
	v = hashmap_put(m, &key, &new);
	assert_true(new);
	assert_int_equal(*v, 0);
	*v = 77;
	assert_ptr_equal(hashmap_put(m, &key, &new), v);
	assert_false(new);
	assert_ptr_equal(hashmap_get(m, &key), v);
	assert_ptr_equal(hashmap_peek(m, &key), v);
	assert_int_equal(*v, 77);
	assert_null(hashmap_peek(m, &other));
	assert_int_equal(hashmap_count(m), 1);
	assert_false(hashmap_remove(m, &other));
	assert_true(hashmap_remove(m, &key));
	assert_false(hashmap_remove(m, &key));
	assert_int_equal(hashmap_count(m), 0);
	hashmap_free(m);
	hashmap_free(NULL);
}

static void test_full_map_evicts_least_recently_used(void **state)
{
	struct dropped d = { 0 };
	struct hashmap *m = hashmap_new(4, 4, 3, remember, &d);
	uint32_t key = 1;
	const void *oldest;

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		put(m, i, i * 10);
	hashmap_get(m, &key);
	key = 2;
	hashmap_peek(m, &key);
	assert_int_equal(*(uint32_t *)hashmap_oldest(m, &oldest), 20);
	assert_int_equal(*(const uint32_t *)oldest, 2);
	assert_int_equal(*put(m, 4, 40), 40);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.key[0], 2);
	assert_int_equal(d.value[0], 20);
	assert_int_equal(hashmap_count(m), 3);
	key = 3;
	assert_true(hashmap_remove(m, &key));
	assert_int_equal(d.n, 1);
	hashmap_free(m);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.key[1], 1);
	assert_int_equal(d.key[2], 4);
}

/* A recycled entry must not show what the evicted one held. */
static void test_recycled_entry_is_zeroed(void **state)
{
	struct hashmap *m = hashmap_new(3, 40, 1, NULL, NULL);
	static const char zero[40];

	(void)state;
	memset(hashmap_put(m, "abc", NULL), 0xff, 40);
	assert_memory_equal(hashmap_put(m, "xyz", NULL), zero, 40);
	assert_null(hashmap_get(m, "abc"));
	hashmap_free(m);
}

static void test_values_are_aligned(void **state)
{
	struct hashmap *m = hashmap_new(3, sizeof(max_align_t), 10, NULL, NULL);

	(void)state;
	assert_int_equal((uintptr_t)hashmap_put(m, "abc", NULL) % _Alignof(max_align_t), 0);
	hashmap_free(m);
}

static void test_walk_with_removal(void **state)
{
	struct hashmap *m = hashmap_new(4, 4, 100, NULL, NULL);
	uint32_t seen = 0, *v;
	void *cursor = NULL;
	const void *key;

	(void)state;
	assert_null(hashmap_next(m, &cursor, NULL));
	for (uint32_t i = 0; i < 50; i++)
		put(m, i, i);
	cursor = NULL;
	while ((v = hashmap_next(m, &cursor, &key))) {
		assert_int_equal(*v, seen);
		assert_int_equal(*(const uint32_t *)key, seen);
		seen++;
		if (*v % 2 || *v == 48)
			assert_true(hashmap_remove(m, key));
	}
	assert_int_equal(seen, 50);
	assert_null(hashmap_next(m, &cursor, NULL));
	assert_int_equal(hashmap_count(m), 24);
	hashmap_free(m);
}

/* The obvious implementation: an array in order of use. */
struct model {
	uint32_t key[64], value[64];
	unsigned n;
};

static int model_find(const struct model *o, uint32_t key)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->key[i] == key)
			return (int)i;
	return -1;
}

static void model_remove(struct model *o, int i)
{
	memmove(&o->key[i], &o->key[i + 1], (o->n - (unsigned)i - 1) * 4);
	memmove(&o->value[i], &o->value[i + 1], (o->n - (unsigned)i - 1) * 4);
	o->n--;
}

static void model_put(struct model *o, uint32_t key, uint32_t value)
{
	int i = model_find(o, key);

	if (i >= 0)
		model_remove(o, i);
	else if (o->n == 64)
		model_remove(o, 0);
	o->key[o->n] = key;
	o->value[o->n++] = value;
}

static void test_random_operations_against_model(void **state)
{
	struct hashmap *m = hashmap_new(4, 4, 64, NULL, NULL);
	struct model o = { 0 };
	unsigned seed = 12345;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		uint32_t key = (uint32_t)rand_r(&seed) % 100, *v;
		int i = model_find(&o, key);

		switch (rand_r(&seed) % 4) {
		case 0:
			put(m, key, (uint32_t)step);
			model_put(&o, key, (uint32_t)step);
			break;
		case 1:
			assert_int_equal(hashmap_remove(m, &key), i >= 0);
			if (i >= 0)
				model_remove(&o, i);
			break;
		default:
			v = hashmap_get(m, &key);
			assert_int_equal(v != NULL, i >= 0);
			if (v) {
				assert_int_equal(*v, o.value[i]);
				model_put(&o, key, *v);
			}
		}
		assert_int_equal(hashmap_count(m), o.n);
		v = hashmap_oldest(m, NULL);
		assert_true(v ? *v == o.value[0] : o.n == 0);
	}
	hashmap_free(m);
}

static void test_many_entries(void **state)
{
	struct hashmap *m = hashmap_new(4, 4, 100000, NULL, NULL);

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		put(m, i, i ^ 0x5a5a);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(*(uint32_t *)hashmap_get(m, &i), i ^ 0x5a5a);
	assert_int_equal(hashmap_count(m), 100000);
	hashmap_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_is_siphash13),
		cmocka_unit_test(test_hash_depends_on_seed),
		cmocka_unit_test(test_put_get_remove),
		cmocka_unit_test(test_full_map_evicts_least_recently_used),
		cmocka_unit_test(test_recycled_entry_is_zeroed),
		cmocka_unit_test(test_values_are_aligned),
		cmocka_unit_test(test_walk_with_removal),
		cmocka_unit_test(test_random_operations_against_model),
		cmocka_unit_test(test_many_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
