/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frame_drive.h"

#define MESSAGES(s) (s), sizeof(s) - 1

#define Q "Q\0\0\0\x0dSELECT 1\0"
#define P "P\0\0\0\x10\0SELECT 1\0\0\0"
#define P_NAMED "P\0\0\0\x12s1\0SELECT 1\0\0\0"
#define B "B\0\0\0\x0c\0\0\0\0\0\0\0\0"
#define D "D\0\0\0\6P\0"
#define E "E\0\0\0\x09\0\0\0\0\0"
#define S "S\0\0\0\4"
#define H "H\0\0\0\4"
#define X "X\0\0\0\4"
#define C "C\0\0\0\6S\0"

static const struct {
	const char *name, *bytes;
	size_t n;
	__u8 request;
	int pipelined;
} turns[] = {
	{ "simple query", MESSAGES(Q), PG_QUERY, 0 },
	{ "two queries", MESSAGES(Q Q), PG_QUERY, 1 },
	{ "extended", MESSAGES(P B D E S), PG_EXTENDED, 0 },
	{ "prepared before", MESSAGES(B D E S), PG_EXECUTE, 0 },
	{ "close first", MESSAGES(C P B E S), PG_EXTENDED, 0 },
	{ "prepare only", MESSAGES(P_NAMED D S), PG_PARSE, 0 },
	{ "prepare and flush", MESSAGES(P D H), PG_PARSE, 0 },
	{ "two executes, one sync", MESSAGES(P B E B E S), PG_EXTENDED, 1 },
	{ "two syncs", MESSAGES(B E S B E S), PG_EXECUTE, 1 },
	{ "sync alone", MESSAGES(S), PG_OTHER, 0 },
	{ "terminate", MESSAGES(X), PG_OTHER, 0 },
};

static void test_turns(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct pg_request_walk whole = { 0 }, cut = { 0 };

		drive_pg(&whole, turns[i].bytes, turns[i].n);
		if (whole.bad || whole.skip || pg_walk_request(&whole) != turns[i].request ||
		    pg_walk_pipelined(&whole) != turns[i].pipelined)
			fail_msg("%s: request %u, pipelined %d", turns[i].name, pg_walk_request(&whole),
				 pg_walk_pipelined(&whole));
		for (size_t k = 0; k < turns[i].n; k++)
			drive_pg(&cut, turns[i].bytes + k, 1);
		/* what is left over in the header's bytes does not count */
		memset(whole.head, 0, sizeof(whole.head));
		memset(cut.head, 0, sizeof(cut.head));
		assert_memory_equal(&whole, &cut, sizeof(cut));
	}
}

static void test_nonsense_is_noticed(void **state)
{
	struct pg_request_walk w = { 0 };

	(void)state;
	drive_pg(&w, "!\0\0\0\4", 5);
	assert_true(w.bad);
	memset(&w, 0, sizeof(w));
	drive_pg(&w, "Q\0\0\0\3", 5);
	assert_true(w.bad);
	memset(&w, 0, sizeof(w));
	drive_pg(&w, "Q\x7f\0\0\0", 5);
	assert_true(w.bad);
}

static void test_detect(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		__u64 total; /* 0: n */
		__u8 request;
	} v[] = {
		{ MESSAGES(Q), 0, PG_QUERY },
		{ MESSAGES("Q\0\0\x10\0SELECT x"), 4097, PG_QUERY },
		{ MESSAGES(P B E S), 0, PG_EXTENDED },
		{ MESSAGES(B E S), 0, PG_EXECUTE },
		{ MESSAGES("\0\0\0\x08\x04\xd2\x16\x2f"), 0, PG_SSL },
		{ MESSAGES("\0\0\0\x08\x04\xd2\x16\x30"), 0, PG_SSL },
		{ MESSAGES("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"), 0, PG_CANCEL },
		{ MESSAGES("\0\0\0\x10\0\3\0\0user\0x\0\0"), 16, PG_STARTUP },
		{ MESSAGES("\0\0\0\x20\0\3\0\0user\0x\0\0"), 16, PG_NONE },
		{ MESSAGES("Quit everything"), 0, PG_NONE },
		{ MESSAGES("POST / HTTP/1.1\r\n"), 0, PG_NONE },
		{ MESSAGES("BEGIN something"), 0, PG_NONE },
		{ MESSAGES("\x16\3\1\2\0\1\0\1\xfc\3\3"), 0, PG_NONE },
		{ MESSAGES("*3\r\n$3\r\nSET\r\n"), 0, PG_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char b[FRAME_DETECT] = { 0 };
		size_t n = v[i].n < sizeof(b) ? v[i].n : sizeof(b);

		memcpy(b, v[i].bytes, n);
		if (pg_detect(b, (__u32)n, v[i].total ? v[i].total : v[i].n) != v[i].request)
			fail_msg("row %zu", i);
	}
}

static void test_ready(void **state)
{
	(void)state;
	assert_int_equal(pg_ready_at_end("Z\0\0\0\5I"), 'I');
	assert_int_equal(pg_ready_at_end("Z\0\0\0\5E"), 'E');
	assert_int_equal(pg_ready_at_end("Z\0\0\0\5x"), 0);
	assert_int_equal(pg_ready_at_end("C\0\0\0\5I"), 0);
}

static void test_sqlstate(void **state)
{
	static const char *const codes[] = { "00000", "23505", "22012", "42P01", "XX000", "ZZZZZ", "P0001" };
	char text[6];

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		__u32 packed = pg_sqlstate_pack(codes[i]);

		assert_int_not_equal(packed, 0);
		pg_sqlstate_unpack(packed, text);
		assert_string_equal(text, codes[i]);
	}
	assert_int_equal(pg_sqlstate_pack("23 05"), 0);
	assert_int_equal(pg_sqlstate_pack("abcde"), 0);
}

/* As the kernel's side goes over a block. */
static __u8 several(__u8 state, const char *p, __u32 n)
{
	for (__u32 k = 0; k < n && state != PG_SEVERAL; k += 8)
		state = pg_several(state, p + k, n - k);
	return state;
}

/* Whole, and cut at every byte. */
static void test_several_statements(void **state)
{
	static const struct {
		const char *text;
		int several;
	} v[] = {
		{ "select 1", PG_ONE },
		{ "select 1;", PG_SEMICOLON },
		{ "select 1 ; \n\t ;; ", PG_SEMICOLON },
		{ "select 1;select 2", PG_SEVERAL },
		{ "begin; select 2; commit;", PG_SEVERAL },
		{ "select ';' as a literal is taken for more", PG_SEVERAL },
		{ ";x", PG_SEVERAL },
		{ "select 1;\x80", PG_SEVERAL },
		{ "s\xbb \xa0 :<", PG_ONE }, /* a bit away from ; and blank */
		{ "", PG_ONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		__u32 n = (__u32)strlen(v[i].text) + 1; /* with its NUL, as it is sent */

		for (__u32 cut = 0; cut <= n; cut++) {
			char block[PG_SEVERAL_BLOCK + 8];
			__u8 s;

			memset(block, ';', sizeof(block)); /* what lies behind must not matter */
			memcpy(block, v[i].text, cut);
			s = several(PG_ONE, block, cut);
			memset(block, 'x', sizeof(block));
			memcpy(block, v[i].text + cut, n - cut);
			s = several(s, block, n - cut);
			if (s != v[i].several)
				fail_msg("%s, cut at %u: %d", v[i].text, cut, s);
		}
	}
}

static void test_several_fills_a_block(void **state)
{
	char block[PG_SEVERAL_BLOCK + 8];

	(void)state;
	memset(block, ' ', sizeof(block));
	assert_int_equal(several(PG_ONE, block, PG_SEVERAL_BLOCK), PG_ONE);
	block[PG_SEVERAL_BLOCK - 1] = ';';
	assert_int_equal(several(PG_ONE, block, PG_SEVERAL_BLOCK), PG_SEMICOLON);
	block[PG_SEVERAL_BLOCK - 1] = 'x';
	block[PG_SEVERAL_BLOCK - 2] = ';';
	assert_int_equal(several(PG_ONE, block + 5, PG_SEVERAL_BLOCK - 5), PG_SEVERAL);
}

static void test_what_the_server_counts(void **state)
{
	static const struct {
		char text[32];
		int counts;
	} v[] = {
		{ "DEALLOCATE \"_pg3_0\"", 0 },
		{ "deallocate all", 0 },
		{ "deallocated", 1 },
		{ "PREPARE x AS SELECT 1", 0 },
		{ "prepare transaction 'x'", 1 },
		{ "EXECUTE x", 1 },
		{ "SELECT 1", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (pg_text_counts(v[i].text) != v[i].counts)
			fail_msg("%s", v[i].text);
}

/* In a window that ends with the message, behind bytes that mean nothing. */
static __u8 tag_of(const char *message, size_t n, __u64 *ret_rows)
{
	char window[PG_TAG_WINDOW];

	memset(window, '7', sizeof(window));
	if (n > sizeof(window)) {
		message += n - sizeof(window);
		n = sizeof(window);
	}
	memcpy(window + sizeof(window) - n, message, n);
	return pg_tag_at_end(window, ret_rows);
}

static void test_tags(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		__u8 kind;
		__u64 rows;
	} v[] = {
		{ MESSAGES("C\0\0\0\x0dSELECT 3\0"), PG_TAG_RETURNS, 3 },
		{ MESSAGES("C\0\0\0\x0dSELECT 0\0"), PG_TAG_RETURNS, 0 },
		{ MESSAGES("C\0\0\0\x13SELECT 5000000\0"), PG_TAG_RETURNS, 5000000 },
		{ MESSAGES("C\0\0\0\x0d"
			   "FETCH 20\0"),
		  PG_TAG_RETURNS, 20 },
		{ MESSAGES("C\0\0\0\x0fINSERT 0 1\0"), PG_TAG_CHANGES, 1 },
		{ MESSAGES("C\0\0\0\x22INSERT 0 18446744073709551615\0"), PG_TAG_CHANGES, ~0ULL },
		{ MESSAGES("C\0\0\0\x0eUPDATE 42\0"), PG_TAG_CHANGES, 42 },
		{ MESSAGES("C\0\0\0\x0d"
			   "DELETE 7\0"),
		  PG_TAG_CHANGES, 7 },
		{ MESSAGES("C\0\0\0\x0cMERGE 7\0"), PG_TAG_CHANGES, 7 },
		{ MESSAGES("C\0\0\0\x0b"
			   "COPY 9\0"),
		  PG_TAG_CHANGES, 9 },
		{ MESSAGES("C\0\0\0\x0bMOVE 9\0"), PG_TAG_OTHER, 0 },
		{ MESSAGES("C\0\0\0\x0b"
			   "COMMIT\0"),
		  PG_TAG_COMMIT, 0 },
		{ MESSAGES("C\0\0\0\x0dROLLBACK\0"), PG_TAG_ROLLBACK, 0 },
		{ MESSAGES("C\0\0\0\x14"
			   "COMMIT PREPARED\0"),
		  PG_TAG_OTHER, 0 },
		{ MESSAGES("C\0\0\0\x0c"
			   "COMMENT\0"),
		  PG_TAG_OTHER, 0 },
		{ MESSAGES("C\0\0\0\x0a"
			   "BEGIN\0"),
		  PG_TAG_OTHER, 0 },
		{ MESSAGES("C\0\0\0\x0eSELECT 3\0"), PG_TAG_OTHER, 0 }, /* its length is not that */
		{ MESSAGES("D\0\0\0\x0dSELECT 3\0"), PG_TAG_OTHER, 0 }, /* a row that says so */
		{ MESSAGES("C\0\0\0\x0bSELECT\0"), PG_TAG_OTHER, 0 },
		{ MESSAGES("SELECT 3 "), PG_TAG_OTHER, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		__u64 rows = 99;
		__u8 kind = tag_of(v[i].bytes, v[i].n, &rows);

		if (kind != v[i].kind || rows != v[i].rows)
			fail_msg("%zu: %u, %llu rows", i, kind, (unsigned long long)rows);
	}
}

static void test_answer_walk(void **state)
{
	struct pg_answer_walk w = { .on = 1 };
	char tail[PG_TAIL] = { 0 };

	(void)state;
	assert_int_equal(pg_row("D\0\0\1\2xxx", 'D'), 0x103);
	assert_int_equal(pg_row("D\0\0\1\2xxx", 'd'), 0);
	assert_int_equal(pg_row("D\0\0\0\3xxx", 'D'), 0);
	assert_int_equal(pg_row("D\377\0\0\3xxx", 'D'), 0);
	assert_int_equal(pg_answer_begins(&w, "Z\0\0\0\5"), 6);
	assert_int_equal(pg_answer_begins(&w, "d\0\0\0\5"), 6);
	assert_true(w.on && pg_is_row((char)w.type) && w.ready == 1);
	assert_int_equal(pg_answer_begins(&w, "\0\0\0\0\5"), 0);
	assert_false(w.on);
	memcpy(tail + PG_TAIL - 6, "Z\0\0\0\5I", 6);
	assert_int_equal(pg_command_at_end(tail), 0);
	memcpy(tail + PG_TAIL - 6 - 18, "C\0\0\0\21SELECT 50000", 18);
	assert_int_equal(pg_command_at_end(tail), PG_TAIL - 6 - 18);
}

static void test_what_brings_rows(void **state)
{
	(void)state;
	for (const char *p = "TDH"; *p; p++)
		assert_int_equal(pg_brings_rows(*p), 1);
	for (const char *p = "123tnNSA"; *p; p++)
		assert_int_equal(pg_brings_rows(*p), -1);
	for (const char *p = "CGZEI"; *p; p++)
		assert_int_equal(pg_brings_rows(*p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_nonsense_is_noticed),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_sqlstate),
		cmocka_unit_test(test_several_statements),
		cmocka_unit_test(test_several_fills_a_block),
		cmocka_unit_test(test_what_the_server_counts),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_answer_walk),
		cmocka_unit_test(test_what_brings_rows),
	};

	return cmocka_run_group_tests_name("frame_postgres", tests, NULL, NULL);
}
