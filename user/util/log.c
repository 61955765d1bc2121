/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

static enum log_level max_level = LOG_INFO;

static const char *const prefixes[] = {
	[LOG_ERROR] = "error: ",
	[LOG_WARN] = "warning: ",
	[LOG_INFO] = "",
	[LOG_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

/* Names of strangers' processes and files end up in messages: no terminal escape may pass. */
static void defuse(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') || s[i] == 0x7f)
			s[i] = '?';
}

static void write_all(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(STDERR_FILENO, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return; /* nobody is listening: there is nowhere else to say so */
		p += w;
		n -= (size_t)w;
	}
}

void log_msg(enum log_level level, const char *format, ...)
{
	_cleanup_free_ char *heap = NULL;
	int saved = errno; /* callers log first and return -errno after */
	char line[1024], *p = line;
	size_t head, n;
	va_list args;
	int len;

	if (level > max_level)
		return;
	head = strlen(prefixes[level]);
	memcpy(line, prefixes[level], head);
	va_start(args, format);
	len = vsnprintf(line + head, sizeof(line) - head - 1, format, args);
	va_end(args);
	if (len < 0)
		return;
	n = head + (size_t)len;
	if (n + 1 >= sizeof(line)) {
		heap = malloc(n + 2);
		if (heap) {
			memcpy(heap, line, head);
			va_start(args, format);
			vsnprintf(heap + head, (size_t)len + 1, format, args);
			va_end(args);
			p = heap;
		} else {
			n = sizeof(line) - 2;
		}
	}
	defuse(p, n);
	p[n] = '\n';
	write_all(p, n + 1);
	errno = saved;
}
