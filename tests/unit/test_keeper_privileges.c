/* SPDX-License-Identifier: Apache-2.0 */
/* Each test gives up its power in a child of its own; the kernel's /proc/PID/status says what is left. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/mmap_events.h"
#include "keeper/privileges.h"
#include "keeper/target_file.h"
#include "util/cleanup.h"

#define BIT(c) (1ULL << (c))

/* Files of the tests; removed by the process that has not given anything up. */
static char folder[] = "/tmp/sonde-privileges-XXXXXX";

/* In a child a failed check ends it with the line as status, for the parent to report. */
#define CHECK(fact)                                                        \
	do {                                                               \
		if (!(fact)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #fact); \
			_exit(1);                                          \
		}                                                          \
	} while (0)

static void in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* The number behind a name of a process's status file. */
static uint64_t status_of(pid_t pid, const char *name, int base)
{
	char path[64], line[256];
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return strtoull(line + strlen(name) + 1, NULL, base);
	CHECK(!"in status");
	return 0;
}

static uint64_t own_status(const char *name, int base)
{
	return status_of(getpid(), name, base);
}

static void check_powerless(void)
{
	CHECK(own_status("CapPrm", 16) == 0);
	CHECK(own_status("CapEff", 16) == 0);
	CHECK(own_status("CapInh", 16) == 0);
	CHECK(own_status("CapBnd", 16) == 0);
	CHECK(own_status("CapAmb", 16) == 0);
	CHECK(own_status("NoNewPrivs", 10) == 1);
	CHECK(own_status("Uid", 10) == 65534);
	CHECK(own_status("Gid", 10) == 65534);
	CHECK(getgroups(0, NULL) == 0);
}

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void drop_worker(void)
{
	int kept[] = { 2, -1, 900, 0, 1, 2, 500 };
	struct rlimit limit;

	CHECK(setgroups(2, (gid_t[]){ 0, 4 }) == 0);
	for (int fd = 3; fd < 10; fd++)
		dup2(2, fd);
	CHECK(dup2(2, 500) == 500 && dup2(2, 900) == 900 && dup2(2, 901) == 901);
	CHECK(privileges_drop_worker(kept, sizeof(kept) / sizeof(kept[0]), false) == 0);
	CHECK(count_descriptors() == 5);
	CHECK(fcntl(900, F_GETFD) >= 0 && fcntl(500, F_GETFD) >= 0 && fcntl(901, F_GETFD) < 0);
	check_powerless();
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max <= 256);
	CHECK(setresuid(0, 0, 0) < 0 && errno == EPERM);
	CHECK(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
}

static void test_worker(void **state)
{
	(void)state;
	need_root();
	in_child(drop_worker);
}

static void drop_worker_but_bpf(void)
{
	const int kept[] = { 0, 1, 2 };

	CHECK(privileges_drop_worker(kept, 3, true) == 0);
	CHECK(own_status("CapEff", 16) == BIT(CAP_BPF));
	CHECK(own_status("CapPrm", 16) == BIT(CAP_BPF));
	CHECK(own_status("CapBnd", 16) == BIT(CAP_BPF));
	CHECK(own_status("Uid", 10) == 65534);
}

static void test_worker_keeps_bpf(void **state)
{
	(void)state;
	need_root();
	in_child(drop_worker_but_bpf);
}

static void drop_without_root(void)
{
	const int kept[] = { 0, 1, 2 };

	if (geteuid() == 0)
		CHECK(setresgid(12345, 12345, 12345) == 0 && setresuid(12345, 12345, 12345) == 0);
	CHECK(privileges_drop_worker(kept, 3, false) == 0);
	CHECK(own_status("CapPrm", 16) == 0);
	CHECK(own_status("NoNewPrivs", 10) == 1);
}

static void test_worker_without_root(void **state)
{
	(void)state;
	in_child(drop_without_root);
}

static void ignore(void *context, const struct message_mapped *m)
{
	(void)context;
	(void)m;
}

/* Somebody else's process, with a file that only its owner can read mapped. Returns its pid. */
static pid_t start_stranger(char *path, size_t size, uint64_t *ret_address)
{
	int out[2], fd;
	void *p;
	pid_t pid;

	snprintf(path, size, "%s/file-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0 && fchown(fd, 12345, 12345) == 0 && pipe(out) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setgroups(0, NULL) == 0 && setresgid(12345, 12345, 12345) == 0 &&
		      setresuid(12345, 12345, 12345) == 0);
		p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
		CHECK(write(out[1], &p, sizeof(p)) == sizeof(p));
		for (;;)
			pause();
	}
	CHECK(read(out[0], &p, sizeof(p)) == sizeof(p));
	close(out[0]);
	close(out[1]);
	close(fd);
	*ret_address = (uint64_t)p;
	return pid;
}

/* What the keeper does for the rest of its life must still work. */
static void drop_keeper(void)
{
	static const enum target_file texts[] = { TARGET_ENVIRON, TARGET_CMDLINE, TARGET_MAPS, TARGET_EXE };
	const uint64_t may_have = BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) |
				  BIT(CAP_CHECKPOINT_RESTORE) | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP) |
				  BIT(CAP_KILL);
	uint64_t before = own_status("CapPrm", 16), address;
	struct mmap_events *events = NULL;
	struct message_opened facts;
	char path[64];
	pid_t stranger = start_stranger(path, sizeof(path), &address), pid;
	int fd = -1, status;

	CHECK(privileges_drop_keeper(false) == 0);
	CHECK(own_status("CapEff", 16) == (before & may_have));
	CHECK(own_status("CapPrm", 16) == (before & may_have));
	CHECK((own_status("CapBnd", 16) & ~may_have) == 0);
	CHECK(own_status("NoNewPrivs", 10) == 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK(target_open((uint32_t)stranger, texts[i], 0, 0, &facts, &fd) == 0);
		close(fd);
	}
	CHECK(target_open((uint32_t)stranger, TARGET_MAPPING, address, 4096, &facts, &fd) == 0);
	CHECK(strcmp(facts.path, path) == 0);
	close(fd);
	CHECK(mmap_events_open(&events) == 0);
	mmap_events_read(events, ignore, NULL);
	mmap_events_close(events);
	/* no more than that */
	CHECK(open(path, O_WRONLY) < 0 && errno == EACCES);
	CHECK(sethostname("x", 1) < 0 && errno == EPERM);
	/* a worker can be made, and ended */
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		const int kept[] = { 0, 1, 2 };

		CHECK(privileges_drop_worker(kept, 3, false) == 0);
		check_powerless();
		for (;;)
			pause();
	}
	while (status_of(pid, "NoNewPrivs", 10) != 1 || status_of(pid, "Uid", 10) != 65534)
		usleep(1000);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	CHECK(kill(stranger, SIGKILL) == 0 && waitpid(stranger, NULL, 0) == stranger);
}

/* CAP_SYS_ADMIN goes, unless perf events refuse uprobes without it; then they work with it. */
static void drop_keeper_with_perf_uprobes(void)
{
	uint64_t before = own_status("CapPrm", 16), after;
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.disabled = 1,
		.config1 = (uint64_t)(uintptr_t) "/proc/self/exe",
		.config2 = 64,
	};
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1, r;

	CHECK(privileges_drop_keeper(true) == 0);
	after = own_status("CapPrm", 16);
	CHECK((after & ~before) == 0 && !(after & BIT(CAP_SYS_MODULE)) && (after & BIT(CAP_PERFMON)));
	if (!f || fscanf(f, "%d", &type) != 1)
		return;
	attr.type = (uint32_t)type;
	r = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	CHECK(r >= 0 || (errno != EACCES && errno != EPERM));
	if (!(after & BIT(CAP_SYS_ADMIN)))
		return;
	CHECK(setresuid(12345, 12345, 12345) == 0);
	CHECK(syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) < 0 && errno == EACCES);
}

static void test_keeper_with_perf_uprobes(void **state)
{
	(void)state;
	need_root();
	in_child(drop_keeper_with_perf_uprobes);
}

static void test_keeper(void **state)
{
	(void)state;
	need_root();
	in_child(drop_keeper);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	_cleanup_closedir_ DIR *d = opendir(folder);
	struct dirent *e;

	(void)state;
	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_worker_keeps_bpf),
		cmocka_unit_test(test_worker_without_root),
		cmocka_unit_test(test_keeper),
		cmocka_unit_test(test_keeper_with_perf_uprobes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
