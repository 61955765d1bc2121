/* SPDX-License-Identifier: Apache-2.0 */
/* Which points of a library are probed: small ones, assembled as compilers make OpenSSL's. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "worker/library_kinds.h"

enum number {
#define OPENSSL_FUNCTION(id, number, symbol, entry, ret) id = number,
#include "openssl_functions.def"
#undef OPENSSL_FUNCTION
};

#define FUNCTION(name, body) \
	".globl " name "; .type " name ",@function; " name ": " body "; .size " name ",.-" name "\n"
#define HEART(name, body) ".type " name ",@function; " name ": " body "; ret; .size " name ",.-" name "\n"
#define PUSH_R13 "\x41\x55"
#define PUSH_R14 "\x41\x56"
#define SUB_24 "\x48\x83\xec\x18"
#define SUB_8 "\x48\x83\xec\x08"

#define READS_HEART HEART("read_internal", "push %r13; pop %r13")
#define READ_EX(to) FUNCTION("SSL_read_ex", "sub $8,%rsp; call " to "; add $8,%rsp; ret")
#define READ(to)                                                                                              \
	FUNCTION("SSL_read", "sub $24,%rsp; test %edx,%edx; js 1f; mov %rsp,%rcx; movslq %edx,%rdx; call " to \
			     "; test %eax,%eax; cmovg (%rsp),%eax; 1: add $24,%rsp; ret")

/* OpenSSL 1.1.1 to 3.2 */
static const char old_form[] =
	READS_HEART HEART("write_internal", "push %r14; pop %r14") READ("read_internal") READ_EX("read_internal")
		FUNCTION("SSL_write",
			 "sub $24,%rsp; test %edx,%edx; js 1f; mov %rsp,%rcx; movslq %edx,%rdx; call write_internal;"
			 " 1: add $24,%rsp; ret")
			FUNCTION("SSL_write_ex", "sub $8,%rsp; call write_internal; add $8,%rsp; ret")
				FUNCTION("SSL_free", "push %rbx; pop %rbx; ret");

/* from 3.3 on: what SSL_write calls has flags as its fourth argument */
static const char new_form[] = READS_HEART HEART("write_internal", "endbr64; push %r14; pop %r14") READ("read_internal")
	READ_EX("read_internal")
		FUNCTION("SSL_write",
			 "endbr64; sub $24,%rsp; xor %ecx,%ecx; movslq %edx,%rdx; mov %rsp,%r8; call write_internal;"
			 " add $24,%rsp; ret")
			FUNCTION("SSL_write_ex2", "endbr64; sub $8,%rsp; call write_internal; add $8,%rsp; ret")
				FUNCTION("SSL_write_ex", "endbr64; mov %rcx,%r8; xor %ecx,%ecx; jmp SSL_write_ex2");

/* nothing that could be relied on: two functions, changed arguments, a call that is not always made */
static const char other_forms[] = READS_HEART HEART("another", "push %r13; pop %r13") READ("another")
	READ_EX("read_internal") FUNCTION("SSL_write", "sub $24,%rsp; mov %rsp,%rcx; call another; add $24,%rsp; ret")
		FUNCTION("SSL_write_ex", "sub $8,%rsp; mov %rcx,%rsi; call another; add $8,%rsp; ret");
static const char not_always[] = READS_HEART READ("read_internal")
	FUNCTION("SSL_read_ex", "sub $8,%rsp; test %rdi,%rdi; je 1f; call read_internal; 1: add $8,%rsp; ret");
/* what is called costs as much */
static const char dear_heart[] =
	HEART("read_internal", "sub $8,%rsp; add $8,%rsp") READ("read_internal") READ_EX("read_internal");
/* cheap as it is */
static const char cheap[] =
	READS_HEART READ("read_internal") FUNCTION("SSL_read_ex", "push %rbx; call read_internal; pop %rbx; ret");

struct built {
	int fd;
	struct library_points points[LIBRARY_KINDS];
};

static int assembled(const char *source)
{
	char folder[] = "/tmp/sonde-kinds-XXXXXX";
	_cleanup_free_ char *line = NULL, *path = NULL;
	FILE *f;
	int fd;

	assert_non_null(mkdtemp(folder));
	assert_true(asprintf(&path, "%s/lib.so", folder) > 0);
	assert_true(asprintf(&line, "cd %s && cc -nostdlib -shared -Wl,-Bsymbolic -x assembler -o lib.so -", folder) >
		    0);
	f = popen(line, "w");
	assert_non_null(f);
	assert_true(fputs(".text\n", f) >= 0 && fputs(source, f) >= 0 &&
		    fputs(".section .note.GNU-stack,\"\",@progbits\n", f) >= 0);
	assert_int_equal(pclose(f), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(path);
	rmdir(folder);
	return fd;
}

static void build(const char *source, struct built *b)
{
	b->fd = assembled(source);
	assert_true(library_find_points(b->fd, b->points));
}

/* How many points a function has, and that each is where the code is. */
static unsigned points_of(const struct built *b, enum number function, const char *code)
{
	const struct library_points *p = &b->points[KIND_OPENSSL];
	unsigned n = 0;
	char got[4];

	for (uint32_t i = 0; i < p->n; i++) {
		if (p->v[i].function != function)
			continue;
		n++;
		assert_int_equal(pread(b->fd, got, strlen(code), (off_t)p->v[i].offset), strlen(code));
		assert_memory_equal(got, code, strlen(code));
	}
	return n;
}

static void test_old_form(void **state)
{
	struct built b;

	(void)state;
	build(old_form, &b);
	assert_int_equal(points_of(&b, READ_EX, PUSH_R13), 2);
	assert_int_equal(points_of(&b, READ, SUB_24), 0);
	assert_int_equal(points_of(&b, WRITE_EX, PUSH_R14), 2);
	assert_int_equal(points_of(&b, WRITE, SUB_24), 0);
	assert_int_equal(points_of(&b, FREE, "\x53"), 1);
	assert_int_equal(b.points[KIND_OPENSSL].n, 5);
	close(b.fd);
}

static void test_new_form(void **state)
{
	struct built b;

	(void)state;
	build(new_form, &b);
	assert_int_equal(points_of(&b, READ_EX, PUSH_R13), 2);
	assert_int_equal(points_of(&b, WRITE_EX2, PUSH_R14), 2);
	assert_int_equal(b.points[KIND_OPENSSL].n, 4);
	close(b.fd);
}

static void test_other_forms(void **state)
{
	struct built b;

	(void)state;
	build(other_forms, &b);
	assert_int_equal(points_of(&b, READ, SUB_24), 2);
	assert_int_equal(points_of(&b, READ_EX, SUB_8), 2);
	assert_int_equal(points_of(&b, WRITE, SUB_24), 2);
	assert_int_equal(points_of(&b, WRITE_EX, SUB_8), 2);
	close(b.fd);
	build(not_always, &b);
	assert_int_equal(points_of(&b, READ, SUB_24), 2);
	assert_int_equal(points_of(&b, READ_EX, SUB_8), 2);
	close(b.fd);
	build(dear_heart, &b);
	assert_int_equal(points_of(&b, READ, SUB_24), 2);
	assert_int_equal(points_of(&b, READ_EX, SUB_8), 2);
	close(b.fd);
	build(cheap, &b);
	assert_int_equal(points_of(&b, READ, SUB_24), 2);
	assert_int_equal(points_of(&b, READ_EX, "\x53"), 2);
	close(b.fd);
}

static void test_pythons(void **state)
{
	static const struct {
		const char *path;
		uint32_t minor;
		bool known;
	} pythons[] = {
		{ "/usr/bin/python3.8", 8, true },    { "/usr/lib/libpython3.13.so.1.0", 13, true },
		{ "/usr/bin/python3.14", 14, true },  { "/usr/lib/libpython3.15.so.1.0", 15, true },
		{ "/usr/bin/python3.7", 0, false },   { "/usr/bin/python3.16", 0, false },
		{ "/usr/bin/python3.14t", 0, false }, { "/usr/lib/libpython3.15d.so.1.0", 0, false },
		{ "/usr/bin/perl", 0, true },
	};
	int fd = assembled("ret; .data; .globl _PyRuntime; .type _PyRuntime,@object; _PyRuntime: .quad 1, 2;"
			   " .size _PyRuntime,16\n");
	struct library_python python;

	(void)state;
	for (size_t i = 0; i < sizeof(pythons) / sizeof(pythons[0]); i++) {
		assert_int_equal(library_python(fd, pythons[i].path, &python), pythons[i].known);
		assert_int_equal(python.minor, pythons[i].minor);
		assert_int_equal(python.runtime != 0, pythons[i].minor != 0);
	}
	close(fd);
}

/* The machine of Java is looked for where the name says so; one that has no array for debuggers is not understood. */
static void test_jvm(void **state)
{
	_cleanup_close_ int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	struct jvm jvm;

	(void)state;
	assert_true(library_worth_a_look("/usr/lib/jvm/java-21/lib/server/libjvm.so"));
	assert_false(library_worth_a_look("/usr/lib/jvm/java-21/lib/libjava.so"));
	assert_true(library_jvm(fd, "/bin/true", &jvm));
	assert_false(jvm.is_jvm);
	assert_false(library_jvm(fd, "/opt/openj9/lib/server/libjvm.so", &jvm));
	assert_false(jvm.is_virtual);
}

static void test_hints(void **state)
{
	(void)state;
	assert_int_equal(library_hints("/usr/lib/postgresql/15/bin/postgres"), HINT_DATABASE);
	assert_int_equal(library_hints("/usr/lib/x86_64-linux-gnu/libpq.so.5.15"), HINT_LIBPQ);
	assert_int_equal(library_hints("/v/site-packages/gevent/_gevent_cevent.cpython-311-x86_64-linux-gnu.so"),
			 HINT_GREENLETS);
	assert_int_equal(library_hints("/v/site-packages/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hints), cmocka_unit_test(test_pythons),  cmocka_unit_test(test_old_form),
		cmocka_unit_test(test_jvm),   cmocka_unit_test(test_new_form), cmocka_unit_test(test_other_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
