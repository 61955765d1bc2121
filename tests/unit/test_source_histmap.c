/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of histograms: fed by hand, and from a real per-CPU map where the machine lets us have one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "source/histmap.h"

#define KEYS 300

/* Totals as a reader adds them up. */
struct totals {
	uint64_t count[KEYS], sum[KEYS], slots[KEYS], amount[KEYS], amounts[KEYS];
	unsigned calls, values;
	bool refuse;
	uint32_t dead; /* service that has ended, 0 = none */
};

static bool grew(void *context, const struct hist_key *key, const struct hist_value *growth)
{
	struct totals *t = context;

	t->calls++;
	if (t->refuse)
		return false;
	assert_true(key->operation < KEYS);
	t->count[key->operation] += growth->count;
	t->sum[key->operation] += growth->sum;
	for (size_t i = 0; i < HIST_SLOTS; i++)
		t->slots[key->operation] += growth->slots[i];
	t->amount[key->operation] += growth->amount;
	for (size_t i = 0; i < HIST_AMOUNT_MAX; i++)
		t->amounts[key->operation] += growth->amounts[i];
	return true;
}

static void value(void *context, const struct hist_key *key, const struct hist_value *v)
{
	(void)key;
	assert_true(v->count > 0);
	((struct totals *)context)->values++;
}

static bool dead(void *context, const struct hist_key *key)
{
	return key->service == ((struct totals *)context)->dead;
}

static struct hist_key key_of(uint64_t operation, uint32_t service)
{
	struct hist_key k = { .operation = operation, .service = service };

	return k;
}

/* n values of one microsecond, all in one slot. */
static void count(struct hist_value *v, unsigned slot, uint64_t n)
{
	v->count += n;
	v->sum += n * 1000;
	v->explicit_counts[slot % HIST_EXPLICIT_MAX] += (__u32)n;
	v->slots[slot] += (__u32)n;
}

static void test_growth_is_the_difference(void **state)
{
	struct hist_key key = key_of(1, 1);
	struct hist_value v = { 0 };
	struct totals t = { 0 };
	struct histmap *m;
	bool taken;

	(void)state;
	assert_int_equal(histmap_new(-1, 16, &m), 0);
	count(&v, 3, 10);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, &taken), 0);
	assert_true(taken);
	count(&v, 4, 5);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0); /* nothing new: no call */
	assert_int_equal(t.calls, 2);
	assert_int_equal(t.count[1], 15);
	assert_int_equal(t.sum[1], 15000);
	assert_int_equal(t.slots[1], 15);
	histmap_free(m);
}

/* A CPU was in the middle of counting: the amount comes with the next reading, though nothing else is new. */
static void test_amount_comes_late(void **state)
{
	struct hist_key key = key_of(1, 1);
	struct hist_value v = { 0 };
	struct totals t = { 0 };
	struct histmap *m;

	(void)state;
	assert_int_equal(histmap_new(-1, 16, &m), 0);
	count(&v, 3, 1);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	v.amount += 70;
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	v.amounts[6]++;
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	assert_int_equal(t.calls, 3);
	assert_int_equal(t.count[1], 1);
	assert_int_equal(t.amount[1], 70);
	assert_int_equal(t.amounts[1], 1);
	histmap_free(m);
}

static void test_buckets_wrap(void **state)
{
	struct hist_key key = key_of(1, 1);
	struct hist_value v = { 0 };
	struct totals t = { 0 };
	struct histmap *m;
	uint64_t all = 0;

	(void)state;
	assert_int_equal(histmap_new(-1, 16, &m), 0);
	for (int i = 0; i < 7; i++) { /* 3 billion each: past 2^32 again and again */
		count(&v, 3, 3000000000ull);
		all += 3000000000ull;
		assert_int_equal(histmap_feed(m, &key, &v, grew, &t, NULL), 0);
	}
	assert_true(histmap_whole(&v));
	assert_true(t.slots[1] == all && t.count[1] == all);
	histmap_free(m);
}

static void test_refused_growth_stays(void **state)
{
	struct hist_key key = key_of(1, 1);
	struct hist_value v = { 0 };
	struct totals t = { .refuse = true };
	struct histmap *m;
	bool taken = true;

	(void)state;
	assert_int_equal(histmap_new(-1, 16, &m), 0);
	count(&v, 3, 10);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, &taken), 0);
	assert_false(taken);
	t.refuse = false;
	count(&v, 3, 1);
	assert_int_equal(histmap_feed(m, &key, &v, grew, &t, &taken), 0);
	assert_true(taken);
	assert_int_equal(t.count[1], 11);
	histmap_free(m);
}

/* When the table of what was taken is full nothing may be counted twice. */
static void test_bounded(void **state)
{
	struct hist_value v = { 0 };
	struct totals t = { 0 };
	struct histmap *m;

	(void)state;
	assert_int_equal(histmap_new(-1, 4, &m), 0);
	count(&v, 3, 10);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(histmap_feed(m, &(struct hist_key){ .operation = i }, &v, grew, &t, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(histmap_feed(m, &(struct hist_key){ .operation = 9 }, &v, grew, &t, NULL), -ENOMEM);
	assert_int_equal(t.count[9], 0);
	histmap_free(m);
}

static void test_whole(void **state)
{
	struct hist_value v = { 0 };

	(void)state;
	assert_true(histmap_whole(&v));
	count(&v, 3, 10);
	assert_true(histmap_whole(&v));
	v.slots[7]++;
	assert_false(histmap_whole(&v));
	v.explicit_counts[0]++;
	assert_false(histmap_whole(&v));
	v.count++;
	assert_true(histmap_whole(&v));
}

struct real {
	int fd, cpus;
	struct hist_value *v; /* what each CPU has */
};

static bool real_map(struct real *r)
{
	r->cpus = libbpf_num_possible_cpus();
	r->fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "test", sizeof(struct hist_key), sizeof(struct hist_value),
			       KEYS, NULL);
	r->v = calloc((size_t)r->cpus, sizeof(*r->v));
	if (r->fd < 0)
		free(r->v);
	return r->fd >= 0;
}

static void real_put(struct real *r, const struct hist_key *key, uint64_t n)
{
	for (int cpu = 0; cpu < r->cpus; cpu++) {
		r->v[cpu] = (struct hist_value){ 0 };
		count(&r->v[cpu], (unsigned)(5 + cpu) % HIST_SLOTS, n + (uint64_t)cpu);
	}
	assert_int_equal(bpf_map_update_elem(r->fd, key, r->v, BPF_ANY), 0);
}

static uint64_t expected(const struct real *r, uint64_t n)
{
	uint64_t cpus = (uint64_t)r->cpus;

	return cpus * n + cpus * (cpus - 1) / 2;
}

static void test_real_map(void **state)
{
	struct totals t = { 0 };
	struct histmap *m;
	struct real r;

	(void)state;
	if (!real_map(&r))
		skip(); /* no privilege to make BPF maps here */
	assert_int_equal(histmap_new(r.fd, KEYS, &m), 0);
	for (int round = 1; round <= 3; round++) {
		for (uint64_t i = 0; i < KEYS; i++) {
			struct hist_key key = key_of(i, 1 + (uint32_t)(i % 3));

			real_put(&r, &key, (uint64_t)round * (i + 1));
		}
		assert_int_equal(histmap_read(m, false, grew, value, NULL, &t), 0);
	}
	assert_int_equal(t.calls, 3 * KEYS);
	assert_int_equal(t.values, 3 * KEYS);
	for (uint64_t i = 0; i < KEYS; i++) {
		assert_int_equal(t.count[i], expected(&r, 3 * (i + 1)));
		assert_int_equal(t.slots[i], t.count[i]);
		assert_int_equal(t.sum[i], 1000 * t.count[i]);
	}
	histmap_free(m);
	free(r.v);
	close(r.fd);
}

static void test_real_dead_keys(void **state)
{
	struct hist_key one = key_of(1, 1), two = key_of(2, 2);
	struct totals t = { .dead = 2, .refuse = true };
	struct histmap *m;
	struct real r;

	(void)state;
	if (!real_map(&r))
		skip();
	assert_int_equal(histmap_new(r.fd, KEYS, &m), 0);
	real_put(&r, &one, 10);
	real_put(&r, &two, 20);
	assert_int_equal(histmap_read(m, false, grew, NULL, dead, &t), 0);
	assert_int_equal(bpf_map_lookup_elem(r.fd, &two, r.v), 0); /* nobody took it: it must not go */
	t.refuse = false;
	assert_int_equal(histmap_read(m, false, grew, NULL, dead, &t), 0);
	assert_int_not_equal(bpf_map_lookup_elem(r.fd, &two, r.v), 0);
	assert_int_equal(bpf_map_lookup_elem(r.fd, &one, r.v), 0);
	assert_int_equal(t.count[2], expected(&r, 20));
	/* the same key again starts from nothing */
	t.dead = 0;
	real_put(&r, &two, 3);
	assert_int_equal(histmap_read(m, false, grew, NULL, dead, &t), 0);
	assert_int_equal(t.count[2], expected(&r, 20) + expected(&r, 3));
	histmap_free(m);
	free(r.v);
	close(r.fd);
}

static void test_real_torn_value(void **state)
{
	struct hist_key key = key_of(1, 1);
	struct totals t = { 0 };
	struct histmap *m;
	struct real r;

	(void)state;
	if (!real_map(&r))
		skip();
	assert_int_equal(histmap_new(r.fd, KEYS, &m), 0);
	real_put(&r, &key, 10);
	r.v[0].count++; /* as if this CPU were between its first and its last store */
	r.v[0].explicit_counts[5]++;
	assert_int_equal(bpf_map_update_elem(r.fd, &key, r.v, BPF_ANY), 0);
	assert_int_equal(histmap_read(m, false, grew, NULL, NULL, &t), 0);
	assert_int_equal(t.calls, 0);
	assert_int_equal(histmap_read(m, true, grew, NULL, NULL, &t), 0);
	assert_int_equal(t.count[1], expected(&r, 10) + 1);
	histmap_free(m);
	free(r.v);
	close(r.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth_is_the_difference),
		cmocka_unit_test(test_amount_comes_late),
		cmocka_unit_test(test_buckets_wrap),
		cmocka_unit_test(test_refused_growth_stays),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_real_map),
		cmocka_unit_test(test_real_dead_keys),
		cmocka_unit_test(test_real_torn_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
