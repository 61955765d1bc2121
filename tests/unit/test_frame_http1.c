/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame_drive.h"

/* An answer, how many of its bytes end it, and what the framing then says. Rules of RFC 9112 section 6.3. */
static const struct {
	const char *name;
	__u8 method;
	const char *bytes;
	size_t end; /* 0: all of them */
	__u8 verdict;
	__u16 status;
} answers[] = {
	{ "length", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, FRAME_COMPLETE, 200 },
	{ "length, more behind", HTTP_GET, "HTTP/1.1 200 OK\r\ncontent-LENGTH:  5 \r\n\r\nhelloHTTP/1.1 200", 45,
	  FRAME_COMPLETE, 200 },
	{ "length not reached", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 0, FRAME_OPEN, 200 },
	{ "length 0", HTTP_POST, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 0, FRAME_COMPLETE, 201 },
	{ "chunked", HTTP_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
	  FRAME_COMPLETE, 200 },
	{ "chunked, several codings", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n0;last\r\nTrailer: "
	  "v\r\n\r\n",
	  0, FRAME_COMPLETE, 200 },
	{ "chunk data that looks like the end", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", 0, FRAME_COMPLETE,
	  200 },
	{ "chunked wins over length", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 0,
	  FRAME_COMPLETE, 200 },
	{ "chunked, not over", HTTP_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0,
	  FRAME_OPEN, 200 },
	{ "bad chunk size", HTTP_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 48, FRAME_UNSURE,
	  200 },
	{ "until close", HTTP_GET, "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nsome bytes", 0, FRAME_UNSURE, 200 },
	{ "HEAD", HTTP_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 0, FRAME_COMPLETE, 200 },
	{ "204", HTTP_GET, "HTTP/1.1 204 No Content\r\n\r\n", 0, FRAME_COMPLETE, 204 },
	{ "304 with length", HTTP_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 0, FRAME_COMPLETE,
	  304 },
	{ "100 first", HTTP_POST, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0,
	  FRAME_COMPLETE, 200 },
	{ "103 first", HTTP_GET,
	  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 0,
	  FRAME_COMPLETE, 404 },
	{ "100 alone", HTTP_POST, "HTTP/1.1 100 Continue\r\n\r\n", 0, FRAME_OPEN, 0 },
	{ "upgrade", HTTP_GET, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05", 56,
	  FRAME_UPGRADE, 101 },
	{ "CONNECT", HTTP_CONNECT, "HTTP/1.1 200 OK\r\n\r\n", 0, FRAME_UPGRADE, 200 },
	{ "CONNECT refused", HTTP_CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx", 0, FRAME_COMPLETE, 403 },
	{ "bare line feeds", HTTP_GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 0, FRAME_COMPLETE, 200 },
	{ "length not a number", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, FRAME_UNSURE, 200 },
	{ "a header that begins alike", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Lengthy: 9\r\nContent-Length: 1\r\n\r\nx",
	  0, FRAME_COMPLETE, 200 },
	{ "length without a space", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length:05\r\n\r\nhello", 0, FRAME_COMPLETE,
	  200 },
	{ "length of two digits, more behind", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, worldHTTP/1.1 200", 51, FRAME_COMPLETE, 200 },
	{ "chunked, and its line goes on", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\rx\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0, FRAME_UNSURE, 200 },
	{ "length of two numbers", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nhello", 0, FRAME_COMPLETE,
	  200 },
	{ "length of ten digits", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 1234567890\r\n\r\nhello", 0, FRAME_OPEN,
	  200 },
	{ "length of ten digits that are few", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nContent-Length: 0000000005\r\nServer: x\r\n\r\nhello", 0, FRAME_COMPLETE, 200 },
	{ "no length", HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: \r\nServer: something\r\n\r\nhello", 0,
	  FRAME_UNSURE, 200 },
	{ "chunked in capitals", HTTP_GET, "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\nfF\r\nmore", 0,
	  FRAME_OPEN, 200 },
	{ "chunked without a space", HTTP_GET,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding:chunked\r\n\r\n00000005\r\nhello\r\n000\r\nA: b\r\n\r\n", 0,
	  FRAME_COMPLETE, 200 },
	{ "not chunked", HTTP_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedx\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
	  FRAME_UNSURE, 200 },
	{ "garbage", HTTP_GET, "SSH-2.0-OpenSSH_9.2\r\n", 10, FRAME_UNSURE, 0 },
};

static void test_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		size_t n = strlen(answers[i].bytes), want = answers[i].end ? answers[i].end : n, got;
		struct http1_answer a;

		http1_answer_init(&a, answers[i].method);
		got = drive_http1(&a, answers[i].bytes, n);
		if (got != want || http1_verdict(&a) != answers[i].verdict || a.status != answers[i].status)
			fail_msg("%s: %zu bytes, verdict %u, status %u; want %zu, %u, %u", answers[i].name, got,
				 http1_verdict(&a), a.status, want, answers[i].verdict, answers[i].status);
	}
}

/* Wherever the bytes are cut, the same answer ends at the same byte. */
static void test_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		size_t n = strlen(answers[i].bytes);

		for (size_t step = 1; step < n; step++) {
			struct http1_answer whole, cut;
			size_t at = 0, done = 0;

			http1_answer_init(&whole, answers[i].method);
			http1_answer_init(&cut, answers[i].method);
			done = drive_http1(&whole, answers[i].bytes, n);
			while (at < done) {
				size_t piece = step < done - at ? step : done - at;

				assert_int_equal(drive_http1(&cut, answers[i].bytes + at, piece), piece);
				at += piece;
			}
			assert_true(http1_same(&whole, &cut));
		}
	}
}

/* Heads put together of lines that are ordinary, or nearly so, taken at once and by bytes. */
static void test_heads(void **state)
{
	static const char *const lines[] = {
		"Server: x\r\n",
		"Content-Length: 17\r\n",
		"content-length:5\r\n",
		"Content-Length : 9\r\n",
		"Content-Length: \r\n",
		"Content-Length: 5, 6\r\n",
		"Content-Length: 1234567890\r\n",
		"Content-Length: 3\n",
		"Content-Type: text/html; charset=utf-8\r\n",
		"Content-\x0cength: 7\r\n",
		"Content\rLength: 7\r\n",
		"Transfer-Encoding: chunked\r\n",
		"transfer-encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
		"Transfer-Encodin\x07:chunked\r\n",
		"a:\r\n",
		"\n",
		"\r",
		"\r\n",
		"b\n\x0b",
		"X: \x8a\xff\x8a\x80\n",
		"X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901\r\n",
		"HTTP/1.1 404 No\r\n",
	};
	static const char *const begin[] = { "HTTP/1.1 200 OK\r\n", "HTTP/1.0 204 None\r\n", "HTTP/1.1 100\r\n",
					     "HTTP/1.1 2x0 OK\r\n" };
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		struct http1_answer once, bytes;
		char b[4096];
		size_t n = (size_t)sprintf(b, "%s", begin[(size_t)rand_r(&seed) % 4]), done, got = 0;

		for (int k = rand_r(&seed) % 9; k > 0; k--)
			n += (size_t)sprintf(b + n, "%s", lines[(size_t)rand_r(&seed) % 23]);
		n += (size_t)sprintf(b + n, "\r\n0123456789");
		http1_answer_init(&once, round % 5 ? HTTP_GET : HTTP_HEAD);
		bytes = once;
		done = drive_http1(&once, b, n);
		while (got < done)
			got += drive_http1(&bytes, b + got, 1);
		if (!http1_same(&once, &bytes))
			fail_msg("round %d: %s", round, b);
	}
}

/* Random chunked answers, made to a known length, with bodies full of what framing looks for. */
static void test_made_answers(void **state)
{
	static const char alphabet[] = "\r\n0a;: \r\n";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char b[4096];
		size_t n =
			(size_t)sprintf(b, "HTTP/1.1 200 OK\r\nX-%d: y\r\nTransfer-Encoding: chunked\r\n\r\n", round);
		int chunks = rand_r(&seed) % 8;
		struct http1_answer a;

		for (int c = 0; c < chunks; c++) {
			int size = 1 + rand_r(&seed) % 200;

			n += (size_t)sprintf(b + n, round % 2 ? "%x\r\n" : "%04X;e\r\n", size);
			for (int k = 0; k < size; k++)
				b[n++] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
			n += (size_t)sprintf(b + n, "\r\n");
		}
		n += (size_t)sprintf(b + n, "0\r\n\r\n");
		http1_answer_init(&a, HTTP_GET);
		assert_int_equal(drive_http1(&a, b, n), n);
		assert_int_equal(http1_verdict(&a), FRAME_COMPLETE);
		http1_answer_init(&a, HTTP_GET);
		drive_http1(&a, b, n - 1);
		assert_int_equal(http1_verdict(&a), FRAME_OPEN);
	}
}

static void test_methods(void **state)
{
	static const struct {
		const char *bytes;
		__u8 method;
	} v[] = {
		{ "GET / HTTP/1.1\r\n", HTTP_GET },
		{ "GET /", HTTP_NONE },
		{ "POST /x HTTP/1.1", HTTP_POST },
		{ "HEAD /x HTTP/1.0", HTTP_HEAD },
		{ "PUT /x HTTP/1.1", HTTP_PUT },
		{ "DELETE /x HTTP/1", HTTP_DELETE },
		{ "OPTIONS * HTTP/1", HTTP_OPTIONS },
		{ "CONNECT a:1 HTTP", HTTP_CONNECT },
		{ "PATCH /x HTTP/1.", HTTP_PATCH },
		{ "TRACE / HTTP/1.1", HTTP_TRACE },
		{ "QUERY /q HTTP/1.", HTTP_QUERY },
		{ "PROPFIND /d HTTP", HTTP_OTHER },
		{ "GET http://h/ HT", HTTP_GET },
		{ "GET key\r\nxxxxxxxx", HTTP_NONE },
		{ "get / HTTP/1.1\r\n", HTTP_OTHER },
		{ "GETX/ HTTP/1.1\r\n", HTTP_NONE },
		{ "PURGE /a HTTP/1.", HTTP_OTHER },
		{ "M-SEARCH * HTTP/", HTTP_OTHER },
		{ "MKREDIRECTREF /a", HTTP_OTHER },
		{ "BASELINE-CONTROL", HTTP_NONE },
		{ "CONNECT ", HTTP_NONE },
		{ "DELETE ", HTTP_NONE },
		{ "AB / HTTP/1.1\r\n", HTTP_NONE },
		{ "GET_X / HTTP/1.1", HTTP_NONE },
		{ "SELECT 1........", HTTP_NONE },
		{ "HTTP/1.1 200 OK.", HTTP_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char b[FRAME_DETECT] = { 0 };
		size_t n = strlen(v[i].bytes);

		memcpy(b, v[i].bytes, n < sizeof(b) ? n : sizeof(b));
		if (http1_method(b, (__u32)(n < sizeof(b) ? n : sizeof(b))) != v[i].method)
			fail_msg("%s", v[i].bytes);
	}
}

/* A request that begins is never given up for its first bytes. */
static void test_beginnings(void **state)
{
	static const char *const good[] = { "GET / HTTP/1.1\r\n", "DELETE /a HTTP/1", "M-SEARCH * HTTP/",
					    "OPTIONS http://a" };
	static const char *const bad[] = { "\x16\x03\x01", "G\0\0\0", "*1\r\n", "GET a", "12 /", "AB /", " /" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (__u32 n = 1; n <= FRAME_DETECT; n++) {
			char b[FRAME_DETECT] = { 0 };

			memcpy(b, good[i], n);
			assert_int_not_equal(http1_beginning(b, n), HTTP1_BEGINS_NOT);
			assert_true(http1_method(b, n) || n < FRAME_DETECT);
		}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char b[FRAME_DETECT] = { 0 };

		strcpy(b, bad[i]);
		assert_int_equal(http1_beginning(b, (__u32)strlen(bad[i]) + 1), HTTP1_BEGINS_NOT);
	}
}

static void test_lines(void **state)
{
	static const struct {
		const char *bytes;
		int says_so;
	} v[] = {
		{ "PURGE /a HTTP/1.1\r\nHost: a\r\n", 1 },
		{ "PURGE /a HTTP/1.0\n", 1 },
		{ "PURGE /a", 1 }, /* as far as it is there */
		{ "STOR /a\r\n", 0 },
		{ "STOR /HTTP/1.1/a\r\n", 0 },
		{ "subscribe /topics/of/long/names\r\n", 0 },
		{ "A /\r\nHTTP/1.1\r\n", 0 },
	};
	char b[FRAME_BLOCK + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		memset(b, '\n', sizeof(b)); /* what lies behind the data must not matter */
		memcpy(b, v[i].bytes, strlen(v[i].bytes));
		if (http1_line_says_so(b, (__u32)strlen(v[i].bytes)) != v[i].says_so)
			fail_msg("%s", v[i].bytes);
	}
	memset(b, 'a', sizeof(b));
	assert_true(http1_line_says_so(b, FRAME_BLOCK));
}

/* A request behind its empty lines, and how many of its bytes are of it; 0: all, and it goes on. */
static const struct {
	const char *bytes;
	size_t end;
} requests[] = {
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", 27 },
	{ "GET / HTTP/1.1\nHost: a\n\nGET", 24 },
	{ "GET / HTTP/1.1\r\n\r\n", 18 },
	{ "GET / HTTP/1.1\r\n\r", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\nGET / HPOST /", 45 },
	{ "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET / H", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n\r\n", 38 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nGET\r\n0\r\nX: GET /\r\n\r\nGET", 74 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n", 0 },
	{ "HEAD /content-length: 7 HTTP/1.1\r\nX-Content-Length: 7\r\n\r\nGET", 57 },
	{ "CONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03\x01", 24 },
};

static size_t feed_request(struct http1_answer *a, const char *p, size_t n, size_t step)
{
	size_t at = 0;

	http1_request_init(a);
	while (at < n && !http1_request_over(a)) {
		size_t piece = step < n - at ? step : n - at;

		for (size_t done = 0; done < piece && !http1_request_over(a);)
			if (a->skip) {
				size_t pass = a->skip < piece - done ? (size_t)a->skip : piece - done;

				http1_skip(a, pass);
				done += pass, at += pass;
			} else {
				size_t fed = drive_http1_block(a, p + at,
							       piece - done < FRAME_BLOCK ? piece - done : FRAME_BLOCK);

				done += fed, at += fed;
			}
	}
	return at;
}

/* Wherever the bytes are cut, a request ends at the same byte. */
static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		size_t n = strlen(requests[i].bytes), want = requests[i].end ? requests[i].end : n;

		for (size_t step = 1; step <= n; step++) {
			struct http1_answer a;

			if (feed_request(&a, requests[i].bytes, n, step) != want ||
			    http1_request_over(&a) != !!requests[i].end)
				fail_msg("%s in steps of %zu", requests[i].bytes, step);
		}
	}
}

static void test_empty_lines(void **state)
{
	(void)state;
	assert_int_equal(http1_empty_lines("GET "), 0);
	assert_int_equal(http1_empty_lines("\nGET"), 1);
	assert_int_equal(http1_empty_lines("\r\nGE"), 2);
	assert_int_equal(http1_empty_lines("\r\n\r\n"), 4);
	assert_int_equal(http1_empty_lines("\rGET"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),	    cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_heads),	    cmocka_unit_test(test_made_answers),
		cmocka_unit_test(test_methods),	    cmocka_unit_test(test_beginnings),
		cmocka_unit_test(test_lines),	    cmocka_unit_test(test_requests),
		cmocka_unit_test(test_empty_lines),
	};

	return cmocka_run_group_tests_name("frame_http1", tests, NULL, NULL);
}
