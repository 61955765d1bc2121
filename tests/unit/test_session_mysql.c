/* SPDX-License-Identifier: Apache-2.0 */
/* MySQL spans: system, names, database, rows, errors, prepared statements, procedures and several statements. */
#include "assembly_fixture.h"
#include "frame/mysql_answer.h"

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)
#define CONN 3

static void announce(uint16_t port, const char *path)
{
	connect_conn((struct connect){ .conn = CONN,
				       .proto = PROTO_MYSQL,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.5",
				       .local_port = 40000,
				       .remote_port = port,
				       .path = path });
}

static void finish(uint8_t method, struct bytes request, struct mysql_result r)
{
	exchange((struct exchange){ .id = 1,
				    .conn = CONN,
				    .proto = PROTO_MYSQL,
				    .role = ROLE_CLIENT,
				    .method = method,
				    .raw_request = request,
				    .raw_answer = bytes_of((const char *)&r, sizeof(r)),
				    .status = r.error });
}

static void greet(const char *version, const char *database)
{
	struct mysql_hello h = { 0 };

	snprintf(h.version, sizeof(h.version), "%s", version);
	snprintf(h.database, sizeof(h.database), "%s", database);
	finish(MYSQL_HANDSHAKE, bytes_of((const char *)&h, sizeof(h)), (struct mysql_result){ 0 });
	assert_int_equal(fx.n, 0);
}

#define QUERY(sql, ...) finish(MYSQL_QUERY, LITERAL("....." sql), (struct mysql_result){ .text = 5, __VA_ARGS__ })

static const struct attr *attribute(size_t span, const char *key)
{
	return attrs_find(&fx.spans[span]->attrs, key);
}

static void names(void **state)
{
	(void)state;
	announce(3306, NULL);
	greet("5.5.5-10.11.6-MariaDB", "shop");
	QUERY("SELECT a FROM t WHERE b = 'canary'", .rows = 3, .flags = MYSQL_RESULT_SET, .results = 1);
	assert_name(0, "SELECT t");
	assert_int_equal(fx.spans[0]->kind, SPAN_CLIENT);
	assert_attr(0, "db.system.name", "mariadb");
	assert_attr(0, "db.namespace", "shop");
	assert_attr(0, "db.query.text", "SELECT a FROM t WHERE b = ?");
	assert_attr(0, "db.query.summary", "SELECT t");
	assert_attr(0, "db.response.returned_rows", "3");
	assert_attr(0, "server.address", "10.0.0.5");
	assert_null(attribute(0, "server.port")); /* the default */
	assert_null(attribute(0, "error.type"));
	assert_null(attribute(0, "db.operation.name"));
	assert_secret("canary");
}

static void oracle(void **state)
{
	(void)state;
	announce(3307, NULL);
	greet("8.0.36", "");
	QUERY("SELECT 1", .rows = 1, .flags = MYSQL_RESULT_SET, .results = 1);
	assert_attr(0, "db.system.name", "mysql");
	assert_attr(0, "server.port", "3307");
	assert_null(attribute(0, "db.namespace"));
}

static void unix_socket(void **state)
{
	(void)state;
	announce(0, "/run/mysqld/mysqld.sock");
	QUERY("SELECT 1", .rows = 1, .flags = MYSQL_RESULT_SET, .results = 1);
	assert_attr(0, "server.address", "/run/mysqld/mysqld.sock");
	assert_null(attribute(0, "server.port"));
}

static void rows(void **state)
{
	(void)state;
	announce(3306, NULL);
	QUERY("UPDATE t SET a = 1", .affected = 9, .results = 1);
	assert_attr(0, "sonde.db.affected_rows", "9");
	assert_null(attribute(0, "db.response.returned_rows"));
	QUERY("/* none */ DELETE FROM t", .results = 1);
	assert_attr(1, "sonde.db.affected_rows", "0");
	QUERY("SET NAMES utf8mb4", .results = 1);
	assert_null(attribute(2, "sonde.db.affected_rows"));
	QUERY("SELECT a FROM t", .rows = 7, .flags = MYSQL_RESULT_SET | MYSQL_ROWS_UNKNOWN, .results = 1);
	assert_null(attribute(3, "db.response.returned_rows"));
	QUERY("CALL p()", .rows = 7, .flags = MYSQL_RESULT_SET, .results = 3);
	assert_name(4, "CALL p");
	assert_attr(4, "db.response.returned_rows", "7");
}

static void errors(void **state)
{
	(void)state;
	announce(3306, NULL);
	QUERY("SELECT nothing FROM t", .error = 1054, .sqlstate = "42S22");
	assert_attr(0, "error.type", "1054");
	assert_attr(0, "db.response.status_code", "1054");
	assert_int_equal(fx.spans[0]->status, SPAN_ERROR);
	assert_null(attribute(0, "db.response.returned_rows"));
	QUERY("SELECT nothing FROM t", .error = 0xffff); /* its number was not seen */
	assert_attr(1, "error.type", "_OTHER");
	assert_null(attribute(1, "db.response.status_code"));
}

static void prepared(void **state)
{
	(void)state;
	announce(3306, NULL);
	finish(MYSQL_PREPARE, LITERAL(".....SELECT a FROM t WHERE b = ? AND c = 'canary'"),
	       (struct mysql_result){ .statement = 7, .text = 5 });
	assert_int_equal(fx.n, 0);
	finish(MYSQL_EXECUTE, LITERAL("\5\0\0\0\x17\7\0\0\0"),
	       (struct mysql_result){ .statement = 7, .text = 5, .rows = 2, .flags = MYSQL_RESULT_SET, .results = 1 });
	assert_attr(0, "db.query.text", "SELECT a FROM t WHERE b = ? AND c = ?");
	assert_attr(0, "db.response.returned_rows", "2");
	/* COM_RESET_CONNECTION: the server forgets them; a number that comes again is another statement's. */
	finish(MYSQL_RESET, LITERAL("....."), (struct mysql_result){ .text = 5, .results = 1 });
	finish(MYSQL_EXECUTE, LITERAL("\5\0\0\0\x17\7\0\0\0"),
	       (struct mysql_result){ .statement = 7, .text = 5, .error = 1243 });
	assert_name(1, "mysql");
	assert_null(attribute(1, "db.query.text"));
	assert_attr(1, "error.type", "1243");
	assert_secret("canary");
}

static void databases(void **state)
{
	static const char *const expected[] = { "one", "two", "three", "three", "four", NULL };

	(void)state;
	announce(3306, NULL);
	greet("8.0.36", "one");
	QUERY("SELECT 1");
	QUERY("/* so */ USE two", .results = 1);
	finish(MYSQL_INIT_DB, LITERAL(".....three"), (struct mysql_result){ .text = 5, .results = 1 });
	QUERY("USE nowhere", .error = 1049);
	finish(MYSQL_RESET, LITERAL("....."), (struct mysql_result){ .text = 5, .results = 1 }); /* stays */
	QUERY("SELECT 2");
	finish(MYSQL_CHANGE_USER, LITERAL(".....\0\0four\0"), (struct mysql_result){ .text = 5, .results = 1 });
	QUERY("SELECT 3");
	finish(MYSQL_CHANGE_USER, LITERAL(".....\0\0\0"), (struct mysql_result){ .text = 5, .results = 1 });
	QUERY("SELECT 4");
	assert_int_equal(fx.n, 6);
	for (size_t i = 0; i < 6; i++) {
		if (i == 1) /* what a USE is counted for may be either */
			continue;
		if (expected[i])
			assert_attr(i, "db.namespace", expected[i]);
		else
			assert_null(attribute(i, "db.namespace"));
	}
}

/* --- several statements in one text --- */

static void stream(uint8_t dir, struct bytes data, uint64_t position, uint64_t time)
{
	struct event_stream e = { .header = { .kind = EVENT_STREAM, .conn = CONN, .time = time, .tgid = 1 },
				  .position = position,
				  .total = data.n,
				  .len = (uint32_t)data.n,
				  .dir = dir,
				  .proto = PROTO_MYSQL,
				  .role = ROLE_CLIENT };

	give(&e, sizeof(e), data);
}

#define TEXT "SELECT 1; /* a procedure */ CALL p(); USE two; SELECT 'canary', 2"
#define SET_MORE(n, sequence) \
	"\1\0\0" sequence "\1\x0a\0\0\2\3def\0\0\0\1a\0\5\0\0\3\xfe\0\0\2\0" n "\5\0\0\6\xfe\0\0\x0a\0"
#define ROW "\2\0\0\4\1x"
#define OK_MORE "\7\0\0\7\0\0\0\x0a\0\0\0"
#define ERROR "\x0d\0\0\x08\xff\x1e\4#42S22nope"

static void several(void **state)
{
	static const char request[] = "\x42\0\0\0\3" TEXT;
	static const char answer[] =
		SET_MORE(ROW, "\1") SET_MORE(ROW ROW, "\2") SET_MORE(ROW, "\3") OK_MORE OK_MORE ERROR;
	struct mysql_carry carry = { .text = 5 };

	(void)state;
	assert_int_equal(sizeof(request) - 1, 0x42 + 4);
	announce(3306, NULL);
	greet("8.0.36", "one");
	exchange((struct exchange){ .id = 1,
				    .conn = CONN,
				    .proto = PROTO_MYSQL,
				    .role = ROLE_CLIENT,
				    .method = MYSQL_QUERY,
				    .reason = END_STREAM,
				    .raw_request = LITERAL(request),
				    .raw_answer = bytes_of((const char *)&carry, sizeof(carry)),
				    .flags = EXCHANGE_NO_ANSWER });
	stream(STREAM_ANSWER, LITERAL(answer), sizeof(carry), 3 * SECOND);
	assert_int_equal(fx.n, 4);
	assert_attr(0, "db.query.text", "SELECT ?");
	assert_attr(0, "db.response.returned_rows", "1");
	assert_attr(0, "db.namespace", "one");
	assert_name(1, "CALL p");
	assert_attr(1, "db.response.returned_rows", "3");
	assert_attr(2, "db.query.text", "USE two");
	assert_attr(3, "db.query.text", "SELECT ?, ?");
	assert_attr(3, "error.type", "1054");
	assert_attr(3, "db.namespace", "two");
	assert_secret("canary");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names),  TEST(oracle),   TEST(unix_socket), TEST(rows),
		TEST(errors), TEST(prepared), TEST(databases),	 TEST(several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
