/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to put probes in somebody else's ELF file. Input is hostile: every offset is checked, sizes are capped, and a
 * bad file is an error, never a crash. Symbols come from .dynsym and .symtab (also of stripped libraries: dynamic
 * ones).
 *
 * A probe is cheap when the instruction under it is emulated by the kernel (push, nop, jmp, call, jcc: arch/x86/kernel/
 * uprobes.c) instead of single-stepped, so the first emulated instruction is chosen that still runs exactly once per
 * call, with the argument registers unchanged and the return address on top of the stack (target/probe_point.h).
 */
#ifndef SONDE_TARGET_ELF_H
#define SONDE_TARGET_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_point {
	uint64_t offset; /* in the file, for uprobes; 0 = the symbol is not there */
	bool emulated;	 /* the kernel will not have to single-step it */
	/* If it is not emulated: the point in the first function that this one calls; 0 = not known. */
	uint64_t callee;
	bool callee_emulated, forwarded; /* forwarded: always called, with the arguments as they came */
};

/*
 * A name that ends in 17h is one of Rust's, whose hash may be any. There may be copies of it; so many as it stands
 * among names are found.
 *
 * Looks up names_n function symbols in the file fd (offset untouched). ret[i] answers names[i].
 * Returns how many were found, or a negative errno (-ENOEXEC: not a usable x86-64 ELF file, -EFBIG: over the cap).
 */
int elf_find_points(int fd, const char *const *names, size_t names_n, struct elf_point *ret);

struct elf_object {
	bool found;
	uint64_t place; /* in memory, from where the first byte of the file would be mapped as its code is; modulo 2^64
			 */
	uint64_t address; /* by the file's own numbering */
	uint32_t value;	  /* its first bytes in the file, 0 = it has none there */
};

/* The same for variables. */
int elf_find_objects(int fd, const char *const *names, size_t names_n, struct elf_object *ret);

/* Where a program has a thread-local variable, from the thread pointer on. 1; 0: it has none of the name. */
int elf_thread_local(int fd, const char *name, int64_t *ret);

/*
 * The same of the first one whose name has all these parts, and its size. 0 also when the file is a shared object and
 * no program, for then that depends on the program that loads it.
 */
int elf_thread_local_like(int fd, const char *const *parts, int64_t *ret, uint64_t *ret_size);

/*
 * Has the ELF file a section of this name (at most 255 bytes)? 1 or 0, or a negative errno as above. Its first bytes go
 * to ret, where it has so many.
 */
int elf_has_section(int fd, const char *name, void *ret, size_t n);

#endif
