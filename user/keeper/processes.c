/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

#define TEXT_MAX 4096

/* A small file of /proc/PID, NUL-terminated. False: the process is gone. */
static bool read_proc(uint32_t tgid, const char *name, char *text)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/%s", tgid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, TEXT_MAX - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The number (last: the last one) behind "\nname:\t"; the kernel escapes line ends in what a process may name itself.
 */
static uint32_t status_number(const char *text, const char *name, bool last)
{
	const char *p = strstr(text, name);
	uint32_t v = 0;

	if (!p)
		return 0;
	for (p += strlen(name); *p && *p != '\n';) {
		char *end;
		unsigned long n = strtoul(p, &end, 10);

		if (end == p)
			break;
		v = (uint32_t)n;
		p = end;
		if (!last)
			break;
	}
	return v;
}

/* Field 22 of stat, in clock ticks; the name in parentheses may hold anything, so what counts begins at the last one.
 */
static uint64_t start_time(const char *stat)
{
	static long ticks;
	const char *p = strrchr(stat, ')');
	unsigned long long start = 0;

	if (!ticks)
		ticks = sysconf(_SC_CLK_TCK);
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &start) != 1)
		return 0;
	return start * (1000000000ULL / (unsigned long long)ticks);
}

static bool read_process(uint32_t tgid, struct message_process *ret)
{
	char text[TEXT_MAX], path[64];
	const char *name, *end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/exe", tgid);
	n = readlink(path, text, sizeof(text));
	if (n < 0)
		return false; /* a kernel thread, or gone */
	if (!read_proc(tgid, "status", text))
		return false;
	*ret = (struct message_process){ .kind = MESSAGE_PROCESS, .tgid = tgid };
	ret->parent = status_number(text, "\nPPid:", false);
	ret->uid = status_number(text, "\nUid:", false);
	ret->nspid = status_number(text, "\nNSpid:", true);
	if (strncmp(text, "Name:\t", 6) == 0) {
		name = text + 6;
		end = strchr(name, '\n');
		n = end ? end - name : 0;
		if (n > (ssize_t)sizeof(ret->comm) - 1)
			n = sizeof(ret->comm) - 1;
		memcpy(ret->comm, name, (size_t)n);
	}
	if (!read_proc(tgid, "stat", text))
		return false;
	ret->start = start_time(text);
	return true;
}

int processes_scan(processes_fn *fn, void *context)
{
	_cleanup_closedir_ DIR *d = opendir("/proc");
	struct message_process p;
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (read_process((uint32_t)strtoul(e->d_name, NULL, 10), &p))
			fn(context, &p);
	}
	return 0;
}
