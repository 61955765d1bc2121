/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "target/jvm.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "target/elf.h"

#define SEGMENTS_MAX 16
#define ENTRIES_MAX 4096 /* JDK 21 has 813, JDK 25 some 580 */
#define ENTRIES_AT_ONCE 64
#define NAME_MAX_BYTES 24

/* VMStructEntry. What is not said here is 0 in the file, or not needed. */
struct entry {
	uint64_t type_name, field_name, type_string;
	int32_t is_static, pad;
	uint64_t offset, address;
};

struct image {
	int fd;
	Elf64_Phdr loads[SEGMENTS_MAX];
	size_t n;
};

static const struct {
	const char *type, *field;
	enum java_field which;
} wanted[] = {
	{ "Thread", "_osthread", JAVA_OSTHREAD }, /* from JDK 22 on, before: */
	{ "JavaThread", "_osthread", JAVA_OSTHREAD }, { "OSThread", "_pthread_id", JAVA_PTHREAD },
	{ "JavaThread", "_vthread", JAVA_VTHREAD },   { "JavaThread", "_monitor_owner_id", JAVA_OWNER },
};

static bool open_image(int fd, struct image *ret)
{
	Elf64_Ehdr head;

	*ret = (struct image){ .fd = fd };
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || head.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (uint64_t i = 0; i < head.e_phnum && ret->n < SEGMENTS_MAX; i++) {
		Elf64_Phdr *p = &ret->loads[ret->n];

		if (pread(fd, p, sizeof(*p), (off_t)(head.e_phoff + i * sizeof(*p))) != (ssize_t)sizeof(*p))
			return false;
		ret->n += p->p_type == PT_LOAD;
	}
	return ret->n > 0;
}

/* Up to n bytes of the file for an address, by its own numbering: how many. */
static size_t image_read(const struct image *m, uint64_t address, void *to, size_t n)
{
	for (size_t i = 0; i < m->n; i++) {
		const Elf64_Phdr *p = &m->loads[i];
		uint64_t inside = address - p->p_vaddr, left;
		ssize_t r;

		if (address < p->p_vaddr || inside >= p->p_filesz)
			continue;
		left = p->p_filesz - inside;
		r = pread(m->fd, to, left < n ? (size_t)left : n, (off_t)(p->p_offset + inside));
		return r > 0 ? (size_t)r : 0;
	}
	return 0;
}

static bool is_named(const struct image *m, uint64_t address, const char *name)
{
	size_t n = strlen(name) + 1;
	char text[NAME_MAX_BYTES];

	return n <= sizeof(text) && image_read(m, address, text, n) == n && memcmp(text, name, n) == 0;
}

/* Of an address the place, see struct jvm. */
static bool place_of(const struct image *m, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->loads[i].p_flags & PF_X) {
			*ret = address - m->loads[i].p_vaddr + m->loads[i].p_offset;
			return true;
		}
	return false;
}

static void take_entry(const struct image *m, const struct entry *e, uint16_t number, struct jvm *ret)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!e->is_static && is_named(m, e->field_name, wanted[i].field) &&
		    is_named(m, e->type_name, wanted[i].type))
			ret->entries[wanted[i].which] = number;
}

static void read_entries(const struct image *m, uint64_t array, struct jvm *ret)
{
	struct entry batch[ENTRIES_AT_ONCE];

	for (uint64_t at = 0; at < ENTRIES_MAX; at += ENTRIES_AT_ONCE) {
		size_t n = image_read(m, array + at * sizeof(batch[0]), batch, sizeof(batch)) / sizeof(batch[0]);

		for (size_t i = 0; i < n; i++) {
			if (!batch[i].type_name) /* the last one */
				return;
			take_entry(m, &batch[i], (uint16_t)(at + i), ret);
		}
		if (n < ENTRIES_AT_ONCE)
			return;
	}
}

/*
 * Linkers write into the file what the pointers will be with the library at address 0 (GNU ld does, and all do where
 * relocations are packed), so relocations need not be read.
 */
bool jvm_read(int fd, struct jvm *ret)
{
	static const char *const symbols[] = { "gHotSpotVMStructs" };
	struct elf_object pointer;
	struct image m;
	uint64_t array;

	*ret = (struct jvm){ .is_jvm = false };
	if (elf_find_objects(fd, symbols, 1, &pointer) != 1)
		return true;
	ret->is_jvm = true;
	if (!open_image(fd, &m) || image_read(&m, pointer.address, &array, sizeof(array)) != sizeof(array) ||
	    !place_of(&m, array, &ret->place))
		return false;
	read_entries(&m, array, ret);
	ret->is_virtual = ret->entries[JAVA_VTHREAD] != 0;
	/* JDK 17 has the array, too; without its threads it is not understood */
	return ret->entries[JAVA_OSTHREAD] && ret->entries[JAVA_PTHREAD];
}
