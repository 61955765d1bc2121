/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of user/config share: the lines that were complained of, and short ways to load. */
#ifndef SONDE_TESTS_CONFIG_TEST_H
#define SONDE_TESTS_CONFIG_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

struct lines {
	char v[256][1024];
	size_t n;
};

static struct lines lines;

static inline void keep_line(void *context, const char *line)
{
	struct lines *l = context;

	assert_null(strchr(line, '\n'));
	assert_true(l->n < 256);
	snprintf(l->v[l->n++], sizeof(l->v[0]), "%s", line);
}

/* The next line starts with this; a line can only be asked for in its turn. */
#define assert_line(index, start)                                                                             \
	do {                                                                                                  \
		assert_true(lines.n > (size_t)(index));                                                       \
		if (strncmp(lines.v[index], start, strlen(start)) != 0)                                       \
			fail_msg("line %d: expected '%s...', got '%s'", (int)(index), start, lines.v[index]); \
	} while (0)

static inline int load_yaml(struct config *c, const char *text)
{
	lines.n = 0;
	return config_load_yaml_bytes(c, "f.yaml", bytes_str(text), keep_line, &lines);
}

/* Variables until NULL. */
static inline int load_env(struct config *c, char *const *env)
{
	lines.n = 0;
	return config_load_environment(c, env, keep_line, &lines);
}

#define ENV(...) ((char *[]){ __VA_ARGS__, NULL })

static inline int finish(struct config *c)
{
	lines.n = 0;
	return config_finish(c, keep_line, &lines);
}

#endif
