/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sql_read() made of the texts seen lately: applications send the same few hundred statements again and again,
 * with values in them or without (sql/shape.h). A table of fixed size, a new text takes the place of an old one; its
 * buffers are used again. Nothing of the raw text is kept but a keyed hash.
 */
#ifndef SONDE_SESSION_SQL_CACHE_H
#define SONDE_SESSION_SQL_CACHE_H

#include "sql/sql.h"

#define SQL_CACHE_SLOTS 512
#define SQL_CACHE_TEXT_MAX 4096 /* longer texts are read each time */

struct sql_cache {
	uint64_t seed;
	struct sql_cache_slot {
		uint64_t hash; /* 0 = empty */
		struct sql sql;
	} slots[SQL_CACHE_SLOTS], large;
};

/* As sql_read(). Borrowed until the next call. */
const struct sql *sql_cache_read(struct sql_cache *c, enum sql_dialect dialect, struct bytes text, bool cut,
				 size_t max_chars);
void sql_cache_free(struct sql_cache *c); /* what it holds */

#endif
