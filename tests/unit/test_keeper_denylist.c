/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/denylist.h"

static void judges_by_both_answers(void **state)
{
	(void)state;
	/* 6.10 and before: no such call, with or without a filter */
	assert_false(uretprobe_harms(URETPROBE_FILTERED, URETPROBE_ABSENT, "6.1.0"));
	/* 6.12.8: a filter is asked about a call that the kernel has */
	assert_true(uretprobe_harms(URETPROBE_FILTERED, URETPROBE_KILLED, "6.12.8"));
	/* the same of a version that should not have it: what the kernel does counts */
	assert_true(uretprobe_harms(URETPROBE_FILTERED, URETPROBE_KILLED, "5.14.0-999.el9"));
	/* repaired: no filter is asked, whatever the version says */
	assert_false(uretprobe_harms(URETPROBE_KILLED, URETPROBE_UNKNOWN, "6.12.95"));
	assert_false(uretprobe_harms(URETPROBE_NO_FILTERS, URETPROBE_UNKNOWN, "6.12.1"));
	assert_false(uretprobe_harms(URETPROBE_ABSENT, URETPROBE_UNKNOWN, "6.12.1"));
}

static void takes_the_version_when_nothing_tells(void **state)
{
	static const struct {
		const char *release;
		bool harms;
	} rows[] = {
		{ "5.10.0-32-amd64", false },
		{ "6.10.11", false },
		{ "6.11.0", true },
		{ "6.12.8-cloud-amd64", true },
		{ "6.13.0-rc1", true },
		{ "6.14.0", false },
		{ "7.2.13", false },
		{ "7.12.1", false },
		{ "", true },
		{ "unknown", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(uretprobe_harms(URETPROBE_UNKNOWN, URETPROBE_UNKNOWN, rows[i].release), rows[i].harms);
		assert_int_equal(uretprobe_harms(URETPROBE_FILTERED, URETPROBE_UNKNOWN, rows[i].release),
				 rows[i].harms);
	}
}

/* Whether asking is right is told by asking twice and by a child of ours that is not disturbed. */
static void asks_this_kernel_without_harm(void **state)
{
	bool first = denylist_return_probes();
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(denylist_return_probes(), first);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* no child is left behind */
	assert_int_equal(errno, ECHILD);
	assert_int_equal(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0); /* the filter was the child's */
	pid = fork();
	if (pid == 0)
		_exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_by_both_answers),
		cmocka_unit_test(takes_the_version_when_nothing_tells),
		cmocka_unit_test(asks_this_kernel_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
