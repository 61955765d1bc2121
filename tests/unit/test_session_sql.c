/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL spans: names, attributes, rows, errors, prepared statements. Also what names a histogram key. */
#include "assembly_fixture.h"
#include "util/cleanup.h"

static struct buf made, answered;

static void message(struct buf *b, char type, struct bytes body)
{
	uint32_t len = (uint32_t)body.n + 4;

	buf_char(b, type);
	for (int i = 24; i >= 0; i -= 8)
		buf_char(b, (char)(len >> i));
	buf_add(b, body);
}

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)
#define CSTRING(s) bytes_of(s, strlen(s) + 1)

static void simple(const char *text)
{
	buf_reset(&made);
	message(&made, 'Q', CSTRING(text));
}

static void tag(const char *text)
{
	message(&answered, 'C', CSTRING(text));
}

static void row(void)
{
	message(&answered, 'D', LITERAL("\0\1\0\0\0\1x"));
}

static void error(const char *sqlstate)
{
	struct buf body = { 0 };

	buf_add(&body, LITERAL("SERROR\0VERROR\0C"));
	buf_add(&body, CSTRING(sqlstate));
	buf_add(&body, LITERAL("Mcanary in the message\0Dcanary detail\0\0"));
	message(&answered, 'E', buf_bytes(&body));
	buf_free(&body);
}

static void finish(uint8_t method, uint32_t status)
{
	message(&answered, 'Z', LITERAL("I"));
	exchange((struct exchange){ .id = 1,
				    .conn = 3,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = method,
				    .raw_request = buf_bytes(&made),
				    .raw_answer = buf_bytes(&answered),
				    .status = status });
	buf_reset(&made);
	buf_reset(&answered);
}

static void announce(uint16_t port)
{
	static const char packet[] = "\0\0\0\x22\0\3\0\0user\0app\0database\0shop\0\0";

	connect_conn((struct connect){ .conn = 3,
				       .proto = PROTO_POSTGRES,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.5",
				       .local_port = 40000,
				       .remote_port = port });
	exchange((struct exchange){ .id = 1,
				    .conn = 3,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_STARTUP,
				    .raw_request = bytes_of(packet, sizeof(packet) - 1),
				    .answer = "R" });
	assert_int_equal(fx.n, 0);
}

static void query_span(void **state)
{
	(void)state;
	announce(5432);
	simple("SELECT id FROM orders WHERE name = 'canary' AND n > 42");
	row();
	tag("SELECT 1");
	finish(PG_QUERY, 0);
	assert_int_equal(fx.n, 1);
	assert_name(0, "SELECT orders");
	assert_int_equal(fx.spans[0]->kind, SPAN_CLIENT);
	assert_int_equal(fx.spans[0]->status, SPAN_UNSET);
	assert_attr(0, "db.system.name", "postgresql");
	assert_attr(0, "db.namespace", "shop");
	assert_attr(0, "db.query.summary", "SELECT orders");
	assert_attr(0, "db.query.text", "SELECT id FROM orders WHERE name = ? AND n > ?");
	assert_attr(0, "db.operation.name", NULL);
	assert_attr(0, "server.address", "10.0.0.5");
	assert_attr(0, "server.port", NULL);
	assert_attr(0, "db.response.returned_rows", "1");
	assert_attr(0, "sonde.db.affected_rows", NULL);
	assert_attr(0, "db.response.status_code", NULL);
	assert_attr(0, "sonde.source", NULL);
	assert_secret("canary");
}

static void changes(void **state)
{
	(void)state;
	announce(5433);
	simple("UPDATE stock SET n = n - 1 WHERE id IN (1,2,3)");
	tag("UPDATE 3");
	finish(PG_QUERY, 0);
	assert_attr(0, "sonde.db.affected_rows", "3");
	assert_attr(0, "db.response.returned_rows", NULL);
	assert_attr(0, "server.port", "5433");
	simple("INSERT INTO t VALUES (1) RETURNING id");
	row();
	tag("INSERT 0 1");
	finish(PG_QUERY, 0);
	assert_attr(1, "sonde.db.affected_rows", "1");
	assert_attr(1, "db.response.returned_rows", "1");
	simple("BEGIN");
	tag("BEGIN");
	finish(PG_QUERY, 0);
	assert_name(2, "BEGIN");
	assert_attr(2, "sonde.db.affected_rows", NULL);
	simple("UPDATE a SET b = 1; UPDATE c SET d = 2");
	tag("UPDATE 1");
	tag("UPDATE 1");
	finish(PG_QUERY, 0);
	assert_int_equal(fx.n, 4); /* one span for one exchange */
	assert_attr(3, "sonde.db.affected_rows", NULL);
}

static void errors(void **state)
{
	(void)state;
	announce(5432);
	simple("INSERT INTO t VALUES ('canary')");
	error("23505");
	finish(PG_QUERY, 0);
	assert_attr(0, "db.response.status_code", "23505");
	assert_attr(0, "error.type", "23505");
	assert_int_equal(fx.spans[0]->status, SPAN_ERROR);
	simple("SELECT big FROM t"); /* its ErrorResponse was not captured, the kernel saw it */
	finish(PG_QUERY, pg_sqlstate_pack("57014"));
	assert_attr(1, "db.response.status_code", "57014");
	assert_attr(1, "error.type", "57014");
	exchange((struct exchange){ .id = 1,
				    .conn = 3,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_QUERY,
				    .raw_request = LITERAL("Q\0\0\0\x0dselect 1"),
				    .flags = EXCHANGE_NO_ANSWER,
				    .reason = END_CLOSE });
	assert_attr(2, "error.type", "connection_reset");
	assert_attr(2, "db.response.status_code", NULL);
	assert_secret("canary");
}

static void parse(const char *name, const char *text)
{
	struct buf body = { 0 };

	buf_add(&body, CSTRING(name));
	buf_add(&body, CSTRING(text));
	buf_add(&body, LITERAL("\0\0"));
	message(&made, 'P', buf_bytes(&body));
	buf_free(&body);
}

static void execute(const char *name)
{
	struct buf body = { 0 };

	buf_char(&body, '\0');
	buf_add(&body, CSTRING(name));
	buf_add(&body, LITERAL("\0\0\0\1\0\0\0\6canary\0\0"));
	message(&made, 'B', buf_bytes(&body));
	buf_free(&body);
	message(&made, 'E', LITERAL("\0\0\0\0\0"));
	message(&made, 'S', LITERAL(""));
}

static void sync_only(void)
{
	message(&made, 'S', LITERAL(""));
}

static void prepared_statements(void **state)
{
	(void)state;
	announce(5432);
	parse("s1", "SELECT * FROM users WHERE id = $1");
	sync_only();
	message(&answered, '1', LITERAL(""));
	finish(PG_PARSE, 0);
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_spans_received), 0);
	execute("s1");
	message(&answered, '2', LITERAL(""));
	row();
	tag("SELECT 1");
	finish(PG_EXECUTE, 0);
	assert_name(0, "SELECT users");
	assert_attr(0, "db.query.text", "SELECT * FROM users WHERE id = $1");
	assert_secret("canary");
	/* closed, and never seen: no text, but a span */
	message(&made, 'C', LITERAL("Ss1\0"));
	sync_only();
	finish(PG_PARSE, 0);
	execute("s1");
	tag("SELECT 0");
	finish(PG_EXECUTE, 0);
	assert_name(1, "postgresql");
	assert_attr(1, "db.query.text", NULL);
}

static void prepared_and_failed(void **state)
{
	(void)state;
	announce(5432);
	/* a failed Parse gives no name */
	parse("s2", "SELECT nonsense");
	sync_only();
	error("42601");
	finish(PG_PARSE, 0);
	execute("s2");
	error("26000");
	finish(PG_EXECUTE, 0);
	assert_name(0, "postgresql");
	/* a Parse that worked does, whatever its Execute did */
	parse("s3", "DELETE FROM carts");
	execute("s3");
	message(&answered, '1', LITERAL(""));
	error("23503");
	finish(PG_EXTENDED, 0);
	assert_name(1, "DELETE carts");
	execute("s3");
	tag("DELETE 2");
	finish(PG_EXECUTE, 0);
	assert_name(2, "DELETE carts");
	assert_attr(2, "sonde.db.affected_rows", "2");
	execute("s3"); /* and closed in the same turn */
	message(&made, 'C', LITERAL("Ss3\0"));
	tag("DELETE 1");
	finish(PG_EXECUTE, 0);
	assert_name(3, "DELETE carts");
	parse("s3", "DELETE FROM carts");
	sync_only();
	finish(PG_PARSE, 0);
	simple("discard all");
	tag("DISCARD ALL");
	finish(PG_QUERY, 0);
	execute("s3");
	tag("DELETE 2");
	finish(PG_EXECUTE, 0);
	assert_name(5, "postgresql");
}

static void what_is_no_statement(void **state)
{
	(void)state;
	announce(5432);
	simple(" ; ");
	message(&answered, 'I', LITERAL(""));
	finish(PG_QUERY, 0);
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_spans_received), 1);
	assert_int_equal(counted(USER_not_a_statement), 1);
	exchange((struct exchange){ .id = 1,
				    .conn = 3,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_SERVER,
				    .method = PG_QUERY,
				    .raw_request = LITERAL("Q\0\0\0\x0dselect 1") });
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_spans_received), 1);
}

static void unix_socket(void **state)
{
	(void)state;
	connect_conn((struct connect){ .conn = 3, .path = "/var/run/postgresql/.s.PGSQL.5432", .role = ROLE_CLIENT });
	simple("SELECT 1");
	tag("SELECT 1");
	finish(PG_QUERY, 0);
	assert_attr(0, "server.address", "/var/run/postgresql/.s.PGSQL.5432");
	assert_attr(0, "server.port", NULL);
}

static void sqlcommenter(void **state)
{
	(void)state;
	announce(5432);
	simple("SELECT 1 /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/");
	tag("SELECT 1");
	finish(PG_QUERY, 0);
	{
		char hex[33] = { 0 };

		hex_encode(hex, fx.spans[0]->trace.b, 16);
		assert_string_equal(hex, "0af7651916cd43dd8448eb211c80319c");
		assert_true(fx.spans[0]->parent_remote);
	}
	simple("SELECT 2"); /* and not for the next one */
	tag("SELECT 1");
	finish(PG_QUERY, 0);
	assert_false(fx.spans[1]->parent_remote);
}

/* --- histogram keys --- */

static void operation(struct hist_key key, struct bytes sample, uint8_t source, struct attrs *ret,
		      enum metric_id *metric, bool *ignore)
{
	struct event_operation *op = calloc(1, sizeof(*op) + sample.n);

	op->header = (struct event_header){ .kind = EVENT_OPERATION, .conn = 3, .tgid = 1 };
	op->key = key;
	op->source = source;
	op->libpq_conn = source == SOURCE_LIBPQ ? 0x7f00 : 0;
	op->len = (uint16_t)sample.n;
	memcpy(op->data, sample.p, sample.n);
	assembly_operation(fx.a, op, ret, metric, ignore);
	free(op);
}

static void assert_text(const struct attrs *a, const char *key, const char *want)
{
	const struct attr *at = attrs_find(a, key);

	if (!want) {
		assert_null(at);
		return;
	}
	assert_non_null(at);
	assert_true(bytes_eq(at->s, bytes_str(want)));
}

static void sql_keys(void **state)
{
	struct hist_key key = { .proto = PROTO_POSTGRES, .role = ROLE_CLIENT, .operation = 7 };
	struct attrs at = { 0 };
	enum metric_id metric = METRIC_COUNT;
	bool ignore;

	(void)state;
	announce(5433);
	simple("SELECT a FROM orders WHERE b = 'canary'");
	key.status = pg_sqlstate_pack("23505");
	operation(key, buf_bytes(&made), SOURCE_WIRE, &at, &metric, &ignore);
	assert_false(ignore);
	assert_int_equal(metric, METRIC_DB_CLIENT_OPERATION_DURATION);
	assert_text(&at, "db.system.name", "postgresql");
	assert_text(&at, "db.namespace", "shop");
	assert_text(&at, "db.query.summary", "SELECT orders");
	assert_text(&at, "server.address", "10.0.0.5");
	assert_text(&at, "error.type", "23505");
	assert_text(&at, "db.response.status_code", "23505");
	assert_text(&at, "db.query.text", NULL);
	assert_int_equal(attrs_find(&at, "server.port")->i, 5433);
	attrs_free(&at);
	key.status = HIST_STATUS_NO_ANSWER;
	operation(key, LITERAL("select 1 from t"), SOURCE_LIBPQ, &at, &metric, &ignore);
	assert_text(&at, "db.query.summary", "select t");
	assert_text(&at, "error.type", "connection_reset");
	attrs_free(&at);
	/* of an Execute alone there is only the name */
	operation(key, LITERAL("_pg3_0"), SOURCE_LIBPQ, &at, &metric, &ignore);
	assert_text(&at, "db.query.summary", NULL);
	attrs_free(&at);
	key.operation = HIST_OPERATION_OVERFLOW;
	operation(key, LITERAL("select 1 from t"), SOURCE_LIBPQ, &at, &metric, &ignore);
	assert_false(ignore);
	assert_true(attrs_find(&at, "otel.metric.overflow")->b);
	assert_int_equal(at.n, 1);
	attrs_free(&at);
	key.role = ROLE_SERVER;
	operation(key, LITERAL("x"), SOURCE_WIRE, &at, &metric, &ignore);
	assert_true(ignore);
	key.role = ROLE_CLIENT;
	key.operation = 1;
	buf_reset(&made);
	sync_only();
	operation(key, buf_bytes(&made), SOURCE_WIRE, &at, &metric, &ignore);
	assert_true(ignore);
	assert_int_equal(at.n, 0);
}

/* A sample ends where the kernel's capture does, which may be before the Execute; what the kernel counted is a
 * statement all the same. */
static void sql_keys_of_long_requests(void **state)
{
	struct hist_key key = { .proto = PROTO_POSTGRES, .role = ROLE_CLIENT, .operation = 7 };
	_cleanup_(buf_free) struct buf text = { 0 };
	struct attrs at = { 0 };
	enum metric_id metric = METRIC_COUNT;
	bool ignore;

	(void)state;
	announce(5433);
	buf_str(&text, "INSERT INTO orders (a) VALUES ($1)");
	while (text.n < 2 * EVENT_REQUEST_MAX)
		buf_str(&text, ", ($1)");
	buf_add(&text, BYTES_LITERAL("\0"));
	parse("", text.p);
	execute("");
	assert_true(made.n > EVENT_REQUEST_MAX);
	operation(key, bytes_head(buf_bytes(&made), EVENT_REQUEST_MAX), SOURCE_WIRE, &at, &metric, &ignore);
	assert_false(ignore);
	assert_int_equal(metric, METRIC_DB_CLIENT_OPERATION_DURATION);
	assert_text(&at, "db.query.summary", "INSERT orders");
	attrs_free(&at);
	/* A name that the end cuts is none. */
	text.n = EVENT_REQUEST_MAX - 20;
	memset(text.p, ' ', text.n);
	buf_str(&text, "SELECT a FROM orders_of_customers");
	operation(key, bytes_head(buf_bytes(&text), EVENT_REQUEST_MAX - 1), SOURCE_LIBPQ, &at, &metric, &ignore);
	assert_false(ignore);
	assert_text(&at, "db.query.summary", "SELECT");
	attrs_free(&at);
}

/* What the kernel says of a transaction is on the statement that ended it; the keys that count it name no statement. */
static void transactions(void **state)
{
	const struct event_transaction ended = {
		.began = SECOND, .busy = SECOND / 4, .statements = 3, .status = 'I', .outcome = TRANSACTION_ROLLBACK
	};
	struct hist_key key = {
		.proto = PROTO_POSTGRES, .role = ROLE_CLIENT, .method = HIST_TRANSACTION, .status = TRANSACTION_COMMIT
	};
	struct attrs at = { 0 };
	enum metric_id metric = METRIC_COUNT;
	bool ignore;

	(void)state;
	announce(5433);
	simple("ROLLBACK");
	exchange((struct exchange){ .id = 1,
				    .conn = 1,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_QUERY,
				    .raw_request = buf_bytes(&made),
				    .start = 2 * SECOND,
				    .end = 3 * SECOND,
				    .transaction = &ended });
	assembly_flush(fx.a);
	assert_attr(0, "sonde.db.transaction.outcome", "rollback");
	assert_attr(0, "sonde.db.transaction.statements", "3");
	assert_true(attrs_find(&fx.spans[0]->attrs, "sonde.db.transaction.duration")->d == 2);
	assert_true(attrs_find(&fx.spans[0]->attrs, "sonde.db.transaction.idle_time")->d == 1.75);
	operation(key, buf_bytes(&made), SOURCE_WIRE, &at, &metric, &ignore);
	assert_false(ignore);
	assert_int_equal(metric, METRIC_SONDE_DB_CLIENT_TRANSACTION_DURATION);
	assert_text(&at, "db.system.name", "postgresql");
	assert_text(&at, "db.namespace", "shop");
	assert_text(&at, "server.address", "10.0.0.5");
	assert_text(&at, "sonde.db.transaction.outcome", "commit");
	assert_text(&at, "db.query.summary", NULL);
	assert_text(&at, "error.type", NULL);
	attrs_free(&at);
	key.method = HIST_TRANSACTION_IDLE;
	key.operation = HIST_OPERATION_OVERFLOW;
	operation(key, buf_bytes(&made), SOURCE_WIRE, &at, &metric, &ignore);
	assert_int_equal(metric, METRIC_SONDE_DB_CLIENT_TRANSACTION_IDLE_TIME);
	assert_true(attrs_find(&at, "otel.metric.overflow")->b);
	attrs_free(&at);
}

static void http_keys(void **state)
{
	struct hist_key key = {
		.proto = PROTO_HTTP1, .role = ROLE_SERVER, .method = HTTP_GET, .status = 503, .version = 11
	};
	struct attrs at = { 0 };
	enum metric_id metric = METRIC_COUNT;
	bool ignore;

	(void)state;
	operation(key, LITERAL("GET /x?canary HTTP/1.1\r\nX-Forwarded-Proto: https\r\nHost: h\r\n"), SOURCE_WIRE, &at,
		  &metric, &ignore);
	assert_false(ignore);
	assert_int_equal(metric, METRIC_HTTP_SERVER_REQUEST_DURATION);
	assert_text(&at, "http.request.method", "GET");
	assert_text(&at, "url.scheme", "https");
	assert_text(&at, "error.type", "503");
	assert_text(&at, "network.protocol.version", "1.1");
	assert_text(&at, "server.address", NULL);
	assert_int_equal(attrs_find(&at, "http.response.status_code")->i, 503);
	attrs_free(&at);
	key.role = ROLE_CLIENT;
	key.status = HIST_STATUS_ABORTED;
	operation(key, LITERAL("GET /x HTTP/1.1\r\nHost: pay.example:81\r\n"), SOURCE_WIRE, &at, &metric, &ignore);
	assert_int_equal(metric, METRIC_HTTP_CLIENT_REQUEST_DURATION);
	assert_text(&at, "server.address", "pay.example");
	assert_int_equal(attrs_find(&at, "server.port")->i, 81);
	assert_text(&at, "error.type", "response_aborted");
	assert_null(attrs_find(&at, "http.response.status_code"));
	attrs_free(&at);
	key.proto = PROTO_OTHER;
	operation(key, LITERAL("x"), SOURCE_WIRE, &at, &metric, &ignore);
	assert_true(ignore);
}

static const struct CMUnitTest tests[] = {
	TEST(query_span),
	TEST(changes),
	TEST(errors),
	TEST(prepared_statements),
	TEST(prepared_and_failed),
	TEST(what_is_no_statement),
	TEST(unix_socket),
	TEST(sqlcommenter),
	TEST(sql_keys),
	TEST(sql_keys_of_long_requests),
	TEST(transactions),
	TEST(http_keys),
};

int main(void)
{
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&made);
	buf_free(&answered);
	return r;
}
