/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame/http1_request.h"
#include "frame/postgres.h"
#include "mysql_drive.h"

#define BYTES(s) (s), sizeof(s) - 1

/* Packets of answers; the numbers in their names are the sequence's. */
#define OK1 "\7\0\0\1\0\5\0\2\0\0\0"
#define OK_MORE1 "\7\0\0\1\0\1\0\x0a\0\0\0"
#define OK2 "\7\0\0\2\0\2\0\2\0\0\0"
#define ERR1 "\x0d\0\0\1\xff\x1e\4#42S22nope"
#define COUNT1 "\1\0\0\1\1"
#define DEF2 "\x0a\0\0\2\3def\0\0\0\1a\0"
#define EOF3 "\5\0\0\3\xfe\0\0\2\0"
#define CURSOR3 "\5\0\0\3\xfe\0\0\x42\0"
#define ROW4 "\2\0\0\4\1x"
#define NULL5 "\1\0\0\5\xfb"
#define EOF6 "\5\0\0\6\xfe\0\0\2\0"
#define EOF_MORE6 "\5\0\0\6\xfe\0\0\x0a\0"
#define OKEND6 "\7\0\0\6\xfe\0\0\2\0\0\0"
#define ERR6 "\x0d\0\0\6\xff\x25\5#70100over"
#define SET_EOF COUNT1 DEF2 EOF3 ROW4 NULL5 EOF6
#define SET_OK COUNT1 DEF2 ROW4 NULL5 OKEND6
#define PREP(columns, params) "\x0c\0\0\1\0\7\0\0\0" columns "\0" params "\0\0\0\0"

static const struct {
	const char *name, *bytes;
	size_t n;
	__u8 command, verdict;
	__u64 rows, affected;
	__u16 results, error;
	const char *sqlstate;
	__u8 eof;
} answers[] = {
	{ "OK", BYTES(OK1), 3, FRAME_COMPLETE, 0, 5, 1, 0, "", 0 },
	{ "OK, then OK", BYTES(OK_MORE1 OK2), 3, FRAME_COMPLETE, 0, 3, 2, 0, "", 0 },
	{ "the first of two", BYTES(OK_MORE1), 3, FRAME_OPEN, 0, 1, 1, 0, "", 0 },
	{ "error", BYTES(ERR1), 3, FRAME_COMPLETE, 0, 0, 0, 1054, "42S22", 0 },
	{ "rows", BYTES(SET_EOF), 3, FRAME_COMPLETE, 2, 0, 1, 0, "", MYSQL_EOF_SENT },
	{ "rows, no EOF packets", BYTES(SET_OK), 3, FRAME_COMPLETE, 2, 0, 1, 0, "", MYSQL_EOF_DEPRECATED },
	{ "no rows", BYTES(COUNT1 DEF2 EOF3 "\5\0\0\4\xfe\0\0\2\0"), 3, FRAME_COMPLETE, 0, 0, 1, 0, "", 1 },
	{ "no rows, no EOF packets", BYTES(COUNT1 DEF2 OKEND6), 3, FRAME_COMPLETE, 0, 0, 1, 0, "", 2 },
	{ "columns only", BYTES(COUNT1 DEF2 EOF3), 3, FRAME_OPEN, 0, 0, 0, 0, "", 1 },
	{ "a cursor", BYTES(COUNT1 DEF2 CURSOR3), 0x17, FRAME_COMPLETE, 0, 0, 1, 0, "", 1 },
	{ "rows of a cursor", BYTES(ROW4 NULL5 EOF6), 0x1c, FRAME_COMPLETE, 2, 0, 1, 0, "", 0 },
	{ "an error among rows", BYTES(COUNT1 DEF2 EOF3 ROW4 ERR6), 3, FRAME_COMPLETE, 1, 0, 0, 1317, "70100", 1 },
	{ "a procedure", BYTES(COUNT1 DEF2 EOF3 ROW4 EOF_MORE6 OK2), 3, FRAME_COMPLETE, 1, 2, 2, 0, "", 1 },
	{ "cached columns", BYTES("\2\0\0\1\1\0" EOF3 ROW4 EOF6), 0x17, FRAME_COMPLETE, 1, 0, 1, 0, "", 1 },
	{ "columns are sent", BYTES("\2\0\0\1\1\1" DEF2 EOF3 ROW4 EOF6), 0x17, FRAME_COMPLETE, 1, 0, 1, 0, "", 1 },
	{ "MySQL's way", BYTES("\2\0\0\1\0\3" ROW4 OKEND6), 3, FRAME_COMPLETE, 1, 0, 1, 0, "", 2 },
	{ "a file is wanted", BYTES("\3\0\0\1\xfb/a"), 3, FRAME_OPEN, 0, 0, 0, 0, "", 0 },
	{ "how far it is", BYTES("\10\0\0\1\xff\xff\xff\1\1\2\0\0"), 3, FRAME_OPEN, 0, 0, 0, 0, "", 0 },
	{ "how far it is, and the end",
	  BYTES("\10\0\0\1\xff\xff\xff\1\1\2\0\0"
		"\7\0\0\2\0\11\0\2\0\0\0"),
	  3, FRAME_COMPLETE, 0, 9, 1, 0, "", 0 },
	{ "prepared, nothing", BYTES(PREP("\0", "\0")), 0x16, FRAME_COMPLETE, 0, 0, 0, 0, "", 0 },
	{ "prepared, may go on", BYTES(PREP("\1", "\0") DEF2), 0x16, FRAME_UNSURE, 0, 0, 0, 0, "", 0 },
	{ "prepared", BYTES(PREP("\1", "\0") DEF2 EOF3), 0x16, FRAME_COMPLETE, 0, 0, 0, 0, "", 1 },
	{ "prepared, parameters", BYTES(PREP("\1", "\1") DEF2 EOF3 DEF2 EOF3), 0x16, FRAME_COMPLETE, 0, 0, 0, 0, "",
	  1 },
	{ "prepared, half", BYTES(PREP("\1", "\1") DEF2 EOF3 DEF2), 0x16, FRAME_OPEN, 0, 0, 0, 0, "", 1 },
	{ "prepared, no EOF", BYTES(PREP("\1", "\1") DEF2 DEF2), 0x16, FRAME_COMPLETE, 0, 0, 0, 0, "", 2 },
	{ "prepare failed", BYTES(ERR1), 0x16, FRAME_COMPLETE, 0, 0, 0, 1054, "42S22", 0 },
	{ "statistics", BYTES("\5\0\0\1Up: 1"), 9, FRAME_COMPLETE, 0, 0, 0, 0, "", 0 },
	{ "another user",
	  BYTES("\2\0\0\1\xfe\0"
		"\7\0\0\3\0\0\0\2\0\0\0"),
	  0x11, FRAME_COMPLETE, 0, 0, 0, 0, "", 0 },
	{ "nonsense", BYTES("\0\0\0\1"), 3, FRAME_UNSURE, 0, 0, 0, 0, "", 0 },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct mysql_answer whole = { 0 };

		mysql_answer_init(&whole, answers[i].command);
		drive_mysql_answer(&whole, answers[i].bytes, answers[i].n);
		if (mysql_answer_verdict(&whole) != answers[i].verdict || whole.rows != answers[i].rows ||
		    whole.affected != answers[i].affected || whole.results != answers[i].results ||
		    whole.error != answers[i].error || strncmp(whole.sqlstate, answers[i].sqlstate, 5) != 0 ||
		    whole.eof != answers[i].eof)
			fail_msg("%s: verdict %d, %llu rows, %llu affected, %u results, error %u, eof %u",
				 answers[i].name, mysql_answer_verdict(&whole), (unsigned long long)whole.rows,
				 (unsigned long long)whole.affected, whole.results, whole.error, whole.eof);
		for (size_t step = 1; step < answers[i].n; step++) {
			struct mysql_answer cut = { 0 };

			mysql_answer_init(&cut, answers[i].command);
			for (size_t at = 0; at < answers[i].n; at += step)
				drive_mysql_answer(&cut, answers[i].bytes + at,
						   step < answers[i].n - at ? step : answers[i].n - at);
			if (!mysql_same_answer(&whole, &cut))
				fail_msg("%s in pieces of %zu", answers[i].name, step);
		}
	}
}

#define ROWS 5000

/* Rows of the lengths that a kind has; their data may look like a row's beginning. How many bytes. */
static size_t make_rows(int kind, char *to)
{
	char *p = to;
	unsigned number = 4;

	for (int k = 0; k < ROWS; k++) {
		unsigned len = kind == 0 ? 6 : kind == 1 ? 1 + k % 7 : kind == 2 ? 6 + (k % 40 == 39) : 9;

		p[0] = (char)len;
		p[1] = p[2] = 0;
		p[3] = (char)number++;
		memset(p + 4, kind == 3 ? 0 : 'x', len);
		p[4] = 5;
		if (kind == 3) { /* as the header of the next would be, one row too early */
			p[5] = 9;
			p[8] = (char)(number + 1);
		}
		p += 4 + len;
	}
	return (size_t)(p - to);
}

static void test_rows_alike(void **state)
{
	static const size_t steps[] = { 1 << 30, 1024, 1000, 4096, 37, 13 };
	static char bytes[ROWS * 16 + 16];

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(steps) / sizeof(steps[0]); i++) {
		size_t n = make_rows((int)(i % 4), bytes), step = steps[i / 4];
		struct mysql_answer a = { 0 };

		memcpy(bytes + n, EOF6, sizeof(EOF6) - 1);
		n += sizeof(EOF6) - 1;
		mysql_answer_init(&a, MYSQL_COM_QUERY);
		drive_mysql_answer(&a, BYTES(COUNT1 DEF2 EOF3));
		for (size_t at = 0; at < n; at += step)
			drive_mysql_answer(&a, bytes + at, step < n - at ? step : n - at);
		assert_int_equal(a.rows, ROWS);
		assert_int_equal(mysql_answer_verdict(&a), FRAME_COMPLETE);
	}
	make_rows(0, bytes);
	assert_int_equal(mysql_alike(bytes, 0, 10, 1024), 101); /* the last header that is whole */
	bytes[1013] ^= 1;					/* its number */
	assert_int_equal(mysql_alike(bytes, 0, 10, 1024), 0);
	assert_int_equal(mysql_alike(bytes, 0, 10, 1014), 100);
	assert_int_equal(mysql_alike(bytes, 0, 4, 1024), 0);
	assert_int_equal(mysql_alike(bytes, 0, 10, 4), 0);
}

static void test_full_packets(void **state)
{
	/* A row of 16 MiB and three bytes is two packets, and its second part may look like anything. */
	static const char head[] = COUNT1 DEF2 EOF3 "\xff\xff\xff\4\xfe", next[] = "\5\0\0\5\xfe\0\0\2\0" EOF6;
	struct mysql_answer a = { 0 };
	char *zeros = calloc(1, MYSQL_FULL - 1);

	(void)state;
	assert_non_null(zeros);
	drive_mysql_answer(&a, head, sizeof(head) - 1);
	drive_mysql_answer(&a, zeros, MYSQL_FULL - 1);
	assert_int_equal(a.rows, 1);
	drive_mysql_answer(&a, next, 9);
	assert_int_equal(mysql_answer_verdict(&a), FRAME_OPEN);
	drive_mysql_answer(&a, next + 9, 9);
	assert_int_equal(mysql_answer_verdict(&a), FRAME_COMPLETE);
	assert_int_equal(a.rows, 1);
	free(zeros);
}

static void test_eof_is_remembered(void **state)
{
	struct mysql_answer a = { 0 };

	(void)state;
	drive_mysql_answer(&a, SET_OK, sizeof(SET_OK) - 1);
	mysql_answer_init(&a, MYSQL_COM_STMT_PREPARE);
	drive_mysql_answer(&a, BYTES(PREP("\1", "\0") DEF2));
	assert_int_equal(mysql_answer_verdict(&a), FRAME_COMPLETE);
	assert_int_equal(a.statement, 7);
}

static const struct {
	const char *name, *bytes;
	size_t n;
	__u8 command, commands, bad;
	__u32 statement;
} requests[] = {
	{ "query", BYTES("\x09\0\0\0\3SELECT 1"), 3, 1, 0, 0 },
	{ "two queries", BYTES("\x09\0\0\0\3SELECT 1\x09\0\0\0\3SELECT 2"), 3, 2, 0, 0 },
	{ "execute", BYTES("\x0a\0\0\0\x17\5\1\0\0\0\1\0\0\0"), 0x17, 1, 0, 261 },
	{ "close, then query", BYTES("\5\0\0\0\x19\1\0\0\0\x09\0\0\0\3SELECT 1"), 3, 1, 0, 0 },
	{ "data, then execute", BYTES("\x08\0\0\0\x18\1\0\0\0\0\0z\x0a\0\0\0\x17\1\0\0\0\0\1\0\0\0"), 0x17, 1, 0, 1 },
	{ "quit", BYTES("\1\0\0\0\1"), 0, 0, 0, 0 },
	{ "ping", BYTES("\1\0\0\0\x0e"), 0x0e, 1, 0, 0 },
	{ "a file", BYTES("\3\0\0\2abc\0\0\0\3"), 0, 0, 0, 0 },
	{ "no command", BYTES("\1\0\0\0\x77"), 0, 0, 1, 0 },
};

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct mysql_request_walk whole = { 0 };

		drive_mysql_request(&whole, requests[i].bytes, requests[i].n);
		if (whole.command != requests[i].command || whole.commands != requests[i].commands ||
		    whole.bad != requests[i].bad || whole.statement != requests[i].statement)
			fail_msg("%s: command %u, %u of them, bad %u, statement %u", requests[i].name, whole.command,
				 whole.commands, whole.bad, whole.statement);
		for (size_t step = 1; step < 5; step++) {
			struct mysql_request_walk cut = { 0 };

			for (size_t at = 0; at < requests[i].n; at += step)
				drive_mysql_request(&cut, requests[i].bytes + at,
						    step < requests[i].n - at ? step : requests[i].n - at);
			assert_true(mysql_same_request(&whole, &cut));
		}
	}
}

static char *head_of(const char *p, size_t n)
{
	static char head[FRAME_DETECT];

	memset(head, 0, sizeof(head));
	memcpy(head, p, n < sizeof(head) ? n : sizeof(head));
	return head;
}

#define GREETING         \
	"\x4a\0\0\0\x0a" \
	"5.5.5-10.11.6-MariaDB"

static void test_detect(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int request;
	} cases[] = {
		{ BYTES("\x09\0\0\0\3SELECT 1"), 1 },
		{ BYTES("\x0b\0\0\0\3\0\1SELECT 1"), 1 },
		{ BYTES("\x0a\0\0\0\x17\1\0\0\0\0\1\0\0\0"), 1 },
		{ BYTES("\x09\0\0\0\x16SELECT 1"), 1 },
		{ BYTES("\x09\0\0\1\3SELECT 1"), 0 },		      /* not the first of its sequence */
		{ BYTES("\x0a\0\0\0\3SELECT 1"), 0 },		      /* longer than what was sent */
		{ BYTES("\x09\0\0\0\3\1\2\3\4\5\6\7\x08"), 0 },	      /* no text */
		{ BYTES("\1\0\0\0\x0e"), 0 },			      /* a ping: anything may look like that */
		{ BYTES("\x10\0\0\0\3\0\0\0\0\0\0\0\xd4\7\0\0"), 0 }, /* MongoDB */
		{ BYTES("\4\0\0\0\7\0\0\0\0"), 0 },		      /* Cassandra */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__u32 n = cases[i].n < FRAME_DETECT ? (__u32)cases[i].n : FRAME_DETECT;

		if (mysql_detect(head_of(cases[i].bytes, cases[i].n), n, cases[i].n) != cases[i].request)
			fail_msg("case %zu", i);
		if (cases[i].request) {
			assert_false(pg_detect(head_of(cases[i].bytes, cases[i].n), n, cases[i].n));
			assert_false(http1_method(head_of(cases[i].bytes, cases[i].n), n));
		}
	}
	assert_true(mysql_greeting(head_of(GREETING, 20), 16, 0x4e));
	assert_false(mysql_greeting(head_of(GREETING, 20), 16, 0x4f));
	assert_false(mysql_greeting(head_of("\x4a\0\0\0\x0b"
					    "5.5.5",
					    10),
				    16, 0x4e));
	assert_int_equal(mysql_greeting_header(head_of(GREETING, 4), 4), 0x4a);
	assert_int_equal(mysql_greeting_header(head_of(GREETING, 5), 5), 0);
}

static void test_tail(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		__u8 end, state;
		__u16 error;
	} cases[] = {
		{ BYTES(ROW4 NULL5 EOF6), 1, MYSQL_DONE, 0 },
		{ BYTES(ROW4 NULL5 OKEND6), 1, MYSQL_DONE, 0 },
		{ BYTES(ROW4 NULL5 EOF_MORE6), 1, MYSQL_FIRST, 0 },
		{ BYTES(ROW4 ERR6), 1, MYSQL_DONE, 1317 },
		{ BYTES(ROW4 NULL5), 0, MYSQL_TAIL, 0 },
		{ BYTES(EOF6 "\2\0"), 0, MYSQL_TAIL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mysql_answer a = { .state = MYSQL_TAIL };
		char block[64] = { 0 };
		int end = 0;

		memcpy(block, cases[i].bytes, cases[i].n);
		for (size_t at = 0; at < cases[i].n && !end; at++)
			end = mysql_tail(&a, block + at, (__u32)(cases[i].n - at));
		if (end != cases[i].end || a.state != cases[i].state || a.error != cases[i].error)
			fail_msg("case %zu: %d, state %u, error %u", i, end, a.state, a.error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	     cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_full_packets), cmocka_unit_test(test_eof_is_remembered),
		cmocka_unit_test(test_requests),     cmocka_unit_test(test_detect),
		cmocka_unit_test(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
