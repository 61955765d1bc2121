/* SPDX-License-Identifier: Apache-2.0 */
/* When libraries are probed, libpq above all. */
#include "libraries_fixture.h"

static void test_found_and_attached(void **state)
{
	struct fixture *f = *state;
	unsigned returns = 0, queries = 0;

	probed(f);
	assert_int_equal(f->attach.tgid, 10);
	assert_int_equal(f->attach.start, 0x7f0000000000 + 10 * 0x1000);
	for (uint32_t i = 0; i < f->attach.points_n; i++) {
		assert_true(f->attach.points[i].offset > 0);
		returns += f->attach.points[i].flags & POINT_RETURN;
		queries += f->attach.points[i].function == LIBPQ_SEND_QUERY;
	}
	assert_int_equal(queries, 2); /* entry and return */
	assert_int_equal(returns, 26);
	assert_int_equal(f->attach.points_n, 56);
	/* the same file again, in another process: nothing to do */
	process(f, 11, 1, PROCESS_EXEC);
	map(f, 11, "/usr/lib/libpq.so.5.15", INO);
	assert_true(f->opens == 0 && f->attaches == 0);
}

static void test_only_what_may_be_libpq(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/usr/lib/libc.so.6", 1);
	assert_int_equal(f->opens, 0);
	map(f, 10, "/venv/psycopg2_binary.libs/libpq-2fc9b1f4.so.5.16", 2);
	assert_int_equal(f->opens, 1);
	map(f, 10, "/opt/app/server", 3); /* may have it built in */
	assert_int_equal(f->opens, 1);
	opened(f, "/proc/self/exe");
	assert_int_equal(f->attaches, 0);
	map(f, 11, "/opt/app/server", 3); /* looked at once */
	assert_int_equal(f->opens, 0);
}

static void test_not_elf(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/tmp/libpq.so", 2);
	opened(f, "/proc/self/status");
	assert_int_equal(f->attaches, 0);
	map(f, 10, "/tmp/libpq.so", 4);
	opened(f, NULL); /* gone: the next process that maps it asks again */
	process(f, 11, 1, PROCESS_EXEC);
	map(f, 11, "/tmp/libpq.so", 4);
	assert_int_equal(f->opens, 1);
}

static void test_detached_when_readable(void **state)
{
	struct fixture *f = *state;

	probed(f);
	tick(f, 2 * S);
	statement(f, 10, SOURCE_WIRE);
	assert_int_equal(f->detaches, 0); /* not a second yet */
	tick(f, 2 * S);
	assert_int_equal(f->detaches, 1);
	assert_int_equal(f->detach.handle, 99);
	/* its first TLS negotiation with PostgreSQL */
	tls(f, 10, PROTO_POSTGRES, 5432);
	assert_int_equal(f->attaches, 1);
}

static void test_kept_while_hidden(void **state)
{
	struct fixture *f = *state;

	probed(f);
	tick(f, 2 * S);
	statement(f, 10, SOURCE_WIRE);
	statement(f, 10, SOURCE_LIBPQ);
	for (int i = 0; i < 30; i++) {
		tick(f, 2 * S);
		assert_int_equal(f->detaches, 0);
		if (i < 20)
			statement(f, 10, SOURCE_LIBPQ);
	}
	tick(f, 60 * S);
	assert_int_equal(f->detaches, 0);
	tick(f, 3600 * S);
	assert_int_equal(f->detaches, 1);
}

/* One process that is not proven keeps it for all. */
static void test_all_must_be_readable(void **state)
{
	struct fixture *f = *state;

	probed(f);
	tick(f, 1 * S);
	process(f, 11, 10, PROCESS_FORK); /* maps what its parent maps */
	statement(f, 10, SOURCE_WIRE);
	tick(f, 10 * S);
	assert_int_equal(f->detaches, 0);
	statement(f, 11, SOURCE_WIRE);
	assert_int_equal(f->detaches, 0);
	tick(f, 2 * S);
	assert_int_equal(f->detaches, 1);
	/* a process that maps it later has it probed again */
	process(f, 12, 1, PROCESS_EXEC);
	map(f, 12, "/usr/lib/libpq.so.5.15", INO);
	assert_int_equal(f->attaches, 1);
	assert_int_equal(f->attach.tgid, 12);
}

/* A server's parent that never speaks does not keep the probes for ever. */
static void test_silent_parent(void **state)
{
	struct fixture *f = *state;

	probed(f);
	process(f, 11, 10, PROCESS_FORK);
	tick(f, 1 * S);
	statement(f, 11, SOURCE_WIRE);
	tick(f, 30 * S);
	assert_int_equal(f->detaches, 0);
	tick(f, 40 * S);
	assert_int_equal(f->detaches, 1);
}

/* TLS that is not PostgreSQL's attaches once for each port, not for each connection. */
static void test_other_tls(void **state)
{
	struct fixture *f = *state;

	probed(f);
	tick(f, 1 * S);
	statement(f, 10, SOURCE_WIRE);
	tick(f, 6 * S);
	assert_int_equal(f->detaches, 1);
	tls(f, 10, 0, 443);
	assert_int_equal(f->attaches, 1);
	attached(f, 0);
	tick(f, 1 * S);
	tick(f, 12 * S);
	assert_int_equal(f->detaches, 1);
	tls(f, 10, 0, 443);
	assert_int_equal(f->attaches, 0);
	tls(f, 10, 0, 8443);
	assert_int_equal(f->attaches, 1);
}

static void test_unreadable_is_counted(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	tls(f, 10, PROTO_POSTGRES, 5432);
	assert_int_equal(ledger_get(f->ledger, USER_conns_unreadable), 1);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	if (!f->libpq[0])
		skip();
	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/usr/lib/libpq.so.5.15", INO);
	opened(f, f->libpq);
	attached(f, -EPERM);
	assert_int_equal(ledger_get(f->ledger, USER_uprobe_attach_failed), 1);
	map(f, 11, "/usr/lib/libpq.so.5.15", INO);
	assert_int_equal(f->attaches, 0); /* not again and again */
}

static void maps(struct fixture *f, const char *text, size_t n)
{
	struct message_opened m = { .kind = MESSAGE_OPENED, .token = f->open.token };
	int fd = memfd_create("maps", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, n), n);
	lseek(fd, 0, SEEK_SET);
	libraries_opened(f->l, &m, fd);
	close(fd);
	hear(f);
}

/* The start scan does not know generations: the same file seen later is the same file, until its number is another's.
 */
static void test_number_of_another_file(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "7f0000021000-7f0000042000 r-xp 00021000 08:00 4711 /usr/lib/libpq.so.5.15\n";
	struct message_mapped m = { .kind = MESSAGE_MAPPED,
				    .tgid = 11,
				    .dev_major = 8,
				    .ino = INO,
				    .ino_generation = 2,
				    .start = 0x1000,
				    .len = 0x1000,
				    .path = "/usr/lib/libpq.so.5.16" };

	process(f, 10, 1, PROCESS_EXEC);
	process(f, 11, 1, PROCESS_EXEC);
	processes_find(f->p, 10)->maps_known = false;
	libraries_scan(f->l, 10);
	tick(f, 1);
	maps(f, text, sizeof(text) - 1);
	assert_int_equal(f->opens, 1);
	opened(f, "/proc/self/exe");
	map(f, 11, "/usr/lib/libpq.so.5.15", INO);
	assert_int_equal(f->opens, 0);
	libraries_mapped(f->l, &m);
	hear(f);
	assert_int_equal(f->opens, 1);
}

/* The process that was asked by is gone before the probes are there: its child has the same mapping. */
static void test_gone_meanwhile(void **state)
{
	struct fixture *f = *state;

	if (!f->libpq[0])
		skip();
	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/usr/lib/libpq.so.5.15", INO);
	process(f, 11, 10, PROCESS_FORK); /* while the file is looked at */
	opened(f, f->libpq);
	assert_int_equal(f->attach.tgid, 10);
	process(f, 10, 0, PROCESS_EXIT);
	attached(f, -ESRCH);
	assert_int_equal(f->attaches, 1);
	assert_int_equal(f->attach.tgid, 11);
	assert_int_equal(f->attach.start, 0x7f0000000000 + 10 * 0x1000);
	attached(f, 0);
	assert_true(libraries_settled(f->l));
	assert_int_equal(ledger_get(f->ledger, USER_uprobe_attach_failed), 0);
}

static void test_start_scan(void **state)
{
	struct fixture *f = *state;
	static const char text[] =
		"55d0c0000000-55d0c0001000 r--p 00000000 fd:01 100                        /usr/bin/app\n"
		"7f0000000000-7f0000021000 r--p 00000000 fd:01 200                        /usr/lib/libpq.so.5.15\n"
		"7f0000021000-7f0000042000 r-xp 00021000 fd:01 200                        /usr/lib/libpq.so.5.15\n"
		"7f0000100000-7f0000110000 r-xp 00000000 00:00 0 \n"
		"7ffd00000000-7ffd00021000 r-xp 00000000 00:00 0                          [vdso]\n"
		"garbage\n"
		"7f0000200000-7f0000100000 r-xp 00000000 fd:01 300                        "
		"/usr/lib/libpq-backwards.so\n";

	process(f, 10, 1, PROCESS_EXEC);
	processes_find(f->p, 10)->maps_known = false;
	assert_true(libraries_settled(f->l));
	libraries_scan(f->l, 10);
	libraries_scan(f->l, 10);
	tick(f, 1);
	assert_int_equal(f->opens, 1); /* asked once */
	assert_int_equal(f->open.file, TARGET_MAPS);
	assert_false(libraries_settled(f->l));
	maps(f, text, sizeof(text) - 1);
	assert_int_equal(f->opens, 1);
	assert_int_equal(f->open.file, TARGET_MAPPING);
	assert_int_equal(f->open.start, 0x7f0000021000);
	assert_int_equal(f->open.len, 0x21000);
	assert_false(libraries_settled(f->l)); /* the file is not looked at yet */
	opened(f, NULL);
	assert_true(libraries_settled(f->l));
}

/* Lines longer than any buffer, no line ends, NUL bytes: nothing found, nothing broken. */
static void test_hostile_maps(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(300000);

	process(f, 10, 1, PROCESS_EXEC);
	for (int round = 0; round < 4; round++) {
		memset(text, round == 1 ? 0 : 'a', 300000);
		for (size_t i = 0; round == 2 && i < 300000; i += 9000)
			text[i] = '\n';
		if (round == 3) { /* a real line behind a very long one */
			static const char line[] = "\n7f00000-7f01000 r-xp 0 fd:01 9 /libpq.so\n";

			memcpy(text + 200000, line, sizeof(line) - 1);
		}
		processes_find(f->p, 10)->maps_known = false;
		libraries_scan(f->l, 10);
		tick(f, 1);
		maps(f, text, 300000);
		assert_int_equal(f->opens, round == 3);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_and_attached, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_may_be_libpq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_elf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detached_when_readable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_while_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_must_be_readable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_number_of_another_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_maps, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
