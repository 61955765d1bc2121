/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel would let us do, and what would harm the processes that we look at. docs/kernels.md has the whole list.
 */
#ifndef SONDE_KEEPER_DENYLIST_H
#define SONDE_KEEPER_DENYLIST_H

#include <stdbool.h>

/* What a thread gets that makes the system call uretprobe() outside of a probe. */
enum uretprobe_answer {
	URETPROBE_UNKNOWN,
	URETPROBE_KILLED,     /* by the call itself: the kernel has it, and let it pass */
	URETPROBE_ABSENT,     /* ENOSYS */
	URETPROBE_FILTERED,   /* a seccomp filter answered */
	URETPROBE_NO_FILTERS, /* the kernel knows no seccomp filters */
};

/*
 * Would a probe of a function's return kill a process that has a seccomp filter? From the answers to a thread with a
 * filter that refuses all numbers that it does not know and to one without; release is that of uname(), for when both
 * do not tell.
 */
bool uretprobe_harms(enum uretprobe_answer filtered, enum uretprobe_answer unfiltered, const char *release);

/*
 * The same, asked of this kernel once, by two children that live for one system call. False when no child can be made:
 * then nothing else works either.
 */
bool denylist_return_probes(void);

#endif
