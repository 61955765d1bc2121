/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/denylist.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_URETPROBE 335       /* x86-64; the headers of Debian 12 do not know it */
#define FILTER_SAYS EOWNERDEAD /* nothing else answers so */

/*
 * CVE-2025-21834. Since 6.11 (commit ff474a78cef5, "uprobe: Add uretprobe syscall to speed up return probe") a probed
 * function returns through a system call, which filters of seccomp did not know and answered with death, until
 * cf6cb56ef244
 * ("seccomp: passthrough uretprobe systemcall without filtering", 6.14) let it pass. Distributions took the repair into
 * older versions, so the kernel is asked and not its version.
 */
bool uretprobe_harms(enum uretprobe_answer filtered, enum uretprobe_answer unfiltered, const char *release)
{
	int major = 0, minor = 0;

	if (filtered == URETPROBE_KILLED || filtered == URETPROBE_ABSENT || filtered == URETPROBE_NO_FILTERS)
		return false;
	if (filtered == URETPROBE_FILTERED && unfiltered == URETPROBE_ABSENT)
		return false;
	if (filtered == URETPROBE_FILTERED && unfiltered == URETPROBE_KILLED)
		return true;
	/* Somebody else's filter, a container's, hides what the kernel has. */
	if (sscanf(release, "%d.%d", &major, &minor) != 2)
		return true;
	return major == 6 && minor >= 11 && minor <= 13;
}

/* In a child: a filter that lets pass what the child needs to end, and the call. */
static void ask(bool with_filter)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | FILTER_SAYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGILL, SIG_DFL);
	if (with_filter && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (unsigned long)(uintptr_t)&program, 0, 0)))
		_exit(URETPROBE_NO_FILTERS);
	if (syscall(NR_URETPROBE) == 0)
		_exit(URETPROBE_UNKNOWN);
	_exit(errno == FILTER_SAYS ? URETPROBE_FILTERED : errno == ENOSYS ? URETPROBE_ABSENT : URETPROBE_UNKNOWN);
}

static enum uretprobe_answer answer(bool with_filter)
{
	int status = 0;
	pid_t pid = fork(), got;

	if (pid == 0)
		ask(with_filter);
	if (pid < 0)
		return URETPROBE_ABSENT;
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got != pid)
		return URETPROBE_UNKNOWN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGILL ? URETPROBE_KILLED : URETPROBE_UNKNOWN;
	return (enum uretprobe_answer)WEXITSTATUS(status);
}

bool denylist_return_probes(void)
{
	static enum { UNASKED, HARMLESS, HARMFUL } known;
	enum uretprobe_answer filtered;
	struct utsname u;

	if (known == UNASKED) {
		uname(&u);
		filtered = answer(true);
		known = uretprobe_harms(filtered, filtered == URETPROBE_FILTERED ? answer(false) : URETPROBE_UNKNOWN,
					u.release)
				? HARMFUL
				: HARMLESS;
	}
	return known == HARMFUL;
}
