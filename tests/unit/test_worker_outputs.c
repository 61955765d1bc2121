/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "channel/messages.h"
#include "util/ledger.h"
#include "worker/outbox.h"
#include "worker/outputs.h"

static void test_urls(void **state)
{
	static const struct {
		const char *url, *host, *port; /* host NULL: refused */
	} cases[] = {
		{ "http://localhost:4318/v1/traces", "localhost", "4318" },
		{ "http://localhost", "localhost", "80" },
		{ "HTTPS://example.com/base", "example.com", "443" },
		{ "https://user:pass@example.com:8443/x", "example.com", "8443" },
		{ "http://[::1]:4318/v1/traces", "::1", "4318" },
		{ "http://[::1]", "::1", "80" },
		{ "http://10.0.0.1:1?x=http://other:2", "10.0.0.1", "1" },
		{ "http://a:/x", "a", "80" },
		{ "ftp://localhost", NULL, NULL },
		{ "localhost:4318", NULL, NULL },
		{ "http://", NULL, NULL },
		{ "http://:80", NULL, NULL },
		{ "http://[::1", NULL, NULL },
		{ "http://[::1]x:80", NULL, NULL },
		{ "http://a:8o", NULL, NULL },
		{ "http://a:123456", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char host[32] = "", port[8] = "";

		if (outputs_parse_url(cases[i].url, host, sizeof(host), port) != (cases[i].host != NULL))
			fail_msg("%s", cases[i].url);
		assert_string_equal(host, cases[i].host ? cases[i].host : "");
		assert_string_equal(port, cases[i].port ? cases[i].port : "");
	}
}

static void test_host_too_long(void **state)
{
	char host[8] = "", port[8];

	(void)state;
	assert_false(outputs_parse_url("http://12345678", host, sizeof(host), port));
	assert_true(outputs_parse_url("http://1234567", host, sizeof(host), port));
}

static void test_announce(void **state)
{
	struct outputs o = { .spans.traces.endpoint = "http://127.0.0.1:4318/v1/traces",
			     .metrics.metrics.endpoint = "http://[::1]:4319/v1/metrics" };
	struct message_export m;
	struct outbox *out;
	int socks[2], fd;

	(void)state;
	assert_int_equal(channel_pair(socks), 0);
	out = outbox_new(socks[1]);
	outputs_announce(&o, out);
	assert_int_equal(channel_receive(socks[0], &m, sizeof(m), &fd), sizeof(m));
	assert_int_equal(m.kind, MESSAGE_EXPORT_PORT);
	assert_int_equal(m.family, AF_INET);
	assert_int_equal(m.port, 4318);
	assert_memory_equal(m.addr, "\x7f\0\0\1", 4);
	assert_int_equal(channel_receive(socks[0], &m, sizeof(m), &fd), sizeof(m));
	assert_int_equal(m.family, AF_INET6);
	assert_int_equal(m.port, 4319);
	assert_int_equal(m.addr[15], 1);
	outbox_free(out);
	close(socks[0]);
	close(socks[1]);
}

/* One destination for both signals is opened once for each, so that spans can end before the last reading. */
static void test_opened_apart(void **state)
{
	struct config *cfg = config_new();
	struct ledger *ledger = ledger_new();
	struct outputs o;
	unsigned spans = 0;

	(void)state;
	cfg->console = false;
	cfg->traces.endpoint = strdup("http://127.0.0.1:9/v1/traces");
	cfg->metrics.endpoint = strdup("http://127.0.0.1:9/v1/metrics");
	assert_int_equal(outputs_open(&o, cfg, ledger), 0);
	assert_int_equal(o.n, 2);
	for (size_t i = 0; i < o.n; i++)
		spans += o.v[i].spans;
	assert_int_equal(spans, 1);
	outputs_close_spans(&o, 100);
	assert_int_equal(o.n, 1);
	assert_false(o.v[0].spans);
	outputs_close(&o, 100);
	assert_int_equal(o.n, 0);
	munmap(ledger, sizeof(*ledger));
	config_free(cfg);
}

/* A keeper that does not read: messages are kept in order, up to a bound, and none is lost silently. */
static void test_outbox(void **state)
{
	struct message_plain m = { .kind = MESSAGE_READY }, got;
	struct outbox *o;
	uint32_t sent = 0, received = 0;
	int socks[2], fd, r;

	(void)state;
	assert_int_equal(channel_pair(socks), 0);
	fcntl(socks[0], F_SETFL, O_NONBLOCK);
	fcntl(socks[1], F_SETFL, O_NONBLOCK);
	o = outbox_new(socks[1]);
	for (;; sent++) {
		m.value = sent;
		r = outbox_send(o, &m, sizeof(m));
		if (r)
			break;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(sent > 1000);
	while (received < sent) {
		r = channel_receive(socks[0], &got, sizeof(got), &fd);
		if (r == -EAGAIN) {
			assert_int_equal(outbox_flush(o), 0);
			continue;
		}
		assert_int_equal(r, sizeof(got));
		assert_int_equal(got.value, received++);
	}
	assert_int_equal(outbox_flush(o), 0);
	assert_int_equal(outbox_send(o, &m, sizeof(m)), 0);
	close(socks[0]);
	assert_true(outbox_send(o, &m, sizeof(m)) < 0);
	outbox_free(o);
	close(socks[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),	 cmocka_unit_test(test_host_too_long),
		cmocka_unit_test(test_announce), cmocka_unit_test(test_opened_apart),
		cmocka_unit_test(test_outbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
