/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/target_file.h"
#include "util/cleanup.h"

#define PAGE 4096

/* A process to look at: maps three pages of a file, /dev/zero, and a file larger than the cap. */
static struct target {
	pid_t pid;
	char path[64], large[64];
	uint64_t file, device, huge, anonymous;
} target;

static int open_descriptors(void)
{
	_cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	return n;
}

static void *map(const char *path, int flags, off_t size, size_t len)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0 || (size && ftruncate(fd, size) < 0))
		return MAP_FAILED;
	p = mmap(NULL, len, PROT_READ, flags, fd, 0);
	close(fd);
	return p;
}

static void run_target(int out)
{
	void *p[4] = {
		map(target.path, MAP_SHARED, 3 * PAGE, 3 * PAGE),
		map("/dev/zero", MAP_PRIVATE, 0, PAGE),
		map(target.large, MAP_SHARED, (off_t)TARGET_FILE_MAX + PAGE, PAGE),
		mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};

	if (write(out, p, sizeof(p)) != sizeof(p))
		_exit(1);
	for (;;)
		pause();
}

static int setup(void **state)
{
	int out[2];
	void *p[4];

	(void)state;
	snprintf(target.path, sizeof(target.path), "/tmp/sonde-target-%d", getpid());
	snprintf(target.large, sizeof(target.large), "/tmp/sonde-large-%d", getpid());
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	target.pid = fork();
	assert_true(target.pid >= 0);
	if (target.pid == 0)
		run_target(out[1]);
	assert_int_equal(read(out[0], p, sizeof(p)), sizeof(p));
	close(out[0]);
	close(out[1]);
	for (int i = 0; i < 4; i++)
		assert_ptr_not_equal(p[i], MAP_FAILED);
	target.file = (uint64_t)p[0];
	target.device = (uint64_t)p[1];
	target.huge = (uint64_t)p[2];
	target.anonymous = (uint64_t)p[3];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(target.pid, SIGKILL);
	waitpid(target.pid, NULL, 0);
	unlink(target.path);
	unlink(target.large);
	return 0;
}

static void check_file(const struct message_opened *m, int fd, const char *path)
{
	struct stat want, got;

	assert_int_equal(stat(path, &want), 0);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(got.st_ino, want.st_ino);
	assert_int_equal(got.st_dev, want.st_dev);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(m->kind, MESSAGE_OPENED);
	assert_int_equal(m->error, 0);
	assert_int_equal(m->ino, want.st_ino);
	assert_int_equal(m->dev_major, major(want.st_dev));
	assert_int_equal(m->dev_minor, minor(want.st_dev));
	assert_int_equal(m->size, want.st_size);
	assert_int_equal(m->mtime_ns, want.st_mtim.tv_sec * 1000000000LL + want.st_mtim.tv_nsec);
}

static void test_executable(void **state)
{
	_cleanup_close_ int fd = -1;
	char self[512] = { 0 }, elf[4];
	struct message_opened m;

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_EXE, 0, 0, &m, &fd), 0);
	check_file(&m, fd, "/proc/self/exe");
	assert_string_equal(m.path, self);
	assert_int_equal(read(fd, elf, 4), 4);
	assert_memory_equal(elf, "\177ELF", 4);
}

static void test_links(void **state)
{
	char self[512] = { 0 }, cwd[512];
	struct message_opened m;
	int fd = 99;

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_EXE_LINK, 0, 0, &m, &fd), 0);
	assert_string_equal(m.path, self);
	assert_int_equal(fd, -1);
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_CWD_LINK, 0, 0, &m, &fd), 0);
	assert_string_equal(m.path, getcwd(cwd, sizeof(cwd)));
	assert_int_equal(fd, -1);
}

/* The texts are what anybody reads there. */
static void test_texts(void **state)
{
	static const struct {
		enum target_file what;
		const char *name;
	} texts[] = { { TARGET_ENVIRON, "environ" },
		      { TARGET_CMDLINE, "cmdline" },
		      { TARGET_CGROUP, "cgroup" },
		      { TARGET_MAPS, "maps" } };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		_cleanup_close_ int fd = -1, other = -1;
		char path[64], got[8192], want[8192];
		struct message_opened m;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/%s", target.pid, texts[i].name);
		other = open(path, O_RDONLY | O_CLOEXEC);
		n = read(other, want, sizeof(want));
		assert_true(n > 0);
		assert_int_equal(target_open((uint32_t)target.pid, texts[i].what, 0, 0, &m, &fd), 0);
		assert_int_equal(read(fd, got, sizeof(got)), n);
		assert_memory_equal(got, want, (size_t)n);
	}
}

static void test_sockets_text(void **state)
{
	_cleanup_close_ int fd = -1;
	struct message_opened m;
	char got[64] = { 0 };

	(void)state;
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_NET_TCP, 0, 0, &m, &fd), 0);
	assert_true(read(fd, got, sizeof(got) - 1) > 0);
	assert_non_null(strstr(got, "local_address"));
}

static void test_mapping(void **state)
{
	struct message_opened m;
	int fd = -1, before = open_descriptors();

	(void)state;
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_MAPPING, target.file, 3 * PAGE, &m, &fd), 0);
	check_file(&m, fd, target.path);
	assert_string_equal(m.path, target.path);
	close(fd);
	/* told of a mapping that is larger by now, or was split: its start decides */
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_MAPPING, target.file, PAGE, &m, &fd), 0);
	check_file(&m, fd, target.path);
	close(fd);
	assert_int_equal(open_descriptors(), before);
}

static void test_mapping_errors(void **state)
{
	uint32_t pid = (uint32_t)target.pid;
	int fd = 99, before = open_descriptors();
	struct message_opened m = { .token = 77 };

	(void)state;
	assert_int_equal(target_open(pid, TARGET_MAPPING, target.device, PAGE, &m, &fd), -EINVAL);
	assert_int_equal(target_open(pid, TARGET_MAPPING, target.huge, PAGE, &m, &fd), -EFBIG);
	assert_int_equal(target_open(pid, TARGET_MAPPING, target.anonymous, PAGE, &m, &fd), -ENOENT);
	assert_int_equal(target_open(pid, TARGET_MAPPING, 0x1000, PAGE, &m, &fd), -ENOENT);
	assert_int_equal(target_open(pid, TARGET_MAPPING, target.file, 0, &m, &fd), -EINVAL);
	assert_int_equal(target_open(pid, TARGET_MAPPING, target.file, UINT64_MAX, &m, &fd), -EINVAL);
	assert_int_equal(target_open(pid, 0, 0, 0, &m, &fd), -EINVAL);
	assert_int_equal(target_open(pid, 4711, 0, 0, &m, &fd), -EINVAL);
	assert_int_equal(fd, 99);
	assert_int_equal(m.token, 77);
	assert_int_equal(open_descriptors(), before);
}

static void *wait_in_thread(void *arg)
{
	int *fds = arg;
	pid_t tid = gettid();
	char c;

	assert_int_equal(write(fds[1], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(read(fds[2], &c, 1), 1);
	return NULL;
}

static void test_not_a_process(void **state)
{
	struct message_opened m;
	int fd = 99, fds[4];
	pthread_t thread;
	pid_t pid, tid;

	(void)state;
	assert_int_equal(target_open(0, TARGET_EXE, 0, 0, &m, &fd), -ESRCH);
	assert_int_equal(target_open(UINT32_MAX, TARGET_EXE, 0, 0, &m, &fd), -ESRCH);
	assert_int_equal(target_open((uint32_t)getpid(), TARGET_ENVIRON, 0, 0, &m, &fd), -ESRCH);
	/* a zombie, then nothing */
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(target_open((uint32_t)pid, TARGET_CMDLINE, 0, 0, &m, &fd), -ESRCH);
	waitpid(pid, NULL, 0);
	assert_int_equal(target_open((uint32_t)pid, TARGET_CMDLINE, 0, 0, &m, &fd), -ESRCH);
	/* a thread */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, fds), 0);
	assert_int_equal(read(fds[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(target_open((uint32_t)tid, TARGET_CMDLINE, 0, 0, &m, &fd), -ESRCH);
	assert_int_equal(write(fds[3], "", 1), 1);
	pthread_join(thread, NULL);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	assert_int_equal(fd, 99);
}

/* Opens in a child that may not follow map_files. 0, a positive errno, or 255 for another file than ino. */
static int open_without_map_files(uint64_t ino)
{
	struct message_opened m;
	int status, fd = -1, r;
	pid_t pid = fork();

	if (pid == 0) {
		capng_clear(CAPNG_SELECT_CAPS);
		capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, -1);
		capng_apply(CAPNG_SELECT_CAPS);
		r = target_open((uint32_t)target.pid, TARGET_MAPPING, target.file, 3 * PAGE, &m, &fd);
		_exit(r < 0 ? -r : m.ino == ino ? 0 : 255);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_without_map_files(void **state)
{
	char deleted[80];
	struct message_opened m;
	struct stat st;
	int fd = -1;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(stat(target.path, &st), 0);
	assert_int_equal(open_without_map_files(st.st_ino), 0);
	/* without a name it cannot be found, and a file that has the name that maps shows now is not it */
	assert_int_equal(unlink(target.path), 0);
	assert_int_equal(open_without_map_files(st.st_ino), ESTALE);
	snprintf(deleted, sizeof(deleted), "%s (deleted)", target.path);
	close(open(deleted, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(open_without_map_files(st.st_ino), ESTALE);
	unlink(deleted);
	/* map_files reaches it all the same */
	assert_int_equal(target_open((uint32_t)target.pid, TARGET_MAPPING, target.file, 3 * PAGE, &m, &fd), 0);
	assert_int_equal(m.ino, st.st_ino);
	assert_string_equal(m.path, deleted);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_executable),    cmocka_unit_test(test_links),
		cmocka_unit_test(test_texts),	      cmocka_unit_test(test_sockets_text),
		cmocka_unit_test(test_mapping),	      cmocka_unit_test(test_mapping_errors),
		cmocka_unit_test(test_not_a_process), cmocka_unit_test(test_without_map_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
