/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals of a streaming PostgreSQL connection: a statement with its parameters bound. One that is fetched in portions
 * is one statement with the rows of all of them; it took the time in which the server worked on it, and it is over when
 * its last portion came, with its transaction, or when its name is bound again.
 */
#include "proto/postgres_stream.h"

struct pg_portal *pg_portal_find(struct postgres_stream *s, struct bytes name)
{
	for (size_t i = 0; i < PG_PORTALS; i++) {
		struct pg_portal *p = &s->portals[i];

		if (p->bound && bytes_eq(name, bytes_of(p->name, p->name_n)))
			return p;
	}
	return NULL;
}

void pg_portal_bind(struct postgres_stream *s, struct bytes body)
{
	struct pg_bind bind;
	struct pg_portal *p;

	if (!pg_read_bind(body, &bind) || bind.portal.n > sizeof(p->name) || bind.statement.n > sizeof(p->statement)) {
		/* which one it was is not known: none is, so that no statement gets a wrong text */
		for (size_t i = 0; i < PG_PORTALS; i++)
			s->portals[i].bound = false;
		return;
	}
	p = pg_portal_find(s, bind.portal);
	for (size_t i = 0; i < PG_PORTALS && !p; i++)
		if (!s->portals[i].bound && !s->portals[i].suspended)
			p = &s->portals[i];
	if (!p)
		p = &s->portals[s->next_portal++ % PG_PORTALS];
	p->bound = true;
	p->executed = false;
	p->parameters = bind.parameters;
	p->name_n = (uint8_t)bind.portal.n;
	memcpy(p->name, bind.portal.p, bind.portal.n);
	p->statement_n = (uint8_t)bind.statement.n;
	memcpy(p->statement, bind.statement.p, bind.statement.n);
}

/* What is known of the portions so far goes out as the statement. */
static void end(struct postgres_stream *s, struct pg_portal *p, const struct sink *to)
{
	struct stream_operation op = { .start = p->start, .first = p->first, .end = p->end, .parent = p->parent };

	op.busy = p->busy;
	op.op.proto = PROTO_POSTGRES;
	op.op.statement_name = bytes_of(p->suspended_statement, p->suspended_n);
	op.op.statement_parameterised = p->suspended_parameters;
	op.op.rows_known = op.op.rows_returned = !p->gapped;
	op.op.rows = p->gapped ? 0 : p->rows;
	p->suspended = false;
	to->emit(to->context, &op);
	(void)s;
}

static struct pg_portal *of(struct postgres_stream *s, const struct pg_pending *p)
{
	return p->portal ? &s->portals[p->portal - 1] : NULL;
}

bool pg_portal_suspend(struct postgres_stream *s, struct pg_pending *p, const struct sink *to)
{
	struct pg_portal *portal = of(s, p);
	uint64_t start = p->start < to->time ? p->start : to->time;

	if (!portal)
		return false;
	if (portal->suspended && !(p->flags & PENDING_CONTINUES))
		end(s, portal, to);
	if (!portal->suspended) {
		portal->suspended = true;
		portal->gapped = false;
		portal->start = start;
		portal->first = p->first ? p->first : to->time;
		portal->parent = p->parent;
		portal->busy = portal->rows = 0;
		portal->suspended_parameters = portal->parameters;
		portal->suspended_n = portal->statement_n;
		memcpy(portal->suspended_statement, portal->statement, portal->statement_n);
	}
	portal->gapped |= (p->flags & PENDING_GAPPED) != 0;
	portal->rows += p->rows;
	portal->busy += to->time - start;
	portal->end = to->time;
	pg_pop(s);
	return true;
}

void pg_portal_complete(struct postgres_stream *s, struct pg_pending *p, struct stream_operation *op,
			const struct sink *to)
{
	struct pg_portal *portal = of(s, p);

	if (!portal || !portal->suspended)
		return;
	if (!(p->flags & PENDING_CONTINUES)) { /* another statement in a portal of that name */
		end(s, portal, to);
		return;
	}
	portal->suspended = false;
	op->busy = portal->busy + (to->time > op->start ? to->time - op->start : 0);
	op->start = portal->start;
	op->first = portal->first;
	op->parent = portal->parent;
	if (op->op.sqlstate.n)
		return;
	op->op.rows_known = op->op.rows_returned = op->op.rows_known && !portal->gapped;
	op->op.rows = op->op.rows_known ? op->op.rows + portal->rows : 0;
}

void pg_portals_end(struct postgres_stream *s, const struct sink *to)
{
	for (size_t i = 0; i < PG_PORTALS; i++)
		if (s->portals[i].suspended)
			end(s, &s->portals[i], to);
}
