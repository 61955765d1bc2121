/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "target/probe_point.h"

#define ENDBR "\xf3\x0f\x1e\xfa"
#define NOP5 "\x0f\x1f\x44\x00\x00"
#define SUB_RSP "\x48\x83\xec\x18" /* sub $0x18,%rsp */
#define TEST_RDI "\x48\x85\xff"	   /* test %rdi,%rdi */
#define MOV_RAX "\x48\x8b\x07"	   /* mov (%rdi),%rax */
#define MOV_EDX_1 "\xba\1\0\0\0"   /* mov $1,%edx */
#define RET "\xc3"

struct sample {
	const char *what, *code;
	size_t n, offset;
	bool emulated;
};

/* clang-format off */
#define SAMPLE(what, code, offset, emulated) { what, code, sizeof(code) - 1, offset, emulated }

static const struct sample samples[] = {
	SAMPLE("push at the entry", "\x55\x48\x89\xe5" RET, 0, true),
	SAMPLE("push r12", "\x41\x54" RET, 0, true),
	SAMPLE("push with another prefix is not emulated, and moves rsp", "\x66\x55\x55" RET, 0, false),
	SAMPLE("push after endbr64", ENDBR "\x55" RET, 4, true),
	SAMPLE("nop", "\x90" RET, 0, true),
	SAMPLE("five-byte nop", NOP5 RET, 0, true),
	SAMPLE("five-byte nop after endbr64", ENDBR NOP5 RET, 4, true),
	SAMPLE("five-byte nop behind others may overwrite what they keep below rsp", MOV_RAX NOP5 RET, 0, false),
	SAMPLE("it is stepped over to the push behind it", MOV_RAX NOP5 "\x53" RET, 8, true),
	SAMPLE("another nop is stepped over to the push behind it", "\x0f\x1f\x40\x00" "\x53" RET, 4, true),
	SAMPLE("jmp rel32 of a thunk", "\xe9\0\x10\0\0", 0, true),
	SAMPLE("jmp rel8 of a thunk", ENDBR "\xeb\x70", 4, true),
	SAMPLE("jmp *mem is not emulated", "\xff\x25\0\x10\0\0", 0, false),
	SAMPLE("call at the entry", "\xe8\0\x10\0\0" RET, 0, true),
	SAMPLE("call behind a load", MOV_RAX "\xe8\0\x10\0\0" RET, 3, true),
	SAMPLE("jcc rel8 behind test", TEST_RDI "\x74\x10\x55" RET, 3, true),
	SAMPLE("jcc rel32 behind test", TEST_RDI "\x0f\x84\0\x10\0\0\x55" RET, 3, true),
	SAMPLE("call with an operand prefix is not emulated", "\x66\xe8\0\x10\0\0" RET, 0, false),
	SAMPLE("rsp has moved before the push", SUB_RSP "\x55" RET, 0, false),
	SAMPLE("rsp has moved, after endbr64", ENDBR SUB_RSP "\x55" RET, 4, false),
	SAMPLE("rsp moved by lea", "\x48\x8d\x64\x24\xf0" "\x55" RET, 0, false),
	SAMPLE("rsp moved by a pop", "\x58" "\x55" RET, 0, false),
	SAMPLE("leave moves rsp", "\xc9" "\x55" RET, 0, false),
	SAMPLE("ret before any", "\x31\xc0" RET "\x55", 0, false),
	SAMPLE("behind a branch that may skip it (jrcxz)", "\xe3\x10" "\x55" RET, 0, false),
	SAMPLE("behind an indirect call", "\xff\xd0" "\x55" RET, 0, false),
	SAMPLE("behind a system call", "\x0f\x05" "\x55" RET, 0, false),
	SAMPLE("behind int3", "\xcc" "\x55" RET, 0, false),
	SAMPLE("argument overwritten after it was used", "\x48\x89\xd0" MOV_EDX_1 "\x55" RET, 0, false),
	SAMPLE("argument overwritten by itself", "\x48\x8b\x3f" "\x55" RET, 0, false),
	SAMPLE("argument counted up", "\x48\xff\xc6" "\x55" RET, 0, false),
	SAMPLE("part of an argument overwritten", "\xb2\x01" "\x55" RET, 0, false),
	SAMPLE("argument perhaps overwritten", "\x48\x0f\x44\xca" "\x55" RET, 0, false),
	SAMPLE("address used, then overwritten", "\x48\x8b\x04\xd7" "\xba\1\0\0\0" "\x55" RET, 0, false),
	SAMPLE("exchanged arguments", "\x48\x87\xfe" "\x55" RET, 0, false),
	SAMPLE("rep stos uses up rdi and rcx", "\xf3\xaa" "\x55" RET, 0, false),
	SAMPLE("register that the function never read is no argument", MOV_EDX_1 "\xe9\0\x10\0\0", 5, true),
	SAMPLE("the same, zeroed", "\x31\xc9" "\xe9\0\x10\0\0", 2, true),
	SAMPLE("r9 zeroed", "\x45\x31\xc9" "\x55" RET, 3, true),
	SAMPLE("cut in the middle of an instruction", "\x48\x8b", 0, false),
	SAMPLE("no instruction at all", "\x06\x06\x55", 0, false),
	SAMPLE("endbr64 alone", ENDBR, 0, false),
	/* loops */
	SAMPLE("a loop back to the point", TEST_RDI "\x74\x04" "\x31\xc0" "\xeb\xf8" RET, 0, false),
	SAMPLE("a loop back between entry and point", TEST_RDI MOV_RAX "\x74\x04" "\x31\xc0" "\xeb\xf8" RET, 0, false),
	SAMPLE("a loop back behind the point", TEST_RDI "\x74\x04" "\x31\xc0" "\xeb\xfc" RET, 3, true),
	SAMPLE("a loop back to what follows endbr64", ENDBR MOV_RAX "\xff\xd0" "\xeb\xf9", 0, false),
	SAMPLE("a jump back to the entry is a new call", TEST_RDI "\x74\x04" "\x31\xc0" "\xeb\xf7" RET, 3, true),
};
/* clang-format on */

static void test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint8_t *exact = malloc(s->n); /* so that reading one byte too many is seen */
		struct probe_point p;

		memcpy(exact, s->code, s->n);
		p = probe_point_choose(exact, s->n);
		free(exact);
		if (p.offset != s->offset || p.emulated != s->emulated)
			fail_msg("%s: offset %zu, emulated %d", s->what, p.offset, p.emulated);
	}
}

static void test_window_ends(void **state)
{
	uint8_t code[64];

	(void)state;
	for (size_t pad = 0; pad < 40; pad += 2) {
		struct probe_point p;

		for (size_t i = 0; i < pad; i += 2)
			memcpy(code + i, "\x31\xc0", 2); /* xor %eax,%eax */
		memcpy(code + pad, "\x55\xc3", 2);
		p = probe_point_choose(code, pad + 2);
		assert_int_equal(p.emulated, pad < 32);
		assert_int_equal(p.offset, pad < 32 ? pad : 0);
	}
}

/* A jump back is found up to 4 KiB into the function. */
static void test_far_loop(void **state)
{
	uint8_t *code = malloc(8192);
	struct probe_point p;
	int32_t back;

	(void)state;
	memset(code, 0x90, 8192);
	memcpy(code, TEST_RDI, 3);
	memcpy(code + 3, "\x74\x02", 2);
	code[4000] = 0xe9;
	back = 3 - 4005;
	memcpy(code + 4001, &back, 4);
	p = probe_point_choose(code, 8192);
	assert_int_equal(p.offset, 0);
	assert_false(p.emulated);
	back = 5 - 4005;
	memcpy(code + 4001, &back, 4);
	p = probe_point_choose(code, 8192);
	assert_int_equal(p.offset, 3);
	free(code);
}

struct call_sample {
	const char *what, *code;
	size_t n;
	bool found, forwarded;
	int64_t to;
};

/* clang-format off */
#define CALL_SAMPLE(what, code, found, forwarded, to) { what, code, sizeof(code) - 1, found, forwarded, to }

static const struct call_sample call_samples[] = {
	CALL_SAMPLE("a call", SUB_RSP "\xe8\0\x10\0\0" RET, true, true, 0x1009),
	CALL_SAMPLE("backwards, behind endbr64", ENDBR SUB_RSP "\xe8\xf3\xff\xff\xff" RET, true, true, 0),
	CALL_SAMPLE("a jump away", "\xe9\0\x10\0\0", true, true, 0x1005),
	CALL_SAMPLE("an argument was set", MOV_EDX_1 "\xe8\0\x10\0\0" RET, true, false, 0x100a),
	CALL_SAMPLE("part of an argument was set", "\xb2\x01" "\xe8\0\x10\0\0" RET, true, false, 0x1007),
	CALL_SAMPLE("not always", TEST_RDI "\x74\x05" "\xe8\0\x10\0\0" RET, true, false, 0x100a),
	CALL_SAMPLE("through a pointer", SUB_RSP "\xff\xd0\xe8\0\x10\0\0" RET, false, false, 0),
	CALL_SAMPLE("none", SUB_RSP RET "\xe8\0\x10\0\0", false, false, 0),
	CALL_SAMPLE("cut", "\xe8\0\x10", false, false, 0),
};
/* clang-format on */

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(call_samples) / sizeof(call_samples[0]); i++) {
		const struct call_sample *s = &call_samples[i];
		uint8_t *exact = malloc(s->n);
		struct probe_call c;

		memcpy(exact, s->code, s->n);
		c = probe_point_first_call(exact, s->n);
		free(exact);
		if (c.found != s->found || c.forwarded != s->forwarded || c.to != s->to)
			fail_msg("%s: found %d, forwarded %d, to %lld", s->what, c.found, c.forwarded, (long long)c.to);
	}
}

static void test_no_code(void **state)
{
	struct probe_point p = probe_point_choose((const uint8_t *)"", 0);

	(void)state;
	assert_int_equal(p.offset, 0);
	assert_false(p.emulated);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_window_ends), cmocka_unit_test(test_far_loop),
		cmocka_unit_test(test_calls),	cmocka_unit_test(test_no_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
