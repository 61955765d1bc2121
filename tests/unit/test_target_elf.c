/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/elf.h"
#include "util/cleanup.h"

static char folder[] = "/tmp/sonde-elf-XXXXXX";

/* One function each; what they are is in their names. Two versions of "versioned", and things that are no functions. */
static const char source[] =
	".text\n"
	".globl plain_push; .type plain_push,@function; plain_push: push %rbp; ret; .size plain_push,.-plain_push\n"
	".globl behind_endbr; .type behind_endbr,@function; behind_endbr: endbr64; push %rbp; ret;"
	" .size behind_endbr,.-behind_endbr\n"
	".globl stepped; .type stepped,@function; stepped: sub $8,%rsp; ret; .size stepped,.-stepped\n"
	".globl no_size; .type no_size,@function; no_size: test %rdi,%rdi; je 1f; nop; 1: ret\n"
	".globl old_one; .type old_one,@function; old_one: endbr64; nop; ret; .size old_one,.-old_one\n"
	".globl new_one; .type new_one,@function; new_one: nop; nop; ret; .size new_one,.-new_one\n"
	".symver old_one,versioned@V1\n"
	".symver new_one,versioned@@V2\n"
	".globl tail; .type tail,@function; tail: nop; ret; .size tail,.-tail\n"
	".globl long_tail; .type long_tail,@function; long_tail: nop; nop; ret; .size long_tail,.-long_tail\n"
	".type only_local,@function; only_local: push %rbx; ret; .size only_local,.-only_local\n"
	".globl resolver; .type resolver,@gnu_indirect_function; resolver: ret; .size resolver,.-resolver\n"
	".data\n.globl datum; .type datum,@object; datum: .quad 1; .size datum,8\n"
	".section .note.GNU-stack,\"\",@progbits\n";

static const char versions[] = "V1 { global: versioned; };\n"
			       "V2 { global: *; } V1;\n";

/* A second definition of a local name comes first in the symbol table: the global one is meant. */
static const char program[] = ".text\n"
			      ".type twice,@function; twice: ret; .size twice,.-twice\n"
			      ".globl _start; .type _start,@function; _start: push %rbp; hlt; .size _start,.-_start\n"
			      ".section .note.GNU-stack,\"\",@progbits\n";
static const char second[] = ".text\n.globl twice; .type twice,@function; twice: nop; ret; .size twice,.-twice\n"
			     ".section .note.GNU-stack,\"\",@progbits\n";

static void write_file(const char *name, const char *text)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void shell(const char *command)
{
	_cleanup_free_ char *line = NULL;

	assert_true(asprintf(&line, "cd %s && %s", folder, command) > 0);
	assert_int_equal(system(line), 0);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file("lib.s", source);
	write_file("lib.map", versions);
	write_file("main.s", program);
	write_file("second.s", second);
	shell("cc -nostdlib -shared -Wl,--version-script=lib.map -o lib.so lib.s");
	shell("strip -o stripped.so lib.so");
	shell("cc -nostdlib -static -no-pie -o static main.s second.s");
	shell("cc -c -o object.o lib.s");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shell("rm -f *.s *.map *.so *.o static");
	return rmdir(folder);
}

static int open_file(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The bytes at an offset of a file. */
static void check_code(int fd, uint64_t offset, const char *code, size_t n)
{
	char got[16];

	assert_int_equal(pread(fd, got, n, (off_t)offset), n);
	assert_memory_equal(got, code, n);
}

static void check_library(const char *file)
{
	static const char *const names[] = { "plain_push", "behind_endbr", "stepped", "no_size",  "versioned", "tail",
					     "long_tail",  "only_local",   "datum",   "resolver", "absent" };
	struct elf_point p[11];
	_cleanup_close_ int fd = open_file(file);
	bool stripped = strstr(file, "stripped");

	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	assert_int_equal(elf_find_points(fd, names, 11, p), stripped ? 7 : 8);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
	check_code(fd, p[0].offset, "\x55\xc3", 2);
	assert_true(p[0].emulated);
	check_code(fd, p[1].offset - 4, "\xf3\x0f\x1e\xfa\x55\xc3", 6);
	assert_true(p[1].emulated);
	check_code(fd, p[2].offset, "\x48\x83\xec\x08", 4);
	assert_false(p[2].emulated);
	check_code(fd, p[3].offset - 3, "\x48\x85\xff\x74", 4);
	assert_true(p[3].emulated);
	check_code(fd, p[4].offset, "\x90\x90\xc3", 3); /* the default version */
	check_code(fd, p[5].offset, "\x90\xc3", 2);
	check_code(fd, p[6].offset, "\x90\x90\xc3", 3);
	assert_int_not_equal(p[6].offset, p[4].offset);
	assert_int_equal(p[7].offset == 0, stripped);
	assert_int_equal(p[8].offset, 0);
	assert_int_equal(p[9].offset, 0);
	assert_int_equal(p[10].offset, 0);
}

static void test_library(void **state)
{
	(void)state;
	check_library("lib.so");
}

static void test_stripped_library(void **state)
{
	(void)state;
	check_library("stripped.so");
}

static void test_static_program(void **state)
{
	static const char *const names[] = { "twice", "_start" };
	_cleanup_close_ int fd = open_file("static");
	struct elf_point p[2];

	(void)state;
	assert_int_equal(elf_find_points(fd, names, 2, p), 2);
	check_code(fd, p[0].offset, "\x90\xc3", 2);
	check_code(fd, p[1].offset, "\x55\xf4", 2);
}

struct base {
	const char *path;
	uint64_t from, offset;
};

static int find_code(struct dl_phdr_info *info, size_t size, void *context)
{
	struct base *b = context;

	(void)size;
	if (!info->dlpi_name || !strstr(info->dlpi_name, "libpq.so.5"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
			b->path = info->dlpi_name;
			b->from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			b->offset = info->dlpi_phdr[i].p_offset;
		}
	return 1;
}

/* The dynamic linker is the referee: it knows where each function is. */
static void test_libpq(void **state)
{
	static const char *const names[] = {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) symbol,
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
	};
	enum { N = sizeof(names) / sizeof(names[0]) };
	void *lib = dlopen("libpq.so.5", RTLD_NOW);
	struct elf_point p[N];
	struct base base = { 0 };
	_cleanup_close_ int fd = -1;
	int emulated = 0, there = 0;

	(void)state;
	if (!lib) {
		print_message("no libpq here: %s\n", dlerror());
		skip();
	}
	assert_int_equal(dl_iterate_phdr(find_code, &base), 1);
	fd = open(base.path, O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < N; i++)
		there += dlsym(lib, names[i]) != NULL; /* some came with libpq 17 */
	assert_in_range(there, 20, N);
	assert_int_equal(elf_find_points(fd, names, N, p), there);
	for (size_t i = 0; i < N; i++) {
		uint64_t entry = (uint64_t)dlsym(lib, names[i]) - base.from + base.offset;

		if (!dlsym(lib, names[i]))
			continue;
		assert_in_range(p[i].offset, entry, entry + 31);
		emulated += p[i].emulated;
	}
	/* in every build that was looked at it is all of them */
	assert_in_range(emulated, there - 2, there);
	dlclose(lib);
}

static int memory_file(const void *p, size_t n)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

static int find_one(const void *p, size_t n)
{
	static const char *const names[] = { "plain_push", "versioned" };
	_cleanup_close_ int fd = memory_file(p, n);
	struct elf_point points[2] = { { .offset = 77 }, { .offset = 77 } };
	int r = elf_find_points(fd, names, 2, points);

	if (r < 0)
		assert_int_equal(points[0].offset, 77);
	return r;
}

static char *load(const char *name, size_t *ret_n)
{
	_cleanup_close_ int fd = open_file(name);
	struct stat st;
	char *p;

	assert_int_equal(fstat(fd, &st), 0);
	*ret_n = (size_t)st.st_size;
	p = malloc(*ret_n);
	assert_int_equal(read(fd, p, *ret_n), st.st_size);
	return p;
}

static void test_not_elf(void **state)
{
	size_t n;
	_cleanup_free_ char *p = load("lib.so", &n);
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC), object = open_file("object.o");
	static const char *const names[] = { "plain_push" };
	struct elf_point points[1];
	Elf64_Ehdr *head = (Elf64_Ehdr *)p;

	(void)state;
	assert_int_equal(find_one(p, n), 2);
	assert_int_equal(find_one("", 0), -ENOEXEC);
	assert_int_equal(find_one("#!/bin/sh\n", 10), -ENOEXEC);
	assert_int_equal(elf_find_points(null, names, 1, points), -ENOEXEC);
	assert_int_equal(elf_find_points(object, names, 1, points), -ENOEXEC); /* nothing maps it */
	assert_int_equal(elf_find_points(-1, names, 1, points), -EBADF);
	head->e_machine = EM_AARCH64;
	assert_int_equal(find_one(p, n), -ENOEXEC);
	head->e_machine = EM_X86_64;
	head->e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(find_one(p, n), -ENOEXEC);
	head->e_ident[EI_CLASS] = ELFCLASS64;
	head->e_shnum = 0;
	assert_int_equal(find_one(p, n), 0);
}

static void test_names_are_checked(void **state)
{
	static const char *const empty[] = { "" };
	static const char *many[97];
	char long_name[300];
	const char *const too_long[] = { long_name };
	_cleanup_close_ int fd = open_file("lib.so");
	struct elf_point points[97];

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i < 97; i++)
		many[i] = "plain_push";
	assert_int_equal(elf_find_points(fd, empty, 1, points), -EINVAL);
	assert_int_equal(elf_find_points(fd, too_long, 1, points), -EINVAL);
	assert_int_equal(elf_find_points(fd, many, 0, points), -EINVAL);
	assert_int_equal(elf_find_points(fd, many, 97, points), -EINVAL);
	assert_int_equal(elf_find_points(fd, many, 96, points), 96);
}

/* Cut anywhere: an error, or less found, never more. */
static void test_cut_short(void **state)
{
	size_t n;
	_cleanup_free_ char *p = load("lib.so", &n);

	(void)state;
	for (size_t cut = 0; cut < n; cut += 37) {
		int r = find_one(p, cut);

		assert_true(r == -ENOEXEC || (r >= 0 && r <= 2));
	}
}

/* Each byte of the headers, wrong. */
static void test_wrong_headers(void **state)
{
	size_t n;
	_cleanup_free_ char *p = load("lib.so", &n);
	Elf64_Ehdr *head = (Elf64_Ehdr *)p;
	size_t sections = (size_t)head->e_shoff, sections_n = head->e_shnum * sizeof(Elf64_Shdr);
	size_t segments_n = head->e_phoff + head->e_phnum * sizeof(Elf64_Phdr);

	(void)state;
	for (size_t i = 0; i < segments_n + sections_n; i++) {
		size_t at = i < segments_n ? i : sections + i - segments_n;
		char was = p[at];

		for (int k = 0; k < 3; k++) {
			int r;

			p[at] = (char)(k == 0 ? 0xff : k == 1 ? 0x7f : was ^ 1);
			r = find_one(p, n);
			assert_true(r == -ENOEXEC || r == -EFBIG || (r >= 0 && r <= 2));
		}
		p[at] = was;
	}
}

static void test_too_big(void **state)
{
	static const char *const names[] = { "plain_push" };
	size_t n;
	_cleanup_free_ char *p = load("lib.so", &n);
	_cleanup_close_ int fd = memory_file(p, n);
	struct elf_point points[1];

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	assert_int_equal(elf_find_points(fd, names, 1, points), 1);
	assert_int_equal(ftruncate(fd, (1 << 30) + 1), 0);
	assert_int_equal(elf_find_points(fd, names, 1, points), -EFBIG);
}

static void test_sections(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char too_long[300], interp[6];

	(void)state;
	memset(too_long, 'a', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(elf_has_section(fd, ".interp", interp, sizeof(interp)), 1);
	assert_memory_equal(interp, "/lib64", sizeof(interp));
	assert_int_equal(elf_has_section(fd, ".inter", NULL, 0), 0); /* whole names only */
	assert_int_equal(elf_has_section(fd, ".go.buildinfo", NULL, 0), 0);
	assert_int_equal(elf_has_section(fd, too_long, NULL, 0), 0);
	assert_int_equal(elf_has_section(null, ".text", NULL, 0), -ENOEXEC);
	close(null);
	close(fd);
}

/* The compiler and the linker know where it is; this program must be told the same. */
__thread long elf_test_local __attribute__((used));
int elf_test_object __attribute__((used)) = 0x5eed;
__thread char elf_test_task[80] __asm__("_ZN5tokio7runtime7context7CONTEXT17h0123E") __attribute__((used, aligned(8)));

static void test_variables(void **state)
{
	static const char *const names[] = { "elf_test_object", "main" };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	static const char *const like[] = { "5tokio7runtime", "7CONTEXT", NULL };
	static const char *const unlike[] = { "5tokio7runtime", "7context7NONE", NULL };
	struct elf_object o[2];
	uint64_t thread, size;
	int64_t at;

	(void)state;
	__asm__("mov %%fs:0, %0" : "=r"(thread));
	assert_int_equal(elf_thread_local(fd, "elf_test_local", &at), 1);
	assert_ptr_equal((void *)(thread + (uint64_t)at), &elf_test_local);
	assert_int_equal(elf_thread_local(fd, "elf_test_object", &at), 0);
	assert_int_equal(elf_thread_local_like(fd, like, &at, &size), 1);
	assert_ptr_equal((void *)(thread + (uint64_t)at), elf_test_task);
	assert_int_equal(size, sizeof(elf_test_task));
	assert_int_equal(elf_thread_local_like(fd, unlike, &at, &size), 0);
	assert_int_equal(elf_find_objects(fd, names, 2, o), 1); /* main is none */
	assert_true(o[0].found && !o[1].found);
	assert_int_equal(o[0].value, 0x5eed);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library),	       cmocka_unit_test(test_stripped_library),
		cmocka_unit_test(test_static_program), cmocka_unit_test(test_libpq),
		cmocka_unit_test(test_not_elf),	       cmocka_unit_test(test_names_are_checked),
		cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_wrong_headers),
		cmocka_unit_test(test_too_big),	       cmocka_unit_test(test_sections),
		cmocka_unit_test(test_variables),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
