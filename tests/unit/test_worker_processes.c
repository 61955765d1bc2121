/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, with the other end of the channel in the hands of the test: what is asked, when, and what follows from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel/messages.h"
#include "config/config.h"
#include "worker/processes.h"

#define MS 1000000ULL
#define S (1000 * MS)

struct fixture {
	struct config *config;
	struct outbox *out;
	int keeper; /* its end of the channel */
	int worker;
	struct processes *p;
	unsigned learned;
	uint64_t now;
};

static void learned(void *context, uint32_t tgid, struct program *program)
{
	struct fixture *f = context;

	assert_true(tgid && program->known);
	f->learned++;
}

static void begin(struct fixture *f)
{
	const struct processes_config cfg = {
		.config = f->config,
		.host = { .host_name = bytes_str("host"), .host_id = bytes_str("id") },
		.asks = true,
		.learned = learned,
		.context = f,
	};

	f->p = processes_new(&cfg, f->out);
	assert_non_null(f->p);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int socks[2];

	assert_int_equal(channel_pair(socks), 0);
	assert_int_equal(fcntl(socks[0], F_SETFL, O_NONBLOCK), 0);
	f->keeper = socks[0];
	f->worker = socks[1];
	f->config = config_new();
	f->out = outbox_new(socks[1]);
	f->now = 1000 * S;
	assert_true(f->config && f->out);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	processes_free(f->p);
	outbox_free(f->out);
	config_free(f->config);
	close(f->keeper);
	close(f->worker);
	free(f);
	return 0;
}

/* Answers all that was asked as if the process were this. How many questions there were. */
static unsigned answer(struct fixture *f, const char *exe, struct bytes args, struct bytes env)
{
	struct message_open m;
	unsigned n = 0;
	int fd;

	while (channel_receive(f->keeper, &m, sizeof(m), &fd) == sizeof(m)) {
		struct message_opened a = { .kind = MESSAGE_OPENED, .token = m.token };
		struct bytes text = { 0 };

		if (m.kind != MESSAGE_OPEN)
			continue;
		n++;
		if (m.file == TARGET_EXE_LINK)
			strcpy(a.path, exe);
		else if (m.file == TARGET_CMDLINE)
			text = args;
		else if (m.file == TARGET_ENVIRON)
			text = env;
		else if (m.file == TARGET_CGROUP)
			text = bytes_str("0::/user.slice\n");
		else
			a.error = -ENOENT;
		processes_opened(f->p, &a, text, f->now);
	}
	return n;
}

static unsigned answer_as(struct fixture *f, const char *name)
{
	char env[128];
	int n = snprintf(env, sizeof(env), "PATH=/bin%cOTEL_SERVICE_NAME=%s%cSECRET=x", 0, name, 0);

	return answer(f, "/usr/bin/thing", bytes_of("thing\0-v", 9), bytes_of(env, (size_t)n + 1));
}

/* The last policy that the keeper was told: -1 = none. */
static int told(struct fixture *f, uint32_t tgid)
{
	struct message_service m;
	int fd, last = -1;

	while (channel_receive(f->keeper, &m, sizeof(m), &fd) > 0)
		if (m.kind == MESSAGE_SERVICE && m.tgid == tgid)
			last = (int)m.flags;
	return last;
}

static void event(struct fixture *f, uint32_t what, uint32_t tgid, uint32_t parent, uint32_t service)
{
	struct event_process e = { .what = what, .parent = parent, .service = service, .nspid = tgid % 100 };

	e.header.tgid = tgid;
	e.start = what == PROCESS_EXIT ? 0 : 5 * S + tgid * S;
	strcpy(e.comm, "thing");
	processes_event(f->p, &e, f->now);
}

static const char *name_of(struct fixture *f, uint32_t tgid, uint32_t service)
{
	struct resource *r = processes_resource(f->p, tgid, service);

	return r ? resource_service(r).p : "(none)";
}

static void test_waits_for_facts(void **state)
{
	struct fixture *f = *state;

	begin(f);
	event(f, PROCESS_EXEC, 10, 1, 7);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	assert_false(processes_ready(f->p, 10, 7, f->now)); /* asked only once */
	assert_int_equal(answer_as(f, "ignored"), 3);	    /* arguments and environment came with the event */
	assert_true(processes_ready(f->p, 10, 7, f->now));
	assert_int_equal(f->learned, 1);
	assert_string_equal(name_of(f, 10, 7), "thing");
}

static void test_does_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;

	begin(f);
	event(f, PROCESS_EXEC, 10, 1, 7);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	assert_false(processes_ready(f->p, 10, 7, f->now + 9900 * MS));
	assert_true(processes_ready(f->p, 10, 7, f->now + 10100 * MS));
	assert_int_equal(f->learned, 1);
	answer_as(f, "late"); /* too late: an identity does not change */
	assert_int_equal(f->learned, 1);
}

static void test_unknown_process_is_asked_about(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_false(processes_ready(f->p, 99, 5, f->now));
	assert_int_equal(answer_as(f, "found"), 5);
	assert_true(processes_ready(f->p, 99, 5, f->now));
	assert_string_equal(name_of(f, 99, 5), "found");
}

static void test_children_share_the_program(void **state)
{
	struct fixture *f = *state;
	struct resource *parent, *child, *shared;

	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	event(f, PROCESS_FORK, 11, 10, 7);
	assert_true(processes_ready(f->p, 11, 7, f->now));
	assert_int_equal(answer_as(f, "x"), 0);
	parent = processes_resource(f->p, 10, 7);
	child = processes_resource(f->p, 11, 7);
	assert_string_equal(resource_service(child).p, "shop");
	assert_ptr_not_equal(parent, child);
	assert_true(parent->id != child->id); /* two instances of one service */
	assert_int_equal(processes_service(f->p, 7, &shared), SERVICE_OBSERVED);
	assert_null(attrs_find(&shared->attrs, "process.pid"));
	assert_non_null(attrs_find(&shared->attrs, "service.instance.id"));
}

/* Two numbers, one service: their metrics are one series. */
static void test_numbers_of_one_service(void **state)
{
	struct fixture *f = *state;
	struct resource *one, *two, *other;

	begin(f);
	for (uint32_t i = 0; i < 3; i++) {
		assert_false(processes_ready(f->p, 10 + i, 7 + i, f->now));
		answer_as(f, i == 2 ? "other" : "shop");
		assert_non_null(processes_resource(f->p, 10 + i, 7 + i));
	}
	assert_int_equal(processes_service(f->p, 7, &one), SERVICE_OBSERVED);
	assert_int_equal(processes_service(f->p, 8, &two), SERVICE_OBSERVED);
	assert_int_equal(processes_service(f->p, 9, &other), SERVICE_OBSERVED);
	assert_ptr_equal(one, two);
	assert_ptr_not_equal(one, other);
}

static void test_secrets_are_not_kept(void **state)
{
	struct fixture *f = *state;
	struct process *p;

	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	p = processes_find(f->p, 10);
	assert_null(memmem(p->program->env.p, p->program->env.n, "SECRET", 6));
	assert_null(memmem(p->program->env.p, p->program->env.n, "PATH", 4));
}

/* Short-lived programs that never speak cost nothing, and the keeper is not asked about them. */
static void test_churn(void **state)
{
	struct fixture *f = *state;
	void *cursor = NULL;

	begin(f);
	for (uint32_t i = 0; i < 20000; i++) {
		event(f, PROCESS_FORK, 100 + i, 1, 1);
		event(f, PROCESS_EXEC, 100 + i, 1, 100 + i);
		event(f, PROCESS_EXIT, 100 + i, 0, 0);
		f->now += 1 * MS;
		processes_tick(f->p, f->now);
	}
	f->now += 1 * S;
	processes_tick(f->p, f->now);
	assert_null(processes_next(f->p, &cursor));
	assert_int_equal(answer_as(f, "x"), 0);
}

static void test_asked_when_it_lives(void **state)
{
	struct fixture *f = *state;

	begin(f);
	event(f, PROCESS_EXEC, 10, 1, 7);
	processes_tick(f->p, f->now);
	assert_int_equal(answer_as(f, "x"), 0);
	processes_tick(f->p, f->now + 11 * MS);
	assert_int_equal(answer_as(f, "x"), 3);
	assert_true(processes_ready(f->p, 10, 7, f->now));
}

static void test_service_dies_with_its_last_process(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	assert_true(processes_ready(f->p, 10, 7, f->now));
	event(f, PROCESS_FORK, 11, 10, 7);
	event(f, PROCESS_EXIT, 10, 0, 0);
	f->now += 100 * S;
	processes_tick(f->p, f->now);
	assert_null(processes_find(f->p, 10));
	assert_false(processes_service_dead(f->p, 7)); /* the child is there */
	event(f, PROCESS_EXIT, 11, 0, 0);
	processes_tick(f->p, f->now);
	assert_false(processes_service_dead(f->p, 7)); /* what it sent may still be answered */
	f->now += 100 * S;
	processes_tick(f->p, f->now);
	assert_true(processes_service_dead(f->p, 7));
}

static void test_exec_leaves_the_service(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	assert_true(processes_ready(f->p, 10, 7, f->now));
	event(f, PROCESS_EXEC, 10, 1, 8);
	f->now += 100 * S;
	processes_tick(f->p, f->now);
	assert_true(processes_service_dead(f->p, 7));
	assert_false(processes_service_dead(f->p, 8));
}

static void test_number_used_again(void **state)
{
	struct fixture *f = *state;
	struct message_process m = { .kind = MESSAGE_PROCESS, .tgid = 10, .service = 7, .start = 50 * S, .comm = "a" };

	begin(f);
	processes_message(f->p, &m, f->now);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "first");
	assert_string_equal(name_of(f, 10, 7), "first");
	processes_message(f->p, &m, f->now); /* told again: nothing changes */
	assert_string_equal(name_of(f, 10, 7), "first");
	m.start += 5 * S; /* its exit was not seen */
	m.service = 9;
	processes_message(f->p, &m, f->now);
	assert_false(processes_ready(f->p, 10, 9, f->now));
	answer_as(f, "second");
	assert_string_equal(name_of(f, 10, 9), "second");
}

static struct config_rule *rule(struct config_rule r)
{
	struct config_rule *p = calloc(1, sizeof(*p));

	*p = r;
	return p;
}

static void test_excluded(void **state)
{
	struct fixture *f = *state;
	struct resource *r;

	f->config->exclude = rule((struct config_rule){ .executable = strdup("thing") });
	f->config->exclude_n = 1;
	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	assert_true(processes_ready(f->p, 10, 7, f->now));
	assert_null(processes_resource(f->p, 10, 7));
	assert_int_equal(processes_service(f->p, 7, &r), SERVICE_EXCLUDED);
	assert_int_equal(told(f, 10), SERVICE_IGNORE);
	assert_null(processes_resource(f->p, 10, 7));
	assert_int_equal(told(f, 10), -1); /* told once */
	/* what it executes then may be wanted */
	event(f, PROCESS_EXEC, 10, 1, 8);
	assert_int_equal(told(f, 10), 0);
	/* a child that executes something is not ignored for its parent's sake */
	assert_false(processes_ready(f->p, 20, 9, f->now));
	answer_as(f, "shop");
	assert_null(processes_resource(f->p, 20, 9));
	assert_int_equal(told(f, 20), SERVICE_IGNORE);
	event(f, PROCESS_FORK, 21, 20, 9);
	event(f, PROCESS_EXEC, 21, 20, 10);
	assert_int_equal(told(f, 21), 0);
}

/* A rule that names a port: the process is not given up before it had the chance to listen. */
static void test_selected_by_port(void **state)
{
	struct fixture *f = *state;

	f->config->include = rule((struct config_rule){ .port = 8000, .service = strdup("by-port") });
	f->config->include_n = 1;
	begin(f);
	assert_false(processes_ready(f->p, 10, 7, f->now));
	answer_as(f, "shop");
	assert_null(processes_resource(f->p, 10, 7));
	assert_int_equal(told(f, 10), -1);
	processes_port(f->p, 7, 80);
	assert_null(processes_resource(f->p, 10, 7));
	processes_port(f->p, 7, 8000);
	assert_string_equal(name_of(f, 10, 7), "by-port");
	assert_null(processes_unknown_resource(f->p)); /* nothing else is observed */
}

static void test_nothing_known(void **state)
{
	struct fixture *f = *state;
	struct resource *r;

	begin(f);
	assert_int_equal(processes_service(f->p, 12345, &r), SERVICE_UNKNOWN);
	assert_non_null(processes_unknown_resource(f->p));
	assert_non_null(processes_resource(f->p, 4242, 12345));
}

/* More processes than fit: the oldest go, and services do not stay alive for them. */
static void test_bounded(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (uint32_t i = 1; i <= 40000; i++)
		event(f, PROCESS_FORK, i, 0, i % 100 + 1);
	assert_null(processes_find(f->p, 1));
	assert_non_null(processes_find(f->p, 40000));
	for (uint32_t i = 1; i <= 40000; i++)
		event(f, PROCESS_EXIT, i, 0, 0);
	f->now += 700 * S;
	processes_tick(f->p, f->now);
	for (uint32_t i = 1; i <= 100; i++)
		processes_service_dead(f->p, i);
	f->now += 100 * S;
	processes_tick(f->p, f->now);
	for (uint32_t i = 1; i <= 100; i++)
		assert_true(processes_service_dead(f->p, i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_for_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_does_not_wait_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_process_is_asked_about, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_share_the_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_of_one_service, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets_are_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_churn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_when_it_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_service_dies_with_its_last_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exec_leaves_the_service, setup, teardown),
		cmocka_unit_test_setup_teardown(test_number_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_excluded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_selected_by_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
