/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of PostgreSQL made by hand: gaps, closes, too much, and answers out of turn. */
#include "postgres_fixture.h"

static void ask_with(const char *text, bool sync, uint64_t time)
{
	buf_reset(&made);
	{
		struct buf body = { 0 };

		buf_char(&body, '\0');
		buf_str(&body, text);
		buf_add(&body, bytes_of("\0\0\0", 3));
		message(&made, 'P', body.p, body.n);
		buf_free(&body);
	}
	MESSAGE('B', "\0\0\0\0\0\0\0\0");
	MESSAGE('E', "\0\0\0\0\0");
	if (sync)
		MESSAGE('S', "");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, time));
}

static void ask(const char *text, uint64_t time)
{
	ask_with(text, true, time);
}

static bool answer(uint64_t gap, uint64_t time)
{
	bool r = feed(STREAM_ANSWER, buf_bytes(&made), gap, time);

	buf_reset(&made);
	return r;
}

/* The end of a large answer was not captured; the client goes on: it ended with its last byte. */
static void gap_hides_the_end(void **state)
{
	(void)state;
	ask("select big", 10);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	assert_true(answer(90000, 20));
	ask("select next", 30);
	assert_true(has("stream 10-20-20 statement=\"select big\"\n"));
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('C', "SELECT 1\0");
	READY();
	assert_true(answer(0, 40));
	assert_true(has("stream 30-40-40 statement=\"select next\" tag=\"SELECT 1\" rows=1 returned\n"));
	assert_false(has("lost"));
}

/* The gap is in the rows: behind it the end is found. */
static void gap_in_the_rows(void **state)
{
	(void)state;
	ask("select big", 10);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	assert_true(answer(5000, 20));
	buf_add(&made, string("middle of a row"));
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('C', "SELECT 99\0");
	READY();
	assert_true(answer(0, 30));
	assert_true(has("stream 10-20-30 statement=\"select big\" tag=\"SELECT 99\" rows=99 returned\n"));
}

/* The server sends rows of the first of a pipeline before the client has sent the rest: going on, it has no answer. */
static void gap_in_a_pipeline(void **state)
{
	(void)state;
	ask_with("select one", false, 10);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	assert_true(answer(5000, 20));
	ask("select two", 21);
	assert_false(has("statement=\"select one\""));
	buf_reset(&made);
	buf_add(&made, string("middle of a row"));
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('C', "SELECT 99\0");
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('C', "SELECT 0\0");
	READY();
	assert_true(answer(0, 30));
	assert_true(has("stream 10-20-30 statement=\"select one\" tag=\"SELECT 99\" rows=99 returned\n"));
	assert_true(has("statement=\"select two\" tag=\"SELECT 0\" rows=0 returned\n"));
	assert_false(has("lost"));
}

/* Two wait and answer bytes are missing: which is which is not known. Nothing is invented, both are counted. */
static void gap_with_two_open(void **state)
{
	(void)state;
	ask("select one", 10);
	ask("select two", 11);
	buf_reset(&made);
	MESSAGE('1', "");
	assert_false(answer(5000, 20));
	assert_true(has("stream 10-20-20 lost") || has("stream 10-0-20 lost"));
	assert_true(has("select one") && has("select two"));
	/* at rest again */
	READY();
	assert_true(answer(0, 30));
	ask("select three", 40);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('C', "SELECT 0\0");
	READY();
	assert_true(answer(0, 50));
	assert_true(has("stream 40-50-50 statement=\"select three\" tag=\"SELECT 0\" rows=0 returned\n"));
}

/* Binds the portal "c" to the statement "s", asks for two rows of it; again = asks for more. */
static void fetch(bool again, uint64_t time)
{
	buf_reset(&made);
	if (!again)
		MESSAGE('B', "c\0s\0\0\0\0\0\0\0");
	MESSAGE('E', "c\0\0\0\0\2");
	MESSAGE('S', "");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, time));
	buf_reset(&made);
	if (!again)
		MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	MESSAGE('D', "\0\1\0\0\0\1x");
}

/* A portal whose last portion never came ends with its transaction, and when its name is bound again. */
static void portal_left_half_way(void **state)
{
	(void)state;
	fetch(false, 10);
	MESSAGE('s', "");
	MESSAGE('Z', "T");
	assert_true(answer(0, 20));
	fetch(true, 30);
	MESSAGE('s', "");
	MESSAGE('Z', "T");
	assert_true(answer(0, 40));
	assert_false(has("stream"));
	fetch(false, 50);
	MESSAGE('s', "");
	MESSAGE('Z', "T");
	assert_true(answer(0, 60));
	assert_true(has("stream 10-20-40 name=\"s\" rows=4 returned\n"));
	assert_false(has("stream 50"));
	MESSAGE('Q', "rollback\0");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, 70));
	buf_reset(&made);
	MESSAGE('C', "ROLLBACK\0");
	READY();
	assert_true(answer(0, 80));
	assert_true(has("stream 50-60-60 name=\"s\" rows=2 returned\n"));
}

static void portal_fails_half_way(void **state)
{
	(void)state;
	fetch(false, 10);
	MESSAGE('s', "");
	MESSAGE('Z', "T");
	assert_true(answer(0, 20));
	fetch(true, 30);
	MESSAGE('E', "SERROR\0C22012\0Mx\0\0");
	MESSAGE('Z', "E");
	assert_true(answer(0, 40));
	assert_true(has("stream 10-20-40 name=\"s\" severity=\"ERROR\" sqlstate=\"22012\"\n"));
}

/* As asyncpg asks: Flush, and Sync when it has the answer. What the server skips is none. */
static void fails_to_be_prepared(void **state)
{
	(void)state;
	buf_reset(&made);
	MESSAGE('P', "s\0select nothing\0\0\0");
	MESSAGE('D', "Ss\0");
	MESSAGE('P', "t\0select skipped\0\0\0");
	MESSAGE('H', "");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, 10));
	buf_reset(&made);
	MESSAGE('E', "SERROR\0C42P01\0Mx\0\0");
	assert_true(answer(0, 20));
	assert_true(has("stream 10-20-20 statement=\"select nothing\" severity=\"ERROR\" sqlstate=\"42P01\"\n"));
	assert_false(has("skipped"));
	MESSAGE('S', "");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, 30));
	buf_reset(&made);
	READY();
	assert_true(answer(0, 40));
	ask("select next", 50);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('C', "SELECT 0\0");
	READY();
	assert_true(answer(0, 60));
	assert_true(has("stream 50-60-60 statement=\"select next\" tag=\"SELECT 0\" rows=0 returned\n"));
}

static void closed_before_the_answer(void **state)
{
	(void)state;
	ask("select never", 10);
	proto_postgres.stream_close(st, 99, on_operation, NULL);
	assert_true(has("stream 10-0-99 unanswered statement=\"select never\"\n"));
}

/* COPY FROM STDIN with data that was not captured. */
static void gap_in_copy_data(void **state)
{
	(void)state;
	MESSAGE('Q', "copy t from stdin\0");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, 10));
	buf_reset(&made);
	MESSAGE('G', "\0\0\1\0\0");
	assert_true(answer(0, 11));
	MESSAGE('d', "1\n");
	MESSAGE('d', "2\n");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 70000, 12));
	buf_reset(&made);
	MESSAGE('d', "9\n");
	MESSAGE('c', "");
	assert_true(feed(STREAM_REQUEST, buf_bytes(&made), 0, 13));
	buf_reset(&made);
	MESSAGE('C', "COPY 5000\0");
	READY();
	assert_true(answer(0, 14));
	assert_true(has("stream 10-11-14 statement=\"copy t from stdin\" simple tag=\"COPY 5000\" rows=5000\n"));
}

/* More than can wait: counted, and found again. */
static void too_many_at_once(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (int i = 0; i < 1500 && !lost; i++) {
		buf_reset(&made);
		MESSAGE('B', "\0s\0\0\0\0\0\0\0");
		MESSAGE('E', "\0\0\0\0\0");
		MESSAGE('S', "");
		lost += !feed(STREAM_REQUEST, buf_bytes(&made), 0, 1);
	}
	assert_int_equal(lost, 1);
	buf_reset(&made);
	READY();
	assert_true(answer(0, 5));
	ask("select again", 10);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('C', "SELECT 0\0");
	READY();
	assert_true(answer(0, 20));
	assert_true(has("stream 10-20-20 statement=\"select again\""));
}

/* Rows that the kernel passed over, in the middle of one: they count, and what follows begins a message. */
static void rows_passed(uint64_t bytes, uint32_t rows, uint64_t time)
{
	struct stream_input in = {
		.dir = STREAM_ANSWER, .data = LITERAL(""), .gap = bytes, .time = time, .rows = rows, .gap_is_rows = true
	};

	assert_true(proto_postgres.stream(st, &in, on_operation, NULL));
}

static void rows_are_passed_over(void **state)
{
	(void)state;
	ask("select big", 10);
	ask("select next", 11);
	buf_reset(&made);
	MESSAGE('1', "");
	MESSAGE('2', "");
	MESSAGE('D', "\0\1\0\0\0\1x");
	buf_add(&made, LITERAL("D\0\0\0\13\0")); /* a row's beginning */
	assert_true(answer(0, 20));
	rows_passed(900000, 98, 25);
	buf_reset(&made);
	MESSAGE('C', "SELECT 100\0");
	READY();
	MESSAGE('1', "");
	MESSAGE('2', "");
	assert_true(answer(0, 30));
	assert_true(has("stream 10-20-30 statement=\"select big\" tag=\"SELECT 100\" rows=100 returned\n"));
	rows_passed(10, 1, 40);
	MESSAGE('C', "SELECT 1\0");
	READY();
	assert_true(answer(0, 50));
	assert_true(has("stream 11-30-50 statement=\"select next\" tag=\"SELECT 1\" rows=1 returned\n"));
	assert_false(has("lost"));
}

/* No tag says how many rows a portal gave that is not finished. */
static void rows_of_a_portal_are_passed_over(void **state)
{
	(void)state;
	fetch(false, 10);
	assert_true(answer(0, 20));
	rows_passed(5000, 40, 21);
	MESSAGE('s', "");
	MESSAGE('Z', "T");
	assert_true(answer(0, 22));
	fetch(true, 30);
	MESSAGE('C', "SELECT 2\0");
	READY();
	assert_true(answer(0, 40));
	assert_true(has("rows=44 returned"));
}

/* A server that answers before it is asked must not make texts run into one another. */
static void answers_out_of_turn(void **state)
{
	char text[6000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[0] = '\0';
	buf_reset(&made);
	message(&made, 'P', text, sizeof(text));
	assert_true(feed(STREAM_REQUEST, bytes_head(buf_bytes(&made), 100), 0, 1));
	{
		struct buf rest = { 0 };

		buf_add(&rest, bytes_tail(buf_bytes(&made), 100));
		buf_reset(&made);
		MESSAGE('1', "");
		assert_true(answer(0, 2));
		for (size_t i = 0; i < rest.n; i += 500)
			feed(STREAM_REQUEST, bytes_head(bytes_tail(buf_bytes(&rest), i), 500), 0, 3);
		buf_free(&rest);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(gap_hides_the_end),
	TEST(gap_in_the_rows),
	TEST(gap_in_a_pipeline),
	TEST(gap_with_two_open),
	TEST(closed_before_the_answer),
	TEST(gap_in_copy_data),
	TEST(too_many_at_once),
	TEST(answers_out_of_turn),
	TEST(portal_left_half_way),
	TEST(fails_to_be_prepared),
	TEST(portal_fails_half_way),
	TEST(rows_are_passed_over),
	TEST(rows_of_a_portal_are_passed_over),
};

int main(void)
{
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&out);
	buf_free(&made);
	return r;
}
