/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds files to LLVMFuzzerTestOneInput without libFuzzer, so that the corpus is an ordinary test under any compiler.
 * Arguments: files, or folders of files. Says how many it fed; none at all is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const int fuzz_replays;
const int fuzz_replays = 1; /* an input is looked at once: all that may be asked of it is */

static int feed_file(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "rb");
	_cleanup_free_ uint8_t *data = NULL;
	struct stat st;
	size_t n;

	if (!f || fstat(fileno(f), &st) < 0)
		return -errno;
	n = (size_t)st.st_size;
	data = malloc(n ? n : 1); /* exactly as long as the input: one byte too far is found */
	if (!data)
		return -ENOMEM;
	if (fread(data, 1, n, f) != n)
		return -EIO;
	LLVMFuzzerTestOneInput(data, n);
	return 0;
}

/* Number of files fed, or a negative errno. */
static int feed(const char *path)
{
	_cleanup_closedir_ DIR *d = opendir(path);
	struct dirent *e;
	int r, n = 0;

	if (!d && errno == ENOTDIR) {
		r = feed_file(path);
		return r < 0 ? r : 1;
	}
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		char name[4096];

		if (e->d_name[0] == '.')
			continue;
		if (snprintf(name, sizeof(name), "%s/%s", path, e->d_name) >= (int)sizeof(name))
			return -ENAMETOOLONG;
		fprintf(stderr, "%s\n", name); /* the last line before a crash names its input */
		r = feed_file(name);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = feed(argv[i]);

		if (n < 0) {
			fprintf(stderr, "error: %s: %s\n", argv[i], strerror(-n));
			return 1;
		}
		total += n;
	}
	printf("%d inputs\n", total);
	return total == 0;
}
