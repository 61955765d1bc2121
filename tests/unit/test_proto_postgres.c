/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges of PostgreSQL, and golden files of both parsers. */
#include "postgres_fixture.h"

#define FOLDER "tests/proto/postgres"

/* --- exchanges, paired as the kernel pairs them --- */

static void one_exchange(struct bytes request, struct bytes answer, uint8_t method)
{
	struct event_exchange e = { .proto = PROTO_POSTGRES, .method = method };
	struct exchange_bytes in = { .e = &e };
	struct operation op;

	e.request_bytes = request.n;
	e.answer_bytes = answer.n;
	in.request = bytes_head(request, EVENT_REQUEST_MAX);
	in.answer = bytes_head(answer, EVENT_ANSWER_MAX);
	if (answer.n > EVENT_ANSWER_MAX)
		in.tail = bytes_of(answer.p + answer.n - EVENT_TAIL_MAX, EVENT_TAIL_MAX);
	if (!proto_postgres.exchange(&in, &op)) {
		buf_str(&out, "exchange nonsense\n");
		return;
	}
	buf_str(&out, "exchange");
	describe(&op);
}

static void walk(struct pg_request_walk *w, struct bytes b)
{
	while (b.n && !w->bad) {
		if (w->skip) {
			size_t n = w->skip < b.n ? (size_t)w->skip : b.n;

			w->skip -= n;
			b = bytes_tail(b, n);
			continue;
		}
		w->head[w->head_n++] = (uint8_t)b.p[0];
		b = bytes_tail(b, 1);
		if (w->head_n == 5) {
			w->head_n = 0;
			pg_walk_message(w, (const char *)w->head);
		}
	}
}

/* True when a turn was pipelined: the kernel would stream it. */
static bool exchanges(struct bytes b)
{
	struct buf request = { 0 }, answer = { 0 };
	struct golden_piece piece;
	bool pipelined = false, startup = false;

	while (golden_next(&b, &piece)) {
		struct bytes all;

		buf_add(piece.dir == STREAM_REQUEST ? &request : &answer, piece.data);
		if (piece.dir == STREAM_REQUEST && request.p[0] == 0)
			startup = true;
		all = buf_bytes(&answer);
		if (all.n && ((all.n >= 6 && pg_ready_at_end(all.p + all.n - 6)) || (startup && all.n == 1))) {
			struct pg_request_walk w = { 0 };

			if (request.n && request.p[0])
				walk(&w, buf_bytes(&request));
			pipelined |= pg_walk_pipelined(&w);
			one_exchange(buf_bytes(&request), all, startup ? PG_STARTUP : pg_walk_request(&w));
			buf_reset(&request);
			buf_reset(&answer);
			startup = false;
		}
	}
	if (answer.n)
		one_exchange(buf_bytes(&request), buf_bytes(&answer), startup ? PG_STARTUP : PG_QUERY);
	buf_free(&request);
	buf_free(&answer);
	return pipelined;
}

/* Feeds a conversation in pieces of at most size bytes. */
static void streams(struct bytes b, size_t size)
{
	struct golden_piece piece;
	uint64_t time = 0;

	memset(st, 0, proto_postgres.stream_size);
	while (golden_next(&b, &piece)) {
		time++;
		for (; piece.data.n; piece.data = bytes_tail(piece.data, size)) {
			/* The start-up packet has no type; a connection streams only behind it. */
			if (piece.dir == STREAM_REQUEST && piece.data.p[0] == 0 && size > 8)
				break;
			feed(piece.dir, bytes_head(piece.data, size), 0, time);
		}
	}
	proto_postgres.stream_close(st, time + 1, on_operation, NULL);
}

/* What is left of a conversation behind the first ReadyForQuery. */
static struct bytes behind_startup(struct bytes b)
{
	struct golden_piece piece;

	while (golden_next(&b, &piece))
		if (piece.dir == STREAM_ANSWER && piece.data.n >= 6 && pg_ready_at_end(piece.data.p + piece.data.n - 6))
			break;
	return b;
}

static void golden_one(const char *name, struct bytes content)
{
	_cleanup_free_ char *whole = NULL;
	size_t before;

	buf_reset(&out);
	if (exchanges(content))
		buf_reset(&out);
	content = behind_startup(content);
	before = out.n;
	streams(content, SIZE_MAX);
	whole = out.n > before ? strdup(out.p + before) : strdup("");
	for (size_t size = 1; size < 9; size++) {
		size_t at = out.n;

		streams(content, size);
		if (strcmp(whole, out.n > at ? out.p + at : "") != 0)
			fprintf(stderr, "%s in pieces of %zu:\n%s\nwhole:\n%s\n", name, size, out.p + at, whole);
		assert_string_equal(whole, out.n > at ? out.p + at : "");
		out.n = at;
	}
	assert_true(golden_check(FOLDER, name, buf_bytes(&out)));
	assert_null(memmem(out.p ? out.p : "", out.n, CANARY, strlen(CANARY)));
}

static void golden(void **state)
{
	(void)state;
	assert_true(golden_each(FOLDER, golden_one) >= 14);
}

static struct operation exchange_of(struct bytes request, struct bytes answer, struct bytes tail, uint64_t answer_bytes)
{
	struct event_exchange e = { .proto = PROTO_POSTGRES, .method = PG_QUERY, .answer_bytes = answer_bytes };
	struct exchange_bytes in = { &e, request, answer, tail };
	struct operation op;

	e.request_bytes = request.n;
	assert_true(proto_postgres.exchange(&in, &op));
	return op;
}

static void cut_query(void **state)
{
	struct operation op;

	(void)state;
	buf_reset(&made);
	MESSAGE('Q', "select a from t where b = 'x'\0");
	op = exchange_of(bytes_head(buf_bytes(&made), 20), string(""), string(""), 0);
	assert_true(op.statement_cut);
	assert_true(bytes_eq(op.statement, string("select a from t")));
	assert_false(op.rows_known);
	op = exchange_of(buf_bytes(&made), string(""), string(""), 0);
	assert_false(op.statement_cut);
	buf_reset(&made);
}

/* CommandComplete and ErrorResponse behind a gap, found from the end. */
static void tail_of_large_answer(void **state)
{
	static const char query[] = "Q\0\0\0\x0d"
				    "select 1"; /* with its NUL */
	struct buf head = { 0 };
	struct operation op;

	(void)state;
	buf_add(&head, LITERAL("T\0\0\0\x21\0\1?column?\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"));
	buf_add(&head, LITERAL("D\0\0\0\x0b\0\1\0\0\0\1x"));
	buf_reset(&made);
	buf_add(&made, string("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	MESSAGE('C', "SELECT 500\0");
	READY();
	op = exchange_of(bytes_of(query, sizeof(query)), buf_bytes(&head), buf_bytes(&made), 100000);
	assert_true(op.rows_known && op.rows_returned);
	assert_int_equal(op.rows, 500);
	assert_true(bytes_eq(op.command_tag, string("SELECT 500")));

	buf_reset(&made);
	buf_add(&made, string("yyyyyyyy"));
	MESSAGE('E', "SERROR\0VERROR\0C57014\0Mcanceling\0\0");
	READY();
	op = exchange_of(bytes_of(query, sizeof(query)), buf_bytes(&head), buf_bytes(&made), 100000);
	assert_true(bytes_eq(op.sqlstate, string("57014")));
	assert_true(bytes_eq(op.severity, string("ERROR")));
	assert_false(op.rows_known);

	/* several statements, and a gap between them: the sum is not known */
	buf_reset(&made);
	MESSAGE('Q', "select 1; select 2\0");
	buf_reset(&out);
	message(&out, 'C', "SELECT 2", 9);
	op = exchange_of(buf_bytes(&made), buf_bytes(&head), buf_bytes(&out), 100000);
	assert_false(op.rows_known);
	buf_free(&head);
	buf_reset(&made);
}

/* The statement's own rows look like a CommandComplete: the length must fit the end. */
/* Wherever the kept beginning ends, the CommandComplete counts once. */
static void head_cut_everywhere(void **state)
{
	static const char query[] = "Q\0\0\0\x0d"
				    "select 1";
	struct bytes all;
	struct operation op;

	(void)state;
	buf_reset(&made);
	for (int i = 0; i < 20; i++)
		buf_add(&made, LITERAL("D\0\0\0\x0b\0\1\0\0\0\1x"));
	MESSAGE('C', "SELECT 20\0");
	READY();
	all = buf_bytes(&made);
	for (size_t n = 12; n <= all.n; n++) { /* a whole row at least */
		op = exchange_of(bytes_of(query, sizeof(query)), bytes_head(all, n), bytes_tail(all, all.n - 64),
				 all.n);
		assert_true(op.rows_known && op.rows_returned);
		assert_int_equal(op.rows, 20);
		assert_int_equal(op.completed, 1);
	}
	buf_reset(&made);
}

static void tail_is_not_fooled(void **state)
{
	struct operation op;

	(void)state;
	buf_reset(&made);
	buf_add(&made, LITERAL("C\0\0\0\x0f"
			       "DELETE 777\0"));
	MESSAGE('C', "SELECT 3\0");
	READY();
	op = exchange_of(LITERAL("Q\0\0\0\x0d"
				 "select 1\0"),
			 string(""), buf_bytes(&made), 100000);
	assert_true(bytes_eq(op.command_tag, string("SELECT 3")));
	buf_reset(&made);
}

static void create_table_as_returns_nothing(void **state)
{
	struct operation op;

	(void)state;
	buf_reset(&made);
	MESSAGE('C', "SELECT 5\0");
	READY();
	op = exchange_of(LITERAL("Q\0\0\0\x1a"
				 "create table a as ...\0"),
			 buf_bytes(&made), string(""), made.n);
	assert_true(op.rows_known);
	assert_false(op.rows_returned);
	assert_int_equal(op.rows, 5);
	buf_reset(&made);
}

static void startup_and_secrets(void **state)
{
	static const char packet[] = "\0\0\0\x2b\0\3\0\0user\0alice\0password\0" CANARY "\0\0";
	struct operation op;

	(void)state;
	op = exchange_of(bytes_of(packet, sizeof(packet)), string(""), string(""), 0);
	assert_true(op.startup);
	assert_true(bytes_eq(op.user, string("alice")));
	assert_true(bytes_eq(op.database, string("alice")));
	buf_reset(&made);
	MESSAGE('p', CANARY "\0");
	op = exchange_of(buf_bytes(&made), string(""), string(""), 0);
	assert_true(op.startup);
	assert_int_equal(op.statement.n + op.statement_name.n + op.database.n + op.user.n, 0);
	for (int code = 0; code < 3; code++) {
		char special[16] = { 0, 0, 0, 8, 4, (char)210, 22, (char)(46 + code) };

		op = exchange_of(bytes_of(special, code ? 8 : 16), string("N"), string(""), 1);
		assert_true(op.startup);
	}
	buf_reset(&made);
}

static void nonsense(void **state)
{
	struct event_exchange e = { .proto = PROTO_POSTGRES };
	struct exchange_bytes in = { &e, string("\x16\x03\x01garbage"), string(""), string("") };
	struct operation op;

	(void)state;
	assert_false(proto_postgres.exchange(&in, &op));
}

static void libpq_results(void **state)
{
	struct libpq_result r = { .rows = 0, .tag = "UPDATE 4" };
	struct event_exchange e = { .proto = PROTO_POSTGRES, .source = SOURCE_LIBPQ, .method = PG_EXTENDED };
	struct exchange_bytes in = { &e, string("update t set a = $1"), string(""), bytes_of(&r, sizeof(r)) };
	struct operation op;

	(void)state;
	e.request_bytes = in.request.n;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_true(bytes_eq(op.statement, in.request) && !op.statement_cut);
	assert_true(op.rows_known && !op.rows_returned && op.rows == 4);
	memcpy(r.sqlstate, "23505", 6);
	memset(r.tag, 0, sizeof(r.tag));
	e.method = PG_EXECUTE;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_true(bytes_eq(op.sqlstate, string("23505")));
	assert_true(bytes_eq(op.statement_name, in.request) && !op.statement.n);
	memcpy(r.tag, "SHOW", 5);
	r.rows = 1;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_true(op.rows_known && op.rows_returned && op.rows == 1);
	assert_false(op.copy_known);
	memcpy(r.tag, "COPY 2", 7);
	r.copy_bytes = 77;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_true(op.copy_known && op.copy_bytes == 77);
	r.copy_bytes = LIBPQ_COPY_UNKNOWN;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_false(op.copy_known);
	memset(r.tag, 'X', sizeof(r.tag)); /* no end */
	assert_true(proto_postgres.exchange(&in, &op));
}

static unsigned names;

static void on_prepared(void *context, const struct prepared *p)
{
	(void)context;
	names++;
	buf_printf(&out, "%s %.*s=%.*s%s;", p->close ? "close" : "parse", (int)p->name.n, p->name.p, (int)p->text.n,
		   p->text.p ? p->text.p : "", p->cut ? " cut" : "");
}

static void prepared_names(void **state)
{
	struct exchange_bytes in = { 0 };

	(void)state;
	names = 0;
	buf_reset(&made);
	MESSAGE('C', "Sold\0");
	MESSAGE('C', "Pportal\0");
	MESSAGE('P', "a\0select 1\0\0\0");
	MESSAGE('P', "b\0select 22222\0\0\0");
	in.request = bytes_head(buf_bytes(&made), made.n - 5);
	proto_postgres.prepared(&in, on_prepared, NULL);
	assert_int_equal(names, 3);
	assert_string_equal(out.p, "close old=;parse a=select 1;parse b=select 222 cut;");
	buf_reset(&made);
}

/* The kernel side takes what was only to be prepared, and failed, for a statement. */
static void test_prepare_failed(void **state)
{
	static const char request[] = "P\0\0\0\x12"
				      "s\0SELECT nope\0\0\0"
				      "D\0\0\0\x07"
				      "Ss\0"
				      "S\0\0\0\x04";
	static const char answer[] = "E\0\0\0\x12"
				     "SERROR\0"
				     "C42703\0\0"
				     "Z\0\0\0\x05I";
	struct event_exchange e = { .proto = PROTO_POSTGRES, .request_bytes = sizeof(request) - 1 };
	struct exchange_bytes in = {
		&e, bytes_of(request, sizeof(request) - 1), bytes_of(answer, sizeof(answer) - 1), { 0 }
	};
	struct operation op = { 0 };

	(void)state;
	e.answer_bytes = in.answer.n;
	e.method = PG_EXTENDED;
	assert_true(proto_postgres.exchange(&in, &op));
	assert_false(op.internal);
	assert_true(bytes_eq(op.statement, BYTES_LITERAL("SELECT nope")));
	assert_true(bytes_eq(op.sqlstate, BYTES_LITERAL("42703")));
	e.method = PG_PARSE;
	op = (struct operation){ 0 };
	assert_true(proto_postgres.exchange(&in, &op));
	assert_true(op.internal);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_prepare_failed),
	TEST(golden),
	TEST(cut_query),
	TEST(tail_of_large_answer),
	TEST(head_cut_everywhere),
	TEST(tail_is_not_fooled),
	TEST(create_table_as_returns_nothing),
	TEST(startup_and_secrets),
	TEST(nonsense),
	TEST(libpq_results),
	TEST(prepared_names),
};

int main(void)
{
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&out);
	buf_free(&made);
	return r;
}
