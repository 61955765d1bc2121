/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden files of MySQL: real conversations as exchanges, paired as the kernel pairs them, and as a stream, whole and
 * in pieces; then what no client of ours does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "golden.h"
#include "mysql_drive.h"
#include "proto/mysql.h"

extern const struct proto proto_mysql;

#define FOLDER "tests/proto/mysql"
#define CANARY "canary-pa55"

static struct buf out;
static struct proto_stream *st;

static void text(const char *key, struct bytes s)
{
	if (!s.p || !s.n)
		return;
	buf_printf(&out, " %s=\"", key);
	buf_json(&out, bytes_head(s, 200));
	buf_char(&out, '"');
}

static void describe(const struct operation *op)
{
	if (op->startup)
		buf_str(&out, " startup");
	if (op->internal)
		buf_str(&out, " internal");
	if (op->forgets_prepared)
		buf_str(&out, " forgets");
	text("server", op->server_version);
	text("database", op->database);
	if (op->statement_name.n == 4)
		buf_printf(&out, " statement=%u", mysql_le32((const uint8_t *)op->statement_name.p));
	text("text", op->statement);
	if (op->statement_index)
		buf_printf(&out, " index=%u", op->statement_index);
	if (op->statement_cut)
		buf_str(&out, " cut");
	if (op->rows_known)
		buf_printf(&out, " rows=%llu%s", (unsigned long long)op->rows, op->rows_returned ? " returned" : "");
	if (op->error_number)
		buf_printf(&out, " error=%u", op->error_number);
}

static void on_prepared(void *context, const struct prepared *p)
{
	(void)context;
	buf_printf(&out, "  prepared %u", mysql_le32((const uint8_t *)p->name.p));
	text("text", p->text);
	buf_str(&out, p->cut ? " cut\n" : "\n");
}

static void on_operation(void *context, const struct stream_operation *op)
{
	(void)context;
	assert_true(op->start <= op->end && op->first <= op->end);
	buf_str(&out, op->lost ? "lost" : op->unanswered ? "unanswered" : "stream");
	describe(&op->op);
	if (op->busy)
		buf_printf(&out, " busy=%llu", (unsigned long long)op->busy);
	buf_str(&out, op->more ? " more\n" : "\n");
	if (op->has_prepared)
		on_prepared(NULL, &op->prepared);
}

/* --- in turns --- */

struct turn {
	struct mysql_request_walk walk;
	struct mysql_answer answer;
	struct mysql_result result;
	struct event_exchange e;
	struct buf request;
	bool open;
};

/* Where what follows the first command with an answer begins. */
static uint16_t text_of(struct bytes b)
{
	size_t at = 0;

	while (at + 5 < b.n && !mysql_has_answer((uint8_t)b.p[at + 4]))
		at += MYSQL_HEADER + mysql_le24((const uint8_t *)b.p + at);
	return (uint16_t)(at + 5);
}

static void finish(struct turn *t)
{
	struct exchange_bytes in = { .e = &t->e, .request = bytes_head(buf_bytes(&t->request), EVENT_REQUEST_MAX) };
	struct operation op;

	mysql_result_fill(&t->result, &t->answer, t->e.method == MYSQL_EXECUTE ? t->walk.statement : 0);
	t->result.text = text_of(buf_bytes(&t->request));
	if (t->e.method == MYSQL_EXECUTE)
		in.request = bytes_head(in.request, t->result.text + 4);
	in.answer = bytes_of((const char *)&t->result, sizeof(t->result));
	assert_true(proto_mysql.exchange(&in, &op));
	buf_str(&out, "exchange");
	describe(&op);
	buf_char(&out, '\n');
	proto_mysql.prepared(&in, on_prepared, NULL);
	t->open = false;
}

/* True when the kernel would stream it. */
static bool exchanges(struct bytes b)
{
	struct turn t = { 0 };
	struct golden_piece piece;
	bool several = false;

	while (golden_next(&b, &piece)) {
		if (piece.dir == STREAM_REQUEST && t.open) {
			continue; /* a file, or authentication */
		} else if (piece.dir == STREAM_REQUEST) {
			mysql_request_turn(&t.walk);
			drive_mysql_request(&t.walk, piece.data.p, piece.data.n);
			if (!t.walk.commands)
				continue;
			buf_reset(&t.request);
			buf_add(&t.request, piece.data);
			t.e = (struct event_exchange){ .proto = PROTO_MYSQL,
						       .method = mysql_request_of(t.walk.command),
						       .request_bytes = piece.data.n };
			mysql_answer_init(&t.answer, t.walk.command);
			t.open = true;
		} else if (t.open) {
			drive_mysql_answer(&t.answer, piece.data.p, piece.data.n);
			if (mysql_answer_verdict(&t.answer) == FRAME_COMPLETE)
				finish(&t);
			several |= mysql_several(&t.answer);
		}
	}
	assert_false(t.open);
	buf_free(&t.request);
	return several;
}

/* --- as a stream --- */

static void feed(enum stream_dir dir, struct bytes data, uint64_t gap, uint64_t time)
{
	struct stream_input in = { .dir = dir, .data = data, .gap = gap, .time = time };

	proto_mysql.stream(st, &in, on_operation, NULL);
}

static void streams(struct bytes b, size_t size)
{
	struct golden_piece piece;
	uint64_t time = 0;

	memset(st, 0, proto_mysql.stream_size);
	while (golden_next(&b, &piece)) {
		time++;
		for (; piece.data.n; piece.data = bytes_tail(piece.data, size))
			feed(piece.dir, bytes_head(piece.data, size), 0, time);
	}
	proto_mysql.stream_close(st, time + 1, on_operation, NULL);
}

/* What is left of a conversation behind the handshake. */
static struct bytes behind_handshake(struct bytes b)
{
	struct mysql_answer a = { .state = MYSQL_AUTH };
	struct golden_piece piece;
	bool greeted = false;

	while (golden_next(&b, &piece)) {
		if (piece.dir != STREAM_ANSWER)
			continue;
		if (greeted)
			drive_mysql_answer(&a, piece.data.p, piece.data.n);
		else
			assert_true(mysql_greeting(piece.data.p, FRAME_DETECT, piece.data.n));
		greeted = true;
		if (a.state == MYSQL_DONE)
			break;
	}
	return b;
}

static void golden_one(const char *name, struct bytes content)
{
	_cleanup_free_ char *whole = NULL;
	size_t before;

	buf_reset(&out);
	content = behind_handshake(content);
	if (exchanges(content))
		buf_str(&out, "(several results)\n");
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
	/* Its first byte may have been in a packet's head. */
	assert_null(memmem(out.p ? out.p : "", out.n, CANARY + 1, strlen(CANARY + 1)));
}

static void golden(void **state)
{
	(void)state;
	assert_true(golden_each(FOLDER, golden_one) >= 8);
}

/* --- made by hand --- */

#define STRING(s) bytes_of((s), sizeof(s) - 1)
#define OK "\7\0\0\1\0\0\0\2\0\0\0"
#define SELECT(digit) "\x09\0\0\0\3SELECT " digit
#define ROWS "\1\0\0\1\1\x0a\0\0\2\3def\0\0\0\1a\0\5\0\0\3\xfe\0\0\2\0\2\0\0\4\1x\5\0\0\5\xfe\0\0\2\0"

static void expect(const char *wanted)
{
	buf_char(&out, '\0');
	assert_string_equal(out.p, wanted);
	buf_reset(&out);
}

static void begin(void)
{
	memset(st, 0, proto_mysql.stream_size);
	buf_reset(&out);
}

static void pipelined(void **state)
{
	(void)state;
	begin();
	/* MariaDB's direct execution: prepare, and execute the statement prepared last, in one go. */
	feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT 1\x0a\0\0\0\x17\xff\xff\xff\xff\0\1\0\0\0"), 0, 1);
	feed(STREAM_REQUEST, STRING("\5\0\0\0\x19\7\0\0\0" SELECT("2") SELECT("3")), 0, 2);
	feed(STREAM_ANSWER, STRING("\x0c\0\0\1\0\7\0\0\0\1\0\0\0\0\0\0\x0a\0\0\2\3def\0\0\0\1a\0"), 0, 3);
	feed(STREAM_ANSWER, STRING(ROWS OK), 0, 4);
	feed(STREAM_ANSWER, STRING("\x0d\0\0\1\xff\x1e\4#42S22nope"), 0, 5);
	expect("stream internal\n  prepared 7 text=\"SELECT 1\"\nstream statement=7 rows=1 returned\n"
	       "stream text=\"SELECT 2\"\nstream text=\"SELECT 3\" error=1054\n");
	feed(STREAM_REQUEST, STRING(SELECT("4")), 0, 6);
	proto_mysql.stream_close(st, 7, on_operation, NULL);
	expect("unanswered text=\"SELECT 4\"\n");
}

static void gaps(void **state)
{
	(void)state;
	begin();
	feed(STREAM_REQUEST, STRING("\x0d\0\0\0\3SELECT 1"), 4, 1); /* within the text */
	feed(STREAM_ANSWER, STRING("\1\0\0\1\1\x0a\0\0\2\3de"), 7, 2);
	feed(STREAM_ANSWER, STRING("\5\0\0\3\xfe\0\0\2\0\2\0\0\4\1x\5\0\0\5\xfe\0\0\2\0"), 0, 3);
	expect("stream text=\"SELECT 1\" cut rows=1 returned\n");
	feed(STREAM_REQUEST, STRING(SELECT("2")), 0, 4);
	feed(STREAM_ANSWER, STRING("\1\0\0\1\1"), 100, 5); /* over packets: the place is lost */
	expect("lost text=\"SELECT 2\"\n");
	feed(STREAM_ANSWER, STRING("\5\0\0\5\xfe\0\0\2\0"), 0, 6);
	feed(STREAM_REQUEST, STRING(SELECT("3")), 0, 7);
	feed(STREAM_ANSWER, STRING(OK), 0, 8);
	expect("stream text=\"SELECT 3\"\n");
	/* Rows were not seen: how many is not known, the end is. */
	feed(STREAM_REQUEST, STRING(SELECT("5") SELECT("6")), 0, 8);
	feed(STREAM_ANSWER, STRING("\1\0\0\1\1\x0a\0\0\2\3def\0\0\0\1a\0\5\0\0\3\xfe\0\0\2\0\2\0"), 5000, 8);
	feed(STREAM_ANSWER, STRING("xyz\5\0\0\x08\xfe\0\0\2\0"), 0, 8);
	feed(STREAM_ANSWER, STRING(OK), 0, 8);
	expect("stream text=\"SELECT 5\"\nstream text=\"SELECT 6\"\n");
	/* Nor is the end, until the client goes on. */
	feed(STREAM_REQUEST, STRING(SELECT("7")), 0, 8);
	feed(STREAM_ANSWER, STRING("\1\0\0\1\1\x0a\0\0\2\3def\0\0\0\1a\0\5\0\0\3\xfe\0\0\2\0\2\0"), 5000, 8);
	feed(STREAM_REQUEST, STRING(SELECT("8")), 0, 8);
	feed(STREAM_ANSWER, STRING(OK), 0, 8);
	expect("stream text=\"SELECT 7\"\nstream text=\"SELECT 8\"\n");
	feed(STREAM_ANSWER, STRING(OK), 0, 9); /* nobody asked */
	feed(STREAM_REQUEST, STRING(SELECT("4")), 0, 10);
	feed(STREAM_ANSWER, STRING(OK), 0, 11);
	expect("stream text=\"SELECT 4\"\n");
}

/* Of a connection older than Sonde: after the last definition of what was prepared an EOF packet may come, or none. */
static void maybe_eof(void **state)
{
	static const char prepared[] = "\x0c\0\0\1\0\7\0\0\0\1\0\0\0\0\0\0\x0a\0\0\2\3def\0\0\0\1a\0";

	(void)state;
	for (size_t size = 1; size < 20; size++) {
		begin(); /* none, and nobody waits for what comes then */
		feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT 1"), 0, 1);
		feed(STREAM_ANSWER, STRING(prepared), 0, 2);
		expect("");
		for (struct bytes b = STRING(OK OK); b.n; b = bytes_tail(b, size))
			feed(STREAM_ANSWER, bytes_head(b, size), 0, 3);
		expect("stream internal\n  prepared 7 text=\"SELECT 1\"\n");
		feed(STREAM_REQUEST, STRING(SELECT("2")), 0, 4); /* a place to begin again */
		feed(STREAM_ANSWER, STRING(OK), 0, 5);
		expect("stream text=\"SELECT 2\"\n");
		begin(); /* none, and the next answer begins */
		feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT 1" SELECT("3")), 0, 1);
		feed(STREAM_ANSWER, STRING(prepared), 0, 2);
		for (struct bytes b = STRING(OK); b.n; b = bytes_tail(b, size))
			feed(STREAM_ANSWER, bytes_head(b, size), 0, 3);
		expect("stream internal\n  prepared 7 text=\"SELECT 1\"\nstream text=\"SELECT 3\"\n");
		begin(); /* the connection ends there, with others that wait */
		feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT 1" SELECT("3")), 0, 1);
		feed(STREAM_ANSWER, STRING(prepared), 0, 2);
		feed(STREAM_ANSWER, STRING("\5\0\0\3\xfe\0\0\2\0"), 0, 3);
		feed(STREAM_ANSWER, bytes_head(STRING(OK), size < 11 ? size : 10), 0, 4);
		proto_mysql.stream_close(st, 5, on_operation, NULL);
		expect("stream internal\n  prepared 7 text=\"SELECT 1\"\nunanswered text=\"SELECT 3\"\n");
	}
}

/* The kernel sends up 272 KiB of a call: its begin and its end. */
static void long_text(void **state)
{
	static char text[4 + 1 + 270 * 1024] = "\0\0\x08\0\3SELECT '"; /* of 512 KiB */
	uint64_t whole = 4 + (512 << 10), sent = sizeof(text);

	(void)state;
	begin();
	memset(text + 13, 'x', sizeof(text) - 13);
	for (size_t n = 0; n < 2; n++) {
		feed(STREAM_REQUEST, bytes_of(text, sizeof(text)), whole - sent - 1024, 1);
		feed(STREAM_REQUEST, bytes_of(text + 1024, 1024), 0, 1);
		feed(STREAM_REQUEST, STRING(SELECT("2")), 0, 2);
		feed(STREAM_ANSWER, STRING(OK OK), 0, 3);
		assert_true(bytes_starts(buf_bytes(&out), BYTES_LITERAL("stream text=\"SELECT 'xx")));
		buf_char(&out, '\0');
		assert_non_null(strstr(out.p, "\" cut\nstream text=\"SELECT 2\"\n"));
		buf_reset(&out);
	}
	/* Where another command begins in what was not sent, both are lost, and counted so. */
	feed(STREAM_REQUEST, bytes_of(text, sizeof(text)), whole - sent + 1024, 1);
	assert_true(bytes_starts(buf_bytes(&out), BYTES_LITERAL("lost text=\"SELECT 'x")));
	buf_reset(&out);
	feed(STREAM_ANSWER, STRING(OK OK), 0, 3);
	feed(STREAM_REQUEST, STRING(SELECT("2")), 0, 4);
	feed(STREAM_ANSWER, STRING(OK), 0, 5);
	expect("stream text=\"SELECT 2\"\n");
}

#define EXECUTE(id) "\x0a\0\0\0\x17" id "\0\0\0\1\1\0\0\0"
#define FETCH(id) "\x09\0\0\0\x1c" id "\0\0\0\2\0\0\0"
#define CLOSE(id) "\5\0\0\0\x19" id "\0\0\0"
#define CURSOR "\1\0\0\1\1\x0a\0\0\2\3def\0\0\0\1a\0\5\0\0\3\xfe\0\0\x42\0"
#define CURSOR_OK "\1\0\0\1\1\x0a\0\0\2\3def\0\0\0\1a\0\7\0\0\3\xfe\0\0\x42\0\0\0"
#define PORTION "\2\0\0\1\1x\2\0\0\2\1y\5\0\0\3\xfe\0\0\x42\0"
#define LAST "\2\0\0\1\1z\5\0\0\2\xfe\0\0\x82\0"

/* Rows that are fetched in portions are those of one statement; its time is the server's, not the client's between. */
static void cursors(void **state)
{
	(void)state;
	begin();
	feed(STREAM_REQUEST, STRING(EXECUTE("\5")), 0, 1);
	feed(STREAM_ANSWER, STRING(CURSOR), 0, 3);
	expect("");
	feed(STREAM_REQUEST, STRING(FETCH("\5")), 0, 10);
	feed(STREAM_ANSWER, STRING(PORTION), 0, 14);
	feed(STREAM_REQUEST, STRING(EXECUTE("\6")), 0, 15); /* two at once */
	feed(STREAM_ANSWER, STRING(CURSOR_OK), 0, 16);
	feed(STREAM_REQUEST, STRING(FETCH("\5")), 0, 20);
	feed(STREAM_ANSWER, STRING(LAST), 0, 21);
	expect("stream statement=5 rows=3 returned busy=7\n");
	feed(STREAM_REQUEST, STRING(FETCH("\6")), 0, 22);
	feed(STREAM_ANSWER, STRING(PORTION), 0, 23);
	feed(STREAM_REQUEST, STRING(CLOSE("\6")), 0, 30); /* before its last row */
	expect("stream statement=6 rows=2 returned busy=2\n");
	feed(STREAM_REQUEST, STRING(EXECUTE("\7")), 0, 31);
	feed(STREAM_ANSWER, STRING(CURSOR), 0, 32);
	feed(STREAM_REQUEST, STRING(FETCH("\7")), 0, 33);
	feed(STREAM_ANSWER, STRING("\2\0\0\1\1x\x0d\0\0\2\xff\x25\5#70100over"), 0, 34);
	expect("stream statement=7 error=1317 busy=2\n");
	feed(STREAM_REQUEST, STRING(EXECUTE("\x08")), 0, 41);
	feed(STREAM_ANSWER, STRING(CURSOR), 0, 42);
	feed(STREAM_REQUEST, STRING(EXECUTE("\x08")), 0, 43); /* again */
	feed(STREAM_ANSWER, STRING(CURSOR), 0, 45);
	expect("stream statement=8 rows=0 returned busy=1\n");
	feed(STREAM_REQUEST, STRING(FETCH("\x08")), 0, 46);
	feed(STREAM_ANSWER, STRING("\2\0\0\1\1x"), 100, 47); /* rows that were not seen; then the end */
	feed(STREAM_ANSWER, STRING("x\2\0\0\x09\1x\5\0\0\x0a\xfe\0\0\x82\0"), 0, 48);
	expect("stream statement=8 busy=4\n");
	feed(STREAM_REQUEST, STRING(EXECUTE("\x09")), 0, 49);
	feed(STREAM_ANSWER, STRING(CURSOR), 0, 50);
	feed(STREAM_REQUEST, STRING(FETCH("\x09")), 0, 51);
	feed(STREAM_ANSWER, STRING(""), 100, 52); /* the place is lost */
	expect("lost internal\n");
	proto_mysql.stream_close(st, 60, on_operation, NULL);
	expect("stream statement=9 busy=1\n");
}

/* More of them than there is room for, and a connection that begins anew. */
static void many_cursors(void **state)
{
	char execute[] = EXECUTE("\1");

	(void)state;
	begin();
	for (int i = 0; i <= MYSQL_CURSORS; i++) {
		execute[5] = (char)(i + 1);
		feed(STREAM_REQUEST, bytes_of(execute, sizeof(execute) - 1), 0, 1);
		feed(STREAM_ANSWER, STRING(CURSOR), 0, 2);
	}
	expect("stream statement=1 rows=0 returned busy=1\n");
	feed(STREAM_REQUEST, STRING("\1\0\0\0\x1f"), 0, 3);
	feed(STREAM_ANSWER, STRING(OK), 0, 4);
	assert_int_equal(bytes_find(buf_bytes(&out), 'b'),
			 strlen("stream internal forgets\nstream statement=17 rows=0 returned "));
	buf_char(&out, '\0');
	assert_null(strstr(out.p, "statement=1 "));
	assert_non_null(strstr(out.p, "statement=16 "));
	buf_reset(&out);
}

/* What cannot be prepared is a statement that failed; the execution that went with it has no text of another one. */
static void prepare_fails(void **state)
{
	struct event_exchange e = { .method = MYSQL_QUERY };
	struct mysql_result r = { .error = 1054, .text = 5 };
	struct exchange_bytes in = {
		&e, STRING("\x09\0\0\0\x16SELECT q"), bytes_of((const char *)&r, sizeof(r)), { 0 }
	};
	struct operation op;

	(void)state;
	begin();
	feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT 1" EXECUTE("\5")), 0, 1);
	feed(STREAM_ANSWER, STRING("\x0c\0\0\1\0\7\0\0\0\0\0\0\0\0\0\0" OK), 0, 2);
	buf_reset(&out);
	feed(STREAM_REQUEST, STRING("\x09\0\0\0\x16SELECT x\x0a\0\0\0\x17\xff\xff\xff\xff\0\1\0\0\0"), 0, 1);
	feed(STREAM_ANSWER, STRING("\x0d\0\0\1\xff\x1e\4#42S22nope\x0d\0\0\1\xff\xdb\4#HY000nope"), 0, 5);
	expect("stream text=\"SELECT x\" error=1054\nstream statement=0 error=1243\n");
	assert_true(proto_mysql.exchange(&in, &op)); /* the kernel calls it a query */
	describe(&op);
	expect(" text=\"SELECT q\" error=1054");
}

/* The kernel hands over where it stands: in the middle of the rows. */
static void handed_over(void **state)
{
	struct event_exchange e = { .proto = PROTO_MYSQL, .start = 1, .first = 2, .answer_bytes = 30 };
	struct mysql_carry carry = { 0 };
	struct exchange_bytes in = { &e, STRING(SELECT("1")), bytes_of((const char *)&carry, sizeof(carry)), { 0 } };

	(void)state;
	begin();
	e.request_bytes = in.request.n;
	drive_mysql_answer(&carry.answer, ROWS, sizeof(ROWS) - 1 - 10); /* within the row */
	mysql_stream_begin(st, &in, on_operation, NULL);
	feed(STREAM_ANSWER, STRING("x\5\0\0\5\xfe\0\0\2\0"), 0, 3);
	expect("stream text=\"SELECT 1\" rows=1 returned\n");
}

/* Values were hidden; a packet before the one that executes went by. The rest of it is still to come. */
static void handed_over_hidden(void **state)
{
	struct event_exchange e = { .proto = PROTO_MYSQL, .method = MYSQL_EXECUTE, .start = 1, .request_bytes = 900 };
	struct mysql_carry carry = { .request.packets.skip = 3 };
	struct exchange_bytes in = {
		&e, STRING("\5\0\0\0\x17\x09\0\0\0"), bytes_of((const char *)&carry, sizeof(carry)), { 0 }
	};

	(void)state;
	begin();
	mysql_stream_begin(st, &in, on_operation, NULL);
	feed(STREAM_REQUEST, STRING("abc" CLOSE("\x09")), 0, 2);
	feed(STREAM_ANSWER, STRING(OK), 0, 3);
	expect("stream statement=9\n");
}

/* The server reads the head of a packet by itself: where it is its end that tells, a text comes without. */
static void handed_over_bare(void **state)
{
	struct event_exchange e = { .proto = PROTO_MYSQL, .method = MYSQL_QUERY, .start = 1, .request_bytes = 9 };
	struct mysql_carry carry = { .text = 1, .prepared = 7 };
	struct exchange_bytes in = { &e, STRING("\3SELECT 1"), bytes_of((const char *)&carry, sizeof(carry)), { 0 } };

	(void)state;
	begin();
	mysql_stream_begin(st, &in, on_operation, NULL);
	feed(STREAM_ANSWER, STRING(OK), 0, 2);
	feed(STREAM_REQUEST, STRING("\x0a\0\0\0"), 0, 3);
	feed(STREAM_REQUEST, STRING("\x17\xff\xff\xff\xff\0\1\0\0\0"), 0, 4);
	feed(STREAM_ANSWER, STRING(OK OK), 0, 5); /* one too many: the place is lost */
	feed(STREAM_REQUEST, STRING("\x09\0\0\0"), 0, 6);
	feed(STREAM_REQUEST, STRING("\3SELECT 2"), 0, 7);
	feed(STREAM_ANSWER, STRING(OK), 0, 8);
	expect("stream text=\"SELECT 1\"\nstream statement=7\nstream text=\"SELECT 2\"\n");
}

static void hello(void **state)
{
	struct event_exchange e = { .proto = PROTO_MYSQL, .method = MYSQL_HANDSHAKE };
	struct mysql_hello h = { .version = "5.5.5-10.11.6-MariaDB-log", .database = "shop" };
	struct mysql_result r = { 0 };
	struct exchange_bytes in = {
		&e, bytes_of((const char *)&h, sizeof(h)), bytes_of((const char *)&r, sizeof(r)), { 0 }
	};
	struct operation op;

	(void)state;
	assert_true(proto_mysql.exchange(&in, &op));
	buf_reset(&out);
	describe(&op);
	expect(" startup server=\"5.5.5-10.11.6-MariaDB-log\" database=\"shop\"");
	in.request.n -= 1; /* not what the kernel sends */
	assert_true(proto_mysql.exchange(&in, &op));
	assert_int_equal(op.database.n, 0);
}

static int setup(void **state)
{
	(void)state;
	st = calloc(1, proto_mysql.stream_size);
	return st ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(st);
	buf_free(&out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(gaps),
		cmocka_unit_test(maybe_eof),
		cmocka_unit_test(long_text),
		cmocka_unit_test(handed_over),
		cmocka_unit_test(hello),
		cmocka_unit_test(cursors),
		cmocka_unit_test(many_cursors),
		cmocka_unit_test(prepare_fails),
		cmocka_unit_test(handed_over_hidden),
		cmocka_unit_test(handed_over_bare),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
