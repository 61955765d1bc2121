/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keeper/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

#define NOBODY 65534
#define WORKER_DESCRIPTORS 256
#define KEEP_MAX 32

static const int keeper_capabilities[] = {
	CAP_BPF,    CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_CHECKPOINT_RESTORE, CAP_SETUID,
	CAP_SETGID, CAP_SETPCAP, CAP_KILL,
};

/* A bit for each capability. */
static uint64_t keeper_set(void)
{
	uint64_t set = 0;

	for (size_t i = 0; i < sizeof(keeper_capabilities) / sizeof(keeper_capabilities[0]); i++)
		set |= 1ULL << keeper_capabilities[i];
	return set;
}

/* Nothing outside of set can be had again by exec. Needs CAP_SETPCAP; without it the set stays as it was. */
static int narrow_bounds(uint64_t set)
{
	if (capng_get_caps_process() < 0)
		return -EIO;
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		return 0;
	capng_clear(CAPNG_SELECT_BOUNDS);
	for (unsigned int c = 0; c <= CAP_LAST_CAP; c++)
		if (set & 1ULL << c)
			capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, c);
	return capng_apply(CAPNG_SELECT_BOUNDS) < 0 ? -EPERM : 0;
}

/* Keeps what is in set, of what there is. */
static int narrow_capabilities(uint64_t set)
{
	if (capng_get_caps_process() < 0)
		return -EIO;
	for (unsigned int c = 0; c <= CAP_LAST_CAP; c++)
		if (!capng_have_capability(CAPNG_PERMITTED, c))
			set &= ~(1ULL << c);
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned int c = 0; c <= CAP_LAST_CAP; c++)
		if (set & 1ULL << c)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, c);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL ? -errno : 0;
}

static int uprobe_type(void)
{
	_cleanup_close_ int fd = open("/sys/bus/event_source/devices/uprobe/type", O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? atoi(text) : -1;
}

/* A disabled probe on our own file: nothing is written, and who may is decided before the file is looked at. */
static int try_uprobe(int type)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = (uint32_t)type,
		.disabled = 1,
		.config1 = (uint64_t)(uintptr_t) "/proc/self/exe",
		.config2 = 64,
	};
	_cleanup_close_ int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

static bool is_refused(int r)
{
	return r == -EACCES || r == -EPERM;
}

/* Do uprobes work with all that this process has, but not with what it is about to keep? */
static bool needs_sys_admin(void)
{
	int type = uprobe_type(), status;
	pid_t pid;

	if (type < 0 || is_refused(try_uprobe(type)))
		return false;
	pid = fork();
	if (pid == 0)
		_exit(narrow_capabilities(keeper_set()) == 0 && is_refused(try_uprobe(type)));
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static int lower_limit(int resource, rlim_t to)
{
	struct rlimit now, want = { .rlim_cur = to, .rlim_max = to };

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return -errno;
	if (now.rlim_max < to) /* lower already */
		want.rlim_cur = want.rlim_max = now.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &want) < 0 ? -errno : 0;
}

int privileges_drop_keeper(bool perf_uprobes)
{
	uint64_t set = keeper_set() | (perf_uprobes && needs_sys_admin() ? 1ULL << CAP_SYS_ADMIN : 0);
	int r = lower_limit(RLIMIT_CORE, 0);

	if (r == 0)
		r = narrow_bounds(set);
	if (r == 0)
		r = narrow_capabilities(set);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

static int close_between(unsigned int first, unsigned int last)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, first, last, 0) == 0)
		return 0;
	if (errno != ENOSYS) /* Linux 5.9 */
		return -errno;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	for (unsigned int fd = first; fd < limit.rlim_cur && fd <= last; fd++)
		close((int)fd);
	return 0;
}

static int compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int close_others(const int *keep, size_t n)
{
	int sorted[KEEP_MAX], r = 0;
	unsigned int next = 0;

	if (n > KEEP_MAX)
		return -EINVAL;
	if (n) {
		memcpy(sorted, keep, n * sizeof(*keep));
		qsort(sorted, n, sizeof(sorted[0]), compare_fds);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		if (sorted[i] < 0 || (unsigned int)sorted[i] < next)
			continue;
		if ((unsigned int)sorted[i] > next)
			r = close_between(next, (unsigned int)sorted[i] - 1);
		next = (unsigned int)sorted[i] + 1;
	}
	return r < 0 ? r : close_between(next, UINT_MAX);
}

static int become_nobody(void)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

int privileges_drop_worker(const int *keep, size_t n, bool keeps_bpf)
{
	uint64_t set = keeps_bpf ? 1ULL << CAP_BPF : 0;
	int r = close_others(keep, n);

	if (r == 0)
		r = narrow_bounds(set);
	/* else changing the user id clears them all */
	if (r == 0 && keeps_bpf && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = become_nobody();
	if (r == 0)
		r = narrow_capabilities(set);
	if (r == 0)
		r = lower_limit(RLIMIT_CORE, 0);
	if (r == 0)
		r = lower_limit(RLIMIT_NOFILE, WORKER_DESCRIPTORS);
	if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		r = -errno;
	umask(077);
	return r;
}
