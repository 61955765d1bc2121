/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/ledger.h"

/* What a worker counted stays when it is killed: several at once, so that lost updates would show. */
static void test_counts_survive_the_process(void **state)
{
	struct ledger *l = ledger_new();
	pid_t pids[4];
	int status;

	(void)state;
	assert_non_null(l);
	for (int c = 0; c < USER_COUNTER_COUNT; c++)
		assert_int_equal(ledger_get(l, c), 0);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			for (int n = 0; n < 100000; n++)
				ledger_add(l, USER_queue_full, 1);
			ledger_add(l, USER_shutdown, 7);
			_exit(1);
		}
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
	assert_int_equal(ledger_get(l, USER_queue_full), 400000);
	assert_int_equal(ledger_get(l, USER_shutdown), 28);
	assert_int_equal(ledger_get(l, USER_spans_exported), 0);
	munmap(l, sizeof(*l));
}

static void assert_names(const struct counter_def *defs, int n)
{
	for (int i = 0; i < n; i++) {
		assert_non_null(defs[i].name);
		assert_true(strlen(defs[i].help) > 10);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(defs[i].name, defs[k].name);
	}
}

static void test_every_counter_has_a_name(void **state)
{
	(void)state;
	assert_names(kernel_counters, KERNEL_COUNTER_COUNT);
	assert_names(user_counters, USER_COUNTER_COUNT);
}

static void test_rows_keep_their_meaning(void **state)
{
	(void)state;
	assert_string_equal(kernel_counters[KERNEL_ring_full].name, "ring_full");
	assert_int_equal(kernel_counters[KERNEL_ring_full].is_drop, 1);
	assert_int_equal(kernel_counters[KERNEL_spans_seen].is_drop, 0);
	assert_string_equal(user_counters[USER_worker_crash].name, "worker_crash");
	assert_int_equal(user_counters[USER_worker_crash].is_drop, 1);
	assert_int_equal(user_counters[USER_spans_exported].is_drop, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_survive_the_process),
		cmocka_unit_test(test_every_counter_has_a_name),
		cmocka_unit_test(test_rows_keep_their_meaning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
