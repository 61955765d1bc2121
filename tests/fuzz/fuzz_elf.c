/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an ELF file: an answer or an error, and points that lie in the file. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/elf.h"
#include "target/jvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "PQexec", "PQgetResult", "exec", "f", "PQexec" };
	enum { N = sizeof(names) / sizeof(names[0]) };
	struct elf_object objects[N];
	struct elf_point p[N];
	char info[48];
	struct jvm jvm;
	int64_t at;
	static int fd = -1;
	int r, there = 0;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)n) < 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
		abort();
	r = elf_has_section(fd, ".go.buildinfo", info, sizeof(info));
	if (r > 1)
		abort();
	r = elf_find_points(fd, names, N, p);
	if (r > N)
		abort();
	for (int i = 0; r >= 0 && i < N; i++) {
		there += p[i].offset != 0;
		if (p[i].offset > n)
			abort();
	}
	/* offset 0 is the ELF header, which a hostile file may call code; then there is one fewer to attach to */
	if (r >= 0 && there > r)
		abort();
	(void)!elf_thread_local(fd, "f", &at);
	(void)!elf_find_objects(fd, names, N, objects);
	(void)!jvm_read(fd, &jvm);
	return 0;
}
