/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to see a socket's bytes, best first. Which one a kernel gives is found by loading and attaching it, never by
 * version numbers.
 */
#ifndef SONDE_KEEPER_BACKEND_H
#define SONDE_KEEPER_BACKEND_H

#include <stdbool.h>

struct btf;

struct program {
	const char *name;	/* of the BPF program */
	const char *tracepoint; /* btf_trace_<name> must be in the kernel's BTF; NULL: no such need */
	bool optional;		/* refused: something is lost, and `sonde check` says what */
	const char *function;	/* must be in the kernel's BTF; NULL: no such need */
};

struct backend {
	const char *name;	     /* as --backend wants it */
	const char *plain;	     /* in words for people */
	const char *needs;	     /* why a kernel may not have it */
	struct program programs[13]; /* ended by a NULL name */
	bool calls;		     /* follows socket functions from entry to result */
};

extern const struct backend backends[]; /* ended by a NULL name */
/* Sockets' and processes' coming and going: the same for all backends. */
extern const struct program lifecycle_programs[];
/* Functions of libraries. */
extern const struct program library_programs[];

const struct backend *backend_find(const char *name); /* NULL when there is none of that name */
/* Is what the program hangs on in this kernel? vmlinux may be NULL: then no. */
bool program_possible(const struct program *p, const struct btf *vmlinux);

#endif
