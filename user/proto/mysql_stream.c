/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MySQL connections that do not speak in turns: commands wait in a queue for their answers, which are walked as the
 * kernel walks them (frame/mysql_answer.h). Each result of a text with several statements is one operation.
 */
#include "proto/mysql.h"

static struct mysql_pending *at(struct mysql_stream *s, uint32_t i)
{
	return &s->pending[(s->first + i) % MYSQL_PENDING];
}

static struct mysql_pending *front(struct mysql_stream *s)
{
	return s->count ? at(s, 0) : NULL;
}

static void pop(struct mysql_stream *s)
{
	s->first = (s->first + 1) % MYSQL_PENDING;
	s->count--;
	s->answering = false;
	if (!s->count)
		s->filling = false;
}

static void fill(struct mysql_stream *s, const struct mysql_pending *p, struct stream_operation *ret)
{
	uint8_t request = mysql_request_of(p->command);
	struct bytes text = bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n);

	memset(ret, 0, sizeof(*ret));
	ret->op.proto = PROTO_MYSQL;
	mysql_describe_request(request, text, p->cut, &ret->op);
	if (request == MYSQL_EXECUTE)
		ret->op.statement_name = bytes_of((const char *)p->statement, sizeof(p->statement));
	ret->op.statement_index = p->index;
	ret->start = p->start;
	ret->first = p->first;
	ret->parent = p->parent;
}

static void emit(const struct mysql_sink *to, struct stream_operation *op)
{
	op->end = to->time;
	if (op->end < op->start)
		op->end = op->start;
	if (op->first > op->end)
		op->first = op->end;
	to->emit(to->context, op);
}

/* Gives up its place: what waits ran, but how it ended is not known. */
static bool lose(struct mysql_stream *s, const struct mysql_sink *to)
{
	struct stream_operation op;

	for (; s->count; pop(s)) {
		fill(s, front(s), &op);
		op.lost = true;
		emit(to, &op);
	}
	for (size_t i = 0; i < MYSQL_CURSORS; i++)
		s->cursors[i].gapped = true;
	memset(&s->request, 0, sizeof(s->request));
	mysql_answer_init(&s->answer, 0);
	s->file = false;
	s->filling = false;
	s->lost = true;
	return false;
}

static void answer_ends(struct mysql_stream *s, const struct mysql_sink *to);

/* --- requests --- */

/* A place in the arena for one more text, all of which may be MYSQL_TEXT_MAX: its bytes must lie in one piece. */
static bool text_begins(struct mysql_stream *s, struct mysql_pending *p)
{
	uint32_t place = s->arena_head, wrap = MYSQL_ARENA - place % MYSQL_ARENA;

	if (wrap < MYSQL_TEXT_MAX)
		place += wrap;
	p->text_at = place;
	p->text_n = 0;
	s->arena_head = place;
	return s->count < 2 || place + MYSQL_TEXT_MAX - front(s)->text_at <= MYSQL_ARENA;
}

static void text_goes_on(struct mysql_stream *s, struct bytes b)
{
	struct mysql_pending *p = at(s, s->count - 1);
	size_t room = MYSQL_TEXT_MAX - p->text_n, n = b.n < room ? b.n : room;

	memcpy(s->arena + p->text_at % MYSQL_ARENA + p->text_n, b.p, n);
	p->text_n += (uint16_t)n;
	p->cut = p->cut || n < b.n;
	s->arena_head = p->text_at + p->text_n;
}

static bool command_begins(struct mysql_stream *s, const struct mysql_sink *to, uint64_t parent)
{
	const uint8_t *head = s->request.packets.head;
	struct mysql_pending *p;
	uint8_t request = mysql_request_of(head[4]);

	if (s->count == MYSQL_PENDING)
		return lose(s, to);
	if (s->count == 1 && s->answering && s->answer.state == MYSQL_TAIL) /* its end was not found: the turn is one */
		answer_ends(s, to);
	p = at(s, s->count++);
	memset(p, 0, sizeof(*p));
	p->start = s->began;
	p->parent = parent;
	p->command = head[4];
	p->text_at = s->arena_head;
	if (mysql_names_statement(head[4])) {
		if (s->request.packets.n >= MYSQL_HEADER + 5)
			memcpy(p->statement, head + 5, sizeof(p->statement));
	} else if (request == MYSQL_QUERY || request == MYSQL_PREPARE || request == MYSQL_INIT_DB ||
		   request == MYSQL_CHANGE_USER) {
		s->filling = text_begins(s, p);
		p->cut = !s->filling;
	}
	return true;
}

/* Commands after which no row of a cursor comes any more. */
static bool ends_cursor(const struct mysql_packets *p)
{
	return !p->joined && p->n >= MYSQL_HEADER + 5 && p->head[3] == 0 && mysql_names_statement(p->head[4]) &&
	       p->head[4] != MYSQL_COM_STMT_FETCH;
}

/* A packet's head is complete. */
static bool request_packet(struct mysql_stream *s, const struct mysql_sink *to, uint64_t parent)
{
	struct mysql_request_walk *w = &s->request;
	bool joined = w->packets.joined;

	if (!joined)
		s->filling = false;
	if (s->file) {
		s->file = mysql_le24(w->packets.head) != 0;
		mysql_packets_next(&w->packets);
		return true;
	}
	w->commands = 0;
	if (ends_cursor(&w->packets))
		mysql_cursor_close(s, w->packets.head + 5);
	if (!joined && mysql_le24(w->packets.head) && w->packets.head[3] == 0 && mysql_is_command(w->packets.head[4]) &&
	    mysql_has_answer(w->packets.head[4]) && !command_begins(s, to, parent))
		return false;
	mysql_request_packet(w);
	return w->bad ? lose(s, to) : true;
}

static bool take_request(struct mysql_stream *s, struct bytes b, const struct mysql_sink *to, uint64_t parent)
{
	struct mysql_packets *p = &s->request.packets;

	while (b.n) {
		uint32_t want;

		if (p->skip) {
			size_t n = p->skip < b.n ? p->skip : b.n;

			if (s->filling)
				text_goes_on(s, bytes_head(b, n));
			p->skip -= (uint32_t)n;
			b = bytes_tail(b, n);
			continue;
		}
		if (p->n == 0)
			s->began = to->time;
		want = mysql_request_wants(&s->request);
		if (want) {
			p->head[p->n++] = (uint8_t)b.p[0];
			b = bytes_tail(b, 1);
		}
		if (!mysql_request_wants(&s->request) && !request_packet(s, to, parent))
			return false;
	}
	return true;
}

/* --- answers --- */

/* Number of the statement that p executes. */
static struct bytes executed(const struct mysql_stream *s, const struct mysql_pending *p)
{
	const uint8_t *n =
		mysql_le32(p->statement) == MYSQL_LAST_PREPARED ? s->prepared : p->statement; /* prepared last */

	return bytes_of((const char *)n, sizeof(p->statement));
}

static void prepared_last(struct mysql_stream *s, uint32_t statement)
{
	for (int i = 0; i < 4; i++)
		s->prepared[i] = (uint8_t)(statement >> 8 * i);
}

static void prepared(struct mysql_stream *s, const struct mysql_pending *p, struct stream_operation *op)
{
	prepared_last(s, s->answer.statement);
	op->has_prepared = true;
	op->prepared.name = bytes_of((const char *)s->prepared, sizeof(s->prepared));
	op->prepared.text = bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n);
	op->prepared.cut = p->cut;
}

static void result_emit(struct mysql_stream *s, struct mysql_pending *p, const struct mysql_sink *to)
{
	const struct mysql_answer *a = &s->answer;
	uint8_t request = mysql_request_of(p->command);
	struct stream_operation op;
	struct mysql_result r;

	mysql_result_fill(&r, a, 0);
	fill(s, p, &op);
	if (request == MYSQL_PREPARE && a->error) { /* no statement runs, but one failed: the server counts it so */
		request = MYSQL_QUERY;
		mysql_describe_request(request, bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n), p->cut,
				       &op.op);
		prepared_last(s, 0);
	}
	mysql_describe_result(request, &r, &op.op);
	op.op.completed = !a->error;
	if (a->results && !a->error)
		op.op.transaction_status = a->status & MYSQL_STATUS_IN_TRANSACTION ? 'T' : 'I';
	op.more = a->state == MYSQL_FIRST;
	if (request == MYSQL_QUERY) /* of a text with several statements each is asked, where they are told apart */
		op.op.database = (struct bytes){ 0 };
	if (request == MYSQL_EXECUTE)
		op.op.statement_name = executed(s, p);
	if (request == MYSQL_PREPARE)
		prepared(s, p, &op);
	if (request == MYSQL_INIT_DB && !a->error)
		op.op.database = bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n);
	emit(to, &op);
}

static void result_ends(struct mysql_stream *s, struct mysql_pending *p, const struct mysql_sink *to)
{
	struct mysql_answer *a = &s->answer;
	uint8_t request = mysql_request_of(p->command);

	if (request == MYSQL_FETCH)
		mysql_cursor_fetched(s, p, to);
	else if (request == MYSQL_EXECUTE && mysql_opens_cursor(a))
		mysql_cursor_open(s, p, (const uint8_t *)executed(s, p).p, to);
	else
		result_emit(s, p, to);
	if ((request == MYSQL_RESET || request == MYSQL_CHANGE_USER) && !a->error)
		mysql_cursors_end(s, true, to);
	p->index++;
	p->start = to->time; /* of the next statement of the text */
	p->first = 0;
	a->rows = a->affected = 0;
	a->set = 0;
	a->sets_uncounted = 0;
}

static void answer_ends(struct mysql_stream *s, const struct mysql_sink *to)
{
	if (!front(s)) /* an answer that nobody waits for */
		return;
	result_ends(s, front(s), to);
	pop(s);
	s->answer.state = MYSQL_FIRST;
}

/* The head of an answer's packet is complete. False: this cannot be what was waited for. */
static bool answer_packet(struct mysql_stream *s, const struct mysql_sink *to)
{
	struct mysql_answer *a = &s->answer;
	struct mysql_pending *p = front(s);
	uint16_t results;

	if (a->state == MYSQL_MAYBE_EOF && a->packets.head[3] == 1) { /* the next answer: there was no EOF packet */
		struct mysql_packets kept = a->packets;

		result_ends(s, p, to);
		pop(s);
		p = front(s);
		if (!p)
			return lose(s, to);
		mysql_answer_init(a, p->command);
		a->packets = kept;
		s->answering = true;
		p->first = to->time;
		if (mysql_answer_wants(a))
			return true;
	}
	if (!p->first)
		p->first = to->time;
	results = a->results;
	mysql_answer_packet(a);
	if (a->state == MYSQL_LOST || a->state == MYSQL_UNENDING)
		return lose(s, to);
	if (a->infile)
		s->file = true;
	a->infile = 0;
	if (a->results != results && a->state != MYSQL_DONE && mysql_request_of(p->command) == MYSQL_QUERY)
		result_ends(s, p, to);
	return true;
}

#define TAIL_WINDOW 256
#define TAIL_READ 16 /* of what begins at a place are read */

/* Rows whose number is not known any more: is the end of their result the end of these bytes? */
static void take_tail(struct mysql_stream *s, struct bytes b, const struct mysql_sink *to)
{
	char block[TAIL_WINDOW + TAIL_READ] = { 0 };
	size_t n = b.n < TAIL_WINDOW ? b.n : TAIL_WINDOW;

	memcpy(block, b.p + b.n - n, n);
	for (size_t at = 0; at < n; at++) {
		if (!mysql_tail(&s->answer, block + at, (uint32_t)(n - at)))
			continue;
		if (s->answer.state == MYSQL_DONE)
			answer_ends(s, to);
		else if (mysql_request_of(front(s)->command) == MYSQL_QUERY)
			result_ends(s, front(s), to);
		return;
	}
}

static bool take_answer(struct mysql_stream *s, struct bytes b, const struct mysql_sink *to)
{
	struct mysql_answer *a = &s->answer;

	if (a->state == MYSQL_TAIL && s->count) {
		if (b.n)
			take_tail(s, b, to);
		return true;
	}

	while (b.n) {
		if (a->packets.skip) {
			size_t n = a->packets.skip < b.n ? a->packets.skip : b.n;

			a->packets.skip -= (uint32_t)n;
			b = bytes_tail(b, n);
		} else {
			if (!s->count)
				return lose(s, to);
			if (!s->answering) {
				mysql_answer_init(a, front(s)->command);
				s->answering = true;
			}
			if (mysql_answer_wants(a)) {
				a->packets.head[a->packets.n++] = (uint8_t)b.p[0];
				b = bytes_tail(b, 1);
			}
			if (!mysql_answer_wants(a) && !answer_packet(s, to))
				return false;
		}
		if (a->state == MYSQL_DONE && !a->packets.skip && !a->packets.n)
			answer_ends(s, to);
	}
	return true;
}

/* --- both --- */

/* Bytes that are missing can be borne where they would have been passed over. */
static bool gap(struct mysql_stream *s, const struct stream_input *in, const struct mysql_sink *to)
{
	struct mysql_packets *p = in->dir == STREAM_REQUEST ? &s->request.packets : &s->answer.packets;

	if (in->gap > p->skip && in->dir == STREAM_ANSWER && s->count && s->answering &&
	    s->answer.state == MYSQL_ROWS) {
		s->answer.state = MYSQL_TAIL;
		s->answer.sets_uncounted = 1;
		memset(p, 0, sizeof(*p));
		return true;
	}
	if (in->gap > p->skip)
		return lose(s, to);
	p->skip -= (uint32_t)in->gap;
	if (in->dir == STREAM_REQUEST && s->filling && s->count) {
		at(s, s->count - 1)->cut = true;
		s->filling = false;
	}
	if (in->dir == STREAM_ANSWER && s->answer.state == MYSQL_DONE && !p->skip && s->count)
		answer_ends(s, to);
	return true;
}

/*
 * A call that begins with a command, and holds all of it, is a place to begin again; so is the head of a packet that
 * the server reads by itself, where it is its end that tells.
 */
static bool begins_again(const struct stream_input *in)
{
	const uint8_t *b = (const uint8_t *)in->data.p;

	if (in->dir != STREAM_REQUEST || in->data.n < MYSQL_HEADER || b[3] != 0 || !mysql_le24(b))
		return false;
	if (in->data.n == MYSQL_HEADER)
		return !in->gap;
	return mysql_is_command(b[4]) && mysql_le24(b) + MYSQL_HEADER == in->data.n + in->gap;
}

bool mysql_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit_fn, void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct mysql_sink to = { emit_fn, context, in->time };
	bool ok;

	if (s->lost && !begins_again(in))
		return false;
	s->lost = false;
	ok = in->dir == STREAM_REQUEST ? take_request(s, in->data, &to, in->parent) : take_answer(s, in->data, &to);
	ok = ok && (!in->gap || gap(s, in, &to));
	if (!s->count)
		mysql_cursors_end(s, false, &to);
	return ok;
}

/*
 * The request as it was kept, for the parser: behind its packet's head, where that came before by itself or nothing but
 * the packet's begin was kept (turns_mysql_hide()).
 */
static bool feed_request(struct mysql_stream *s, const struct exchange_bytes *in, const struct mysql_carry *carry,
			 const struct mysql_sink *to)
{
	bool bare = carry && carry->text == 1, hides = carry && mysql_hides(in->e->method);
	uint64_t n = in->e->request_bytes;
	struct stream_input missing = { .dir = STREAM_REQUEST, .gap = n > in->request.n ? n - in->request.n : 0 };
	char head[MYSQL_HEADER] = { (char)n, (char)(n >> 8), (char)(n >> 16), 0 };
	bool ok = true;

	if (bare && !hides)
		ok = n < MYSQL_FULL && take_request(s, bytes_of(head, sizeof(head)), to, in->e->parent);
	ok = ok && take_request(s, in->request, to, in->e->parent);
	if (ok && !hides && missing.gap)
		ok = gap(s, &missing, to);
	if (ok && (bare || hides))
		s->request.packets = carry->request.packets;
	return ok;
}

void mysql_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit_fn,
			void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct mysql_sink to = { emit_fn, context, in->e->start };
	struct mysql_carry carry;
	bool carried = in->answer.n >= sizeof(carry);

	if (carried)
		memcpy(&carry, in->answer.p, sizeof(carry));
	if (carried && (carry.answer.packets.n > MYSQL_HEAD || carry.request.packets.n > MYSQL_HEAD))
		return;
	if (!feed_request(s, in, carried ? &carry : NULL, &to))
		return;
	if (!carried) {
		if (in->e->answer_bytes)
			lose(s, &to);
		return;
	}
	s->answer = carry.answer;
	prepared_last(s, carry.prepared);
	if (!in->e->answer_bytes || !s->count)
		return;
	if (mysql_answer_ended(&carry.answer) && carry.answer.state != MYSQL_DONE) {
		lose(s, &to);
		return;
	}
	s->answering = true;
	front(s)->first = in->e->first;
}

bool mysql_stream_busy(const struct proto_stream *st)
{
	return ((const struct mysql_stream *)st)->count > 0;
}

void mysql_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit_fn, void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct mysql_sink to = { emit_fn, context, time };
	struct stream_operation op;

	for (; s->count; pop(s)) {
		fill(s, front(s), &op);
		op.unanswered = true;
		emit(&to, &op);
	}
	mysql_cursors_end(s, true, &to);
}
