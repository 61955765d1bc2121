/* SPDX-License-Identifier: Apache-2.0 */
#include "target/probe_point.h"

#include <string.h>

#include <Zydis/Zydis.h>

#define WINDOW 32      /* bytes after the entry that a point may move by */
#define CALL_WINDOW 64 /* bytes in which a function that only hands on its arguments calls the next */

struct instruction {
	ZydisDecodedInstruction head;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(const ZydisDecoder *decoder, const uint8_t *code, size_t n, struct instruction *ret)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code, n, &ret->head, ret->operands));
}

static bool is_endbr64(const uint8_t *code, size_t n)
{
	return n >= 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0;
}

/*
 * What arch/x86/kernel/uprobes.c runs without single-stepping: branch_setup_xol_ops() and push_setup_xol_ops(). Longer
 * nops are single-stepped by older kernels; of those only the five-byte one counts, it is the cheapest on newer ones.
 */
static bool is_emulated(const uint8_t *code, size_t length)
{
	switch (length) {
	case 1:
		return code[0] == 0x90 || (code[0] & 0xf8) == 0x50; /* nop, push */
	case 2:
		return (code[0] == 0x41 && (code[1] & 0xf8) == 0x50) || /* push r8..r15 */
		       code[0] == 0xeb || (code[0] & 0xf0) == 0x70;	/* jmp, jcc */
	case 5:
		return code[0] == 0xe8 || code[0] == 0xe9 || /* call, jmp */
		       memcmp(code, "\x0f\x1f\x44\x00\x00", 5) == 0;
	case 6:
		return code[0] == 0x0f && (code[1] & 0xf0) == 0x80; /* jcc */
	}
	return false;
}

/* Bits of the registers that a probe reads: those of integer arguments in the System V ABI, and rsp. */
#define RSP (1U << 6)

static unsigned int register_bit(ZydisRegister reg)
{
	static const ZydisRegister wanted[] = { ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
						ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_R8,	ZYDIS_REGISTER_R9,
						ZYDIS_REGISTER_RSP };

	reg = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	for (unsigned int i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (reg == wanted[i])
			return 1U << i;
	return 0;
}

/* xor %edx,%edx names a register twice and reads neither. */
static bool is_zeroing(const struct instruction *in)
{
	return (in->head.mnemonic == ZYDIS_MNEMONIC_XOR || in->head.mnemonic == ZYDIS_MNEMONIC_SUB) &&
	       in->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       in->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       in->operands[0].reg.value == in->operands[1].reg.value;
}

static bool is_straight(const struct instruction *in)
{
	switch (in->head.meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
		return false;
	default:
		return true;
	}
}

/*
 * After it, execution goes on behind it, and what the probe reads is as the caller left it. A register that is
 * overwritten as a whole before it was ever read carries no argument: that may happen. *used: registers read so far.
 */
static bool leaves_call_intact(const struct instruction *in, unsigned int *used)
{
	bool zeroing = is_zeroing(in);
	unsigned int written = 0;

	if (!is_straight(in))
		return false;
	for (size_t i = 0; i < in->head.operand_count; i++) {
		const ZydisDecodedOperand *op = &in->operands[i];
		unsigned int bit;

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			*used |= register_bit(op->mem.base) | register_bit(op->mem.index);
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		bit = register_bit(op->reg.value);
		if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			written |= bit;
		/* part of a register, or perhaps: what is left is still the caller's */
		if ((!zeroing && op->actions != ZYDIS_OPERAND_ACTION_WRITE) || op->size < 32)
			*used |= bit;
	}
	return !(written & (*used | RSP));
}

/* Does the function jump to (0, last]? Then what is at last may run more than once in a call. */
static bool is_jumped_to(const ZydisDecoder *decoder, const uint8_t *code, size_t n, size_t last)
{
	struct instruction in;

	for (size_t at = 0; at < n;) {
		if (!decode(decoder, code + at, n - at, &in)) {
			at++;
			continue;
		}
		for (size_t i = 0; i < in.head.operand_count_visible; i++) {
			const ZydisDecodedOperand *op = &in.operands[i];
			int64_t to;

			if (op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !op->imm.is_relative)
				continue;
			to = (int64_t)(at + in.head.length) + op->imm.value.s;
			if (to > 0 && to <= (int64_t)last)
				return true;
		}
		at += in.head.length;
	}
	return false;
}

struct probe_point probe_point_choose(const uint8_t *code, size_t n)
{
	struct probe_point entry = { .offset = 0, .emulated = false }, point;
	ZydisDecoder decoder;
	struct instruction in;
	unsigned int used = 0;
	size_t first;

	if (n > PROBE_POINT_SCAN)
		n = PROBE_POINT_SCAN;
	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return entry;
	point = entry;
	if (is_endbr64(code, n) && decode(&decoder, code + 4, n - 4, &in))
		point.offset = 4;
	first = point.offset;
	for (size_t at = first; at < n && at < WINDOW; at += in.head.length) {
		if (!decode(&decoder, code + at, n - at, &in))
			break;
		/* From 6.18 on the five-byte one becomes a call, which writes below rsp: only where nothing is kept
		 * there. */
		if (is_emulated(code + at, in.head.length) &&
		    (at == first || code[at] != 0x0f || code[at + 1] != 0x1f)) {
			point = (struct probe_point){ .offset = at, .emulated = true };
			break;
		}
		if (!leaves_call_intact(&in, &used))
			break;
	}
	return point.offset && is_jumped_to(&decoder, code, n, point.offset) ? entry : point;
}

/* Is an argument register written, even if nobody read it before? */
static bool writes_argument(const struct instruction *in)
{
	for (size_t i = 0; i < in->head.operand_count; i++) {
		const ZydisDecodedOperand *op = &in->operands[i];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
		    register_bit(op->reg.value) & ~RSP)
			return true;
	}
	return false;
}

struct probe_call probe_point_first_call(const uint8_t *code, size_t n)
{
	struct probe_call none = { .found = false }, call = { .forwarded = true };
	ZydisDecoder decoder;
	struct instruction in;

	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return none;
	for (size_t at = 0; at < n && at < CALL_WINDOW; at += in.head.length) {
		const ZydisDecodedOperand *to = &in.operands[0];

		if (!decode(&decoder, code + at, n - at, &in))
			return none;
		if (in.head.meta.category == ZYDIS_CATEGORY_COND_BR) {
			call.forwarded = false;
			continue;
		}
		if (in.head.meta.category == ZYDIS_CATEGORY_CALL || in.head.meta.category == ZYDIS_CATEGORY_UNCOND_BR) {
			call.found = to->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && to->imm.is_relative;
			call.to = call.found ? (int64_t)(at + in.head.length) + to->imm.value.s : 0;
			return call.found ? call : none;
		}
		if (!is_straight(&in))
			return none;
		call.forwarded = call.forwarded && !writes_argument(&in);
	}
	return none;
}
