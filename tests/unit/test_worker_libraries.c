/* SPDX-License-Identifier: Apache-2.0 */
/* When libraries are probed: real ones where there are, and the test in the place of the keeper. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tools/recording.h"
#include "config/config.h"
#include "worker/libraries.h"

#define S 1000000000ULL
#define INO 4711

struct fixture {
	struct config *config;
	struct ledger *ledger;
	struct outbox *out;
	int keeper, worker;
	struct processes *p;
	struct libraries *l;
	uint64_t now;
	char libpq[512];  /* path of a real one, empty = none */
	char libssl[512]; /* the same */
	/* what the keeper was told since the last hear() */
	unsigned opens, attaches, detaches;
	struct message_open open;
	struct message_attach attach;
	struct message_detach detach;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct processes_config cfg = { .asks = true };
	int socks[2];
	glob_t g;

	assert_int_equal(channel_pair(socks), 0);
	fcntl(socks[0], F_SETFL, O_NONBLOCK);
	f->keeper = socks[0];
	f->worker = socks[1];
	f->config = config_new();
	cfg.config = f->config;
	f->ledger = ledger_new();
	f->out = outbox_new(socks[1]);
	f->p = processes_new(&cfg, f->out);
	f->l = libraries_new(f->p, f->out, f->ledger);
	assert_true(f->config && f->ledger && f->p && f->l);
	f->now = 1000 * S;
	if (glob("/usr/lib/*/libpq.so.5", 0, NULL, &g) == 0)
		snprintf(f->libpq, sizeof(f->libpq), "%s", g.gl_pathv[0]);
	globfree(&g);
	if (glob("/usr/lib/*/libssl.so.3", 0, NULL, &g) == 0)
		snprintf(f->libssl, sizeof(f->libssl), "%s", g.gl_pathv[0]);
	globfree(&g);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	libraries_free(f->l);
	processes_free(f->p);
	outbox_free(f->out);
	config_free(f->config);
	munmap(f->ledger, sizeof(*f->ledger));
	close(f->keeper);
	close(f->worker);
	free(f);
	return 0;
}

static void hear(struct fixture *f)
{
	_Alignas(8) char m[MESSAGE_MAX];
	int fd, n;

	f->opens = f->attaches = f->detaches = 0;
	while ((n = channel_receive(f->keeper, m, sizeof(m), &fd)) > 0) {
		uint32_t kind;

		memcpy(&kind, m, sizeof(kind));
		if (kind == MESSAGE_OPEN && ((struct message_open *)m)->token & LIBRARIES_TOKEN) {
			memcpy(&f->open, m, sizeof(f->open));
			f->opens++;
		} else if (kind == MESSAGE_ATTACH) {
			memcpy(&f->attach, m, sizeof(f->attach));
			f->attaches++;
		} else if (kind == MESSAGE_DETACH) {
			memcpy(&f->detach, m, sizeof(f->detach));
			f->detaches++;
		}
	}
}

static void process(struct fixture *f, uint32_t tgid, uint32_t parent, uint32_t what)
{
	struct event_process e = { .what = what, .parent = parent, .service = 7, .start = tgid };

	e.header.tgid = tgid;
	processes_event(f->p, &e, f->now);
}

static void map(struct fixture *f, uint32_t tgid, const char *path, uint64_t ino)
{
	struct message_mapped m = { .kind = MESSAGE_MAPPED,
				    .tgid = tgid,
				    .dev_major = 8,
				    .ino = ino,
				    .ino_generation = 1,
				    .start = 0x7f0000000000 + tgid * 0x1000,
				    .len = 0x1000 };

	snprintf(m.path, sizeof(m.path), "%s", path);
	libraries_mapped(f->l, &m);
	hear(f);
}

/* Answers the last question with this file. */
static void opened(struct fixture *f, const char *path)
{
	struct message_opened m = { .kind = MESSAGE_OPENED, .token = f->open.token };
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	m.error = fd < 0 ? -ENOENT : 0;
	libraries_opened(f->l, &m, fd);
	if (fd >= 0)
		close(fd);
	hear(f);
}

static void attached(struct fixture *f, int error)
{
	struct message_attached m = {
		.kind = MESSAGE_ATTACHED, .token = f->attach.token, .error = error, .handle = 99
	};

	libraries_attached(f->l, &m);
	hear(f);
}

static void tick(struct fixture *f, uint64_t ns)
{
	f->now += ns;
	libraries_tick(f->l, f->now);
	hear(f);
}

static void statement(struct fixture *f, uint32_t tgid, uint8_t source)
{
	union rec r;

	rec_exchange(&r, (struct rec_times){ 0, 0, 0 }, 5, 6, 0, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);
	r.exchange.source = source;
	r.header.tgid = tgid;
	r.header.time = f->now;
	libraries_event(f->l, &r.header);
	hear(f);
}

static void tls(struct fixture *f, uint32_t tgid, uint8_t inner, uint16_t port)
{
	union rec r;

	rec_connection(&r, 0, 9, PROTO_TLS, ROLE_CLIENT, 50000, port);
	r.connection.inner = inner;
	r.header.tgid = tgid;
	r.header.time = f->now;
	libraries_event(f->l, &r.header);
	hear(f);
}

/* A process that mapped libpq, which is probed now. */
static void probed(struct fixture *f)
{
	if (!f->libpq[0])
		skip(); /* no libpq on this machine */
	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/usr/lib/libpq.so.5.15", INO);
	assert_int_equal(f->opens, 1);
	assert_false(libraries_settled(f->l) && f->attaches);
	opened(f, f->libpq);
	assert_int_equal(f->attaches, 1);
	assert_false(libraries_settled(f->l));
	attached(f, 0);
	assert_true(libraries_settled(f->l));
}

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
	assert_int_equal(returns, 25);
	assert_int_equal(f->attach.points_n, 54);
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

/* --- OpenSSL --- */

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
		cmocka_unit_test_setup_teardown(test_openssl_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openssl_beside_libpq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openssl_of_a_database, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
