/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 connections that pipeline (RFC 9112 section 9.3.2): requests wait in order, answers take them from the
 * front.
 */
#include "proto/http1.h"

struct sink {
	stream_emit_fn *emit;
	void *context;
	uint64_t time;
};

static struct http1_pending *pending_at(struct http1_stream *s, uint32_t i)
{
	return &s->pending[(s->first + i) % HTTP1_PENDING];
}

static struct http1_pending *last(struct http1_stream *s)
{
	return s->count ? pending_at(s, s->count - 1) : NULL;
}

/* Where the bytes of p's head are. */
static char *head_of(struct http1_stream *s, const struct http1_pending *p)
{
	return s->heads + p->head % HTTP1_HEADS;
}

/* How many more bytes of heads there is room for. */
static uint64_t heads_room(struct http1_stream *s)
{
	return s->count ? HTTP1_HEADS - (s->heads_end - pending_at(s, 0)->head) : HTTP1_HEADS;
}

static void drop_front(struct http1_stream *s)
{
	s->first = (s->first + 1) % HTTP1_PENDING;
	s->count--;
	s->in_answer = false;
}

static void emit_front(struct http1_stream *s, uint64_t end, bool lost, bool unanswered, const struct sink *to)
{
	struct http1_pending *p = pending_at(s, 0);
	struct stream_operation op = { .start = p->start,
				       .first = p->first,
				       .parent = p->parent,
				       .end = end,
				       .lost = lost,
				       .unanswered = unanswered };

	http1_read_request(bytes_of(head_of(s, p), p->head_n), &op.op);
	op.op.proto = PROTO_HTTP1;
	if (s->in_answer && s->answer.status >= 100) {
		op.op.http_status = s->answer.status;
		op.op.http_version = s->answer.version;
	}
	if (op.end < op.start)
		op.end = op.start;
	drop_front(s);
	if (op.op.method.n)
		to->emit(to->context, &op);
}

static bool lose(struct http1_stream *s, const struct sink *to)
{
	while (s->count)
		emit_front(s, to->time, true, false, to);
	s->in_request = s->in_answer = false;
	s->lost = true;
	return false;
}

/* Begins a request at its first byte. */
static bool begin_request(struct http1_stream *s, uint64_t parent, uint64_t time)
{
	uint64_t head = s->heads_end, to_end = HTTP1_HEADS - head % HTTP1_HEADS;
	struct http1_pending *p;

	if (to_end < HTTP1_HEAD_MAX) /* it may not fit in one piece */
		head += to_end;
	if (s->count == HTTP1_PENDING || head - s->heads_end + HTTP1_HEAD_MAX > heads_room(s))
		return false;
	s->heads_end = head;
	p = pending_at(s, s->count++);
	p->head = head;
	p->start = time;
	p->first = 0;
	p->parent = parent;
	p->head_n = 0;
	p->method = HTTP_NONE;
	s->in_request = s->in_line = true;
	http1_request_init(&s->request);
	return true;
}

static void keep_head(struct http1_stream *s, char c)
{
	struct http1_pending *p = last(s);

	if (!p || p->head_n >= HTTP1_HEAD_MAX)
		return;
	head_of(s, p)[p->head_n++] = c;
	s->heads_end++;
}

static bool end_of_line(struct http1_stream *s)
{
	struct http1_pending *p = last(s);
	char start[FRAME_DETECT] = { 0 };

	s->in_line = false;
	if (!p) /* answered before it was asked */
		return false;
	memcpy(start, head_of(s, p), p->head_n < sizeof(start) ? p->head_n : sizeof(start));
	p->method = http1_method(start, p->head_n);
	return p->method != HTTP_NONE;
}

static bool feed_request(struct http1_stream *s, struct bytes *b, const struct stream_input *in)
{
	uint64_t n;
	char c;

	if (!s->in_request) {
		if (b->p[0] == '\r' || b->p[0] == '\n') {
			*b = bytes_tail(*b, 1);
			return true;
		}
		if (!begin_request(s, in->parent, in->time))
			return false;
	}
	if (s->request.skip) {
		n = s->request.skip < b->n ? s->request.skip : b->n;
		http1_skip(&s->request, n);
		*b = bytes_tail(*b, (size_t)n);
	} else {
		c = b->p[0];
		*b = bytes_tail(*b, 1);
		if (s->in_line || s->request.state == HTTP1_HEADER)
			keep_head(s, c);
		if (s->in_line && c == '\n' && !end_of_line(s))
			return false;
		http1_byte(&s->request, c);
	}
	if (s->request.state == HTTP1_LOST)
		return false;
	if (http1_request_over(&s->request))
		s->in_request = false;
	return true;
}

static bool feed_answer(struct http1_stream *s, struct bytes *b, const struct sink *to)
{
	struct http1_answer *a = &s->answer;
	uint64_t n;

	if (!s->in_answer) {
		if (!s->count)
			return false;
		http1_answer_init(a, pending_at(s, 0)->method);
		pending_at(s, 0)->first = to->time;
		s->in_answer = true;
	}
	if (a->skip || a->state == HTTP1_UNTIL_CLOSE) {
		n = a->state == HTTP1_UNTIL_CLOSE || b->n < a->skip ? b->n : a->skip;
		if (a->skip)
			http1_skip(a, n);
		*b = bytes_tail(*b, (size_t)n);
	} else {
		http1_byte(a, b->p[0]);
		*b = bytes_tail(*b, 1);
	}
	if (a->state == HTTP1_LOST)
		return false;
	s->ended = a->state == HTTP1_UPGRADED;
	if (a->state == HTTP1_DONE || s->ended)
		emit_front(s, to->time, false, false, to);
	return true;
}

/* Only bytes of a body may be missing. */
static bool pass_gap(struct http1_stream *s, const struct stream_input *in, const struct sink *to)
{
	struct http1_answer *a = in->dir == STREAM_ANSWER ? &s->answer : &s->request;
	bool *open = in->dir == STREAM_ANSWER ? &s->in_answer : &s->in_request;

	if (*open && a->state == HTTP1_UNTIL_CLOSE)
		return true;
	if (!*open || in->gap > a->skip)
		return false;
	http1_skip(a, in->gap);
	if (a->state != HTTP1_DONE)
		return true;
	if (in->dir == STREAM_ANSWER)
		emit_front(s, in->time, false, false, to);
	else
		s->in_request = false;
	return true;
}

bool http1_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context)
{
	struct http1_stream *s = (struct http1_stream *)st;
	struct sink to = { emit, context, in->time };
	struct bytes b = in->data;
	char start[FRAME_DETECT] = { 0 };

	if (s->lost) { /* until a call begins with a request */
		memcpy(start, b.p, b.n < sizeof(start) ? b.n : sizeof(start));
		if (in->dir != STREAM_REQUEST || http1_method(start, (uint32_t)b.n) == HTTP_NONE)
			return true;
		s->lost = false;
	}
	while (b.n && !s->ended)
		if (in->dir == STREAM_ANSWER ? !feed_answer(s, &b, &to) : !feed_request(s, &b, in))
			return lose(s, &to);
	if (in->dir == STREAM_ANSWER)
		s->answer_time = in->time;
	if (in->gap && !s->ended && !pass_gap(s, in, &to))
		return lose(s, &to);
	return true;
}

/* The kernel followed the answer that had begun, whose bytes are not kept, and mostly the request as well. */
void http1_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit, void *context)
{
	struct http1_stream *s = (struct http1_stream *)st;
	const struct event_exchange *e = in->e;
	struct stream_input requests = {
		.dir = STREAM_REQUEST, .data = in->request, .time = e->start, .parent = e->parent
	};
	struct http1_carry carry = { 0 };
	uint64_t gap = e->request_bytes > in->request.n ? e->request_bytes - in->request.n : 0;

	if (in->answer.n == sizeof(carry))
		memcpy(&carry, in->answer.p, sizeof(carry)); /* need not be aligned in there */
	if (!carry.known || carry.answered)
		requests.gap = gap;
	if (!requests.data.p)
		requests.data = BYTES_LITERAL("");
	http1_stream_feed(st, &requests, emit, context);
	if (gap && !requests.gap && s->count) {
		s->request = carry.request;
		s->in_line = false;
		s->in_request = !http1_request_over(&carry.request);
	}
	if (s->count && carry.answered) {
		drop_front(s);
	} else if (s->count && e->first) {
		s->answer = carry.answer;
		s->answer_time = e->end;
		pending_at(s, 0)->first = e->first;
		s->in_answer = true;
	}
}

void http1_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context)
{
	struct http1_stream *s = (struct http1_stream *)st;
	struct sink to = { emit, context, time };

	if (s->count && s->in_answer && s->answer.state == HTTP1_UNTIL_CLOSE)
		emit_front(s, s->answer_time, false, false, &to);
	while (s->count)
		emit_front(s, time, false, true, &to);
}
