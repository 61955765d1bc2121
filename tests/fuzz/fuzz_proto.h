/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of all protocols share: input to pieces, and what must hold of whatever comes out. */
#ifndef SONDE_TESTS_FUZZ_PROTO_H
#define SONDE_TESTS_FUZZ_PROTO_H

#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Where pointers of an operation may point to: the input, the state of a stream, or anything static when short. */
struct range {
	const char *from[3];
	size_t n[3];
};

static inline void inside(const struct range *r, struct bytes s)
{
	volatile char sum = 0;

	for (size_t i = 0; i < s.n; i++) /* the sanitizer looks at each */
		sum = (char)(sum + s.p[i]);
	if (!s.n)
		return;
	for (int i = 0; i < 3; i++)
		if (r->from[i] && s.p >= r->from[i] && s.p + s.n <= r->from[i] + r->n[i])
			return;
	abort();
}

static inline void check_operation(const struct range *r, const struct operation *op)
{
	const struct bytes *all[] = { &op->method,	&op->target,	     &op->host,		 &op->user_agent,
				      &op->traceparent, &op->forwarded_host, &op->forwarded_for, &op->forwarded_proto,
				      &op->statement,	&op->statement_name, &op->command_tag,	 &op->sqlstate,
				      &op->severity,	&op->database,	     &op->user };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		inside(r, *all[i]);
	for (int i = 0; i < TRACE_HEADER_COUNT; i++)
		inside(r, op->trace_headers[i]);
	for (unsigned i = 0; i < op->tracestate_count; i++)
		inside(r, op->tracestate[i]);
	if (op->tracestate_count > TRACESTATE_MAX || (op->rows && !op->rows_known) ||
	    (op->sqlstate.n && op->sqlstate.n != 5))
		abort();
}

/* Three lengths, a method and a source, then the bytes: each part in memory of its own, so that no read goes over. */
static inline void cut_exchange(const uint8_t *data, size_t n, struct event_exchange *e, struct exchange_bytes *in,
				struct range *range)
{
	static char *part[3];
	struct bytes *to[3] = { &in->request, &in->answer, &in->tail };
	uint8_t head[8] = { 0 };
	size_t max[3] = { EVENT_REQUEST_MAX + EVENT_FRAGMENT_MAX, EVENT_ANSWER_MAX, EVENT_TAIL_MAX };

	memcpy(head, data, n < sizeof(head) ? n : sizeof(head));
	data += n < sizeof(head) ? n : sizeof(head);
	n -= n < sizeof(head) ? n : sizeof(head);
	for (int i = 0; i < 3; i++) {
		size_t want = i == 0 ? (size_t)head[0] << 8 | head[1] : head[1 + i], have = want < n ? want : n;

		if (have > max[i])
			have = max[i];
		free(part[i]);
		part[i] = malloc(have);
		if (!part[i])
			abort();
		memcpy(part[i], data, have);
		*to[i] = bytes_of(part[i], have);
		range->from[i] = part[i];
		range->n[i] = have;
		data += have;
		n -= have;
	}
	e->method = head[4];
	e->source = head[5] & 1;
	e->request_bytes = in->request.n + head[6];
	e->answer_bytes = in->answer.n + in->tail.n + head[7] - 16u;
}

struct fuzz_context {
	const struct range *range;
	uint64_t time;
	unsigned emitted;
};

static inline void check_stream_operation(void *context, const struct stream_operation *op)
{
	struct fuzz_context *c = context;

	check_operation(c->range, &op->op);
	if (op->start > op->end || op->end > c->time || op->first > op->end)
		abort();
	if (op->has_prepared) {
		inside(c->range, op->prepared.name);
		inside(c->range, op->prepared.text);
	}
	c->emitted++;
}

/* Pieces: control (bit 0 direction, bit 1 a gap follows), length, bytes, [gap]. */
static inline void fuzz_stream(const struct proto *proto, const uint8_t *data, size_t n)
{
	static struct proto_stream *st;
	struct range range = { .n = { proto->stream_size } };
	struct fuzz_context c = { &range, 1, 0 };

	if (!st)
		st = malloc(proto->stream_size);
	if (!st)
		abort();
	memset(st, 0, proto->stream_size);
	range.from[0] = (const char *)st;
	while (n >= 2) {
		uint8_t control = data[0];
		size_t len = data[1] < n - 2 ? data[1] : n - 2;
		char *copy = malloc(len);
		struct stream_input in = { .dir = control & 1 ? STREAM_ANSWER : STREAM_REQUEST,
					   .data = bytes_of(copy, len),
					   .time = ++c.time,
					   .parent = 7 };

		if (!copy)
			abort();
		memcpy(copy, data + 2, len);
		data += 2 + len;
		n -= 2 + len;
		if (control & 2 && n) {
			in.gap = (uint64_t)data[0] << (control >> 4);
			data++;
			n--;
		}
		proto->stream(st, &in, check_stream_operation, &c);
		free(copy);
	}
	c.time++;
	proto->stream_close(st, c.time, check_stream_operation, &c);
}

/*
 * The answer's bytes, all carry_n of them when that is not 0, are taken for the state that the kernel hands over as a
 * connection begins to stream: it must be believed without harm.
 */
static inline void fuzz_handed_over(const struct proto *proto, uint8_t number, size_t carry_n, const uint8_t *data,
				    size_t n)
{
	struct event_exchange e = { .proto = number, .start = 1, .first = 1, .end = 1 };
	struct exchange_bytes in = { .e = &e };
	struct proto_stream *st = calloc(1, proto->stream_size);
	char *carry = calloc(1, carry_n ? carry_n : 1);
	struct range range = { .from = { (const char *)st }, .n = { proto->stream_size } };
	struct fuzz_context c = { &range, 3, 0 };
	struct stream_input more = { .dir = STREAM_ANSWER, .time = 2 };
	struct range unused;

	if (!st || !carry)
		abort();
	cut_exchange(data, n, &e, &in, &unused);
	e.request_bytes = in.request.n + (n ? data[0] : 0);
	if (carry_n) {
		if (in.answer.n)
			memcpy(carry, in.answer.p, in.answer.n < carry_n ? in.answer.n : carry_n);
		in.answer = bytes_of(carry, carry_n);
	}
	proto->stream_begin(st, &in, check_stream_operation, &c);
	more.data = in.tail;
	if (!more.data.p)
		more.data = BYTES_LITERAL("");
	proto->stream(st, &more, check_stream_operation, &c);
	proto->stream_close(st, 3, check_stream_operation, &c);
	free(carry);
	free(st);
}

#endif
