/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/postgres_stream.h"

void pg_pop(struct postgres_stream *s)
{
	if (pg_is_statement(pg_front(s)))
		s->statements--;
	s->first = (s->first + 1) % PG_PENDING;
	s->count--;
}

bool pg_arena_alloc(struct postgres_stream *s, uint32_t n, uint32_t *ret)
{
	uint32_t tail = s->count ? pg_front(s)->base : s->arena_head, at = s->arena_head;

	if (at % PG_ARENA + n > PG_ARENA)
		at += PG_ARENA - at % PG_ARENA;
	if (at + n - tail > PG_ARENA)
		return false;
	s->arena_head = at + n;
	*ret = at;
	return true;
}

bool pg_still_held(struct postgres_stream *s, uint32_t at)
{
	return s->count && at - pg_last(s)->base <= s->arena_head - pg_last(s)->base;
}

struct pg_pending *pg_push(struct postgres_stream *s, uint8_t kind, uint64_t parent)
{
	uint32_t base = s->count ? pg_last(s)->base : s->arena_head;
	struct pg_pending *p;

	if (s->count == PG_PENDING)
		return NULL;
	p = pg_pending_at(s, s->count++);
	*p = (struct pg_pending){ .kind = kind, .parent = parent, .base = base };
	if (pg_is_statement(p))
		s->statements++;
	return p;
}

struct bytes pg_parse_text(struct bytes body, struct bytes *ret_name, bool *ret_cut)
{
	*ret_name = pg_string(&body, ret_cut);
	return *ret_cut ? (struct bytes){ 0 } : pg_string(&body, ret_cut);
}

void pg_fill(struct postgres_stream *s, const struct pg_pending *p, struct stream_operation *ret)
{
	struct bytes name = { 0 };

	*ret = (struct stream_operation){ .start = p->start, .first = p->first, .parent = p->parent };
	ret->op.proto = PROTO_POSTGRES;
	ret->op.statement_parameterised = p->flags & PENDING_PARAMETERS;
	ret->op.statement_index = p->index;
	if (p->kind == PENDING_QUERY) {
		struct bytes text = pg_arena(s, p->text_at, p->text_n);
		bool cut;

		ret->op.simple = true;
		ret->op.statement = pg_string(&text, &cut);
		ret->op.statement_cut = cut;
	} else if (p->flags & PENDING_TEXT) {
		ret->op.statement = pg_parse_text(pg_arena(s, p->text_at, p->text_n), &name, &ret->op.statement_cut);
	} else if (p->flags & PENDING_NAME) {
		ret->op.statement_name = pg_arena(s, p->name_at, p->name_n);
	}
}

void pg_emit_statement(struct postgres_stream *s, struct pg_pending *p, struct stream_operation *op, uint64_t end,
		       const struct sink *to)
{
	op->end = end;
	if (!op->first || op->first > end)
		op->first = end;
	if (op->start > op->first)
		op->start = op->first;
	if (!op->op.internal)
		to->emit(to->context, op);
	if (p->kind == PENDING_QUERY) { /* the next statement of the text begins where this one ended */
		p->index++;
		p->start = end;
		p->first = 0;
		p->flags &= ~(uint32_t)(PENDING_ROWS | PENDING_COPY_IN);
	} else {
		pg_pop(s);
	}
}

void pg_emit_lost(struct postgres_stream *s, struct pg_pending *p, const struct sink *to)
{
	struct stream_operation op;

	if (p->kind == PENDING_QUERY && (p->index || p->flags & PENDING_EMPTY))
		return;
	pg_fill(s, p, &op);
	op.lost = true;
	op.end = to->time;
	to->emit(to->context, &op);
}

bool pg_lose(struct postgres_stream *s, const struct sink *to)
{
	for (; s->count; pg_pop(s))
		if (pg_is_statement(pg_front(s)) && !(pg_front(s)->flags & PENDING_FAILED))
			pg_emit_lost(s, pg_front(s), to);
	memset(&s->request, 0, sizeof(s->request));
	s->lost = true;
	s->quiet = false;
	for (size_t i = 0; i < PG_PORTALS; i++)
		s->portals[i].bound = false;
	pg_portals_end(s, to);
	s->group_start = 0;
	return false;
}

void pg_finish_gapped(struct postgres_stream *s, const struct sink *to)
{
	struct stream_operation op;
	struct pg_pending *p;
	uint32_t i = 0;
	uint8_t kind;

	while (i < s->count && !pg_is_statement(pg_pending_at(s, i)))
		i++;
	if (i == s->count || !(pg_pending_at(s, i)->flags & PENDING_GAPPED))
		return;
	for (; i; i--)
		pg_pop(s);
	p = pg_front(s);
	kind = p->kind;
	if (p->flags & (PENDING_FAILED | PENDING_EMPTY) || p->index) {
		pg_pop(s);
	} else {
		pg_fill(s, p, &op);
		pg_emit_statement(s, p, &op, s->answer_time, to);
		if (kind == PENDING_QUERY)
			pg_pop(s);
	}
	while (kind != PENDING_QUERY && s->count) { /* its ReadyForQuery is gone, too */
		bool sync = pg_front(s)->kind == PENDING_SYNC;

		pg_pop(s);
		if (sync)
			break;
	}
}
