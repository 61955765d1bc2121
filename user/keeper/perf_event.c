/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tracepoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

static int read_id(const char *root, const char *category, const char *name)
{
	char path[256], text[32] = "";
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/events/%s/%s/id", root, category, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return -EIO;
	return atoi(text) > 0 ? atoi(text) : -EIO;
}

static int read_id_in_private_mount(const char *category, const char *name)
{
	int status = 0, id = -EIO, pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL))
			id = -errno;
		else
			id = read_id("/sys/kernel/tracing", category, name);
		_exit(write(pipes[1], &id, sizeof(id)) != sizeof(id));
	}
	close(pipes[1]);
	if (pid < 0 || read(pipes[0], &id, sizeof(id)) != sizeof(id))
		id = -EIO;
	close(pipes[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return id;
}

int tracepoint_id(const char *category, const char *name)
{
	int id = read_id("/sys/kernel/tracing", category, name);

	if (id < 0)
		id = read_id("/sys/kernel/debug/tracing", category, name);
	return id > 0 ? id : read_id_in_private_mount(category, name);
}

int tracepoint_open(const char *category, const char *name)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .sample_period = 1 };
	int id = tracepoint_id(category, name), fd;

	if (id < 0)
		return id;
	attr.config = (unsigned)id;
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
