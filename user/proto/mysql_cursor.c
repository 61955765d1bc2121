/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors of a streaming MySQL connection: COM_STMT_EXECUTE answers with columns alone, COM_STMT_FETCH brings the rows
 * in portions. That is one statement with all its rows, which took the time in which the server worked on it. It is
 * over when its last row came, when the client closes, resets or executes it again, or with the connection.
 */
#include "proto/mysql.h"

static struct mysql_cursor *find(struct mysql_stream *s, const uint8_t *statement)
{
	for (size_t i = 0; i < MYSQL_CURSORS; i++)
		if (s->cursors[i].open && memcmp(s->cursors[i].statement, statement, 4) == 0)
			return &s->cursors[i];
	return NULL;
}

static void end(struct mysql_cursor *c, unsigned error, const struct mysql_sink *to)
{
	struct stream_operation op = {
		.start = c->start, .first = c->first, .end = c->end, .busy = c->busy, .parent = c->parent
	};

	op.op.proto = PROTO_MYSQL;
	op.op.statement_name = bytes_of((const char *)c->statement, sizeof(c->statement));
	op.op.error_number = error;
	op.op.completed = !error;
	op.op.rows_known = op.op.rows_returned = !c->gapped && !error;
	op.op.rows = op.op.rows_known ? c->rows : 0;
	c->open = false;
	to->emit(to->context, &op);
}

static void add(struct mysql_stream *s, struct mysql_cursor *c, const struct mysql_pending *p,
		const struct mysql_sink *to)
{
	c->rows += s->answer.rows;
	c->gapped |= s->answer.sets_uncounted != 0;
	c->busy += to->time > p->start ? to->time - p->start : 0;
	if (c->end < to->time)
		c->end = to->time;
}

void mysql_cursor_open(struct mysql_stream *s, const struct mysql_pending *p, const uint8_t *statement,
		       const struct mysql_sink *to)
{
	struct mysql_cursor *c = find(s, statement);

	if (c)
		end(c, 0, to);
	for (size_t i = 0; i < MYSQL_CURSORS && !c; i++)
		if (!s->cursors[i].open)
			c = &s->cursors[i];
	if (!c) {
		c = &s->cursors[s->next_cursor++ % MYSQL_CURSORS];
		end(c, 0, to);
	}
	*c = (struct mysql_cursor){ .start = p->start < to->time ? p->start : to->time,
				    .first = p->first ? p->first : to->time,
				    .parent = p->parent,
				    .open = true };
	memcpy(c->statement, statement, sizeof(c->statement));
	add(s, c, p, to);
}

void mysql_cursor_fetched(struct mysql_stream *s, const struct mysql_pending *p, const struct mysql_sink *to)
{
	struct mysql_cursor *c = find(s, p->statement);

	if (!c)
		return; /* opened before Sonde looked */
	add(s, c, p, to);
	if (s->answer.error || s->answer.status & MYSQL_STATUS_LAST_ROW)
		end(c, s->answer.error, to);
}

void mysql_cursor_close(struct mysql_stream *s, const uint8_t *statement)
{
	struct mysql_cursor *c = find(s, statement);

	if (c)
		c->closing = true;
}

void mysql_cursors_end(struct mysql_stream *s, bool all, const struct mysql_sink *to)
{
	for (size_t i = 0; i < MYSQL_CURSORS; i++)
		if (s->cursors[i].open && (all || s->cursors[i].closing))
			end(&s->cursors[i], 0, to);
}
