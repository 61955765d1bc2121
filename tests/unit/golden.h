/* SPDX-License-Identifier: Apache-2.0 */
/* Golden files of tests/proto: what tests/proto/capture.py kept of real programs, and what is expected of it. */
#ifndef SONDE_TESTS_GOLDEN_H
#define SONDE_TESTS_GOLDEN_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "util/buf.h"
#include "util/cleanup.h"

struct golden {
	char name[256];
	char *bytes;
	size_t n;
};

struct golden_piece {
	enum stream_dir dir;
	struct bytes data;
};

static inline char *golden_read(const char *path, size_t *ret_n)
{
	_cleanup_fclose_ FILE *f = fopen(path, "rb");
	char *p = NULL;
	size_t n = 0, got;

	if (!f)
		return NULL;
	p = malloc(1 << 20);
	if (!p)
		return NULL;
	while ((got = fread(p + n, 1, (1 << 20) - n, f)) > 0)
		n += got;
	*ret_n = n;
	return p;
}

static inline bool golden_next(struct bytes *b, struct golden_piece *ret)
{
	uint8_t dir;
	uint32_t n;

	if (!bytes_get_u8(b, &dir) || !bytes_get_be32(b, &n) || !bytes_get(b, n, &ret->data))
		return false;
	ret->dir = dir == '>' ? STREAM_REQUEST : STREAM_ANSWER;
	return true;
}

/* Compares with FILE.expect, or writes it when GOLDEN_UPDATE is set. */
static inline bool golden_check(const char *folder, const char *name, struct bytes got)
{
	char path[512];
	_cleanup_free_ char *want = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s.expect", folder, name);
	if (getenv("GOLDEN_UPDATE")) {
		_cleanup_fclose_ FILE *f = fopen(path, "wb");

		return f && fwrite(got.p, 1, got.n, f) == got.n;
	}
	want = golden_read(path, &n);
	if (want && bytes_eq(bytes_of(want, n), got))
		return true;
	fprintf(stderr, "%s: expected\n%.*s\ngot\n%.*s\n", path, (int)n, want ? want : "", (int)got.n, got.p);
	return false;
}

/* Calls fn for each FILE.bin of the folder; returns how many there were. */
static inline int golden_each(const char *folder, void (*fn)(const char *name, struct bytes content))
{
	_cleanup_closedir_ DIR *d = opendir(folder);
	struct dirent *e;
	int count = 0;

	while (d && (e = readdir(d))) {
		_cleanup_free_ char *content = NULL;
		char path[1024], name[256];
		size_t len = strlen(e->d_name), n = 0;

		if (len < 5 || strcmp(e->d_name + len - 4, ".bin") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		snprintf(name, sizeof(name), "%.*s", (int)len - 4, e->d_name);
		content = golden_read(path, &n);
		if (!content)
			continue;
		fn(name, bytes_of(content, n));
		count++;
	}
	return count;
}

#endif
