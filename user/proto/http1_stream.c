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

static void emit_front(struct http1_stream *s, uint64_t end, bool lost, bool unanswered, const struct sink *to)
{
	struct http1_pending *p = pending_at(s, 0);
	struct stream_operation op = { .start = p->start,
				       .first = p->first,
				       .parent = p->parent,
				       .end = end,
				       .lost = lost,
				       .unanswered = unanswered };

	http1_read_request(bytes_of(p->head, p->head_n), &op.op);
	op.op.proto = PROTO_HTTP1;
	if (s->in_answer && s->answer.status >= 100) {
		op.op.http_status = s->answer.status;
		op.op.http_version = s->answer.version;
	}
	if (op.end < op.start)
		op.end = op.start;
	s->first = (s->first + 1) % HTTP1_PENDING;
	s->count--;
	s->in_answer = false;
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
	struct http1_pending *p;

	if (s->count == HTTP1_PENDING)
		return false;
	p = pending_at(s, s->count++);
	p->start = time;
	p->first = 0;
	p->parent = parent;
	p->head_n = 0;
	p->method = HTTP_NONE;
	s->in_request = s->in_line = true;
	memset(&s->request, 0, sizeof(s->request));
	s->request.state = HTTP1_HEADER;
	s->request.status = 200; /* so that the head's end asks for a body as a final answer's does */
	return true;
}

static void keep_head(struct http1_stream *s, char c)
{
	struct http1_pending *p = last(s);

	if (p && p->head_n < HTTP1_HEAD_MAX)
		p->head[p->head_n++] = c;
}

static bool end_of_line(struct http1_stream *s)
{
	struct http1_pending *p = last(s);
	char start[FRAME_DETECT] = { 0 };

	s->in_line = false;
	if (!p) /* answered before it was asked */
		return false;
	memcpy(start, p->head, p->head_n < sizeof(start) ? p->head_n : sizeof(start));
	p->method = http1_method(start, p->head_n);
	return p->method != HTTP_NONE && p->method != HTTP_CONNECT;
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
		if (s->in_line)
			return c != '\n' || end_of_line(s);
		http1_byte(&s->request, c);
	}
	if (s->request.state == HTTP1_LOST)
		return false;
	if (s->request.state == HTTP1_DONE || s->request.state == HTTP1_UNTIL_CLOSE) /* no length: no body */
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
	if (a->state == HTTP1_LOST || a->state == HTTP1_UPGRADED)
		return false;
	if (a->state == HTTP1_DONE)
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
	while (b.n)
		if (in->dir == STREAM_ANSWER ? !feed_answer(s, &b, &to) : !feed_request(s, &b, in))
			return lose(s, &to);
	if (in->dir == STREAM_ANSWER)
		s->answer_time = in->time;
	if (in->gap && !pass_gap(s, in, &to))
		return lose(s, &to);
	return true;
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
