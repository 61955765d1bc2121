/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of prepared statements by name, one set per connection. Pools prepare the same texts on every connection: equal
 * texts are kept once, in a store that all sets share, bounded in bytes.
 */
#ifndef SONDE_CONN_STATEMENTS_H
#define SONDE_CONN_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

struct statement_store;

/* max_bytes bounds all texts together; what does not fit is not learnt. NULL when out of memory. */
struct statement_store *statement_store_new(size_t max_bytes);
void statement_store_free(struct statement_store *s); /* after all its sets; NULL is allowed */
size_t statement_store_bytes(const struct statement_store *s);

#define STATEMENTS_MAX 512	 /* names on one connection; the least recently used goes */
#define STATEMENT_TEXT_MAX 16384 /* kept of one text */

struct statements {
	struct hashmap *names; /* NULL: empty */
};

/* Remembers the text, or forgets the name when there is no room. cut: there was more of it. */
void statements_learn(struct statements *s, struct statement_store *store, struct bytes name, struct bytes text,
		      bool cut);
void statements_forget(struct statements *s, const struct statement_store *store, struct bytes name);
/* False when the name is not known. *ret_text is valid until the set changes. */
bool statements_find(const struct statements *s, const struct statement_store *store, struct bytes name,
		     struct bytes *ret_text, bool *ret_cut);
void statements_clear(struct statements *s);

#endif
