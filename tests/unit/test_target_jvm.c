/* SPDX-License-Identifier: Apache-2.0 */
/* What HotSpot tells of its structures: this program stands for libjvm.so, and has the array that it exports. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target/jvm.h"
#include "util/cleanup.h"

struct vm_entry {
	const char *type, *field, *type_string;
	int32_t is_static;
	uint64_t offset;
	void *address;
};

/* As JDK 25 has them, and others that are like them; the offsets are 0 in the file. */
static struct vm_entry entries[] = {
	{ .type = "EpsilonHeap", .field = "_space", .type_string = "ContiguousSpace*" },
	{ .type = "JavaThread", .field = "_osthread", .type_string = "OSThread*", .is_static = 1 },
	{ .type = "JavaThread", .field = "_vthread", .type_string = "OopHandle" },
	{ .type = "JavaThread", .field = "_jvmti_vthread", .type_string = "OopHandle" },
	{ .type = "Thread", .field = "_osthread", .type_string = "OSThread*" },
	{ .type = "OSThread", .field = "_pthread_id", .type_string = "pthread_t" },
	{ .type = "JavaThread", .field = "_monitor_owner_id", .type_string = "int64_t" },
	{ .type = NULL },
};
struct vm_entry *gHotSpotVMStructs __attribute__((used)) = entries;

/* Where the first byte of this program's file would be, were it mapped as its code is. */
static uint64_t mapped(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/maps", "re");
	uint64_t start, end, offset;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "r-xp") &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64 " r-xp %" SCNx64, &start, &end, &offset) == 3 &&
		    (uint64_t)mapped >= start && (uint64_t)mapped < end)
			return start - offset;
	return 0;
}

static void test_entries(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct jvm jvm;

	(void)state;
	entries[0].offset = 1; /* not a constant, so that its place is known here */
	assert_true(jvm_read(fd, &jvm));
	assert_true(jvm.is_jvm && jvm.is_virtual);
	assert_ptr_equal((void *)(mapped() + jvm.place), entries);
	assert_int_equal(jvm.entries[JAVA_VTHREAD], 2);
	assert_int_equal(jvm.entries[JAVA_OSTHREAD], 4);
	assert_int_equal(jvm.entries[JAVA_PTHREAD], 5);
	assert_int_equal(jvm.entries[JAVA_OWNER], 6);
	close(fd);
}

static void test_others(void **state)
{
	static const char *const others[] = { "/bin/true", "/dev/null" };
	struct jvm jvm;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int fd = open(others[i], O_RDONLY | O_CLOEXEC);

		assert_true(jvm_read(fd, &jvm));
		assert_false(jvm.is_jvm || jvm.is_virtual);
		close(fd);
	}
}

/* A copy of this program with one byte more or less of a name: what is not understood is told from what is not there.
 */
static void test_unknown(void **state)
{
	char path[] = "/tmp/sonde-jvm-XXXXXX", block[1 << 16], *name;
	static const char *const names[] = { "_pthread_id", "_vthread" };
	struct jvm jvm;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = mkstemp(path);
		off_t at = 0;
		ssize_t n;

		unlink(path);
		while ((n = read(fd, block, sizeof(block))) > 0)
			assert_int_equal(write(copy, block, (size_t)n), n);
		while ((n = pread(copy, block, sizeof(block), at)) > 64) {
			for (name = block;
			     (name = memmem(name, (size_t)(block + n - name), names[i], strlen(names[i]) + 1)); name++)
				if (name > block && !name[-1])
					assert_int_equal(pwrite(copy, "X", 1, at + (name - block)), 1);
			at += n - 64;
		}
		assert_int_equal(jvm_read(copy, &jvm), i == 1); /* without virtual threads, nothing is missing */
		assert_true(jvm.is_jvm);
		assert_int_equal(jvm.is_virtual, i == 0);
		close(copy);
		close(fd);
		memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
