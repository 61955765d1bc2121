/* SPDX-License-Identifier: Apache-2.0 */
#include "source/histmap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/hashmap.h"

#define BATCH_BYTES (256u << 10) /* what one batch of values should take */
#define BATCH_MIN 8
#define BATCH_MAX 1024 /* a batch must hold the fullest bucket of the kernel's hash */
#define READ_TRIES 8

struct histmap {
	int fd;
	size_t max_keys;
	unsigned cpus;
	struct hashmap *taken; /* hist_key -> hist_value: what was taken so far, modulo 2^32 */
};

/* One reading, with what it calls. */
struct reading {
	struct histmap *m;
	bool last;
	histmap_grew_fn *grew;
	histmap_value_fn *value;
	histmap_dead_fn *dead;
	void *context;
	struct hist_value *one;	   /* values of all CPUs of one key */
	struct hist_key *finished; /* dead keys, to be deleted after the walk */
	size_t finished_n, finished_cap;
};

int histmap_new(int map_fd, size_t max_keys, struct histmap **ret)
{
	struct histmap *m = calloc(1, sizeof(*m));
	int cpus = map_fd < 0 ? 1 : libbpf_num_possible_cpus();

	if (!m || cpus < 1) {
		free(m);
		return m ? cpus : -ENOMEM;
	}
	m->fd = map_fd;
	m->cpus = (unsigned)cpus;
	m->max_keys = max_keys;
	m->taken = hashmap_new(sizeof(struct hist_key), sizeof(struct hist_value), max_keys, NULL, NULL);
	if (!m->taken) {
		free(m);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

void histmap_free(struct histmap *m)
{
	if (!m)
		return;
	hashmap_free(m->taken);
	free(m);
}

void histmap_merge(struct hist_value *sum, const struct hist_value *cpu)
{
	sum->count += cpu->count;
	sum->sum += cpu->sum;
	sum->announced |= cpu->announced;
	sum->clamped += cpu->clamped;
	for (size_t i = 0; i < HIST_EXPLICIT_MAX; i++)
		sum->explicit_counts[i] += cpu->explicit_counts[i];
	for (size_t i = 0; i < HIST_SLOTS; i++)
		sum->slots[i] += cpu->slots[i];
	sum->amount += cpu->amount;
	for (size_t i = 0; i < HIST_AMOUNT_MAX; i++)
		sum->amounts[i] += cpu->amounts[i];
}

bool histmap_whole(const struct hist_value *v)
{
	__u32 explicits = 0, slots = 0;

	for (size_t i = 0; i < HIST_EXPLICIT_MAX; i++)
		explicits += v->explicit_counts[i];
	for (size_t i = 0; i < HIST_SLOTS; i++)
		slots += v->slots[i];
	return explicits == slots && slots == (__u32)v->count;
}

/* An amount may be read before its count, or with the next reading after it. */
static bool same(const struct hist_value *a, const struct hist_value *b)
{
	return a->count == b->count && a->amount == b->amount &&
	       memcmp(a->amounts, b->amounts, sizeof(a->amounts)) == 0;
}

static bool is_new(const struct hist_value *value, const struct hist_value *taken)
{
	static const struct hist_value nothing;

	return !same(value, taken ? taken : &nothing);
}

static void subtract(struct hist_value *v, const struct hist_value *before)
{
	v->count -= before->count;
	v->sum -= before->sum;
	v->announced = 0;
	v->clamped -= before->clamped;
	for (size_t i = 0; i < HIST_EXPLICIT_MAX; i++)
		v->explicit_counts[i] -= before->explicit_counts[i];
	for (size_t i = 0; i < HIST_SLOTS; i++)
		v->slots[i] -= before->slots[i];
	v->amount -= before->amount;
	for (size_t i = 0; i < HIST_AMOUNT_MAX; i++)
		v->amounts[i] -= before->amounts[i];
}

int histmap_feed(struct histmap *m, const struct hist_key *key, const struct hist_value *value, histmap_grew_fn *grew,
		 void *context, bool *ret_taken)
{
	struct hist_value *taken = hashmap_peek(m->taken, key), growth = *value;
	bool first = !taken, ok;

	if (taken)
		subtract(&growth, taken);
	else
		growth.announced = 0;
	if (ret_taken)
		*ret_taken = true;
	if (!is_new(value, taken))
		return 0;
	/* room to remember first: what is taken and forgotten would be counted again */
	if (first && hashmap_count(m->taken) < m->max_keys)
		taken = hashmap_put(m->taken, key, NULL);
	if (!taken)
		return -ENOMEM;
	ok = grew(context, key, &growth);
	if (ok)
		*taken = *value;
	else if (first)
		hashmap_remove(m->taken, key);
	if (ret_taken)
		*ret_taken = ok;
	return 0;
}

static void merge_cpus(const struct histmap *m, const struct hist_value *cpus, struct hist_value *ret)
{
	*ret = cpus[0];
	for (unsigned i = 1; i < m->cpus; i++)
		histmap_merge(ret, &cpus[i]);
}

/* Marks a dead key for deletion, unless something of it could not be taken. */
static void finish(struct reading *r, const struct hist_key *key, const struct hist_value *value)
{
	const struct hist_value *taken = hashmap_peek(r->m->taken, key);

	if (is_new(value, taken))
		return;
	if (r->finished_n == r->finished_cap) {
		size_t cap = r->finished_cap ? r->finished_cap * 2 : 32;
		struct hist_key *v = reallocarray(r->finished, cap, sizeof(*v));

		if (!v)
			return; /* the next reading finds it again */
		r->finished = v;
		r->finished_cap = cap;
	}
	r->finished[r->finished_n++] = *key;
}

static int take(struct reading *r, const struct hist_key *key, const struct hist_value *cpus)
{
	struct histmap *m = r->m;
	bool dead =
		r->dead && r->dead(r->context, key); /* asked first: nothing can be added between this and the read */
	const struct hist_value *taken = hashmap_peek(m->taken, key);
	struct hist_value value;
	int e = 0;

	if (cpus && !dead)
		merge_cpus(m, cpus, &value);
	for (int tries = 0; (!cpus || dead || !histmap_whole(&value)) && tries < READ_TRIES; tries++) {
		if (bpf_map_lookup_elem(m->fd, key, r->one))
			return errno == ENOENT ? 0 : -errno;
		merge_cpus(m, r->one, &value);
		cpus = r->one;
		if (dead)
			break;
	}
	if (!histmap_whole(&value) && !r->last && !dead)
		return 0;
	if (is_new(&value, taken)) {
		if (r->value)
			r->value(r->context, key, &value);
		e = histmap_feed(m, key, &value, r->grew, r->context, NULL);
	}
	if (dead)
		finish(r, key, &value);
	return e;
}

/* -EOPNOTSUPP: the kernel cannot read this map in batches (before 5.6). */
static int read_batches(struct reading *r)
{
	struct histmap *m = r->m;
	__u32 n = BATCH_BYTES / (m->cpus * (__u32)sizeof(struct hist_value)), position = 0;
	_cleanup_free_ struct hist_key *keys = NULL;
	_cleanup_free_ struct hist_value *values = NULL;
	bool first = true, end = false;

	n = n < BATCH_MIN ? BATCH_MIN : n;
	while (!end) {
		LIBBPF_OPTS(bpf_map_batch_opts, opts);
		__u32 count = n;

		if (!keys)
			keys = calloc(n, sizeof(*keys));
		if (!values)
			values = calloc((size_t)n * m->cpus, sizeof(*values));
		if (!keys || !values)
			return -ENOMEM;
		if (bpf_map_lookup_batch(m->fd, first ? NULL : &position, &position, keys, values, &count, &opts)) {
			if (errno == ENOSPC && n < BATCH_MAX) {
				n *= 2;
				free(TAKE_PTR(keys));
				free(TAKE_PTR(values));
				continue;
			}
			if (errno != ENOENT)
				return first && errno != ENOMEM ? -EOPNOTSUPP : -errno;
			end = true;
		}
		first = false;
		for (__u32 i = 0; i < count; i++) {
			int e = take(r, &keys[i], &values[(size_t)i * m->cpus]);

			if (e)
				return e;
		}
	}
	return 0;
}

static int read_one_by_one(struct reading *r)
{
	struct hist_key key, *before = NULL;

	while (!bpf_map_get_next_key(r->m->fd, before, &key)) {
		int e = take(r, &key, NULL);

		if (e)
			return e;
		before = &key;
	}
	return errno == ENOENT ? 0 : -errno;
}

int histmap_read(struct histmap *m, bool last, histmap_grew_fn *grew, histmap_value_fn *value, histmap_dead_fn *dead,
		 void *context)
{
	struct reading r = { .m = m, .last = last, .grew = grew, .value = value, .dead = dead, .context = context };
	int e;

	if (m->fd < 0)
		return 0;
	r.one = calloc(m->cpus, sizeof(*r.one));
	if (!r.one)
		return -ENOMEM;
	e = read_batches(&r);
	if (e == -EOPNOTSUPP)
		e = read_one_by_one(&r);
	for (size_t i = 0; i < r.finished_n; i++) {
		bpf_map_delete_elem(m->fd, &r.finished[i]);
		hashmap_remove(m->taken, &r.finished[i]);
	}
	free(r.finished);
	free(r.one);
	return e;
}
