/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what an HTTP/1 client and server say: see fuzz_proto_postgres.c for the form. */
#include <stdlib.h>

#include "fuzz_proto.h"
#include "proto/http1.h"

extern const struct proto proto_http1;

static void exchange(const uint8_t *data, size_t n)
{
	struct event_exchange e = { .proto = PROTO_HTTP1 };
	struct exchange_bytes in = { .e = &e };
	struct range range;
	struct operation op;

	cut_exchange(data, n, &e, &in, &range);
	if (!proto_http1.exchange(&in, &op))
		return;
	check_operation(&range, &op);
	if (op.http_status && (op.http_status < 100 || op.http_status > 599))
		abort();
}

/* The answer's bytes are taken for the state that the kernel hands over: it must be believed without harm. */
static void handed_over(const uint8_t *data, size_t n)
{
	struct event_exchange e = { .proto = PROTO_HTTP1, .start = 1, .first = 1, .end = 1 };
	struct exchange_bytes in = { .e = &e };
	struct proto_stream *st = calloc(1, proto_http1.stream_size);
	struct range range = { .from = { (const char *)st }, .n = { proto_http1.stream_size } };
	struct fuzz_context c = { &range, 3, 0 };
	struct stream_input more = { .dir = STREAM_ANSWER, .time = 2 };
	char carry[sizeof(struct http1_carry)] = { 0 };
	struct range unused;

	if (!st)
		abort();
	cut_exchange(data, n, &e, &in, &unused);
	e.request_bytes = in.request.n + (n ? data[0] : 0);
	if (in.answer.n)
		memcpy(carry, in.answer.p, in.answer.n < sizeof(carry) ? in.answer.n : sizeof(carry));
	in.answer = bytes_of(carry, sizeof(carry));
	proto_http1.stream_begin(st, &in, check_stream_operation, &c);
	more.data = in.tail;
	if (!more.data.p)
		more.data = BYTES_LITERAL("");
	proto_http1.stream(st, &more, check_stream_operation, &c);
	proto_http1.stream_close(st, 3, check_stream_operation, &c);
	free(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	if (data[0] == 2)
		handed_over(data + 1, n - 1);
	else if (data[0] & 1)
		fuzz_stream(&proto_http1, data + 1, n - 1);
	else
		exchange(data + 1, n - 1);
	return 0;
}
