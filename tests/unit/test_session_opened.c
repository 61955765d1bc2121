/* SPDX-License-Identifier: Apache-2.0 */
/* Clients' connections to databases: opening, failing to, being in use, cancelling; and what statements say of them. */
#include <errno.h>
#include <math.h>

#include "assembly_fixture.h"
#include "frame/mysql_answer.h"

#define MS 1000000ULL

static struct {
	size_t n;
	char line[64][160]; /* metric, pool, phase, error.type, ms */
} told;

static const char *text(const struct attrs *a, const char *key)
{
	const struct attr *at = attrs_find(a, key);

	return at ? at->s.p : "-";
}

static void on_record(void *ctx, enum metric_id metric, uint32_t tgid, uint32_t service, const struct attrs *attrs,
		      uint64_t ns)
{
	(void)ctx;
	assert_int_equal(tgid, 1);
	assert_int_equal(service, 0);
	assert_true(told.n < 64);
	snprintf(told.line[told.n++], sizeof(told.line[0]), "%s %s %s %s %s %g",
		 metric == METRIC_DB_CLIENT_CONNECTION_CREATE_TIME ? "create" : "phase", text(attrs, "db.system.name"),
		 text(attrs, "db.client.connection.pool.name"), text(attrs, "sonde.connection.phase"),
		 text(attrs, "error.type"), (double)ns / 1e6);
}

static int setup(void **state)
{
	fixture_setup(state);
	memset(&told, 0, sizeof(told));
	assembly_set_record(fx.a, on_record, NULL);
	return 0;
}

static void assert_told(const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n && i < told.n; i++)
		assert_string_equal(told.line[i], lines[i]);
	assert_int_equal(told.n, n);
}

#define ASSERT_TOLD(...)                                              \
	do {                                                          \
		static const char *const lines[] = { __VA_ARGS__ };   \
		assert_told(lines, sizeof(lines) / sizeof(lines[0])); \
		told.n = 0;                                           \
	} while (0)

static void client(uint64_t conn, uint16_t port)
{
	connect_conn((struct connect){ .conn = conn,
				       .proto = PROTO_POSTGRES,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.2",
				       .local_port = (uint16_t)(4000 + conn),
				       .remote_port = port });
}

#define STARTUP "\0\0\0\x34\0\3\0\0user\0ada\0database\0shop\0application_name\0web\0\0"

static void startup(uint64_t conn, struct conn_opened how, uint32_t status, uint8_t reason, uint16_t flags)
{
	exchange((struct exchange){ .id = 2 * conn,
				    .conn = conn,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_STARTUP,
				    .start = 5 * SECOND,
				    .end = 5 * SECOND + 4 * MS,
				    .status = status,
				    .reason = reason,
				    .flags = flags,
				    .raw_request = bytes_of(STARTUP, sizeof(STARTUP) - 1),
				    .tail = bytes_of((const char *)&how, sizeof(how)) });
}

static void query(uint64_t conn, uint64_t id, uint64_t start, uint64_t end, uint32_t status)
{
	static const char q[] = "Q\0\0\0\x0dSELECT 1";

	exchange((struct exchange){ .id = id,
				    .conn = conn,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_QUERY,
				    .start = start,
				    .end = end,
				    .status = status,
				    .flags = status ? EXCHANGE_FAILED : 0,
				    .raw_request = bytes_of(q, sizeof(q)) });
}

static void cancel(uint64_t conn, uint32_t pid, uint64_t when)
{
	char request[] = {
		0,	  0, 0, 16, 4, (char)0xd2, 0x16, 0x2e, (char)(pid >> 24), (char)(pid >> 16), (char)(pid >> 8),
		(char)pid
	};

	exchange((struct exchange){ .id = 900 + conn,
				    .conn = conn,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_CANCEL,
				    .start = when,
				    .end = when,
				    .flags = EXCHANGE_NO_ANSWER,
				    .raw_request = bytes_of(request, sizeof(request)) });
}

static void test_opened(void **state)
{
	(void)state;
	client(1, 6000);
	startup(1,
		(struct conn_opened){ .tcp_start = 5 * SECOND - 9 * MS,
				      .tcp_end = 5 * SECOND - 8 * MS,
				      .tls_start = 5 * SECOND - 7 * MS },
		0, END_COMPLETE, 0);
	ASSERT_TOLD("create postgresql shop - - 13", "phase postgresql shop tcp - 1", "phase postgresql shop tls - 7",
		    "phase postgresql shop auth - 4");
	assert_int_equal(fx.n, 0);
	query(1, 100, 6 * SECOND, 6 * SECOND + MS, 0);
	query(1, 102, 7 * SECOND, 7 * SECOND + MS, 0);
	assert_int_equal(fx.n, 2);
	assert_true(fabs(attrs_find(&fx.spans[0]->attrs, "sonde.db.connect.duration")->d - 0.013) < 1e-9);
	assert_attr(1, "sonde.db.connect.duration", NULL);
	assert_attr(0, "sonde.db.application_name", "web");
	assert_attr(1, "sonde.db.application_name", "web");
	assert_attr(0, "db.namespace", "shop");
}

/* A Unix socket has no connection to wait for. */
static void test_unix(void **state)
{
	(void)state;
	connect_conn((struct connect){
		.conn = 1, .proto = PROTO_POSTGRES, .role = ROLE_CLIENT, .path = "/run/.s.PGSQL.5432" });
	startup(1, (struct conn_opened){ 0 }, 0, END_COMPLETE, 0);
	ASSERT_TOLD("create postgresql shop - - 4", "phase postgresql shop auth - 4");
}

static void test_failed(void **state)
{
	(void)state;
	client(1, 6000);
	startup(1, (struct conn_opened){ 0 }, pg_sqlstate_pack("28P01"), END_EOF, EXCHANGE_FAILED | EXCHANGE_PARTIAL);
	ASSERT_TOLD("create postgresql shop - 28P01 4");
	client(2, 6000);
	startup(2, (struct conn_opened){ 0 }, pg_sqlstate_pack("53300"), END_CLOSE, EXCHANGE_FAILED | EXCHANGE_PARTIAL);
	ASSERT_TOLD("create postgresql shop - 53300 4");
	client(3, 6000);
	startup(3, (struct conn_opened){ 0 }, 0, END_EOF, EXCHANGE_NO_ANSWER);
	ASSERT_TOLD("create postgresql shop - connection_reset 4");
}

/* psql goes away to ask for a password; a client may change its mind. */
static void test_given_up(void **state)
{
	(void)state;
	client(1, 6000);
	startup(1, (struct conn_opened){ 0 }, 0, END_CLOSE, EXCHANGE_PARTIAL);
	startup(1, (struct conn_opened){ 0 }, 0, END_EOF, EXCHANGE_PARTIAL | EXCHANGE_LOCAL_CLOSE);
	assert_int_equal(told.n, 0);
}

static void refused(const char *address, uint16_t port, uint32_t error)
{
	struct event_connect_failed e = { .header = { .kind = EVENT_CONNECT_FAILED, .time = SECOND, .tgid = 1 },
					  .start = SECOND,
					  .end = SECOND + 2 * MS,
					  .error = error,
					  .family = AF_INET,
					  .remote_port = port };

	inet_pton(AF_INET, address, e.remote_addr);
	give(&e, sizeof(e), bytes_str(""));
}

static void test_refused(void **state)
{
	(void)state;
	refused("10.0.0.2", 6000, ECONNREFUSED);
	assert_int_equal(told.n, 0); /* who knows what is there */
	refused("10.0.0.2", 5432, ECONNREFUSED);
	ASSERT_TOLD("create postgresql 10.0.0.2 - connection_refused 2");
	refused("10.0.0.2", 3306, ETIMEDOUT);
	ASSERT_TOLD("create mysql 10.0.0.2 - timeout 2");
	client(1, 6000);
	refused("10.0.0.2", 6000, EHOSTUNREACH);
	ASSERT_TOLD("create postgresql 10.0.0.2:6000 - host_unreachable 2");
	refused("10.0.0.3", 6000, EHOSTUNREACH);
	assert_int_equal(told.n, 0);
}

static void test_mysql(void **state)
{
	struct exchange x = { .id = 2,
			      .conn = 1,
			      .proto = PROTO_MYSQL,
			      .role = ROLE_CLIENT,
			      .method = MYSQL_HANDSHAKE,
			      .start = 5 * SECOND,
			      .end = 5 * SECOND + 4 * MS };
	struct conn_opened how = { .tcp_start = 5 * SECOND - 2 * MS, .tcp_end = 5 * SECOND - MS };
	struct mysql_hello hello = { .version = "8.0.30", .database = "shop" };
	struct mysql_result result = { 0 };

	(void)state;
	connect_conn((struct connect){ .conn = 1,
				       .proto = PROTO_MYSQL,
				       .role = ROLE_CLIENT,
				       .local = "10.0.0.1",
				       .remote = "10.0.0.2",
				       .local_port = 4000,
				       .remote_port = 3306 });
	x.raw_request = bytes_of((const char *)&hello, sizeof(hello));
	x.raw_answer = bytes_of((const char *)&result, sizeof(result));
	x.tail = bytes_of((const char *)&how, sizeof(how));
	exchange(x);
	ASSERT_TOLD("create mysql shop - - 6", "phase mysql shop tcp - 1", "phase mysql shop auth - 4");
	x.status = 1045;
	x.flags = EXCHANGE_FAILED;
	exchange(x);
	ASSERT_TOLD("create mysql shop - 1045 6");
	x.status = x.flags = 0;
	x.reason = END_UPGRADE;
	exchange(x);
	assert_int_equal(told.n, 0);
}

static void test_cancel(void **state)
{
	const struct conn_opened how = { .backend = 0x1234567 };

	(void)state;
	client(1, 6000);
	client(2, 6000);
	startup(1, how, 0, END_COMPLETE, 0);
	startup(2, (struct conn_opened){ .backend = 0x7654321 }, 0, END_COMPLETE, 0);
	client(3, 6000);
	cancel(3, 0x1234567, 8 * SECOND);
	query(1, 100, 7 * SECOND, 9 * SECOND, pg_sqlstate_pack("57014"));
	query(1, 102, 10 * SECOND, 11 * SECOND, 0);
	query(2, 104, 7 * SECOND, 9 * SECOND, 0);
	assert_attr(0, "sonde.db.cancel_requested", "1");
	assert_attr(0, "error.type", "57014");
	assert_attr(1, "sonde.db.cancel_requested", NULL);
	assert_attr(2, "sonde.db.cancel_requested", NULL);
	assert_int_equal(counted(USER_cancels_unlinked), 0);
	cancel(3, 0x1234567, 12 * SECOND); /* nothing ran: the statement that comes later is another one */
	query(1, 106, 13 * SECOND, 14 * SECOND, 0);
	assert_attr(3, "sonde.db.cancel_requested", NULL);
	cancel(3, 99, 15 * SECOND);
	assert_int_equal(counted(USER_cancels_unlinked), 1);
	client(4, 6001); /* another server, which has a process of that number too */
	cancel(4, 0x1234567, 15 * SECOND);
	assert_int_equal(counted(USER_cancels_unlinked), 2);
	assert_int_equal(fx.n, 4);
}

static struct {
	size_t idle, used;
} seen;

static void on_connection(void *ctx, const struct assembly_connection *c)
{
	(void)ctx;
	assert_string_equal(text(&c->attrs, "db.client.connection.pool.name"), "shop");
	*(c->used ? &seen.used : &seen.idle) += 1;
}

static void assert_connections(size_t idle, size_t used)
{
	memset(&seen, 0, sizeof(seen));
	assembly_connections(fx.a, on_connection, NULL);
	assert_int_equal(seen.idle, idle);
	assert_int_equal(seen.used, used);
}

static void use(uint64_t conn, uint32_t used)
{
	struct event_state e = { .header = { .kind = EVENT_STATE, .conn = conn, .time = 6 * SECOND }, .used = used };

	give(&e, sizeof(e), bytes_str(""));
}

static void test_connections(void **state)
{
	struct event_close close = { .header = { .kind = EVENT_CLOSE, .conn = 1, .time = 9 * SECOND } };

	(void)state;
	client(1, 6000);
	use(1, 1);
	assert_connections(0, 0); /* it is not let in yet */
	startup(1, (struct conn_opened){ 0 }, 0, END_COMPLETE, 0);
	use(1, 0);
	client(2, 6000);
	startup(2, (struct conn_opened){ 0 }, 0, END_COMPLETE, 0);
	client(3, 6000);
	startup(3, (struct conn_opened){ 0 }, pg_sqlstate_pack("28P01"), END_EOF, EXCHANGE_FAILED);
	assert_connections(2, 0);
	use(2, 1);
	assert_connections(1, 1);
	client(2, 6000); /* announced again: what the kernel told is told again */
	assert_connections(2, 0);
	give(&close, sizeof(close), bytes_str(""));
	assert_connections(1, 0);
}

static void prepared(uint64_t conn, uint64_t id)
{
	static const char request[] = "B\0\0\0\x10\0name\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";

	exchange((struct exchange){ .id = id,
				    .conn = conn,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_EXECUTE,
				    .start = 6 * SECOND,
				    .raw_request = bytes_of(request, sizeof(request) - 1) });
}

static void test_unknown_texts(void **state)
{
	(void)state;
	client(1, 6000);
	prepared(1, 100); /* by a connection that is older than Sonde */
	assert_int_equal(counted(USER_text_unknown_older), 1);
	client(2, 6000);
	startup(2, (struct conn_opened){ 0 }, 0, END_COMPLETE, 0);
	prepared(2, 102);
	prepared(2, 104);
	assert_int_equal(counted(USER_text_unknown_older), 1);
	assert_int_equal(counted(USER_text_unknown_lost), 2);
	query(2, 106, 7 * SECOND, 8 * SECOND, 0);
	assert_int_equal(counted(USER_text_unknown_lost), 2);
	assert_int_equal(fx.n, 4);
}

static void test_first_row(void **state)
{
	static const char request[] = "Q\0\0\0\x0dSELECT 1";
	static const char one[] = "T\0\0\0\x06\0\0D\0\0\0\x06\0\0C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";
	static const char none[] = "T\0\0\0\x06\0\0C\0\0\0\x0dSELECT 0\0Z\0\0\0\5I";
	struct exchange x = { .id = 2,
			      .conn = 1,
			      .proto = PROTO_POSTGRES,
			      .role = ROLE_CLIENT,
			      .method = PG_QUERY,
			      .start = 6 * SECOND,
			      .end = 6 * SECOND + 250 * MS,
			      .raw_request = bytes_of(request, sizeof(request)) };

	(void)state;
	client(1, 6000);
	x.raw_answer = bytes_of(one, sizeof(one) - 1);
	exchange(x);
	x.raw_answer = bytes_of(none, sizeof(none) - 1);
	exchange(x);
	assert_true(fabs(attrs_find(&fx.spans[0]->attrs, "sonde.db.response.time_to_first_row")->d - 0.25) < 1e-9);
	assert_attr(1, "sonde.db.response.time_to_first_row", NULL);
	assert_attr(1, "db.response.returned_rows", "0");
}

int main(void)
{
#define OPENED(f) cmocka_unit_test_setup_teardown(f, setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		OPENED(test_opened),	    OPENED(test_unix),	    OPENED(test_failed), OPENED(test_given_up),
		OPENED(test_refused),	    OPENED(test_mysql),	    OPENED(test_cancel), OPENED(test_connections),
		OPENED(test_unknown_texts), OPENED(test_first_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
