/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/perf_event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int tracepoint_id(const char *category, const char *name)
{
	int id = read_id("/sys/kernel/tracing", category, name);

	if (id < 0)
		id = read_id("/sys/kernel/debug/tracing", category, name);
	return id > 0 ? id : read_id_in_private_mount(category, name);
}

static int event_open(struct perf_event_attr *attr, int pid, int cpu)
{
	int fd;

	attr->size = sizeof(*attr);
	fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tracepoint_open(const char *category, const char *name)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .sample_period = 1 };
	int id = tracepoint_id(category, name);

	if (id < 0)
		return id;
	attr.config = (unsigned)id;
	return event_open(&attr, -1, 0);
}

#define UPROBES "/sys/bus/event_source/devices/uprobe"

/* The number in a file of that folder, behind what stands before it. */
static int read_uprobes(const char *path, const char *before)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) <= 0 || strncmp(text, before, strlen(before)) != 0)
		return -EIO;
	return atoi(text + strlen(before));
}

int uprobe_open(const char *path, uint64_t offset, bool is_return)
{
	int type = read_uprobes(UPROBES "/type", ""), bit = read_uprobes(UPROBES "/format/retprobe", "config:");
	struct perf_event_attr attr = { .uprobe_path = (uintptr_t)path, .probe_offset = offset };

	if (type < 0 || bit < 0 || bit > 63)
		return type < 0 ? type : -EIO;
	attr.type = (uint32_t)type;
	attr.config = is_return ? 1ULL << bit : 0;
	return event_open(&attr, -1, 0);
}
