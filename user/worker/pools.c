/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/pools.h"

#include <stdlib.h>

#include "util/hashmap.h"

#define POOLS_MAX 2000 /* a pool goes on being told, with zeros, until others need its place */

struct pool {
	struct resource *resource;
	struct attrs attrs;
	uint64_t count[2]; /* idle, used */
};

struct pools {
	struct processes *processes;
	struct hashmap *pools; /* hash of resource and attributes -> struct pool */
	uint64_t start;
};

static void drop_pool(void *context, const void *key, void *value)
{
	struct pool *p = value;

	(void)context;
	(void)key;
	resource_unref(p->resource);
	attrs_free(&p->attrs);
}

struct pools *pools_new(struct processes *processes, uint64_t start)
{
	struct pools *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->processes = processes;
	p->start = start;
	p->pools = hashmap_new(sizeof(uint64_t), sizeof(struct pool), POOLS_MAX, drop_pool, NULL);
	if (p->pools)
		return p;
	free(p);
	return NULL;
}

void pools_free(struct pools *p)
{
	if (!p)
		return;
	hashmap_free(p->pools);
	free(p);
}

static void copy(struct attrs *to, const struct attrs *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		attrs_str(to, from->v[i].key, from->v[i].s, 0);
}

static struct pool *find(struct pools *p, struct resource *r, const struct attrs *attrs)
{
	uint64_t hash = hash_bytes(1, &r->id, sizeof(r->id));
	bool is_new;
	struct pool *pool;

	for (uint32_t i = 0; i < attrs->n; i++)
		hash = hash_bytes(hash, attrs->v[i].s.p, attrs->v[i].s.n);
	pool = hashmap_put(p->pools, &hash, &is_new);
	if (pool && is_new) {
		pool->resource = resource_ref(r);
		copy(&pool->attrs, attrs);
	}
	return pool;
}

static void add(void *context, const struct assembly_connection *c)
{
	struct pools *p = context;
	const struct process *owner = processes_find(p->processes, c->tgid);
	struct resource *r = NULL;
	struct pool *pool;

	/* TCP tells its end. A Unix socket that nobody closed ends with its process. */
	if (c->local && (!owner || owner->exited))
		return;
	if (processes_service(p->processes, c->service, &r) != SERVICE_OBSERVED)
		return;
	pool = find(p, r, &c->attrs);
	if (pool)
		pool->count[c->used]++;
}

void pools_collect(struct pools *p, struct assembly *a, struct metric_set *ret)
{
	static const char *const states[] = { "idle", "used" };
	struct pool *pool;
	const void *key;

	for (void *cursor = NULL; (pool = hashmap_next(p->pools, &cursor, &key));)
		pool->count[0] = pool->count[1] = 0;
	assembly_connections(a, add, p);
	for (void *cursor = NULL; (pool = hashmap_next(p->pools, &cursor, &key));)
		for (size_t i = 0; i < 2; i++) {
			struct metric_point *point =
				metric_set_add(ret, METRIC_DB_CLIENT_CONNECTION_COUNT, pool->resource);

			if (!point)
				return;
			copy(&point->attrs, &pool->attrs);
			attrs_str(&point->attrs, ATTR_DB_CLIENT_CONNECTION_STATE, bytes_str(states[i]), 0);
			point->start = p->start;
			point->counter = pool->count[i];
		}
}
