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
	assert_int_equal(outputs_open(&o, cfg, ledger, 0), 0);
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
		cmocka_unit_test(test_opened_apart),
		cmocka_unit_test(test_outbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
