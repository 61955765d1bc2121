/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/statements.h"

#include <stdlib.h>
#include <sys/random.h>

#include "util/hashmap.h"

struct text {
	struct statement_store *store;
	uint64_t hash;
	uint32_t refs, n;
	bool cut;
	char p[];
};

struct statement_store {
	struct hashmap *texts; /* hash -> struct text * */
	size_t bytes, max_bytes;
	uint64_t seed;
};

struct statement_store *statement_store_new(size_t max_bytes)
{
	struct statement_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->max_bytes = max_bytes;
	if (getrandom(&s->seed, sizeof(s->seed), 0) != sizeof(s->seed))
		s->seed = (uintptr_t)s;
	s->texts = hashmap_new(sizeof(uint64_t), sizeof(struct text *), max_bytes / 64 + 1, NULL, NULL);
	if (!s->texts) {
		free(s);
		return NULL;
	}
	return s;
}

void statement_store_free(struct statement_store *s)
{
	if (!s)
		return;
	hashmap_free(s->texts);
	free(s);
}

size_t statement_store_bytes(const struct statement_store *s)
{
	return s->bytes;
}

static void text_unref(struct text *t)
{
	if (--t->refs)
		return;
	t->store->bytes -= sizeof(*t) + t->n;
	hashmap_remove(t->store->texts, &t->hash);
	free(t);
}

/* A reference to the one copy of the text, or NULL when there is no room. */
static struct text *text_get(struct statement_store *s, struct bytes b, bool cut)
{
	uint64_t hash = hash_bytes(s->seed ^ cut, b.p, b.n);
	struct text **known = hashmap_get(s->texts, &hash), *t;

	if (known) {
		t = *known;
		if (!bytes_eq(bytes_of(t->p, t->n), b) || t->cut != cut)
			return NULL;
		t->refs++;
		return t;
	}
	if (s->bytes + sizeof(*t) + b.n > s->max_bytes || hashmap_count(s->texts) >= s->max_bytes / 64)
		return NULL;
	t = malloc(sizeof(*t) + b.n);
	if (!t)
		return NULL;
	*t = (struct text){ .store = s, .hash = hash, .refs = 1, .n = (uint32_t)b.n, .cut = cut };
	if (b.n)
		memcpy(t->p, b.p, b.n);
	known = hashmap_put(s->texts, &hash, NULL);
	if (!known) {
		free(t);
		return NULL;
	}
	*known = t;
	s->bytes += sizeof(*t) + b.n;
	return t;
}

static void drop_name(void *context, const void *key, void *value)
{
	(void)context;
	(void)key;
	text_unref(*(struct text **)value);
}

static uint64_t name_hash(const struct statement_store *store, struct bytes name)
{
	return hash_bytes(store->seed, name.p, name.n);
}

void statements_forget(struct statements *s, const struct statement_store *store, struct bytes name)
{
	uint64_t key = name_hash(store, name);
	struct text **known = s->names ? hashmap_get(s->names, &key) : NULL;

	if (!known)
		return;
	text_unref(*known);
	hashmap_remove(s->names, &key);
}

void statements_learn(struct statements *s, struct statement_store *store, struct bytes name, struct bytes text,
		      bool cut)
{
	uint64_t key = name_hash(store, name);
	struct text **slot, *t;

	if (text.n > STATEMENT_TEXT_MAX) {
		text = bytes_head(text, STATEMENT_TEXT_MAX);
		cut = true;
	}
	t = text_get(store, text, cut); /* before the old one goes: it may be the same */
	statements_forget(s, store, name);
	if (!t)
		return;
	if (!s->names)
		s->names = hashmap_new(sizeof(key), sizeof(t), STATEMENTS_MAX, drop_name, NULL);
	slot = s->names ? hashmap_put(s->names, &key, NULL) : NULL;
	if (!slot) {
		text_unref(t);
		return;
	}
	*slot = t;
}

bool statements_find(const struct statements *s, const struct statement_store *store, struct bytes name,
		     struct bytes *ret_text, bool *ret_cut)
{
	uint64_t key = name_hash(store, name);
	struct text **known = s->names ? hashmap_get(s->names, &key) : NULL;

	if (!known)
		return false;
	*ret_text = bytes_of((*known)->p, (*known)->n);
	*ret_cut = (*known)->cut;
	return true;
}

void statements_clear(struct statements *s)
{
	hashmap_free(s->names);
	s->names = NULL;
}
