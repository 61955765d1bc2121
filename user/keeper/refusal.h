/* SPDX-License-Identifier: Apache-2.0 */
/* Why a kernel refuses BPF altogether, in words, and the first thing to change. docs/kernels.md has the longer texts.
 */
#ifndef SONDE_KEEPER_REFUSAL_H
#define SONDE_KEEPER_REFUSAL_H

#include <stddef.h>

/* The word in brackets of /sys/kernel/security/lockdown: none, integrity or confidentiality; none where there is none.
 */
void lockdown_mode(char *ret, size_t size);

/* What to change after loading failed with r (a negative errno): one sentence; NULL when no more is known. */
const char *refusal_advice(int r);

/* The same with the reason before it: what loading says where it failed for all programs. */
void refusal_reason(int r, char *ret, size_t size);

#endif
