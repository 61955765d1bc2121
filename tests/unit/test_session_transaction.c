/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions of streaming connections: what tags, texts and the server's own word make of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "session/transaction.h"

static struct transaction t;
static struct transaction_end end;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&end, 0, sizeof(end));
	return 0;
}

/* A statement from start to stop with this tag ("!": it failed); true: it ended a transaction. */
static bool ran(uint64_t start, uint64_t stop, const char *tag, const char *text)
{
	struct stream_operation op = { .start = start, .end = stop };

	op.op.proto = PROTO_POSTGRES;
	if (*tag == '!')
		op.op.sqlstate = BYTES_LITERAL("22012");
	else
		op.op.command_tag = bytes_str(tag);
	return transaction_statement(&t, &op, bytes_str(text), &end);
}

static bool ready(char status)
{
	return transaction_ready(&t, status, &end);
}

static bool mysql(uint64_t start, uint64_t stop, char status, const char *text)
{
	struct stream_operation op = { .start = start, .end = stop };

	op.op.proto = PROTO_MYSQL;
	op.op.transaction_status = status;
	op.op.error_number = status ? 0 : 1213;
	return transaction_statement(&t, &op, bytes_str(text), &end);
}

static void ended(uint64_t duration, uint64_t idle, uint32_t statements, uint8_t outcome)
{
	if (end.duration != duration || end.idle != idle || end.statements != statements || end.outcome != outcome)
		fail_msg("%llu ns, %llu idle, %u statements, outcome %u", (unsigned long long)end.duration,
			 (unsigned long long)end.idle, end.statements, end.outcome);
}

static void turn_by_turn(void **state)
{
	(void)state;
	assert_false(ready('I'));
	assert_false(ran(100, 110, "BEGIN", "begin"));
	assert_false(ready('T'));
	assert_false(ran(150, 160, "UPDATE 1", "update"));
	assert_false(ready('T'));
	assert_true(ran(200, 210, "COMMIT", "commit"));
	ended(110, 80, 3, TRANSACTION_COMMIT);
	assert_false(ready('I'));
	assert_false(transaction_closed(&t, 300, &end));
}

/* BEGIN, work and COMMIT before any ReadyForQuery, overlapping each other. */
static void in_one_pipeline(void **state)
{
	(void)state;
	assert_false(ready('I'));
	assert_false(ran(90, 95, "SELECT 1", "select"));
	assert_false(ran(100, 120, "BEGIN", "begin"));
	assert_false(ran(100, 130, "SELECT 1", "select"));
	assert_true(ran(100, 140, "COMMIT", "commit"));
	ended(40, 0, 3, TRANSACTION_COMMIT);
	assert_false(ran(100, 150, "BEGIN", "begin"));
	assert_true(ran(100, 170, "ROLLBACK", "rollback"));
	ended(70, 0, 2, TRANSACTION_ROLLBACK);
	assert_false(ready('I'));
}

static void fails(void **state)
{
	(void)state;
	assert_false(ready('I'));
	assert_false(ran(100, 110, "BEGIN", ""));
	assert_false(ran(120, 130, "!", "select 1/0"));
	assert_false(ready('E'));
	assert_true(ran(140, 150, "ROLLBACK", "commit")); /* what the server says to a COMMIT that cannot be */
	ended(50, 20, 3, TRANSACTION_ROLLBACK);
	assert_false(ready('I'));
	/* a COMMIT that fails has no tag: ReadyForQuery tells */
	assert_false(ran(200, 210, "BEGIN", ""));
	assert_false(ready('T'));
	assert_false(ran(220, 230, "!", "commit"));
	assert_true(ready('I'));
	ended(30, 10, 2, TRANSACTION_ROLLBACK);
}

static void savepoints_and_chains(void **state)
{
	(void)state;
	assert_false(ready('I'));
	assert_false(ran(100, 110, "START TRANSACTION", ""));
	assert_false(ran(110, 120, "SAVEPOINT", "savepoint s"));
	assert_false(ran(120, 130, "!", "x"));
	assert_false(ready('E'));
	assert_false(ran(130, 140, "ROLLBACK", " ROLLBACK\tTO s"));
	assert_false(ran(140, 150, "ROLLBACK", "rollback work to savepoint s"));
	assert_false(ready('T'));
	assert_true(ran(150, 160, "COMMIT", "commit and chain"));
	ended(60, 0, 6, TRANSACTION_COMMIT);
	assert_false(ready('T'));
	assert_true(ran(200, 210, "COMMIT", "commit"));
	ended(50, 40, 1, TRANSACTION_COMMIT);
	assert_false(ready('I'));
	assert_false(ran(300, 310, "COMMIT", "commit")); /* there is none: a warning */
	assert_false(ready('I'));
}

/* Attached in the middle, or something was lost: nothing is claimed until the server says that none is open. */
static void not_seen_from_the_beginning(void **state)
{
	(void)state;
	assert_false(ran(100, 110, "UPDATE 1", ""));
	assert_false(ready('T'));
	assert_false(ran(120, 130, "COMMIT", ""));
	assert_false(ready('I'));
	assert_false(ran(200, 210, "BEGIN", ""));
	assert_false(ready('T'));
	transaction_lost(&t);
	assert_false(ready('T'));
	assert_false(ran(220, 230, "COMMIT", ""));
	assert_false(ready('I'));
	/* its BEGIN had no tag that was seen */
	assert_false(ran(300, 310, "", ""));
	assert_false(ready('T'));
	assert_true(ran(320, 330, "COMMIT", ""));
	ended(30, 10, 2, TRANSACTION_COMMIT);
}

static void goes_on_where_the_kernel_was(void **state)
{
	const struct event_transaction open = { .began = 50, .busy = 10, .statements = 2, .status = 'T' };
	const struct event_transaction idle = { .status = 'I' };

	(void)state;
	transaction_carry(&t, &open);
	assert_false(ran(100, 110, "UPDATE 1", ""));
	assert_true(ran(100, 120, "COMMIT", ""));
	ended(70, 40, 4, TRANSACTION_COMMIT);
	transaction_carry(&t, &open);
	assert_true(transaction_closed(&t, 150, &end));
	ended(100, 90, 2, TRANSACTION_ROLLBACK);
	transaction_carry(&t, &idle);
	assert_false(ran(200, 210, "", ""));
	assert_false(ready('T'));
	assert_true(transaction_closed(&t, 250, &end));
	ended(50, 40, 1, TRANSACTION_ROLLBACK);
}

static void mysql_says_it_each_time(void **state)
{
	(void)state;
	assert_false(mysql(10, 20, 'T', "update")); /* who knows since when */
	assert_false(mysql(30, 40, 'I', "commit"));
	assert_false(mysql(100, 110, 'T', "begin"));
	assert_false(mysql(120, 130, 0, "update"));
	assert_true(mysql(140, 150, 'I', "commit"));
	ended(50, 20, 3, TRANSACTION_COMMIT); /* of what did not fail */
	assert_false(mysql(200, 210, 'I', "select"));
	assert_false(mysql(300, 310, 'T', "begin"));
	assert_true(mysql(320, 330, 'I', "ROLLBACK"));
	ended(30, 10, 2, TRANSACTION_ROLLBACK);
	assert_false(mysql(400, 410, 'T', "begin"));
	assert_true(mysql(420, 430, 'I', "COMMIT"));
	ended(30, 10, 2, TRANSACTION_COMMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(turn_by_turn, setup),
		cmocka_unit_test_setup(in_one_pipeline, setup),
		cmocka_unit_test_setup(fails, setup),
		cmocka_unit_test_setup(savepoints_and_chains, setup),
		cmocka_unit_test_setup(not_seen_from_the_beginning, setup),
		cmocka_unit_test_setup(goes_on_where_the_kernel_was, setup),
		cmocka_unit_test_setup(mysql_says_it_each_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
