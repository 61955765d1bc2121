/* SPDX-License-Identifier: Apache-2.0 */
/* The first lines: who is watched, who talks to whom. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/banner.h"

#define LISTEN 10
#define ESTABLISHED 1

struct fixture {
	struct config *config;
	struct outbox *out;
	struct processes *p;
	struct banner *b;
	char text[4096];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct processes_config cfg = { .asks = false };

	f->config = config_new();
	f->config->console = true;
	cfg.config = f->config;
	f->out = outbox_new(-1);
	f->p = processes_new(&cfg, f->out);
	f->b = banner_new();
	assert_true(f->p && f->b);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	banner_free(f->b);
	processes_free(f->p);
	outbox_free(f->out);
	config_free(f->config);
	free(f);
	return 0;
}

static void process(struct fixture *f, uint32_t tgid, uint32_t service, const char *name, const char *comm)
{
	struct message_process m = { .kind = MESSAGE_PROCESS, .tgid = tgid, .service = service, .start = tgid };
	struct bytes facts[PROGRAM_FACTS] = { bytes_str("/usr/bin/python3.11") };
	char env[128];

	snprintf(m.comm, sizeof(m.comm), "%s", comm);
	facts[2] = bytes_of(env, (size_t)snprintf(env, sizeof(env), "OTEL_SERVICE_NAME=%s", name) + 1);
	processes_message(f->p, &m, 1);
	processes_identity(f->p, tgid, facts, 1);
}

static void sock(struct fixture *f, uint32_t tgid, uint32_t state, uint16_t local, const char *remote, uint16_t port)
{
	struct message_socket m = { .kind = MESSAGE_SOCKET, .tgid = tgid, .state = state };

	m.conn.family = AF_INET;
	m.conn.local_port = local;
	m.conn.remote_port = port;
	m.conn.role = state == ESTABLISHED ? ROLE_CLIENT : ROLE_UNKNOWN;
	inet_pton(AF_INET, "127.0.0.1", m.conn.local_addr);
	if (remote)
		inet_pton(AF_INET, remote, m.conn.remote_addr);
	banner_socket(f->b, &m);
}

static void print(struct fixture *f)
{
	int fd = memfd_create("lines", MFD_CLOEXEC);
	ssize_t n;

	banner_print(f->b, f->p, f->config, fd, 1000000000, 1400000000);
	n = pread(fd, f->text, sizeof(f->text) - 1, 0);
	assert_true(n > 0);
	f->text[n] = '\0';
	close(fd);
}

static void has(const struct fixture *f, const char *what)
{
	if (!strstr(f->text, what))
		fail_msg("no \"%s\" in:\n%s", what, f->text);
}

static void test_who_talks_to_whom(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, "shop", "gunicorn");
	process(f, 11, 1, "shop", "gunicorn");
	process(f, 20, 2, "front", "nginx");
	process(f, 30, 3, "idle", "python3.11");
	sock(f, 10, LISTEN, 8000, NULL, 0);
	sock(f, 11, LISTEN, 8000, NULL, 0); /* the same socket, inherited */
	sock(f, 11, ESTABLISHED, 50000, "10.0.0.5", 5432);
	sock(f, 11, ESTABLISHED, 50001, "10.0.0.5", 5432);
	sock(f, 11, ESTABLISHED, 8000, "127.0.0.1", 40000); /* somebody called it */
	sock(f, 20, LISTEN, 80, NULL, 0);
	sock(f, 20, ESTABLISHED, 40000, "127.0.0.1", 8000);
	sock(f, 20, ESTABLISHED, 40001, "192.0.2.1", 8000); /* not ours: another host */
	print(f);
	has(f, "watching  shop      gunicorn, 2 processes, python3.11  :8000      talks to postgresql 10.0.0.5:5432\n");
	has(f, "          front     nginx, python3.11                  :80        talks to shop, 192.0.2.1:8000\n");
	has(f, "export    console");
	has(f, "ready     after 0.4 s.");
	assert_null(strstr(f->text, "idle"));
}

static void test_nothing(void **state)
{
	struct fixture *f = *state;

	print(f);
	has(f, "watching  nothing yet");
}

/* Names are chosen by others: no control character, and no line of their own. */
static void test_hostile_name(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, "a\nready     \033[2Jb", "x\033y");
	sock(f, 10, LISTEN, 8000, NULL, 0);
	print(f);
	assert_null(strchr(f->text, '\033'));
	assert_null(strstr(f->text, "\nready     ?"));
}

static void test_many(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "service-%u", i);
		process(f, 100 + i, 1 + i, name, "x");
		sock(f, 100 + i, LISTEN, (uint16_t)(1000 + i), NULL, 0);
	}
	print(f);
	has(f, "service-11 ");
	assert_null(strstr(f->text, "service-12 "));
	has(f, "and 88 more services");
}

static void test_endpoints(void **state)
{
	struct fixture *f = *state;

	f->config->console = false;
	f->config->traces.endpoint = strdup("http://h:4318/v1/traces");
	f->config->metrics.endpoint = strdup("http://h:4318/v1/metrics");
	print(f);
	has(f, "export    traces to http://h:4318/v1/traces, metrics to http://h:4318/v1/metrics\n");
	assert_null(strstr(f->text, "make demo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_talks_to_whom, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endpoints, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
