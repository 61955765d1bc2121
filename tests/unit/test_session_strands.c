/* SPDX-License-Identifier: Apache-2.0 */
/* Parents that are not known when a statement is: of strands, told by what they answer, and those that are told late.
 */
#include "parents_fixture.h"

#define PROCESS (7ULL << STRAND_PROCESS_SHIFT)
#define TASK (PARENT_STRAND | PROCESS | 1ULL << 40)
#define THREAD (PARENT_STRAND | PROCESS | 2)

static void children_of_tasks(void **state)
{
	(void)state;
	sql(11, TASK, 5 * MS);	/* before: of what had this address then */
	sql(12, TASK, 20 * MS); /* while the request was open */
	sql(13, TASK | 4, 20 * MS);
	assert_int_equal(fx.n, 0);
	http(10, TASK, ROLE_SERVER, 0, 10 * MS, 50 * MS);
	assert_int_equal(fx.n, 2);
	assert_int_equal(fx.spans[0]->kind, SPAN_SERVER);
	assert_true(span_id_zero(&fx.spans[0]->parent));
	assert_true(is_child(1, 0));
	sql(14, TASK, 30 * MS); /* its record came late */
	assert_int_equal(fx.n, 3);
	assert_true(is_child(2, 0));
	sql(15, TASK, 60 * MS); /* after the answer */
	assert_int_equal(fx.n, 3);
	assert_int_equal(counted(USER_parents_by_task), 2);
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 6);
	for (size_t i = 3; i < 6; i++)
		assert_true(span_id_zero(&fx.spans[i]->parent));
	assert_int_equal(counted(USER_parents_of_no_task), 3);
	assert_int_equal(counted(USER_held_too_long), 0);
}

#define LATE(n) (PARENT_STRAND | (n))

static void tell(uint64_t late, uint64_t parent)
{
	struct event_parent e = { .header = { .kind = EVENT_PARENT, .conn = 1, .time = 6 * MS },
				  .late = late,
				  .parent = parent };

	give(&e, sizeof(e), bytes_str(""));
}

/* What the other end told of before its client's hook ran. */
static void parents_that_come_late(void **state)
{
	(void)state;
	sql(11, LATE(1002), 5 * MS);
	tell(LATE(1002), 10); /* after its record */
	tell(LATE(1004), 10); /* and before it */
	sql(12, LATE(1004), 6 * MS);
	tell(LATE(1006), TASK);
	sql(13, LATE(1006), 7 * MS);
	assert_int_equal(fx.n, 0);
	http(10, TASK, ROLE_SERVER, 0, 1 * MS, 50 * MS);
	assert_int_equal(fx.n, 4);
	for (size_t i = 1; i < 4; i++)
		assert_true(is_child(i, 0));
	tell(LATE(1008), 0); /* for none, so nothing is waited for */
	sql(14, LATE(1008), 8 * MS);
	assert_int_equal(fx.n, 5);
	assert_int_equal(counted(USER_parents_not_told), 0);
	sql(15, LATE(1010), 9 * MS);
	assert_int_equal(fx.n, 5);
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 6);
	assert_true(span_id_zero(&fx.spans[5]->parent));
	assert_int_equal(counted(USER_parents_not_told), 1);
	assert_int_equal(counted(USER_parents_by_task), 1);
	assert_int_equal(counted(USER_parents_of_no_task), 0);
}

/* Requests that were open together and were answered by the same: which of them asked is not known. */
static void tasks_are_shared(void **state)
{
	(void)state;
	http(10, TASK, ROLE_SERVER, 0, 10 * MS, 50 * MS);
	sql(11, TASK, 45 * MS);
	assert_true(is_child(1, 0));
	sql(12, TASK, 55 * MS);
	http(20, TASK, ROLE_SERVER, 0, 40 * MS, 60 * MS);
	assert_int_equal(fx.n, 3);
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 4);
	assert_true(span_id_zero(&fx.spans[3]->parent));
}

/* A thread works on one request after the other, though the next may wait for it meanwhile. */
static void children_of_threads(void **state)
{
	(void)state;
	sql(11, THREAD, 20 * MS);
	http(10, THREAD, ROLE_SERVER, 0, 10 * MS, 50 * MS);
	assert_int_equal(fx.n, 2);
	assert_true(is_child(1, 0));
	sql(21, THREAD, 55 * MS);
	http(20, THREAD, ROLE_SERVER, 0, 40 * MS, 60 * MS);
	assert_int_equal(fx.n, 4);
	assert_true(is_child(3, 2));
	sql(22, THREAD, 45 * MS); /* late, and of the one before */
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 5);
	assert_true(span_id_zero(&fx.spans[4]->parent));
}

/* since, until: ms after start, struct event_exchange.worked */
static void worked(uint64_t id, uint64_t start, uint64_t end, uint64_t since, uint64_t until)
{
	struct event_exchange e = { .worked = { (uint32_t)(since * 1000), (uint32_t)(until * 1000) } };

	exchange((struct exchange){ .id = id,
				    .parent = THREAD,
				    .role = ROLE_SERVER,
				    .method = HTTP_GET,
				    .start = SECOND + start * MS,
				    .end = SECOND + end * MS,
				    .libpq_conn = e.libpq_conn, /* the same place */
				    .request = GET,
				    .answer = OK });
}

/* The end of an answer may be left to others, and that of the next come before it. */
static void children_of_threads_that_do_not_end(void **state)
{
	(void)state;
	sql(11, THREAD, 15 * MS);
	sql(21, THREAD, 25 * MS);
	sql(31, THREAD, 35 * MS);
	worked(20, 12, 49, 8, 18);
	assert_int_equal(fx.n, 2);
	assert_true(is_child(1, 0));
	worked(10, 10, 52, 0, 10);
	assert_int_equal(fx.n, 4);
	assert_true(is_child(3, 2));
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 5);
	assert_true(span_id_zero(&fx.spans[4]->parent));
}

static const struct CMUnitTest tests[] = {
	TEST(children_of_threads), TEST(children_of_threads_that_do_not_end),
	TEST(children_of_tasks),   TEST(parents_that_come_late),
	TEST(tasks_are_shared),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
