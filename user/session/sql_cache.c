/* SPDX-License-Identifier: Apache-2.0 */
#include "session/sql_cache.h"

#include <sys/random.h>

#include "sql/shape.h"
#include "util/hashmap.h"

const struct sql *sql_cache_read(struct sql_cache *c, enum sql_dialect dialect, struct bytes text, bool cut,
				 size_t max_chars)
{
	struct sql_cache_slot *slot = &c->large;
	uint64_t hash = 0;
	char shape[SQL_CACHE_TEXT_MAX];

	if (!c->seed && getrandom(&c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		c->seed = 1;
	if (text.n <= SQL_CACHE_TEXT_MAX) {
		size_t n = cut ? 0 : sql_shape(dialect, text, shape);

		hash = hash_bytes(c->seed ^ (uint64_t)dialect << 1 ^ cut, n ? shape : text.p, n ? n : text.n);
		hash += hash == 0;
		slot = &c->slots[hash % SQL_CACHE_SLOTS];
		if (slot->hash == hash)
			return &slot->sql;
	}
	sql_read(&slot->sql, dialect, text, cut, max_chars);
	slot->hash = slot->sql.text.failed || slot->sql.summary.failed ? 0 : hash;
	return &slot->sql;
}

void sql_cache_free(struct sql_cache *c)
{
	for (size_t i = 0; i < SQL_CACHE_SLOTS; i++)
		sql_free(&c->slots[i].sql);
	sql_free(&c->large.sql);
}
