/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "golden.h"
#include "proto/http1.h"
#include "proto/proto.h"
#include "util/buf.h"

extern const struct proto proto_http1;

#define FOLDER "tests/proto/http1"

static struct buf out;
static struct proto_stream *st;

static int setup(void **state)
{
	(void)state;
	buf_reset(&out);
	st = calloc(1, proto_http1.stream_size);
	return st ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(st);
	return 0;
}

static void text(const char *key, struct bytes s)
{
	if (!s.n)
		return;
	buf_printf(&out, " %s=\"", key);
	buf_json(&out, s);
	buf_char(&out, '"');
}

static void describe(const struct operation *op)
{
	text("method", op->method);
	text("target", op->target);
	text("host", op->host);
	text("agent", op->user_agent);
	text("traceparent", op->traceparent);
	buf_printf(&out, " version=%u status=%u%s\n", op->http_version, op->http_status, op->target_cut ? " cut" : "");
}

static void on_operation(void *context, const struct stream_operation *op)
{
	(void)context;
	buf_printf(&out, "stream %llu-%llu-%llu%s%s", (unsigned long long)op->start, (unsigned long long)op->first,
		   (unsigned long long)op->end, op->lost ? " lost" : "", op->unanswered ? " unanswered" : "");
	describe(&op->op);
}

static bool feed(enum stream_dir dir, struct bytes data, uint64_t gap, uint64_t time)
{
	struct stream_input in = { .dir = dir, .data = data, .gap = gap, .time = time };

	return proto_http1.stream(st, &in, on_operation, NULL);
}

static bool read_heads(struct bytes request, struct bytes answer, struct operation *ret)
{
	struct exchange_bytes in = { NULL, request, answer, { 0 } };

	return proto_http1.exchange(&in, ret);
}

static struct operation read_request(const char *request)
{
	struct operation op;

	assert_true(read_heads(bytes_str(request), bytes_str("HTTP/1.1 200 OK\r\n"), &op));
	return op;
}

#define assert_bytes(s, want) assert_true(bytes_eq(s, bytes_str(want)))

static void streams(struct bytes b, size_t size)
{
	struct golden_piece piece;
	uint64_t time = 0;

	memset(st, 0, proto_http1.stream_size);
	while (golden_next(&b, &piece))
		for (time++; piece.data.n; piece.data = bytes_tail(piece.data, size))
			assert_true(feed(piece.dir, bytes_head(piece.data, size), 0, time));
	proto_http1.stream_close(st, time + 1, on_operation, NULL);
}

static void golden_one(const char *name, struct bytes content)
{
	_cleanup_free_ char *whole = NULL;
	struct bytes b = content;
	struct golden_piece piece, request = { 0 };

	buf_reset(&out);
	while (golden_next(&b, &piece)) {
		struct operation op;

		if (piece.dir == STREAM_REQUEST) {
			request = piece;
		} else if (request.data.n) {
			buf_str(&out, read_heads(bytes_head(request.data, EVENT_REQUEST_MAX),
						 bytes_head(piece.data, EVENT_ANSWER_MAX), &op)
					      ? "exchange"
					      : "nonsense");
			describe(&op);
			request.data.n = 0;
		}
	}
	streams(content, SIZE_MAX);
	whole = strdup(out.p);
	for (size_t size = 1; size < 8; size++) {
		const char *from = strstr(whole, "stream ");

		buf_reset(&out);
		streams(content, size);
		assert_string_equal(from ? from : "", out.n ? out.p : "");
	}
	assert_true(golden_check(FOLDER, name, bytes_str(whole)));
	assert_null(strstr(whole, "canary-token"));
	assert_null(strstr(whole, "sid="));
}

static void golden(void **state)
{
	(void)state;
	assert_true(golden_each(FOLDER, golden_one) >= 7);
}

static void request_line(void **state)
{
	struct operation op;

	(void)state;
	op = read_request("\r\n\r\nPROPFIND /a?b=c HTTP/1.0\r\nhOsT:  example.org \r\nUser-Agent:x\r\n\r\n");
	assert_bytes(op.method, "PROPFIND");
	assert_bytes(op.target, "/a?b=c");
	assert_bytes(op.host, "example.org");
	assert_bytes(op.user_agent, "x");
	assert_int_equal(op.http_version, 11); /* the answer's counts */
	assert_int_equal(op.http_status, 200);
	op = read_request("GET http://u:p@h:81/x HTTP/1.1\r\n\r\n");
	assert_bytes(op.target, "http://u:p@h:81/x");
	op = read_request("GET /with a space HTTP/1.1\n\n"); /* bare line feeds, RFC 9112 section 2.2 */
	assert_bytes(op.target, "/with a space");
}

static void cut_heads(void **state)
{
	struct operation op;

	(void)state;
	op = read_request("GET /very/long/pa");
	assert_true(op.target_cut);
	assert_bytes(op.target, "/very/long/pa");
	op = read_request("GET /x HTT");
	assert_false(op.target_cut);
	op = read_request("GET /x HTTP/1.1\r\nHost: exam"); /* half a name is the wrong name */
	assert_int_equal(op.host.n, 0);
	assert_true(read_heads(bytes_str("GET /x HTTP/1.1\r\n\r\n"), bytes_str("HTTP/1.1 2"), &op));
	assert_int_equal(op.http_status, 0);
	assert_true(read_heads(bytes_str(""), bytes_str("HTTP/1.0 204 "), &op));
	assert_int_equal(op.http_status, 204);
	assert_int_equal(op.http_version, 10);
}

static void interim_answers(void **state)
{
	struct operation op;

	(void)state;
	assert_true(read_heads(bytes_str("POST /x HTTP/1.1\r\n\r\n"),
			       bytes_str("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
					 "HTTP/1.1 201 Created\r\n\r\n"),
			       &op));
	assert_int_equal(op.http_status, 201);
	assert_true(read_heads(bytes_str("GET /x HTTP/1.1\r\n\r\n"),
			       bytes_str("HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 500 no"), &op));
	assert_int_equal(op.http_status, 101);
}

static void obs_fold(void **state)
{
	struct operation op = read_request("GET / HTTP/1.1\r\nUser-Agent: one\r\n two\r\n\tthree\r\nHost: h\r\n\r\n");

	(void)state;
	assert_bytes(op.user_agent, "one\r\n two\r\n\tthree");
	assert_bytes(op.host, "h");
}

static void forwarded(void **state)
{
	struct operation op;

	(void)state;
	op = read_request("GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-Proto: https,http\r\n"
			  "X-Forwarded-Host: shop.example, proxy\r\n\r\n");
	assert_bytes(op.forwarded_for, "1.2.3.4");
	assert_bytes(op.forwarded_proto, "https");
	assert_bytes(op.forwarded_host, "shop.example");
	op = read_request("GET / HTTP/1.1\r\nX-Forwarded-For: 9.9.9.9\r\n"
			  "Forwarded: For=\"[2001:db8::1]:47\"; Proto=https ;host=\"a,b;c\", for=10.0.0.1\r\n\r\n");
	assert_bytes(op.forwarded_for, "[2001:db8::1]:47");
	assert_bytes(op.forwarded_proto, "https");
	assert_bytes(op.forwarded_host, "a,b;c");
}

static void trace_headers(void **state)
{
	struct operation op = read_request("GET / HTTP/1.1\r\nTraceParent: one\r\ntraceparent: two\r\n"
					   "tracestate: a=1\r\nTraceState: b=2\r\nB3: x\r\nX-B3-TraceId: y\r\n"
					   "uber-trace-id: z\r\nX-Amzn-Trace-Id: w\r\nsentry-trace: v\r\n\r\n");

	(void)state;
	assert_int_equal(op.traceparent_count, 2);
	assert_int_equal(op.tracestate_count, 2);
	assert_bytes(op.tracestate[1], "b=2");
	assert_bytes(op.trace_headers[TRACE_B3], "x");
	assert_bytes(op.trace_headers[TRACE_B3_TRACE_ID], "y");
	assert_bytes(op.trace_headers[TRACE_UBER], "z");
	assert_bytes(op.trace_headers[TRACE_XRAY], "w");
	assert_bytes(op.trace_headers[TRACE_SENTRY], "v");
}

static void nonsense(void **state)
{
	static const char *const bad[] = {
		"",	     " GET / HTTP/1.1\r\n", "GET\r\n", "\x16\x03\x01\x02", "GET / HTTP/9.9\r\n\r\n",
		"GET /\r\n", "{\"a\":1}",	    ":::: :::"
	};
	struct operation op;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(read_heads(bytes_str(bad[i]), bytes_str("SSH-2.0"), &op));
		assert_int_equal(op.method.n + op.target.n, 0);
	}
}

/* A pipeline of two; only bytes of a body are missing. */
static void gap_in_a_body(void **state)
{
	(void)state;
	assert_true(feed(STREAM_REQUEST, bytes_str("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 0, 1));
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nabc"), 4997, 2));
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 0, 3));
	assert_string_equal(out.p, "stream 1-2-2 method=\"GET\" target=\"/a\" version=11 status=200\n"
				   "stream 1-3-3 method=\"GET\" target=\"/b\" version=11 status=404\n");
}

static void gap_in_a_head(void **state)
{
	(void)state;
	assert_true(feed(STREAM_REQUEST, bytes_str("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 0, 1));
	assert_false(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 200 OK\r\nConte"), 100, 2));
	assert_non_null(strstr(out.p, "lost method=\"GET\" target=\"/a\""));
	assert_non_null(strstr(out.p, "lost method=\"GET\" target=\"/b\""));
	buf_reset(&out);
	assert_true(feed(STREAM_ANSWER, bytes_str("whatever"), 0, 3));
	assert_true(feed(STREAM_REQUEST, bytes_str("GET /c HTTP/1.1\r\n\r\n"), 0, 4));
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 204 No\r\n\r\n"), 0, 5));
	assert_string_equal(out.p, "stream 4-5-5 method=\"GET\" target=\"/c\" version=11 status=204\n");
}

static void until_close(void **state)
{
	(void)state;
	assert_true(feed(STREAM_REQUEST, bytes_str("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 0, 1));
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 200 OK\r\n\r\nbody"), 0, 2));
	assert_true(feed(STREAM_ANSWER, bytes_str("more"), 0, 7));
	proto_http1.stream_close(st, 9, on_operation, NULL);
	assert_string_equal(out.p, "stream 1-2-7 method=\"GET\" target=\"/a\" version=11 status=200\n"
				   "stream 1-0-9 unanswered method=\"GET\" target=\"/b\" version=11 status=0\n");
}

/* The exchange during which the connection began to stream. carry: NULL = of what it was, nothing is known. */
static void hand_over(struct bytes request, uint64_t bytes, uint64_t first, const struct http1_carry *carry)
{
	struct event_exchange e = { .start = 1, .first = first, .end = first, .request_bytes = bytes };
	struct exchange_bytes in = { &e, request, { 0 }, { 0 } };

	if (carry)
		in.answer = bytes_of((const char *)carry, sizeof(*carry));
	proto_http1.stream_begin(st, &in, on_operation, NULL);
}

/* The kernel has followed the answer to the middle of its head, of which nothing is kept, and the request to its end.
 */
static void begins_in_an_answer(void **state)
{
	struct http1_carry carry = { .known = 1 };

	(void)state;
	http1_answer_init(&carry.answer, HTTP_POST);
	for (const char *p = "HTTP/1.1 201 Created\r\nContent-Le"; *p; p++)
		http1_byte(&carry.answer, *p);
	carry.request.state = HTTP1_DONE;
	hand_over(bytes_str("POST /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\nabc"), 5045, 4, &carry);
	assert_true(feed(STREAM_REQUEST, bytes_str("GET /b HTTP/1.1\r\n\r\n"), 0, 5));
	assert_true(feed(STREAM_ANSWER, bytes_str("ngth: 2\r\n\r\nokHTTP/1.1 204 No\r\n\r\n"), 0, 6));
	assert_string_equal(out.p, "stream 1-4-6 method=\"POST\" target=\"/a\" version=11 status=201\n"
				   "stream 5-6-6 method=\"GET\" target=\"/b\" version=11 status=204\n");
}

/* The same in the middle of a body that is not kept, and is chunked. */
static void begins_in_a_body(void **state)
{
	struct http1_carry carry = { .known = 1 };

	(void)state;
	http1_request_init(&carry.request);
	for (const char *p = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"; *p; p++)
		http1_byte(&carry.request, *p);
	http1_skip(&carry.request, 4000);
	hand_over(bytes_str("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nabc"), 4056, 0, &carry);
	assert_true(feed(STREAM_REQUEST, bytes_str("x"), 97, 2));
	assert_true(feed(STREAM_REQUEST, bytes_str("0\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 0, 5));
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 204 No\r\n\r\nHTTP/1.1 304 No\r\n\r\n"), 0, 6));
	assert_string_equal(out.p, "stream 1-6-6 method=\"POST\" target=\"/a\" version=11 status=204\n"
				   "stream 5-6-6 method=\"GET\" target=\"/b\" version=11 status=304\n");
}

/* The first of them was counted before it was seen that there are more. */
static void begins_behind_an_answer(void **state)
{
	struct http1_carry carry = { .known = 1, .answered = 1 };

	(void)state;
	hand_over(bytes_str("POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n"), 58, 4, &carry);
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 204 No\r\n\r\n"), 0, 6));
	proto_http1.stream_close(st, 9, on_operation, NULL);
	assert_string_equal(out.p, "stream 1-6-6 method=\"GET\" target=\"/b\" version=11 status=204\n");
}

static void begins_unknown(void **state)
{
	(void)state;
	hand_over(bytes_str("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), 38, 0, NULL);
	hand_over(bytes_of(NULL, 0), 0, 0, NULL);
	assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 204 No\r\n\r\n"), 0, 6));
	assert_string_equal(out.p, "stream 1-6-6 method=\"GET\" target=\"/a\" version=11 status=204\n");
}

/* As many as there is room for, their heads in a ring; more than that are lost, not mixed up. */
static void deep(void **state)
{
	char line[128];
	size_t n = 0;

	(void)state;
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 100; i++) {
			n = (size_t)sprintf(line, "PURGE /r%d/%d HTTP/1.1\r\nX: %*d\r\n\r\n", round, i, i % 60, i);
			assert_true(feed(STREAM_REQUEST, bytes_of(line, n), 0, 1));
		}
		for (int i = 0; i < 100; i++) {
			buf_reset(&out);
			assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 204 No\r\n\r\n"), 0, 2));
			sprintf(line, "stream 1-2-2 method=\"PURGE\" target=\"/r%d/%d\" version=11 status=204\n", round,
				i);
			assert_string_equal(out.p, line);
		}
	}
	for (int i = 0; i < HTTP1_PENDING; i++)
		assert_true(feed(STREAM_REQUEST, bytes_str("GET / HTTP/1.1\r\n\r\n"), 0, 1));
	assert_false(feed(STREAM_REQUEST, bytes_str("GET / HTTP/1.1\r\n\r\n"), 0, 1));
}

/* Behind 101, and behind an answer to CONNECT, there is no HTTP. */
static void other_protocol(void **state)
{
	static const char *const begins[] = { "GET /u HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n" };
	static const char *const ends[] = { "HTTP/1.1 101 Yes\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(st, 0, proto_http1.stream_size);
		buf_reset(&out);
		assert_true(feed(STREAM_REQUEST, bytes_str(begins[i]), 0, 1));
		assert_true(feed(STREAM_ANSWER, bytes_str(ends[i]), 0, 2));
		assert_true(feed(STREAM_ANSWER, bytes_str("HTTP/1.1 200 OK\r\n\r\n"), 7, 3));
		assert_true(feed(STREAM_REQUEST, bytes_str("GET / HTTP/1.1\r\n\r\n"), 0, 4));
		proto_http1.stream_close(st, 9, on_operation, NULL);
		assert_string_equal(out.p, i ? "stream 1-2-2 method=\"CONNECT\" target=\"a:1\" version=11 status=200\n"
					     : "stream 1-2-2 method=\"GET\" target=\"/u\" version=11 status=101\n");
	}
}

static void registry(void **state)
{
	(void)state;
	assert_ptr_equal(proto_find(PROTO_HTTP1), &proto_http1);
	assert_string_equal(proto_find(PROTO_POSTGRES)->name, "postgres");
	assert_null(proto_find(PROTO_TLS));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(golden),
	TEST(request_line),
	TEST(cut_heads),
	TEST(interim_answers),
	TEST(obs_fold),
	TEST(forwarded),
	TEST(trace_headers),
	TEST(nonsense),
	TEST(gap_in_a_body),
	TEST(gap_in_a_head),
	TEST(until_close),
	TEST(registry),
	TEST(begins_in_an_answer),
	TEST(begins_in_a_body),
	TEST(begins_behind_an_answer),
	TEST(begins_unknown),
	TEST(deep),
	TEST(other_protocol),
};

int main(void)
{
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&out);
	return r;
}
