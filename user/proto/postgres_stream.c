/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL connections that pipeline (PostgreSQL documentation, "Extended Query", "Pipelining"): both directions are
 * framed, what the client asks waits in order, and the server's answers take it from the front. After an error the
 * server skips to the next Sync, and so does this.
 */
#include "frame/postgres.h"
#include "proto/postgres_stream.h"

static struct postgres_stream *stream_of(struct proto_stream *st)
{
	return (struct postgres_stream *)st;
}

/* --- what the server answers --- */

static void finish_parse(struct postgres_stream *s, const struct sink *to)
{
	struct pg_pending *p = pg_front(s);
	struct stream_operation op;

	pg_fill(s, p, &op);
	op.op.statement = (struct bytes){ 0 };
	op.op.statement_name = (struct bytes){ 0 };
	op.op.internal = true;
	op.end = op.first = to->time;
	if (p->kind == PENDING_PARSE && p->flags & PENDING_TEXT) {
		op.prepared.text =
			pg_parse_text(pg_arena(s, p->text_at, p->text_n), &op.prepared.name, &op.prepared.cut);
		op.has_prepared = op.prepared.text.p != NULL;
	} else if (p->kind == PENDING_CLOSE && p->flags & PENDING_NAME) {
		op.prepared.name = pg_arena(s, p->name_at, p->name_n);
		op.prepared.close = true;
		op.has_prepared = true;
	}
	if (op.has_prepared)
		to->emit(to->context, &op);
	pg_pop(s);
}

/* The statement that the server is at. Parses and Closes before it have been answered, seen or not. */
static struct pg_pending *current(struct postgres_stream *s, const struct sink *to)
{
	while (s->count && (pg_front(s)->kind == PENDING_PARSE || pg_front(s)->kind == PENDING_CLOSE))
		finish_parse(s, to);
	return s->count && pg_is_statement(pg_front(s)) ? pg_front(s) : NULL;
}

static void on_complete(struct postgres_stream *s, const struct sink *to)
{
	struct pg_pending *p = current(s, to);
	struct stream_operation op;
	struct pg_tag tag;

	if (!p || p->flags & PENDING_FAILED)
		return;
	pg_fill(s, p, &op);
	if (pg_read_tag(bytes_of(s->answer.body, s->answer.body_n), &tag)) {
		op.op.command_tag = tag.text;
		op.op.rows_known = tag.rows_known;
		op.op.rows = tag.rows;
		op.op.rows_returned = tag.rows_known && (p->flags & PENDING_ROWS || (tag.select && !tag.rows));
	}
	pg_portal_complete(s, p, &op, to);
	pg_emit_statement(s, p, &op, to->time, to);
}

/* A portal that gave some of its rows, an empty query, or a portal that was only described. */
static void on_other_end(struct postgres_stream *s, bool empty, const struct sink *to)
{
	struct pg_pending *p = current(s, to);
	struct stream_operation op;

	if (!p || p->flags & PENDING_FAILED)
		return;
	if (empty && p->kind == PENDING_QUERY) {
		p->flags |= PENDING_EMPTY;
		return;
	}
	if (s->answer.type == 's' && pg_portal_suspend(s, p, to))
		return;
	pg_fill(s, p, &op);
	op.op.internal = empty;
	pg_emit_statement(s, p, &op, to->time, to);
}

/*
 * A statement that could not be prepared, and that nothing was asked of yet (asyncpg, which awaits the answer before it
 * goes on): it is told of as one that failed. What was behind it never ran. False: it is no Parse that failed.
 */
static bool parse_failed(struct postgres_stream *s, const struct sink *to)
{
	struct pg_pending *p = s->count ? pg_front(s) : NULL;
	struct stream_operation op;

	if (!p || p->kind != PENDING_PARSE || !(p->flags & PENDING_TEXT))
		return false;
	pg_fill(s, p, &op);
	pg_read_error(bytes_of(s->answer.body, s->answer.body_n), &op.op);
	pg_emit_statement(s, p, &op, to->time, to);
	return true;
}

/* The server skips to the next Sync: what it had not begun never ran. */
static void on_error(struct postgres_stream *s, const struct sink *to)
{
	struct stream_operation op;
	uint32_t i;

	for (i = 0; i < s->count && pg_pending_at(s, i)->kind != PENDING_SYNC && !pg_is_statement(pg_pending_at(s, i));
	     i++)
		;
	if (i == s->count || !pg_is_statement(pg_pending_at(s, i))) {
		if (i && parse_failed(s, to))
			i--;
		for (; i; i--) /* their names were not given */
			pg_pop(s);
		return;
	}
	if (pg_pending_at(s, i)->flags & PENDING_FAILED)
		return;
	for (; i; i--) /* a Parse that failed is blamed on the statement it was for */
		pg_pop(s);
	pg_fill(s, pg_front(s), &op);
	pg_read_error(bytes_of(s->answer.body, s->answer.body_n), &op.op);
	pg_portal_complete(s, pg_front(s), &op, to);
	if (pg_front(s)->kind == PENDING_QUERY) {
		pg_emit_statement(s, pg_front(s), &op, to->time, to);
		pg_front(s)->flags |= PENDING_FAILED;
		return;
	}
	pg_emit_statement(s, pg_front(s), &op, to->time, to);
	while (s->count && pg_front(s)->kind != PENDING_SYNC && pg_front(s)->kind != PENDING_QUERY)
		pg_pop(s);
}

static void tell_status(const struct postgres_stream *s, const struct sink *to)
{
	struct stream_operation op = { .start = to->time, .first = to->time, .end = to->time };

	if (s->answer.body_n != 1)
		return;
	op.op.proto = PROTO_POSTGRES;
	op.op.internal = true;
	op.op.transaction_status = s->answer.body[0];
	to->emit(to->context, &op);
}

static void on_ready(struct postgres_stream *s, const struct sink *to)
{
	if (s->answer.body_n == 1 && s->answer.body[0] != 'T') /* portals end with their transaction */
		pg_portals_end(s, to);
	while (s->count) {
		struct pg_pending *p = pg_front(s);
		uint8_t kind = p->kind;

		if (kind == PENDING_PARSE || kind == PENDING_CLOSE) {
			finish_parse(s, to);
			continue;
		}
		if (pg_is_statement(p) && !(p->flags & PENDING_FAILED))
			pg_emit_lost(s, p, to);
		pg_pop(s);
		if (kind == PENDING_SYNC || kind == PENDING_QUERY)
			break;
	}
	tell_status(s, to);
}

/* The statement that the answer at hand is of: the first, where only Parses and Closes before it lack their answers. */
static struct pg_pending *answered(struct postgres_stream *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct pg_pending *p = pg_pending_at(s, i);

		if (p->kind == PENDING_SYNC)
			break;
		if (pg_is_statement(p))
			return p;
	}
	return NULL;
}

static void answer_begins(struct postgres_stream *s)
{
	struct pg_pending *p;

	switch (s->answer.type) {
	case 'N':
	case 'S':
	case 'A':
	case '1':
	case '3':
	case 'Z':
		return;
	}
	p = answered(s);
	if (!p)
		return;
	if (!p->first)
		p->first = s->answer.began;
	p->rows += s->answer.type == 'D';
	if (s->answer.type == 'D' || s->answer.type == 'T' || s->answer.type == 'H')
		p->flags |= PENDING_ROWS;
	else if (s->answer.type == 'G')
		p->flags |= PENDING_COPY_IN;
}

static void answer_ends(struct postgres_stream *s, const struct sink *to)
{
	switch (s->answer.type) {
	case '1':
		if (s->count && pg_front(s)->kind == PENDING_PARSE)
			finish_parse(s, to);
		break;
	case '3':
		if (s->count && pg_front(s)->kind == PENDING_CLOSE)
			finish_parse(s, to);
		break;
	case 'C':
		on_complete(s, to);
		break;
	case 'V':
	case 's':
	case 'I':
		on_other_end(s, s->answer.type == 'I', to);
		break;
	case 'E':
		on_error(s, to);
		break;
	case 'Z':
		s->status = s->answer.body_n ? s->answer.body[0] : 0;
		on_ready(s, to);
		break;
	}
}

/* --- framing --- */

/* Could messages begin here? Some in a row must make sense, to the end of the bytes or eight of them. */
static bool plausible(struct bytes b, bool backend)
{
	struct pg_message m;
	unsigned n = 0;

	while (n < 8) {
		enum pg_next next = pg_next_message(&b, backend, &m);

		if (next == PG_NEXT_BAD)
			return false;
		if (next == PG_NEXT_END)
			return n > 1 || (n == 1 && b.n == 0);
		n++;
		if (backend && strchr("123ns", m.type) && m.len != 0)
			return false;
		if (backend && m.type == 'Z' && m.len != 1)
			return false;
		if (!m.whole)
			return m.len <= 1 << 20 && (n > 1 || strchr("DTdPQBEN", m.type));
	}
	return true;
}

/* Finds a place to go on after a gap. False: not in these bytes. */
static bool hunt(struct pg_side *side, bool backend, struct bytes *b)
{
	for (; b->n >= PG_HEADER; *b = bytes_tail(*b, 1)) {
		if (plausible(*b, backend)) {
			side->hunting = false;
			side->in_body = false;
			side->header_n = 0;
			side->remaining = 0;
			return true;
		}
	}
	return false;
}

/* Takes header bytes. 1: a header is whole; 0: more are needed; -1: no message begins here. */
static int take_header(struct pg_side *side, bool backend, uint64_t time, struct bytes *b)
{
	uint32_t len;

	while (side->header_n < PG_HEADER && b->n) {
		if (side->header_n == 0)
			side->began = time;
		side->header[side->header_n++] = b->p[0];
		*b = bytes_tail(*b, 1);
	}
	if (side->header_n < PG_HEADER)
		return 0;
	side->header_n = 0;
	side->type = side->header[0];
	len = frame_be32(side->header + 1);
	if ((backend ? !pg_backend_type(side->type) : !pg_frontend_type(side->type)) || len < 4 || len > PG_MESSAGE_MAX)
		return -1;
	side->remaining = len - 4;
	side->body_n = 0;
	side->in_body = true;
	return 1;
}

/* Bodies that are read when they are whole. Authentication is not among them. */
static bool wants_body(char type, bool backend)
{
	return strchr(backend ? "CEZ" : "BCE", type) != NULL;
}

static void take_body(struct postgres_stream *s, struct pg_side *side, bool backend, struct bytes *b)
{
	struct bytes part = bytes_head(*b, side->remaining < b->n ? (size_t)side->remaining : b->n);

	*b = bytes_tail(*b, part.n);
	side->remaining -= part.n;
	if (!backend && (side->type == 'P' || side->type == 'Q')) {
		pg_keep_text(s, part);
	} else if (wants_body(side->type, backend)) {
		part = bytes_head(part, sizeof(side->body) - side->body_n);
		memcpy(side->body + side->body_n, part.p, part.n);
		side->body_n = (uint16_t)(side->body_n + part.n);
	}
}

/* One step: a header or a piece of a body. False: lost. */
static bool step(struct postgres_stream *s, const struct stream_input *in, struct bytes *b, const struct sink *to)
{
	bool backend = in->dir == STREAM_ANSWER;
	struct pg_side *side = backend ? &s->answer : &s->request;

	if (!side->in_body) {
		int r = take_header(side, backend, in->time, b);

		if (r <= 0)
			return r == 0;
		if (backend && !s->lost)
			answer_begins(s);
		else if (!backend && !pg_request_begins(s, in->parent))
			return false;
	}
	take_body(s, side, backend, b);
	if (side->remaining)
		return true;
	side->in_body = false;
	if (backend && !s->lost)
		answer_ends(s, to);
	else if (!backend && !pg_request_ends(s, in->parent))
		return false;
	return true;
}

static bool copying(struct postgres_stream *s)
{
	return s->count && pg_front(s)->flags & PENDING_COPY_IN;
}

/* Behind an Execute alone the server need not send all that it has: a client that goes on may not have it. */
static bool asked_for_answer(const struct postgres_stream *s)
{
	return s->request.type != 'E';
}

/* Bytes are missing. False: too much is unknown behind them. */
static bool pass_gap(struct postgres_stream *s, struct pg_side *side, bool backend, uint64_t gap, const struct sink *to)
{
	if (side->in_body && gap < side->remaining) {
		side->remaining -= gap;
		return true;
	}
	if (side->in_body && gap == side->remaining) { /* the message ends with the gap */
		side->remaining = 0;
		side->in_body = false;
		if (s->lost)
			return true;
		return backend ? (answer_ends(s, to), true) : pg_request_ends(s, 0);
	}
	side->hunting = true;
	side->in_body = false;
	side->header_n = 0;
	if (s->lost)
		return true;
	if (!backend)
		return copying(s);
	if (s->statements > 1)
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (pg_is_statement(pg_pending_at(s, i)))
			pg_pending_at(s, i)->flags |= PENDING_GAPPED;
	return true;
}

/* Rows are missing and nothing else: behind them a message begins. */
static bool pass_rows(struct postgres_stream *s, const struct stream_input *in)
{
	struct pg_pending *p = s->lost ? NULL : answered(s);
	struct pg_side *side = &s->answer;

	side->in_body = side->hunting = false;
	side->header_n = 0;
	side->remaining = 0;
	side->type = 'D';
	s->quiet = false;
	s->answer_time = in->time;
	if (!p)
		return true;
	if (!p->first)
		p->first = in->time;
	p->rows += in->rows;
	if (in->rows)
		p->flags |= PENDING_ROWS;
	return true;
}

/* Answers while lost are framed too: the request that follows a ReadyForQuery at rest is the place to begin again. */
static bool resume(struct postgres_stream *s, const struct stream_input *in)
{
	if (in->dir != STREAM_REQUEST || !s->quiet || !in->data.n)
		return false;
	s->lost = false;
	memset(&s->request, 0, sizeof(s->request));
	return true;
}

bool postgres_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context)
{
	struct postgres_stream *s = stream_of(st);
	struct sink to = { emit, context, in->time };
	bool backend = in->dir == STREAM_ANSWER;
	struct pg_side *side = backend ? &s->answer : &s->request;
	struct bytes b = in->data;

	if (in->gap_is_rows && backend)
		return pass_rows(s, in);
	if (s->lost && !backend && !resume(s, in))
		return true;
	if (!backend && s->answer.hunting && s->statements == 1 && !copying(s) && asked_for_answer(s))
		pg_finish_gapped(s, &to);
	if (side->hunting && !hunt(side, backend, &b))
		b = bytes_tail(b, b.n);
	while (b.n) {
		if (step(s, in, &b, &to))
			continue;
		side->hunting = true;
		side->in_body = false;
		return pg_lose(s, &to);
	}
	if (backend) {
		s->quiet = !side->hunting && !side->in_body && !side->header_n && side->type == 'Z' && !in->gap;
		if (in->data.n)
			s->answer_time = in->time;
	}
	if (in->gap && !pass_gap(s, side, backend, in->gap, &to))
		return pg_lose(s, &to);
	return true;
}

/*
 * A client that asks behind its StartupMessage at once, and does not wait for the answer. Other messages begin with a
 * letter. False: no room for it.
 */
static bool pass_startup(struct postgres_stream *s, struct bytes *request)
{
	uint32_t len = request->n < 8 ? 0 : frame_be32(request->p);

	if (len < 8 || len > request->n || request->p[0] || frame_be32(request->p + 4) >> 16 != PG_CODE_STARTUP_MAJOR)
		return true;
	*request = bytes_tail(*request, len);
	return pg_push(s, PENDING_SYNC, 0) != NULL; /* it is answered up to a ReadyForQuery, too */
}

void postgres_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit,
			   void *context)
{
	const struct event_exchange *e = in->e;
	struct stream_input request = { .dir = STREAM_REQUEST,
					.data = in->request,
					.gap = e->request_bytes > in->request.n ? e->request_bytes - in->request.n : 0,
					.time = e->start,
					.parent = e->parent };
	struct stream_input answer = { .dir = STREAM_ANSWER,
				       .data = in->answer,
				       .gap = e->answer_bytes > in->answer.n ? e->answer_bytes - in->answer.n : 0,
				       .time = e->end ? e->end : e->header.time };

	if (!pass_startup(stream_of(st), &request.data))
		return;
	(void)postgres_stream_feed(st, &request, emit, context);
	if (e->answer_bytes)
		(void)postgres_stream_feed(st, &answer, emit, context);
}

bool postgres_stream_busy(const struct proto_stream *st)
{
	const struct postgres_stream *s = (const struct postgres_stream *)st;

	return s->count || s->status == 'T' || s->status == 'E';
}

void postgres_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context)
{
	struct postgres_stream *s = stream_of(st);
	struct sink to = { emit, context, time };

	pg_portals_end(s, &to);
	for (; s->count; pg_pop(s)) {
		struct pg_pending *p = pg_front(s);
		struct stream_operation op;

		if (!pg_is_statement(p) || p->flags & (PENDING_FAILED | PENDING_EMPTY) || p->index)
			continue;
		pg_fill(s, p, &op);
		op.unanswered = true;
		op.end = time;
		if (op.start > time)
			op.start = time;
		to.emit(to.context, &op);
	}
}
