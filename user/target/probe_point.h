/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a function's machine code a probe costs least. Pure: x86-64 bytes in, an offset out. */
#ifndef SONDE_TARGET_PROBE_POINT_H
#define SONDE_TARGET_PROBE_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Jumps back into the beginning of a function are looked for in this many bytes of it. */
#define PROBE_POINT_SCAN 4096

struct probe_point {
	size_t offset; /* from the first byte of the function */
	bool emulated;
};

/*
 * code: the first n bytes of a function, no more than belong to it. The answer runs once per call, with rsp at the
 * return address and the arguments in rdi, rsi, rdx, rcx, r8, r9 as the caller passed them (one that the function
 * itself overwrites unread is no argument): the first instruction that the kernel emulates if there is one within 32
 * bytes, else the entry, or what follows endbr64 there.
 */
struct probe_point probe_point_choose(const uint8_t *code, size_t n);

/* The first function that a function calls, or goes on as, by a direct call or jump among its first instructions. */
struct probe_call {
	bool found;
	bool forwarded; /* it always is, and has every argument register as the caller passed it */
	int64_t to;	/* from the first byte of the caller */
};

struct probe_call probe_point_first_call(const uint8_t *code, size_t n);

#endif
