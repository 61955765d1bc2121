/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/maps.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (4u << 20) /* of one process */

/* "start-end perms offset major:minor inode      path" (proc(5)); the path may hold anything but a line end. */
static void read_line(const char *line, uint32_t tgid, maps_fn *fn, void *context)
{
	struct message_mapped m = { .kind = MESSAGE_MAPPED, .tgid = tgid };
	unsigned long long start, end, offset, ino;
	unsigned major, minor;
	char perms[8];
	int path = 0;

	if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &start, &end, perms, &offset, &major, &minor, &ino,
		   &path) < 7 ||
	    !path || strlen(perms) != 4 || perms[2] != 'x' || !ino || end <= start || line[path] != '/')
		return;
	m.dev_major = major;
	m.dev_minor = minor;
	m.ino = ino;
	m.start = start;
	m.len = end - start;
	m.pgoff = offset;
	snprintf(m.path, sizeof(m.path), "%s", line + path);
	fn(context, &m);
}

void maps_read(int fd, uint32_t tgid, maps_fn *fn, void *context)
{
	char text[8192 + 1];
	size_t have = 0, total = 0;
	ssize_t n;

	while (total < TEXT_MAX && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		char *line = text, *end;

		have += (size_t)n;
		total += (size_t)n;
		text[have] = '\0';
		while ((end = memchr(line, '\n', have - (size_t)(line - text)))) {
			*end = '\0';
			read_line(line, tgid, fn, context);
			line = end + 1;
		}
		have -= (size_t)(line - text);
		if (have == sizeof(text) - 1)
			have = 0; /* longer than any path can be */
		memmove(text, line, have);
	}
}
