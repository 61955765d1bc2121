/* SPDX-License-Identifier: Apache-2.0 */
/* What libpq's functions tell: spans, texts of prepared statements, what it was told to connect to. */
#include "assembly_fixture.h"

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)
#define CSTRING(s) bytes_of(s, strlen(s) + 1)

static void libpq_connect(uint32_t form, struct bytes data)
{
	struct event_libpq_conn e = { .header = { .kind = EVENT_LIBPQ_CONN, .tgid = 1, .time = SECOND },
				      .libpq_conn = 0x7f00,
				      .form = form,
				      .len = (uint32_t)data.n };

	give(&e, sizeof(e), data);
}

static void libpq(uint8_t method, const char *request, const char *tag_text, uint32_t rows, const char *sqlstate)
{
	struct libpq_result r = { .rows = rows, .results = 1 };

	snprintf(r.tag, sizeof(r.tag), "%s", tag_text);
	snprintf(r.sqlstate, sizeof(r.sqlstate), "%s", sqlstate);
	exchange((struct exchange){ .id = 1,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = method,
				    .source = SOURCE_LIBPQ,
				    .libpq_conn = 0x7f00,
				    .request = request,
				    .tail = bytes_of(&r, sizeof(r)) });
}

static void libpq_spans(void **state)
{
	struct event_exchange prepare = { .header = { .kind = EVENT_EXCHANGE, .tgid = 1 },
					  .id = 2,
					  .proto = PROTO_POSTGRES,
					  .role = ROLE_CLIENT,
					  .method = PG_PARSE,
					  .source = SOURCE_LIBPQ,
					  .reason = END_COMPLETE,
					  .libpq_conn = 0x7f00 };
	static const char body[] = "st\0SELECT * FROM items WHERE id = $1";

	(void)state;
	libpq_connect(0, LITERAL("host\0db.example\0port\0"
				 "6543\0dbname\0shop\0user\0app\0password\0canary\0"));
	libpq(PG_EXTENDED, "SELECT 'canary'", "SELECT 2", 2, "");
	assert_attr(0, "sonde.source", "libpq");
	assert_attr(0, "db.namespace", "shop");
	assert_attr(0, "server.address", "db.example");
	assert_attr(0, "server.port", "6543");
	assert_attr(0, "db.response.returned_rows", "2");
	prepare.request_len = sizeof(body);
	prepare.request_bytes = sizeof(body);
	give(&prepare, sizeof(prepare), bytes_of(body, sizeof(body)));
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(1, "SELECT items");
	libpq(PG_QUERY, "UPDATE t SET a = 1", "", 0, "40001");
	assert_attr(2, "error.type", "40001");
	/* the PGconn's address is used again: nothing of the old one stays */
	libpq_connect(0, LITERAL("dbname\0other\0"));
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(3, "postgresql");
	assert_attr(3, "db.namespace", "other");
	assert_attr(3, "server.address", NULL);
	assert_secret("canary");
}

static void libpq_prepare(const char *text)
{
	struct event_exchange e = { .header = { .kind = EVENT_EXCHANGE, .tgid = 1 },
				    .id = 2,
				    .proto = PROTO_POSTGRES,
				    .role = ROLE_CLIENT,
				    .method = PG_PARSE,
				    .source = SOURCE_LIBPQ,
				    .reason = END_COMPLETE,
				    .libpq_conn = 0x7f00 };
	char body[256];
	size_t n = (size_t)snprintf(body, sizeof(body), "st%c%s", text ? '\0' : ' ', text ? text : "");

	if (!text)
		n = 2; /* the name alone: closed */
	e.request_len = (uint16_t)n;
	e.request_bytes = n;
	give(&e, sizeof(e), bytes_of(body, n));
}

/* Names of prepared statements go with what the server forgets. */
static void libpq_names(void **state)
{
	static const char *const text = "SELECT * FROM items WHERE id = $1";
	size_t i = 0;

	(void)state;
	libpq_connect(LIBPQ_CONN_PAIRS, LITERAL("dbname\0shop\0"));
	libpq_prepare(text);
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i++, "SELECT items");
	libpq_prepare(NULL);
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i++, "postgresql");
	libpq_prepare(text);
	libpq(PG_OTHER, "DEALLOCATE other", "DEALLOCATE", 0, "");
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i++, "SELECT items");
	libpq(PG_OTHER, "DEALLOCATE ALL", "DEALLOCATE ALL", 0, "");
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i++, "postgresql");
	libpq_prepare(text);
	libpq(PG_QUERY, "DISCARD ALL", "DISCARD ALL", 0, "");
	i++;
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i++, "postgresql");
	libpq_prepare(text);
	libpq_connect(LIBPQ_CONN_AGAIN, LITERAL("")); /* PQreset: what it was told before holds */
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i, "postgresql");
	assert_attr(i++, "db.namespace", "shop");
	libpq_prepare(text);
	libpq_connect(LIBPQ_CONN_GONE, LITERAL(""));
	libpq(PG_EXECUTE, "st", "SELECT 1", 1, "");
	assert_name(i, "postgresql");
	assert_attr(i, "db.namespace", NULL);
}

static void libpq_cancel_and_copy(void **state)
{
	struct libpq_result r = { .results = 2, .tag = "COPY 2", .copy_bytes = 4711 };
	struct exchange x = { .id = 1,
			      .proto = PROTO_POSTGRES,
			      .role = ROLE_CLIENT,
			      .method = PG_QUERY,
			      .source = SOURCE_LIBPQ,
			      .flags = EXCHANGE_CANCEL_ASKED,
			      .libpq_conn = 0x7f00,
			      .request = "COPY t FROM STDIN",
			      .tail = bytes_of(&r, sizeof(r)) };

	(void)state;
	exchange(x);
	assert_attr(0, "sonde.db.copy.bytes", "4711");
	assert_attr(0, "sonde.db.affected_rows", "2");
	assert_true(attrs_find(&fx.spans[0]->attrs, "sonde.db.cancel_requested")->b);
	x.flags = 0;
	r.copy_bytes = LIBPQ_COPY_UNKNOWN;
	exchange(x);
	assert_attr(1, "sonde.db.copy.bytes", NULL);
	assert_attr(1, "sonde.db.cancel_requested", NULL);
}

static const struct {
	const char *text, *database, *host, *port;
} cases[] = {
	{ "dbname=shop host=h.example port=99 password=canary", "shop", "h.example", "99" },
	{ "dbname = 'my shop' password='can\\'ary' host='h'", "my shop", "h", NULL },
	{ "user=bob password='canary", "bob", NULL, NULL },
	{ "postgresql://bob:canary@h.example:77/shop?sslmode=require", "shop", "h.example", "77" },
	{ "postgres://[::1]/a%20b?user=x&password=canary", "a b", "::1", NULL },
	{ "postgres://bob:canary@", "bob", NULL, NULL },
	{ "host=a,b dbname=shop", "shop", NULL, NULL },
	{ "", NULL, NULL, NULL },
	{ "canary", NULL, NULL, NULL },
	{ "=canary", NULL, NULL, NULL },
	{ "postgresql://[canary", NULL, NULL, NULL },
};

static void conninfo(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		libpq_connect(1, CSTRING(cases[i].text));
		libpq(PG_QUERY, "SELECT 1", "SELECT 1", 1, "");
		assert_attr(i, "db.namespace", cases[i].database);
		if (i != 10)
			assert_attr(i, "server.address", cases[i].host);
		assert_attr(i, "server.port", cases[i].port);
	}
	fx.n -= 1; /* an unclosed bracket: what follows is a host name, as libpq itself would say in its error */
	assert_secret("canary");
	fx.n += 1;
}

/* A recording tells the same without any password: of strings, and of pairs whose database is one. */
static void kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i / 2].text;
		struct event_libpq_conn e = { .header = { .kind = EVENT_LIBPQ_CONN, .tgid = 1, .time = SECOND },
					      .libpq_conn = 0x7f00,
					      .form = i & 1 ? LIBPQ_CONN_PAIRS : LIBPQ_CONN_STRING };
		_Alignas(struct event_libpq_conn) char memory[1024];
		struct buf b = { 0 };

		memcpy(memory + sizeof(e), i & 1 ? "dbname\0" : "", i & 1 ? 7 : 0);
		e.len = (uint32_t)(strlen(text) + 1 + (i & 1 ? 7 : 0));
		memcpy(memory + sizeof(e) + e.len - strlen(text) - 1, text, strlen(text) + 1);
		e.header.size = (uint32_t)sizeof(e) + e.len;
		memcpy(memory, &e, sizeof(e));
		libpq_conn_to_keep((const void *)memory, &b);
		assert_false(b.failed);
		memcpy(&e, b.p, sizeof(e));
		assert_int_equal(e.header.size, b.n);
		assert_int_equal(e.len, b.n - sizeof(e));
		if (!strchr(text, '[') || strchr(text, ']'))
			assert_true(memmem(b.p, b.n, "canary", 6) == NULL || (i & 1 && !strchr(text, '=')));
		libpq_connect(e.form, bytes_of(b.p + sizeof(e), e.len));
		buf_free(&b);
		libpq(PG_QUERY, "SELECT 1", "SELECT 1", 1, "");
		if (i & 1 && !strchr(text, '='))
			continue; /* the name of a database, whatever it looks like */
		assert_attr(i, "db.namespace", cases[i / 2].database);
		if (cases[i / 2].host)
			assert_attr(i, "server.address", cases[i / 2].host);
		assert_attr(i, "server.port", cases[i / 2].port);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(libpq_spans), TEST(libpq_names), TEST(libpq_cancel_and_copy), TEST(conninfo), TEST(kept),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
