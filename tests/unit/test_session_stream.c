/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that pipeline: from the exchange during which they began to, over pieces and gaps, to the close. */
#include "assembly_fixture.h"
#include "golden.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void on_measure(void *ctx, const struct hist_key *key, uint64_t ns, uint64_t amount,
		       const struct event_operation *sample)
{
	enum metric_id metric;
	bool ignore;

	(void)ctx;
	if (amount != HIST_NO_AMOUNT)
		fx.amount += amount;
	if (key->proto != PROTO_HTTP1 && key->method != HIST_STATEMENT) {
		fx.transactions[key->method]++;
		fx.transaction_ns[key->method] += ns;
		fx.outcome = key->status;
		return;
	}
	fx.measured++;
	fx.key = *key;
	fx.ns = ns;
	attrs_free(&fx.measured_attrs);
	assembly_operation(fx.a, sample, &fx.measured_attrs, &metric, &ignore);
	assert_false(ignore);
}

static uint64_t position[2];

static void stream(enum stream_dir dir, struct bytes data, uint64_t total, uint64_t time, uint64_t parent,
		   uint8_t proto)
{
	struct event_stream e = { .header = { .kind = EVENT_STREAM, .conn = 1, .time = time, .tgid = 1 },
				  .position = position[dir],
				  .total = total,
				  .len = (uint32_t)data.n,
				  .dir = (uint8_t)dir,
				  .proto = proto,
				  .role = ROLE_CLIENT,
				  .parent = parent,
				  .service = 4 };

	give(&e, sizeof(e), data);
	position[dir] += total;
}

static void begin_within(uint8_t proto, struct bytes request, uint64_t parent, const struct event_transaction *t)
{
	assembly_set_measure(fx.a, on_measure, NULL);
	connect_conn((struct connect){ .conn = 1,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.2",
				       .local_port = 40000,
				       .remote_port = 5432,
				       .proto = proto });
	exchange((struct exchange){ .id = 50,
				    .conn = 1,
				    .proto = proto,
				    .role = ROLE_CLIENT,
				    .reason = END_STREAM,
				    .raw_request = request,
				    .start = 2 * SECOND,
				    .parent = parent,
				    .flags = EXCHANGE_NO_ANSWER,
				    .transaction = t });
	position[0] = request.n;
	position[1] = 0;
}

static void begin(uint8_t proto, struct bytes request, uint64_t parent)
{
	begin_within(proto, request, parent, NULL);
}

static void http_pipeline(void **state)
{
	(void)state;
	begin(PROTO_HTTP1,
	      bytes_str("GET /a?canary HTTP/1.1\r\nHost: x.example\r\n\r\nGET /b HTTP/1.1\r\nHost: x.example\r\n\r\n"),
	      7);
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_spans_received), 0);
	stream(STREAM_ANSWER, bytes_str(OK), strlen(OK), 3 * SECOND, 0, PROTO_HTTP1);
	stream(STREAM_ANSWER, bytes_str("HTTP/1.1 500 No\r\nContent-Length: 9000\r\n\r\nabc"), 44 + 8997, 4 * SECOND, 0,
	       PROTO_HTTP1);
	assert_int_equal(fx.measured, 2);
	assert_int_equal(fx.ns, 2 * SECOND);
	assert_int_equal(fx.key.status, 500);
	assert_int_equal(fx.key.method, HTTP_GET);
	assert_int_equal(fx.key.service, 4);
	assert_true(bytes_eq(attrs_find(&fx.measured_attrs, "server.address")->s, bytes_str("x.example")));
	assert_int_equal(fx.n, 0); /* their parent has not ended */
	exchange((struct exchange){ .id = 7, .role = ROLE_SERVER, .request = "GET / HTTP/1.1\r\n\r\n", .answer = OK });
	assert_int_equal(fx.n, 3);
	assert_true(is_child(1, 0) && is_child(2, 0));
	assert_attr(2, "url.full", "http://x.example/b");
	assert_attr(2, "error.type", "500");
	assert_int_equal(fx.spans[1]->end - fx.spans[1]->start, SECOND);
	assert_int_equal(counted(USER_spans_streamed), 2);
	assert_secret("canary");
}

/* A conversation of pgbench in pipeline mode, in pieces as the kernel cuts them. */
static void postgres_pipeline(void **state)
{
	_cleanup_free_ char *content = NULL;
	struct golden_piece piece;
	uint64_t time = 3 * SECOND;
	bool begun = false;
	struct bytes b;
	size_t n = 0, seen = 0;

	(void)state;
	content = golden_read("tests/proto/postgres/pgbench_pipeline.bin", &n);
	assert_non_null(content);
	b = bytes_of(content, n);
	while (golden_next(&b, &piece)) {
		time += 1000000;
		if (seen++ < 2)
			continue; /* start-up */
		if (!begun) {
			begin(PROTO_POSTGRES, piece.data, 0);
			begun = true;
			continue;
		}
		for (; piece.data.n; piece.data = bytes_tail(piece.data, 100))
			stream(piece.dir, bytes_head(piece.data, 100), bytes_head(piece.data, 100).n, time, 0,
			       PROTO_POSTGRES);
	}
	assert_int_equal(fx.n, 6);
	for (size_t i = 0; i < 6; i += 3) {
		assert_attr(i, "db.query.text", "select ? as a\n;");
		assert_attr(i + 1, "db.query.text", "select ?, ?\n;");
		assert_name(i + 2, "select generate_series");
		assert_attr(i + 2, "db.response.returned_rows", "1");
	}
	assert_int_equal(fx.measured, 6);
	assert_true(
		bytes_eq(attrs_find(&fx.measured_attrs, "db.query.summary")->s, bytes_str("select generate_series")));
	assert_secret("secret");
}

/* The transaction began before the connection streamed; the connection ends in another one. */
static void transactions(void **state)
{
	static const char commit[] = "Q\0\0\0\x18update t; commit; x", begin_again[] = "Q\0\0\0\x0a"
										       "begin";
	static const char first[] = "C\0\0\0\x0dUPDATE 9\0C\0\0\0\x0b"
				    "COMMIT\0"
				    "T\0\0\0\6\0\0C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";
	static const char second[] = "C\0\0\0\x0a"
				     "BEGIN\0Z\0\0\0\5T";
	const struct event_transaction open = { .began = SECOND, .busy = SECOND / 2, .statements = 2, .status = 'T' };
	struct event_close close = { .header = { .kind = EVENT_CLOSE, .conn = 1, .time = 7 * SECOND } };

	(void)state;
	begin_within(PROTO_POSTGRES, bytes_of(commit, sizeof(commit)), 0, &open);
	stream(STREAM_ANSWER, bytes_of(first, sizeof(first) - 1), sizeof(first) - 1, 3 * SECOND, 0, PROTO_POSTGRES);
	assert_int_equal(fx.measured, 3);
	assert_int_equal(fx.transactions[HIST_TRANSACTION], 1);
	assert_int_equal(fx.transaction_ns[HIST_TRANSACTION], 2 * SECOND);
	assert_int_equal(fx.transaction_ns[HIST_TRANSACTION_IDLE], SECOND / 2);
	assert_int_equal(fx.outcome, TRANSACTION_COMMIT);
	assert_int_equal(fx.amount, 4 + 1); /* statements of it, and a row */
	assert_attr(0, "sonde.db.transaction.outcome", NULL);
	assert_attr(1, "sonde.db.transaction.outcome", "commit");
	assert_attr(1, "sonde.db.transaction.statements", "4");
	stream(STREAM_REQUEST, bytes_of(begin_again, sizeof(begin_again)), sizeof(begin_again), 5 * SECOND, 0,
	       PROTO_POSTGRES);
	stream(STREAM_ANSWER, bytes_of(second, sizeof(second) - 1), sizeof(second) - 1, 6 * SECOND, 0, PROTO_POSTGRES);
	give(&close, sizeof(close), bytes_str(""));
	assert_int_equal(fx.transactions[HIST_TRANSACTION], 2);
	assert_int_equal(fx.transaction_ns[HIST_TRANSACTION], 4 * SECOND);
	assert_int_equal(fx.outcome, TRANSACTION_ROLLBACK);
}

static const char query[] = "Q\0\0\0\x40select 'canary' as a; ; update t set b = 'canary'; select 3";

static void simple_query_in_parts(void **state)
{
	static const char answer[] = "C\0\0\0\x0dSELECT 1\0C\0\0\0\x0dUPDATE 9\0"
				     "E\0\0\0\x20SERROR\0VERROR\0C22012\0Mcanary\0\0Z\0\0\0\5I";

	(void)state;
	begin(PROTO_POSTGRES, bytes_of(query, sizeof(query)), 0);
	stream(STREAM_ANSWER, bytes_of(answer, sizeof(answer) - 1), sizeof(answer) - 1, 3 * SECOND, 0, PROTO_POSTGRES);
	assert_int_equal(fx.n, 3);
	assert_attr(0, "db.query.text", "select ? as a");
	assert_attr(1, "db.query.text", "update t set b = ?");
	assert_attr(1, "sonde.db.affected_rows", "9");
	assert_attr(2, "db.query.text", "select ?");
	assert_attr(2, "error.type", "22012");
	assert_int_equal(fx.key.status, pg_sqlstate_pack("22012"));
	assert_secret("canary");
}

/* A client that asks at once, without waiting for the answer to its StartupMessage. */
static void asked_behind_the_startup(void **state)
{
	static const char request[] = "\0\0\0\x13\0\3\0\0user\0shop\0\0"
				      "Q\0\0\0\x0dselect 1\0Q\0\0\0\x0dselect 2\0";
	static const char answer[] = "R\0\0\0\x08\0\0\0\0S\0\0\0\x09"
				     "a\0"
				     "b\0\0K\0\0\0\x0c\0\0\0\1\0\0\0\2Z\0\0\0\5I"
				     "C\0\0\0\x0dSELECT 1\0Z\0\0\0\5IC\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";

	(void)state;
	begin(PROTO_POSTGRES, bytes_of(request, sizeof(request) - 1), 0);
	stream(STREAM_ANSWER, bytes_of(answer, sizeof(answer) - 1), sizeof(answer) - 1, 3 * SECOND, 0, PROTO_POSTGRES);
	assert_int_equal(fx.n, 2);
	assert_attr(0, "db.query.text", "select ?");
	assert_attr(1, "db.query.text", "select ?");
	assert_int_equal(counted(USER_undecodable), 0);
}

static void lost_record(void **state)
{
	(void)state;
	begin(PROTO_POSTGRES, bytes_of(query, sizeof(query)), 0);
	stream(STREAM_REQUEST, bytes_of(query, sizeof(query)), sizeof(query), 3 * SECOND, 0, PROTO_POSTGRES);
	position[STREAM_ANSWER] += 5000; /* the ring was full */
	stream(STREAM_ANSWER, bytes_of("Z\0\0\0\5I", 6), 6, 4 * SECOND, 0, PROTO_POSTGRES);
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_spans_streamed), 2);
	assert_int_equal(counted(USER_undecodable), 2);
	assert_int_equal(fx.measured, 0);
}

static void closed(void **state)
{
	struct event_close c = { .header = { .kind = EVENT_CLOSE, .conn = 1, .time = 9 * SECOND } };

	(void)state;
	begin(PROTO_POSTGRES, bytes_of(query, sizeof(query)), 0);
	give(&c, sizeof(c), bytes_str(""));
	assert_int_equal(fx.n, 1);
	assert_attr(0, "error.type", "connection_reset");
	assert_int_equal(fx.key.status, HIST_STATUS_NO_ANSWER);
	assert_int_equal(fx.spans[0]->end, OFFSET + 9 * SECOND);
	give(&c, sizeof(c), bytes_str(""));
	assert_int_equal(fx.n, 1);
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 1);
}

/* More connections stream than memory is for: counted; and a place that becomes free is used again. */
static void too_many(void **state)
{
	struct event_close c = { .header = { .kind = EVENT_CLOSE, .time = 9 * SECOND } };

	(void)state;
	for (uint64_t i = 1; i <= 600; i++)
		exchange((struct exchange){ .id = i,
					    .conn = i,
					    .proto = PROTO_HTTP1,
					    .role = ROLE_CLIENT,
					    .reason = END_STREAM,
					    .request = "GET / HTTP/1.1\r\n\r\n" });
	assert_int_equal(counted(USER_records_unread), 88);
	for (uint64_t i = 1; i <= 100; i++) {
		c.header.conn = i;
		give(&c, sizeof(c), bytes_str(""));
	}
	exchange((struct exchange){ .id = 1,
				    .conn = 1000,
				    .proto = PROTO_HTTP1,
				    .role = ROLE_CLIENT,
				    .reason = END_STREAM,
				    .request = "GET / HTTP/1.1\r\n\r\n" });
	assert_int_equal(counted(USER_records_unread), 88);
}

static const struct CMUnitTest tests[] = {
	TEST(http_pipeline),
	TEST(postgres_pipeline),
	TEST(simple_query_in_parts),
	TEST(transactions),
	TEST(asked_behind_the_startup),
	TEST(lost_record),
	TEST(closed),
	TEST(too_many),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
