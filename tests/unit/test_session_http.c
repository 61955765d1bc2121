/* SPDX-License-Identifier: Apache-2.0 */
/* Names, attributes and statuses of HTTP spans: semantic conventions, docs/http/http-spans.md. */
#include "assembly_fixture.h"

#define OK "HTTP/1.1 200 OK\r\n\r\n"

static void server(const char *request, const char *answer, uint32_t status)
{
	exchange((struct exchange){ .id = 1,
				    .conn = 5,
				    .role = ROLE_SERVER,
				    .request = request,
				    .answer = answer,
				    .status = status,
				    .method = HTTP_GET });
}

static void client(const char *request, const char *answer, uint32_t status)
{
	exchange((struct exchange){ .id = 1,
				    .conn = 6,
				    .role = ROLE_CLIENT,
				    .request = request,
				    .answer = answer,
				    .status = status,
				    .method = HTTP_GET });
}

static void announce(void)
{
	connect_conn((struct connect){ .conn = 5,
				       .proto = PROTO_HTTP1,
				       .role = ROLE_SERVER,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.9",
				       .local_port = 8000,
				       .remote_port = 40000 });
	connect_conn((struct connect){ .conn = 6,
				       .proto = PROTO_HTTP1,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.7",
				       .local_port = 40001,
				       .remote_port = 9200 });
}

static void server_span(void **state)
{
	(void)state;
	announce();
	server("GET /orders/7?user=canary&page=2 HTTP/1.1\r\nHost: shop.example:8000\r\nUser-Agent: curl/8\r\n\r\n", OK,
	       200);
	assert_int_equal(fx.n, 1);
	assert_name(0, "GET");
	assert_int_equal(fx.spans[0]->kind, SPAN_SERVER);
	assert_int_equal(fx.spans[0]->status, SPAN_UNSET);
	assert_int_equal(fx.spans[0]->start, OFFSET + SECOND);
	assert_int_equal(fx.spans[0]->end, OFFSET + SECOND + 1000000);
	assert_attr(0, "http.request.method", "GET");
	assert_attr(0, "http.request.method_original", NULL);
	assert_attr(0, "url.scheme", "http");
	assert_attr(0, "url.path", "/orders/7");
	assert_attr(0, "url.query", "user=REDACTED&page=REDACTED");
	assert_attr(0, "url.full", NULL);
	assert_attr(0, "http.route", NULL);
	assert_attr(0, "http.response.status_code", "200");
	assert_attr(0, "error.type", NULL);
	assert_attr(0, "server.address", "shop.example");
	assert_attr(0, "server.port", "8000");
	assert_attr(0, "client.address", "10.0.0.9");
	assert_attr(0, "network.peer.address", "10.0.0.9");
	assert_attr(0, "network.peer.port", "40000");
	assert_attr(0, "network.protocol.version", "1.1");
	assert_attr(0, "user_agent.original", "curl/8");
	assert_attr(0, "sonde.end", NULL);
	assert_true(fx.spans[0]->resource == fx.resource);
	assert_int_equal(counted(USER_spans_received), 1);
}

static void client_span(void **state)
{
	(void)state;
	announce();
	client("POST /v1/charge?key=canary HTTP/1.1\r\nHost: pay.example:9200\r\nAuthorization: Basic canary\r\n\r\n",
	       "HTTP/1.1 402 Payment Required\r\n\r\n", 402);
	assert_int_equal(fx.spans[0]->kind, SPAN_CLIENT);
	assert_name(0, "POST");
	assert_attr(0, "url.full", "http://pay.example:9200/v1/charge?key=REDACTED");
	assert_attr(0, "url.path", NULL);
	assert_attr(0, "server.address", "pay.example");
	assert_attr(0, "server.port", "9200");
	assert_attr(0, "network.peer.address", "10.0.0.7");
	assert_attr(0, "network.peer.port", "9200");
	assert_attr(0, "client.address", NULL);
	assert_attr(0, "error.type", "402");
	assert_int_equal(fx.spans[0]->status, SPAN_ERROR);
	assert_secret("canary");
}

static void default_ports(void **state)
{
	(void)state;
	announce();
	server("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", OK, 200);
	assert_attr(0, "server.port", "80");
	server("GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Proto: https\r\n\r\n", OK, 200);
	assert_attr(1, "server.port", "443");
	assert_attr(1, "url.scheme", "https");
	client("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n", OK, 200);
	assert_attr(2, "url.full", "http://a.example/x");
	assert_attr(2, "server.port", "80");
	client("GET /x HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", 200); /* no Host: the socket */
	assert_attr(3, "url.full", "http://10.0.0.7:9200/x");
	assert_attr(3, "server.address", "10.0.0.7");
	assert_attr(3, "network.protocol.version", "1.0");
	client("GET /x HTTP/1.1\r\nHost: [::1]:9200\r\n\r\n", OK, 200);
	assert_attr(4, "url.full", "http://[::1]:9200/x");
	assert_attr(4, "server.address", "::1");
}

static void statuses(void **state)
{
	(void)state;
	server("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 No\r\n\r\n", 404);
	assert_int_equal(fx.spans[0]->status, SPAN_UNSET);
	assert_attr(0, "error.type", NULL);
	server("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 503 No\r\n\r\n", 503);
	assert_int_equal(fx.spans[1]->status, SPAN_ERROR);
	assert_attr(1, "error.type", "503");
	client("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 302 Go\r\n\r\n", 302);
	assert_int_equal(fx.spans[2]->status, SPAN_UNSET);
	/* the kernel's status is of the final answer, the captured head may show an interim one */
	client("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", 201);
	assert_attr(3, "http.response.status_code", "201");
}

static void cut_answers(void **state)
{
	struct exchange x = { .id = 1,
			      .role = ROLE_SERVER,
			      .request = "GET / HTTP/1.1\r\n\r\n",
			      .answer = OK,
			      .status = 200,
			      .reason = END_CLOSE,
			      .flags = EXCHANGE_PARTIAL,
			      .method = HTTP_GET };

	(void)state;
	exchange(x);
	assert_int_equal(fx.n, 1);
	assert_attr(0, "error.type", "response_aborted");
	assert_attr(0, "http.response.status_code", "200");
	x.role = ROLE_CLIENT;
	exchange(x);
	assert_attr(1, "error.type", "response_aborted");
	x.flags |= EXCHANGE_LOCAL_CLOSE; /* the caller itself lost interest */
	exchange(x);
	assert_attr(2, "error.type", NULL);
	assert_int_equal(fx.spans[2]->status, SPAN_UNSET);
	x.flags = EXCHANGE_NO_ANSWER;
	x.answer = "";
	x.status = 0;
	exchange(x);
	assert_attr(3, "error.type", "connection_reset");
	assert_attr(3, "http.response.status_code", NULL);
	x.flags = 0;
	x.answer = OK;
	x.reason = END_TURN;
	exchange(x);
	assert_attr(4, "sonde.end", "turn");
}

static void methods(void **state)
{
	(void)state;
	exchange((struct exchange){ .id = 1,
				    .role = ROLE_SERVER,
				    .request = "PROPFIND /a HTTP/1.1\r\n\r\n",
				    .answer = OK,
				    .method = HTTP_OTHER });
	assert_name(0, "HTTP");
	assert_attr(0, "http.request.method", "_OTHER");
	assert_attr(0, "http.request.method_original", "PROPFIND");
	exchange((struct exchange){ .id = 1,
				    .role = ROLE_SERVER,
				    .request = "get /a HTTP/1.1\r\n\r\n",
				    .answer = OK,
				    .method = HTTP_OTHER });
	assert_attr(1, "http.request.method", "_OTHER");
	assert_attr(1, "http.request.method_original", "get");
	/* the request's bytes were not seen: the kernel knows the method */
	exchange((struct exchange){ .id = 1, .role = ROLE_SERVER, .request = "", .answer = OK, .method = HTTP_PUT });
	assert_name(2, "PUT");
	exchange((struct exchange){ .id = 1,
				    .role = ROLE_CLIENT,
				    .answer = OK,
				    .method = HTTP_CONNECT,
				    .request = "CONNECT user:canary@db.example:443 HTTP/1.1\r\n\r\n" });
	assert_name(3, "CONNECT");
	assert_attr(3, "server.address", "db.example");
	assert_attr(3, "server.port", "443");
	assert_secret("canary");
}

static void forwarded(void **state)
{
	(void)state;
	announce();
	server("GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: "
	       "shop.example\r\n\r\n",
	       OK, 200);
	assert_attr(0, "client.address", "203.0.113.7");
	assert_attr(0, "network.peer.address", "10.0.0.9");
	assert_attr(0, "server.address", "shop.example");
	server("GET / HTTP/1.1\r\nForwarded: for=\"[2001:db8::1]:99\"\r\n\r\n", OK, 200);
	assert_attr(1, "client.address", "2001:db8::1");
	assert_attr(1, "server.address", "10.0.0.1"); /* nobody said: the socket */
	assert_attr(1, "server.port", "8000");
	server("GET / HTTP/1.1\r\nX-Forwarded-For: 2001:db8::2\r\n\r\n", OK, 200);
	assert_attr(2, "client.address", "2001:db8::2");
	server("GET / HTTP/1.1\r\nForwarded: for=_hidden\r\n\r\n", OK, 200);
	assert_attr(3, "client.address", "10.0.0.9");
	server("GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7:4711\r\n\r\n", OK, 200);
	assert_attr(4, "client.address", "203.0.113.7");
}

static void unix_socket(void **state)
{
	(void)state;
	connect_conn((struct connect){
		.conn = 7, .path = "/run/app.sock", .role = ROLE_CLIENT, .local_ino = 1, .remote_ino = 2 });
	exchange((struct exchange){ .id = 1,
				    .conn = 7,
				    .role = ROLE_CLIENT,
				    .request = "GET /x HTTP/1.1\r\nHost: app\r\n\r\n",
				    .answer = OK,
				    .method = HTTP_GET });
	assert_attr(0, "network.peer.address", "/run/app.sock");
	assert_attr(0, "server.address", "app");
	assert_attr(0, "url.full", "http://app/x");
	exchange((struct exchange){ .id = 1,
				    .conn = 7,
				    .role = ROLE_CLIENT,
				    .request = "GET /x HTTP/1.0\r\n\r\n",
				    .answer = OK,
				    .method = HTTP_GET });
	assert_attr(1, "server.address", "/run/app.sock");
	assert_attr(1, "server.port", NULL);
}

/* Nothing about users leaks by default. */
static void secrets(void **state)
{
	static const char *const requests[] = {
		"GET http://user:canary@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://canary@h/x HTTP/1.1\r\nHost: user:canary@h\r\n\r\n",
		"GET /a?canary HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a?x=1;y=canary HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a?x=a=canary&&y=canary# HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a;jsessionid=canary/b;canary?z HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a#canary HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET user:canary@h HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a?token=canary",
		"GET / HTTP/1.1\r\nAuthorization: Bearer canary\r\nCookie: a=canary\r\nX-Api-Key: canary\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nReferer: http://x/?canary\r\n\r\ncanary",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\ncanary",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		server(requests[i], "HTTP/1.1 200 OK\r\nSet-Cookie: canary\r\n\r\ncanary", 200);
		client(requests[i], "HTTP/1.1 200 OK\r\nSet-Cookie: canary\r\n\r\ncanary", 200);
	}
	assert_int_equal(fx.n, 2 * sizeof(requests) / sizeof(requests[0]));
	assert_secret("canary");
	assert_attr(1, "url.full", "http://REDACTED:REDACTED@h/x");
	assert_attr(4, "url.query", "REDACTED");
	assert_attr(10, "url.path", "/a;jsessionid=REDACTED/b;REDACTED");
}

static void long_and_dirty_values(void **state)
{
	char request[2000];

	(void)state;
	fx.cfg.attribute_length_max = 20;
	fixture_restart();
	snprintf(request, sizeof(request), "GET /%0900d HTTP/1.1\r\nHost: h\r\nUser-Agent: a\xff\r\n b\r\n\r\n", 0);
	server(request, OK, 200);
	assert_int_equal(strlen(find(0, "url.path")), 20);
	assert_attr(0, "user_agent.original", "a\xef\xbf\xbd b");
}

static void fragments(void **state)
{
	struct event_fragment f = { .header = { .kind = EVENT_FRAGMENT, .conn = 5, .time = SECOND },
				    .exchange = 9,
				    .offset = EVENT_REQUEST_MAX };
	char request[3000];
	size_t n;

	(void)state;
	n = (size_t)snprintf(request, sizeof(request), "GET /x HTTP/1.1\r\nX: %01500d\r\nHost: far.example\r\n\r\n", 0);
	f.len = (uint32_t)(n - EVENT_REQUEST_MAX);
	give(&f, sizeof(f), bytes_of(request + EVENT_REQUEST_MAX, f.len));
	exchange((struct exchange){ .id = 9,
				    .conn = 5,
				    .role = ROLE_SERVER,
				    .raw_request = bytes_of(request, n),
				    .answer = OK,
				    .method = HTTP_GET,
				    .flags = EXCHANGE_FRAGMENTED,
				    .request_bytes = n });
	assert_attr(0, "server.address", "far.example");
	/* not those of another exchange */
	exchange((struct exchange){ .id = 10,
				    .conn = 5,
				    .role = ROLE_SERVER,
				    .raw_request = bytes_of(request, n),
				    .answer = OK,
				    .method = HTTP_GET,
				    .flags = EXCHANGE_FRAGMENTED,
				    .request_bytes = n });
	assert_attr(1, "server.address", NULL);
}

static void what_makes_no_span(void **state)
{
	(void)state;
	exchange((struct exchange){ .id = 1,
				    .role = ROLE_SERVER,
				    .request = "GET / HTTP/1.1\r\n\r\n",
				    .answer = OK,
				    .tgid = TGID_UNSELECTED });
	assert_int_equal(counted(USER_not_selected), 1);
	exchange((struct exchange){ .id = 1, .role = ROLE_SERVER, .request = "garbage", .answer = "garbage" });
	assert_int_equal(counted(USER_undecodable), 1);
	exchange((struct exchange){ .id = 1, .role = ROLE_SERVER, .proto = PROTO_OTHER });
	assert_int_equal(counted(USER_spans_received), 2);
	assert_int_equal(fx.n, 0);
}

static const struct CMUnitTest tests[] = {
	TEST(server_span), TEST(client_span),	     TEST(default_ports), TEST(statuses), TEST(cut_answers),
	TEST(methods),	   TEST(forwarded),	     TEST(unix_socket),	  TEST(secrets),  TEST(long_and_dirty_values),
	TEST(fragments),   TEST(what_makes_no_span),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
