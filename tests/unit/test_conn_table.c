/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "conn/table.h"

static struct conn_table *table;
static int streams_freed;

static void stream_free(void *context, struct conn *c)
{
	(void)context;
	c->stream = NULL;
	streams_freed++;
}

static int setup(void **state)
{
	(void)state;
	streams_freed = 0;
	table = conn_table_new(100, stream_free, NULL);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	conn_table_free(table);
	return 0;
}

static void announce6(uint64_t id, const char *local, const char *remote, uint16_t lport, uint16_t rport,
		      uint32_t netns)
{
	struct event_connection e = { .header.conn = id,
				      .family = strchr(local, ':') ? AF_INET6 : AF_INET,
				      .local_port = lport,
				      .remote_port = rport,
				      .netns = netns };

	assert_int_equal(inet_pton(e.family, local, e.local_addr), 1);
	assert_int_equal(inet_pton(e.family, remote, e.remote_addr), 1);
	conn_table_announce(table, &e);
}

static struct conn *get(uint64_t id)
{
	return conn_table_find(table, id, 0);
}

static void other_ends(void **state)
{
	char buf[64];

	(void)state;
	announce6(1, "10.0.0.1", "10.0.0.2", 1000, 80, 5);
	assert_null(conn_table_other_end(table, get(1)));
	announce6(2, "10.0.0.2", "10.0.0.1", 80, 1000, 6);
	assert_ptr_equal(conn_table_other_end(table, get(1)), get(2));
	assert_ptr_equal(conn_table_other_end(table, get(2)), get(1));
	/* an IPv6 socket that serves IPv4 */
	announce6(3, "::ffff:10.0.0.2", "::ffff:10.0.0.1", 81, 1001, 6);
	announce6(4, "10.0.0.1", "10.0.0.2", 1001, 81, 6);
	assert_ptr_equal(conn_table_other_end(table, get(3)), get(4));
	assert_true(bytes_eq(conn_address(get(3), true, buf), bytes_str("10.0.0.1")));
	/* loopback means another thing in another namespace */
	announce6(5, "::1", "::1", 80, 1002, 6);
	announce6(6, "::1", "::1", 1002, 80, 7);
	assert_null(conn_table_other_end(table, get(5)));
	announce6(6, "::1", "::1", 1002, 80, 6); /* announced again */
	assert_ptr_equal(conn_table_other_end(table, get(5)), get(6));
	/* a port used again belongs to the newest */
	announce6(7, "10.0.0.1", "10.0.0.2", 1000, 80, 5);
	assert_ptr_equal(conn_table_other_end(table, get(2)), get(7));
	conn_table_remove(table, get(1)); /* whose tuple it is no longer */
	assert_ptr_equal(conn_table_other_end(table, get(2)), get(7));
	conn_table_remove(table, get(7));
	assert_null(conn_table_other_end(table, get(2)));
}

static void closing(void **state)
{
	(void)state;
	announce6(1, "10.0.0.1", "10.0.0.2", 1000, 80, 5);
	announce6(2, "10.0.0.2", "10.0.0.1", 80, 1000, 5);
	get(1)->stream = &streams_freed;
	statements_learn(&get(1)->statements, conn_table_store(table), bytes_str("a"), bytes_str("select 1"), false);
	conn_table_close(table, get(1), 1000);
	assert_int_equal(streams_freed, 1);
	assert_int_equal(statement_store_bytes(conn_table_store(table)), 0);
	assert_ptr_equal(conn_table_other_end(table, get(2)), get(1)); /* for records still on their way */
	conn_table_close(table, get(2), 2000);
	conn_table_close(table, get(1), 3000); /* twice: counts from now */
	conn_table_expire(table, 2500);
	assert_null(get(2));
	assert_non_null(get(1));
	conn_table_expire(table, 3001);
	assert_int_equal(conn_table_count(table), 0);
}

static void bounded(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 1000; i++) {
		announce6(i, "10.0.0.1", "10.0.0.2", (uint16_t)i, 80, 5);
		conn_set_string(&get(i)->database, bytes_str("shop"));
		if (i % 3 == 0)
			conn_table_close(table, get(i), i);
	}
	assert_int_equal(conn_table_count(table), 100);
	assert_null(get(900));
	assert_non_null(get(901));
	conn_table_expire(table, 2000);
	assert_int_equal(conn_table_count(table), 67);
	assert_null(get(0));
	assert_ptr_not_equal(conn_table_put(table, 1000, 7), get(1000)); /* another kind of number */
}

static bool is_known(const struct statements *s, const char *name, const char *text, bool cut)
{
	struct bytes got;
	bool got_cut;

	if (!statements_find(s, conn_table_store(table), bytes_str(name), &got, &got_cut))
		return false;
	assert_true(bytes_eq(got, bytes_str(text)));
	assert_true(got_cut == cut);
	return true;
}

static void statements(void **state)
{
	struct statement_store *store = conn_table_store(table);
	struct statements a = { 0 }, b = { 0 };
	size_t one;

	(void)state;
	statements_learn(&a, store, bytes_str(""), bytes_str("select 1"), false);
	one = statement_store_bytes(store);
	statements_learn(&b, store, bytes_str("x"), bytes_str("select 1"), false);
	assert_int_equal(statement_store_bytes(store), one); /* kept once */
	assert_true(is_known(&a, "", "select 1", false));
	assert_true(is_known(&b, "x", "select 1", false));
	assert_false(is_known(&b, "", "", false));
	statements_learn(&b, store, bytes_str("x"), bytes_str("select 1"), false);
	statements_learn(&b, store, bytes_str("x"), bytes_str("select 2"), true);
	assert_true(is_known(&b, "x", "select 2", true));
	statements_forget(&b, store, bytes_str("x"));
	statements_forget(&b, store, bytes_str("x"));
	assert_false(is_known(&b, "x", "", false));
	assert_int_equal(statement_store_bytes(store), one);
	statements_clear(&a);
	statements_clear(&b);
	assert_int_equal(statement_store_bytes(store), 0);
}

static void statements_are_bounded(void **state)
{
	struct statement_store *store = statement_store_new(20000);
	struct statements a = { 0 };
	struct bytes text;
	bool cut;
	static char long_text[STATEMENT_TEXT_MAX + 100];
	unsigned known = 0;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	statements_learn(&a, store, bytes_str("long"), bytes_of(long_text, sizeof(long_text)), false);
	assert_true(statements_find(&a, store, bytes_str("long"), &text, &cut));
	assert_int_equal(text.n, STATEMENT_TEXT_MAX);
	assert_true(cut);
	for (int i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "statement %d", i);
		statements_learn(&a, store, bytes_str(name), bytes_str(name), false);
		known += statements_find(&a, store, bytes_str(name), &text, &cut);
		assert_true(statement_store_bytes(store) <= 20000);
	}
	assert_in_range(known, 1, 999);
	statements_clear(&a);
	assert_int_equal(statement_store_bytes(store), 0);
	for (int i = 0; i < 2000; i++) { /* the same text under many names: the names are bounded */
		char name[32];

		snprintf(name, sizeof(name), "n%d", i);
		statements_learn(&a, store, bytes_str(name), bytes_str("select 1"), false);
	}
	assert_false(statements_find(&a, store, bytes_str("n1"), &text, &cut));
	assert_true(statements_find(&a, store, bytes_str("n1999"), &text, &cut));
	statements_clear(&a);
	statement_store_free(store);
}

static void fragments(void **state)
{
	struct fragments f = { 0 };
	static char big[4096];

	(void)state;
	fragments_add(&f, 7, 10, bytes_str("abc"));
	fragments_add(&f, 7, 13, bytes_str("def"));
	fragments_add(&f, 7, 17, bytes_str("hole")); /* not kept */
	assert_true(bytes_eq(fragments_after(&f, 7, 10), bytes_str("abcdef")));
	assert_true(bytes_eq(fragments_after(&f, 7, 12), bytes_str("cdef")));
	assert_int_equal(fragments_after(&f, 7, 9).n, 0);
	assert_int_equal(fragments_after(&f, 7, 99).n, 0);
	assert_int_equal(fragments_after(&f, 8, 10).n, 0);
	fragments_add(&f, 8, 0, bytes_str("x"));
	assert_int_equal(fragments_after(&f, 7, 10).n, 0);
	for (uint32_t i = 0; i < 100; i++)
		fragments_add(&f, 9, i * sizeof(big), bytes_of(big, sizeof(big)));
	assert_int_equal(fragments_after(&f, 9, 0).n, FRAGMENTS_MAX);
	fragments_add(&f, 10, UINT32_MAX - 1, bytes_str("end"));
	fragments_add(&f, 10, 1, bytes_str("wrapped"));
	assert_int_equal(fragments_after(&f, 10, UINT32_MAX - 1).n, 3);
	fragments_free(&f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(other_ends), TEST(closing), TEST(bounded), TEST(statements), TEST(statements_are_bounded), TEST(fragments),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
