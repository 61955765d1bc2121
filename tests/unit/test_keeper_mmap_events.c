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
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/mmap_events.h"
#include "util/cleanup.h"

#define PAGE 4096

struct seen {
	uint32_t tgid;
	uint64_t ino;
	int n;
	struct message_mapped last;
};

static void note(void *context, const struct message_mapped *m)
{
	struct seen *s = context;

	assert_int_equal(m->kind, MESSAGE_MAPPED);
	assert_true(m->path[0] == '/' && m->path[1] != '/' && m->ino);
	if (m->tgid != s->tgid || (s->ino && m->ino != s->ino))
		return;
	s->n++;
	s->last = *m;
}

static struct mmap_events *open_or_skip(void)
{
	struct mmap_events *m = NULL;
	int r = mmap_events_open(&m);

	if (r < 0) {
		print_message("no perf events here: %s\n", strerror(-r));
		skip();
	}
	return m;
}

/* A file of n pages, without a name afterwards. */
static int make_file(char *path, size_t size, size_t n)
{
	int fd;

	snprintf(path, size, "/tmp/sonde-mmap-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(n * PAGE)), 0);
	return fd;
}

static void test_mapping_is_seen(void **state)
{
	struct mmap_events *m = open_or_skip();
	struct seen seen = { .tgid = (uint32_t)getpid() };
	char path[64];
	_cleanup_close_ int fd = make_file(path, sizeof(path), 4);
	struct stat st;
	void *p;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	seen.ino = st.st_ino;
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, PAGE);
	assert_ptr_not_equal(p, MAP_FAILED);
	mmap_events_read(m, note, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.last.start, (uint64_t)p);
	assert_int_equal(seen.last.len, 2 * PAGE);
	assert_int_equal(seen.last.pgoff, PAGE);
	assert_int_equal(seen.last.dev_major, major(st.st_dev));
	assert_int_equal(seen.last.dev_minor, minor(st.st_dev));
	assert_string_equal(seen.last.path, path);
	munmap(p, 2 * PAGE);
	/* handed over once */
	mmap_events_read(m, note, &seen);
	assert_int_equal(seen.n, 1);
	/* made executable later */
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	mmap_events_read(m, note, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
	mmap_events_read(m, note, &seen);
	assert_int_equal(seen.n, 2);
	munmap(p, PAGE);
	unlink(path);
	mmap_events_close(m);
}

/* Executable memory that is no file does not come (note() asserts real files for everything that does). */
static void test_no_files(void **state)
{
	struct mmap_events *m = open_or_skip();
	struct seen seen = { .tgid = (uint32_t)getpid() };
	_cleanup_close_ int fd = memfd_create("doublemapper", MFD_CLOEXEC);
	void *p[2];

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	p[0] = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[1] = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	mmap_events_read(m, note, &seen);
	assert_int_equal(seen.n, 0);
	munmap(p[0], PAGE);
	munmap(p[1], PAGE);
	mmap_events_close(m);
}

/* The executable and libraries of a new process, on whatever CPU it runs, and epoll inside epoll wakes. */
static void test_other_process_wakes(void **state)
{
	struct mmap_events *m = open_or_skip();
	_cleanup_close_ int outer = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event want = { .events = EPOLLIN }, got;
	struct seen seen = { 0 };
	struct stat st;
	pid_t pid;

	(void)state;
	assert_int_equal(stat("/bin/true", &st), 0);
	assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, mmap_events_fd(m), &want), 0);
	for (int i = 0; i < 20; i++) {
		while (epoll_wait(outer, &got, 1, 0) > 0)
			mmap_events_read(m, note, &seen);
		pid = fork();
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		seen = (struct seen){ .tgid = (uint32_t)pid, .ino = st.st_ino };
		for (int tries = 0; tries < 100 && !seen.n; tries++) {
			assert_int_equal(epoll_wait(outer, &got, 1, 5000), 1);
			mmap_events_read(m, note, &seen);
		}
		assert_true(seen.n > 0);
		waitpid(pid, NULL, 0);
	}
	mmap_events_close(m);
}

/* More than a ring holds: what is handed over and what is counted lost make up what happened. */
static void test_lost_are_counted(void **state)
{
	enum { N = 3000 };
	struct mmap_events *m = open_or_skip();
	struct seen seen = { .tgid = (uint32_t)getpid() };
	char path[64];
	_cleanup_close_ int fd = make_file(path, sizeof(path), 1);
	struct stat st;
	cpu_set_t one, all;

	(void)state;
	/* on one CPU, so that one ring has it all */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(fstat(fd, &st), 0);
	seen.ino = st.st_ino;
	for (int i = 0; i < N; i++)
		munmap(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), PAGE);
	mmap_events_read(m, note, &seen);
	assert_in_range(seen.n, 100, N - 1);
	/* the kernel says how many were lost before the next record that fits */
	for (int i = 0; i < 50 && seen.n + mmap_events_lost(m) < N; i++) {
		munmap(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), PAGE);
		mmap_events_read(m, note, &seen);
	}
	assert_true(mmap_events_lost(m) > 0);
	assert_true(seen.n + mmap_events_lost(m) >= N);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	unlink(path);
	mmap_events_close(m);
}

static void test_without_privilege(void **state)
{
	struct mmap_events *m = (void *)1;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		int r = mmap_events_open(&m);

		_exit((r == -EACCES || r == -EPERM) && m == (void *)1 ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	mmap_events_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapping_is_seen),	    cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_other_process_wakes), cmocka_unit_test(test_lost_are_counted),
		cmocka_unit_test(test_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
