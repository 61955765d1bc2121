/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MySQL connections that do not speak in turns: commands wait in a queue for their answers, which are walked as the
 * kernel walks them (frame/mysql_answer.h). Each result of a text with several statements is one operation.
 */
#include "proto/mysql.h"

struct sink {
	stream_emit_fn *emit;
	void *context;
	uint64_t time; /* of the bytes at hand */
};

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
	ret->start = p->start;
	ret->first = p->first;
	ret->parent = p->parent;
}

static void emit(const struct sink *to, struct stream_operation *op)
{
	op->end = to->time;
	if (op->end < op->start)
		op->end = op->start;
	if (op->first > op->end)
		op->first = op->end;
	to->emit(to->context, op);
}

/* Gives up its place: what waits ran, but how it ended is not known. */
static bool lose(struct mysql_stream *s, const struct sink *to)
{
	struct stream_operation op;

	for (; s->count; pop(s)) {
		fill(s, front(s), &op);
		op.lost = true;
		emit(to, &op);
	}
	memset(&s->request, 0, sizeof(s->request));
	mysql_answer_init(&s->answer, 0);
	s->file = false;
	s->filling = false;
	s->lost = true;
	return false;
}

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

static bool command_begins(struct mysql_stream *s, const struct sink *to, uint64_t parent)
{
	const uint8_t *head = s->request.packets.head;
	struct mysql_pending *p;
	uint8_t request = mysql_request_of(head[4]);

	if (s->count == MYSQL_PENDING)
		return lose(s, to);
	p = at(s, s->count++);
	memset(p, 0, sizeof(*p));
	p->start = s->began;
	p->parent = parent;
	p->command = head[4];
	p->text_at = s->arena_head;
	if (request == MYSQL_EXECUTE) {
		memcpy(p->statement, head + 5, sizeof(p->statement));
	} else if (request == MYSQL_QUERY || request == MYSQL_PREPARE || request == MYSQL_INIT_DB) {
		s->filling = text_begins(s, p);
		p->cut = !s->filling;
	}
	return true;
}

/* A packet's head is complete. */
static bool request_packet(struct mysql_stream *s, const struct sink *to, uint64_t parent)
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
	if (!joined && mysql_le24(w->packets.head) && w->packets.head[3] == 0 && mysql_is_command(w->packets.head[4]) &&
	    mysql_has_answer(w->packets.head[4]) && !command_begins(s, to, parent))
		return false;
	mysql_request_packet(w);
	return w->bad ? lose(s, to) : true;
}

static bool take_request(struct mysql_stream *s, struct bytes b, const struct sink *to, uint64_t parent)
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

static void result_ends(struct mysql_stream *s, struct mysql_pending *p, const struct sink *to)
{
	struct mysql_answer *a = &s->answer;
	uint8_t request = mysql_request_of(p->command), id[4];
	struct stream_operation op;
	struct mysql_result r;

	mysql_result_fill(&r, a, 0);
	fill(s, p, &op);
	mysql_describe_result(request, &r, &op.op);
	op.op.statement_index = p->index;
	op.op.completed = !a->error;
	if (request == MYSQL_EXECUTE && mysql_le32(p->statement) == 0xffffffff) /* the one prepared last */
		op.op.statement_name = bytes_of((const char *)s->prepared, sizeof(s->prepared));
	if (request == MYSQL_PREPARE && !a->error) {
		for (int i = 0; i < 4; i++)
			id[i] = (uint8_t)(a->statement >> 8 * i);
		memcpy(s->prepared, id, sizeof(id));
		op.has_prepared = true;
		op.prepared.name = bytes_of((const char *)s->prepared, sizeof(s->prepared));
		op.prepared.text = bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n);
		op.prepared.cut = p->cut;
	}
	if (request == MYSQL_INIT_DB && !a->error)
		op.op.database = bytes_of(s->arena + p->text_at % MYSQL_ARENA, p->text_n);
	emit(to, &op);
	p->index++;
	p->start = to->time; /* of the next statement of the text */
	p->first = 0;
	a->rows = a->affected = 0;
	a->set = 0;
}

/* A procedure: all its results are those of one statement. */
static bool is_call(const struct mysql_stream *s, const struct mysql_pending *p)
{
	return p->text_n > 4 && strncasecmp(s->arena + p->text_at % MYSQL_ARENA, "call", 4) == 0;
}

/* The head of an answer's packet is complete. False: this cannot be what was waited for. */
static bool answer_packet(struct mysql_stream *s, const struct sink *to)
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
	if (a->results != results && a->state != MYSQL_DONE && mysql_request_of(p->command) == MYSQL_QUERY &&
	    !is_call(s, p))
		result_ends(s, p, to);
	return true;
}

static bool take_answer(struct mysql_stream *s, struct bytes b, const struct sink *to)
{
	struct mysql_answer *a = &s->answer;

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
		if (a->state == MYSQL_DONE && !a->packets.skip && !a->packets.n) {
			result_ends(s, front(s), to);
			pop(s);
			a->state = MYSQL_FIRST;
		}
	}
	return true;
}

/* --- both --- */

/* Bytes that are missing can be borne where they would have been passed over. */
static bool gap(struct mysql_stream *s, const struct stream_input *in, const struct sink *to)
{
	struct mysql_packets *p = in->dir == STREAM_REQUEST ? &s->request.packets : &s->answer.packets;

	if (in->gap > p->skip)
		return lose(s, to);
	p->skip -= (uint32_t)in->gap;
	if (in->dir == STREAM_REQUEST && s->filling && s->count) {
		at(s, s->count - 1)->cut = true;
		s->filling = false;
	}
	if (in->dir == STREAM_ANSWER && s->answer.state == MYSQL_DONE && !p->skip && s->count) {
		result_ends(s, front(s), to);
		pop(s);
		s->answer.state = MYSQL_FIRST;
	}
	return true;
}

/* A call that begins with a command, and holds all of it: a place to begin again. */
static bool begins_again(const struct stream_input *in)
{
	const uint8_t *b = (const uint8_t *)in->data.p;

	return in->dir == STREAM_REQUEST && in->data.n >= 5 && b[3] == 0 && mysql_is_command(b[4]) &&
	       mysql_le24(b) + MYSQL_HEADER == in->data.n + in->gap;
}

bool mysql_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit_fn, void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct sink to = { emit_fn, context, in->time };
	bool ok;

	if (s->lost && !begins_again(in))
		return false;
	s->lost = false;
	ok = in->dir == STREAM_REQUEST ? take_request(s, in->data, &to, in->parent) : take_answer(s, in->data, &to);
	return ok && (!in->gap || gap(s, in, &to));
}

void mysql_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit_fn,
			void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct stream_input request = { .dir = STREAM_REQUEST,
					.data = in->request,
					.gap = in->e->request_bytes > in->request.n
						       ? in->e->request_bytes - in->request.n
						       : 0,
					.time = in->e->start,
					.parent = in->e->parent };
	struct sink to = { emit_fn, context, in->e->start };
	struct mysql_carry carry;

	if (!mysql_stream_feed(st, &request, emit_fn, context))
		return;
	if (in->answer.n < sizeof(carry)) {
		if (in->e->answer_bytes)
			lose(s, &to);
		return;
	}
	memcpy(&carry, in->answer.p, sizeof(carry));
	if (carry.answer.packets.n > MYSQL_HEAD)
		return;
	s->answer = carry.answer;
	if (!in->e->answer_bytes || !s->count)
		return;
	if (mysql_answer_ended(&carry.answer) && carry.answer.state != MYSQL_DONE) {
		lose(s, &to);
		return;
	}
	s->answering = true;
	front(s)->first = in->e->first;
}

void mysql_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit_fn, void *context)
{
	struct mysql_stream *s = (struct mysql_stream *)st;
	struct sink to = { emit_fn, context, time };
	struct stream_operation op;

	for (; s->count; pop(s)) {
		fill(s, front(s), &op);
		op.unanswered = true;
		emit(&to, &op);
	}
}
