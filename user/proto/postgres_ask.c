/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of a streaming PostgreSQL connection asks: into the queue of what waits for its answer. */
#include "frame/postgres.h"
#include "proto/postgres_stream.h"

static bool push_text(struct postgres_stream *s, uint8_t kind, uint64_t start, uint64_t parent)
{
	uint64_t want = s->request.remaining < PG_TEXT_MAX ? s->request.remaining : PG_TEXT_MAX;
	uint32_t at = 0;
	bool room = pg_arena_alloc(s, (uint32_t)want, &at);
	struct pg_pending *p = pg_push(s, kind, parent);

	if (!p)
		return false;
	p->start = start;
	if (room) {
		p->base = p->text_at = at;
		p->flags |= PENDING_TEXT;
	}
	s->fill_at = at;
	s->fill_size = room ? (uint32_t)want : 0;
	return true;
}

static void name_execute(struct postgres_stream *s, const struct pg_portal *portal, struct pg_pending *p,
			 const struct pg_pending *before)
{
	struct bytes name = bytes_of(portal->statement, portal->statement_n), parsed;
	uint32_t at;
	bool cut;

	if (portal->parameters)
		p->flags |= PENDING_PARAMETERS;
	if (before && before->kind == PENDING_PARSE && before->flags & PENDING_TEXT) {
		pg_parse_text(pg_arena(s, before->text_at, before->text_n), &parsed, &cut);
		if (bytes_eq(parsed, name)) {
			p->text_at = before->text_at;
			p->text_n = before->text_n;
			p->flags |= PENDING_TEXT;
			return;
		}
	}
	p->flags |= PENDING_NAME;
	p->name_n = (uint16_t)name.n;
	if (name.n == s->name_n && pg_still_held(s, s->name_at) && bytes_eq(name, pg_arena(s, s->name_at, s->name_n))) {
		p->name_at = s->name_at;
		return;
	}
	/* Not pushed yet: the entry must not be what says which bytes are in use. */
	if (!pg_arena_alloc(s, (uint32_t)name.n, &at)) {
		p->flags &= ~(uint32_t)PENDING_NAME;
		return;
	}
	memcpy(s->arena + at % PG_ARENA, name.p, name.n);
	p->name_at = p->base = at;
	s->name_at = at;
	s->name_n = (uint16_t)name.n;
}

static bool push_execute(struct postgres_stream *s, uint64_t start, uint64_t parent)
{
	struct pg_pending *before = pg_last(s), named = { 0 }, *p;
	struct bytes body = bytes_of(s->request.body, s->request.body_n), name;
	struct pg_portal *portal;
	bool cut;

	name = pg_string(&body, &cut);
	portal = cut ? NULL : pg_portal_find(s, name);
	named.base = before ? before->base : s->arena_head;
	if (portal) {
		name_execute(s, portal, &named, before);
		named.portal = (uint8_t)(1 + (portal - s->portals));
		if (portal->executed)
			named.flags |= PENDING_CONTINUES;
		portal->executed = true;
	}
	p = pg_push(s, PENDING_EXECUTE, parent);
	if (!p)
		return false;
	named.kind = PENDING_EXECUTE;
	named.parent = parent;
	named.start = start;
	*p = named;
	return true;
}

static bool push_close(struct postgres_stream *s, uint64_t start, uint64_t parent)
{
	struct bytes body = bytes_of(s->request.body, s->request.body_n), name;
	struct pg_pending *p;
	bool cut;
	uint8_t what = 0;
	uint32_t at = 0;
	bool named = bytes_get_u8(&body, &what) && what == 'S';

	name = pg_string(&body, &cut);
	named = named && !cut && pg_arena_alloc(s, (uint32_t)name.n, &at);
	p = pg_push(s, PENDING_CLOSE, parent);
	if (!p)
		return false;
	p->start = start;
	if (named) {
		memcpy(s->arena + at % PG_ARENA, name.p, name.n);
		p->base = p->name_at = at;
		p->name_n = (uint16_t)name.n;
		p->flags |= PENDING_NAME;
	}
	return true;
}

/* A header is whole. False: no room to remember it. */
bool pg_request_begins(struct postgres_stream *s, uint64_t parent)
{
	const struct pg_side *side = &s->request;
	uint64_t began = side->began;
	struct pg_pending *p;

	switch (side->type) {
	case 'P':
		if (!s->group_start)
			s->group_start = began;
		return push_text(s, PENDING_PARSE, s->group_start, parent);
	case 'B':
	case 'D':
	case 'E':
		if (!s->group_start)
			s->group_start = began;
		return true;
	case 'Q':
		s->group_start = 0;
		return push_text(s, PENDING_QUERY, began, parent);
	case 'F':
		s->group_start = 0;
		p = pg_push(s, PENDING_QUERY, parent); /* one that has no text: it is answered alike */
		if (p)
			p->start = began;
		return p != NULL;
	case 'S':
		s->group_start = 0;
		return pg_push(s, PENDING_SYNC, parent) != NULL;
	}
	return true;
}

/* A message is whole. */
bool pg_request_ends(struct postgres_stream *s, uint64_t parent)
{
	uint64_t start = s->group_start;

	switch (s->request.type) {
	case 'B':
		pg_portal_bind(s, bytes_of(s->request.body, s->request.body_n));
		return true;
	case 'C':
		return push_close(s, s->request.began, parent);
	case 'E':
		s->group_start = 0;
		return push_execute(s, start, parent);
	}
	return true;
}

/* Bytes of the body of a Parse or Query go straight to where the last entry keeps its text. */
void pg_keep_text(struct postgres_stream *s, struct bytes b)
{
	struct pg_pending *p = pg_last(s);

	/* It is no longer the last when the server answered before it was asked. */
	if (!p || (p->kind != PENDING_PARSE && p->kind != PENDING_QUERY) || !(p->flags & PENDING_TEXT) ||
	    p->text_at != s->fill_at || p->text_n >= s->fill_size)
		return;
	b = bytes_head(b, s->fill_size - p->text_n);
	memcpy(s->arena + p->text_at % PG_ARENA + p->text_n, b.p, b.n);
	p->text_n = (uint16_t)(p->text_n + b.n);
}
