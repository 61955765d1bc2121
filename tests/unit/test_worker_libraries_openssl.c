/* SPDX-License-Identifier: Apache-2.0 */
/* When OpenSSL is probed, and libpq beside it. */
#include "libraries_fixture.h"

static void openssl_mapped(struct fixture *f, uint32_t tgid)
{
	map(f, tgid, "/usr/lib/libssl.so.3", INO + 1);
	if (f->opens)
		opened(f, f->libssl);
}

static bool detached_within(struct fixture *f, int seconds)
{
	for (int i = 0; i < seconds && !f->detaches; i++)
		tick(f, S);
	return f->detaches;
}

static void test_openssl_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned returns = 0;

	if (!f->libssl[0])
		skip();
	process(f, 10, 1, PROCESS_EXEC);
	openssl_mapped(f, 10);
	assert_int_equal(f->attaches, 1);
	for (uint32_t i = 0; i < f->attach.points_n; i++)
		returns += f->attach.points[i].flags & POINT_RETURN;
	/* all but SSL_free have both; reading and writing may have one function each */
	assert_true(returns >= 6 && f->attach.points_n == 2 * returns + 1 && f->attach.points[0].function >= 128);
	attached(f, 0);
	assert_false(detached_within(f, 300)); /* its connections are told by nobody else */
}

/* A program's file is mapped before the kernel reports it as running. */
static void test_mapped_before_exec(void **state)
{
	struct event_process exec = { .what = PROCESS_EXEC, .parent = 1, .service = 7, .start = 10 };
	struct fixture *f = *state;

	if (!f->libssl[0])
		skip();
	process(f, 10, 1, PROCESS_FORK);
	openssl_mapped(f, 10);
	map(f, 10, "/v/gevent/_gevent_cevent.so", INO + 2);
	exec.header.tgid = 10;
	exec.header.time = clock_monotonic();
	processes_event(f->p, &exec, f->now);
	assert_int_not_equal(processes_find(f->p, 10)->libraries, 0);
	assert_int_equal(processes_find(f->p, 10)->hints, HINT_GREENLETS);
	exec.header.time += S; /* the next one has nothing of it */
	processes_event(f->p, &exec, f->now);
	assert_int_equal(processes_find(f->p, 10)->libraries, 0);
	assert_int_equal(processes_find(f->p, 10)->hints, 0);
}

/* libpq tells the statements of its programs, until they speak another TLS. */
static void test_openssl_beside_libpq(void **state)
{
	struct fixture *f = *state;

	if (!f->libssl[0])
		skip();
	probed(f);
	openssl_mapped(f, 10);
	assert_int_equal(f->attaches, 0);
	tls(f, 10, PROTO_POSTGRES, 5432);
	assert_int_equal(f->attaches, 0);
	tls(f, 10, 0, 443);
	assert_int_equal(f->attaches, 1);
	assert_true(f->attach.points[0].function >= 128);
}

/* A database's OpenSSL is probed only while a client is there whose TLS cannot be read. */
static void test_openssl_of_a_database(void **state)
{
	struct fixture *f = *state;

	if (!f->libssl[0])
		skip();
	process(f, 20, 1, PROCESS_EXEC);
	map(f, 20, "/usr/lib/postgresql/15/bin/postgres", INO + 2);
	opened(f, "/proc/self/exe");
	openssl_mapped(f, 20);
	assert_int_equal(f->attaches, 0);
	process(f, 30, 1, PROCESS_EXEC);
	map(f, 30, "/usr/lib/jvm/lib/server/libjvm.so", INO + 3);
	assert_int_equal(f->attaches, 1);
	assert_int_equal(f->attach.tgid, 20);
	attached(f, 0);
	assert_false(detached_within(f, 100));
	process(f, 30, 1, PROCESS_EXIT);
	assert_true(detached_within(f, 100));
	/* one that is not known by its files: its connection tells */
	process(f, 40, 1, PROCESS_EXEC);
	processes_port(f->p, 7, 5432);
	tls(f, 40, PROTO_POSTGRES, 6432);
	assert_int_equal(f->attaches, 0);
	assert_int_equal(ledger_get(f->ledger, USER_conns_unreadable), 1);
	tls(f, 40, PROTO_POSTGRES, 5432);
	assert_int_equal(f->attaches, 1);
	assert_int_equal(ledger_get(f->ledger, USER_conns_unreadable), 1);
	attached(f, 0);
	assert_false(detached_within(f, 1000)); /* it may keep its connection */
}

/* What OpenSSL's calls tell needs no libpq. */
static void test_read_by_openssl(void **state)
{
	struct fixture *f = *state;
	union rec r;

	probed(f);
	tls(f, 10, PROTO_POSTGRES, 5432);
	tick(f, 2 * S);
	statement(f, 10, SOURCE_WIRE);
	tick(f, 100 * S);
	assert_int_equal(f->detaches, 0); /* another connection, which is not encrypted */
	rec_exchange(&r, (struct rec_times){ 0, 0, 0 }, 5, 6, 0, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);
	r.exchange.flags = EXCHANGE_TLS;
	r.header.tgid = 10;
	libraries_event(f->l, &r.header);
	tick(f, 2 * S);
	assert_int_equal(f->detaches, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_by_openssl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapped_before_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openssl_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openssl_beside_libpq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openssl_of_a_database, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
