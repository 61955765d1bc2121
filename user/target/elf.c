/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read by pread in small pieces, with every number checked here: a mapping of a file that its owner truncates is a
 * SIGBUS, and a library that loads whole sections takes as much memory as a stranger's header says.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "target/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/probe_point.h"
#include "util/bytes.h"

#define FILE_BYTES_MAX (1ULL << 30)
#define TABLE_BYTES_MAX (64ULL << 20) /* of symbols, of their names: bounds the time a file can take */
#define SEGMENTS_MAX 16
#define DYNAMIC_MAX 256
#define SECTIONS_MAX 65536
#define NAMES_MAX 96
#define NAME_BYTES_MAX 256
#define CANDIDATES_MAX 256

struct segment {
	uint64_t address, offset, size;
};

struct table {
	uint64_t symbols, symbols_n;
	uint64_t strings, strings_n;
	uint64_t versions; /* one uint16_t per symbol, 0 = none */
	uint32_t section;
	bool dynamic;
};

struct file {
	int fd;
	uint64_t size;
	struct segment code[SEGMENTS_MAX]; /* executable ones */
	struct segment data[SEGMENTS_MAX]; /* the others that are loaded */
	size_t code_n, data_n;
	uint64_t tls_size, tls_align; /* of the thread-local variables, 0 = none */
	bool program;		      /* not a shared object */
	struct table dynamic, full;
};

/* A place in a string table where a wanted name stands, up to its NUL or its version. */
struct candidate {
	uint64_t at;
	uint16_t name;
	bool old_version; /* name@VERSION; the default one is name@@VERSION */
};

struct wanted {
	const char *const *names;
	size_t lengths[NAMES_MAX], n;
	struct candidate candidates[CANDIDATES_MAX]; /* by rising .at */
	size_t candidates_n;
	unsigned int type; /* STT_FUNC, STT_OBJECT, STT_TLS */
};

struct found {
	uint64_t address, size;
	unsigned int rank; /* 0 = not found */
};

static bool read_at(const struct file *f, uint64_t at, void *to, size_t n)
{
	size_t done = 0;

	if (at > f->size || n > f->size - at)
		return false;
	while (done < n) {
		ssize_t r = pread(f->fd, (char *)to + done, n - done, (off_t)(at + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static bool in_file(const struct file *f, uint64_t at, uint64_t n)
{
	return at <= f->size && n <= f->size - at;
}

/* A static program that may be loaded anywhere says so, and needs no interpreter. */
static bool is_pie(const struct file *f, const Elf64_Phdr *dynamic)
{
	for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn) && i < DYNAMIC_MAX; i++) {
		Elf64_Dyn d;

		if (dynamic->p_offset > f->size || !read_at(f, dynamic->p_offset + i * sizeof(d), &d, sizeof(d)) ||
		    d.d_tag == DT_NULL)
			return false;
		if (d.d_tag == DT_FLAGS_1)
			return d.d_un.d_val & DF_1_PIE;
	}
	return false;
}

static bool read_segments(struct file *f, const Elf64_Ehdr *head)
{
	if (head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phnum == PN_XNUM)
		return false;
	for (uint64_t i = 0; i < head->e_phnum && f->code_n < SEGMENTS_MAX && f->data_n < SEGMENTS_MAX; i++) {
		struct segment s;
		Elf64_Phdr p;

		if (head->e_phoff > f->size || !read_at(f, head->e_phoff + i * sizeof(p), &p, sizeof(p)))
			return false;
		if (p.p_type == PT_INTERP || (p.p_type == PT_DYNAMIC && is_pie(f, &p)))
			f->program = true;
		if (p.p_type == PT_TLS) {
			f->tls_size = p.p_memsz;
			f->tls_align = p.p_align;
		}
		if (p.p_type != PT_LOAD || !in_file(f, p.p_offset, p.p_filesz) || p.p_vaddr + p.p_filesz < p.p_vaddr)
			continue;
		s = (struct segment){ .address = p.p_vaddr, .offset = p.p_offset, .size = p.p_filesz };
		if (p.p_flags & PF_X)
			f->code[f->code_n++] = s;
		else
			f->data[f->data_n++] = s;
	}
	f->program |= head->e_type == ET_EXEC;
	return f->code_n > 0;
}

static bool read_section(const struct file *f, const Elf64_Ehdr *head, uint64_t i, Elf64_Shdr *ret)
{
	return head->e_shoff <= f->size && read_at(f, head->e_shoff + i * sizeof(*ret), ret, sizeof(*ret));
}

/* Number of section headers; a number that does not fit the header is in the first section (gABI, "Sections"). */
static uint64_t sections_count(const struct file *f, const Elf64_Ehdr *head)
{
	Elf64_Shdr first;

	if (head->e_shoff == 0 || head->e_shentsize != sizeof(Elf64_Shdr))
		return 0;
	if (head->e_shnum)
		return head->e_shnum;
	return read_section(f, head, 0, &first) && first.sh_size <= SECTIONS_MAX ? first.sh_size : 0;
}

static int take_table(const struct file *f, const Elf64_Ehdr *head, const Elf64_Shdr *s, uint32_t number,
		      struct table *ret)
{
	Elf64_Shdr strings;

	if (s->sh_entsize != sizeof(Elf64_Sym) || !in_file(f, s->sh_offset, s->sh_size) ||
	    !read_section(f, head, s->sh_link, &strings) || strings.sh_type != SHT_STRTAB ||
	    !in_file(f, strings.sh_offset, strings.sh_size))
		return 0; /* as if it were not there */
	if (s->sh_size > TABLE_BYTES_MAX || strings.sh_size > TABLE_BYTES_MAX)
		return -EFBIG;
	*ret = (struct table){
		.symbols = s->sh_offset,
		.symbols_n = s->sh_size / sizeof(Elf64_Sym),
		.strings = strings.sh_offset,
		.strings_n = strings.sh_size,
		.section = number,
		.dynamic = s->sh_type == SHT_DYNSYM,
	};
	return 0;
}

static int read_tables(struct file *f, const Elf64_Ehdr *head)
{
	uint64_t n = sections_count(f, head);
	Elf64_Shdr s, versions = { .sh_type = SHT_NULL };
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		if (!read_section(f, head, i, &s))
			return -ENOEXEC;
		if (s.sh_type == SHT_DYNSYM && !f->dynamic.symbols_n)
			r = take_table(f, head, &s, (uint32_t)i, &f->dynamic);
		else if (s.sh_type == SHT_SYMTAB && !f->full.symbols_n)
			r = take_table(f, head, &s, (uint32_t)i, &f->full);
		else if (s.sh_type == SHT_GNU_versym)
			versions = s;
	}
	if (r == 0 && f->dynamic.symbols_n && versions.sh_link == f->dynamic.section &&
	    versions.sh_size / sizeof(uint16_t) >= f->dynamic.symbols_n &&
	    in_file(f, versions.sh_offset, versions.sh_size))
		f->dynamic.versions = versions.sh_offset;
	return r;
}

/* A name that ends in it is one of Rust's, behind which is a hash. */
#define RUST_HASH "17h"

static bool is_hashed(const char *name, size_t length)
{
	size_t hash = sizeof(RUST_HASH) - 1;

	return length > hash && memcmp(name + length - hash, RUST_HASH, hash) == 0;
}

/* s ends where a name in the table ends, and stands at the given place of it. Linkers let names share their tails. */
static void note_names(struct wanted *w, struct bytes s, uint64_t at)
{
	size_t end = bytes_find(s, '@');
	bool old = end + 1 < s.n && s.p[end + 1] != '@';

	for (size_t i = 0; i < w->n && w->candidates_n < CANDIDATES_MAX; i++) {
		size_t length = w->lengths[i];
		bool hashed = is_hashed(w->names[i], length) && length <= s.n && memcmp(s.p, w->names[i], length) == 0;

		if (!hashed && (length > end || memcmp(s.p + end - length, w->names[i], length) != 0))
			continue;
		w->candidates[w->candidates_n++] = (struct candidate){
			.at = hashed ? at : at + end - length,
			.name = (uint16_t)i,
			.old_version = !hashed && old,
		};
	}
}

static bool find_names(const struct file *f, const struct table *t, struct wanted *w)
{
	char chunk[16384];
	size_t kept = 0; /* bytes of a string that has not ended yet, at the start of chunk */

	w->candidates_n = 0;
	for (uint64_t at = 0; at < t->strings_n;) {
		uint64_t left = t->strings_n - at;
		size_t n = left < sizeof(chunk) - kept ? (size_t)left : sizeof(chunk) - kept, used = 0;
		struct bytes rest;

		if (!read_at(f, t->strings + at, chunk + kept, n))
			return false;
		rest = bytes_of(chunk, kept + n);
		for (size_t end; (end = bytes_find(rest, '\0')) < rest.n; rest = bytes_tail(rest, end + 1)) {
			note_names(w, bytes_head(rest, end), at - kept + used);
			used += end + 1;
		}
		at += n;
		/* of a very long string only the end matters: nothing wanted is longer */
		kept = rest.n < 2 * NAME_BYTES_MAX ? rest.n : 2 * NAME_BYTES_MAX;
		memmove(chunk, rest.p + rest.n - kept, kept);
	}
	return true;
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* The first candidate that stands at or behind a place in the string table. */
static size_t first_candidate(const struct wanted *w, uint64_t at)
{
	size_t low = 0, high = w->candidates_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->candidates[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct segment *find_segment(const struct file *f, uint64_t address)
{
	for (size_t i = 0; i < f->code_n; i++)
		if (address >= f->code[i].address && address - f->code[i].address < f->code[i].size)
			return &f->code[i];
	return NULL;
}

/* Of several symbols of one name: global before local, default version before others, dynamic before static. */
static void consider(const struct file *f, const struct table *t, const struct wanted *w, const Elf64_Sym *s,
		     bool hidden, struct found *found)
{
	if (ELF64_ST_TYPE(s->st_info) != w->type || s->st_shndx == SHN_UNDEF ||
	    (w->type == STT_FUNC && !find_segment(f, s->st_value)))
		return;
	for (size_t i = first_candidate(w, s->st_name); i < w->candidates_n && w->candidates[i].at == s->st_name; i++) {
		const struct candidate *c = &w->candidates[i];
		bool copies = is_hashed(w->names[c->name], w->lengths[c->name]);
		unsigned int rank =
			8 + 4 * (ELF64_ST_BIND(s->st_info) != STB_LOCAL) + 2 * !(hidden || c->old_version) + t->dynamic;

		if (copies && found[c->name].rank && found[c->name].address != s->st_value)
			continue; /* the place of another copy */
		if (rank > found[c->name].rank)
			found[c->name] = (struct found){ .address = s->st_value, .size = s->st_size, .rank = rank };
		if (copies)
			return;
	}
}

static bool find_symbols(const struct file *f, const struct table *t, struct wanted *w, struct found *found)
{
	enum { BATCH = 256 };
	Elf64_Sym symbols[BATCH];
	uint16_t versions[BATCH];

	if (!t->symbols_n)
		return true;
	if (!find_names(f, t, w))
		return false;
	if (!w->candidates_n)
		return true;
	qsort(w->candidates, w->candidates_n, sizeof(w->candidates[0]), compare_candidates);
	for (uint64_t i = 0; i < t->symbols_n; i += BATCH) {
		size_t n = t->symbols_n - i < BATCH ? (size_t)(t->symbols_n - i) : BATCH;

		if (!read_at(f, t->symbols + i * sizeof(symbols[0]), symbols, n * sizeof(symbols[0])))
			return false;
		if (t->versions &&
		    !read_at(f, t->versions + i * sizeof(versions[0]), versions, n * sizeof(versions[0])))
			return false;
		for (size_t k = 0; k < n; k++)
			consider(f, t, w, &symbols[k], t->versions && (versions[k] & 0x8000), found);
	}
	return true;
}

/* Code from an address on, as far as the function and its segment go, and no more than is looked at. */
static bool read_code(const struct file *f, uint64_t address, uint64_t size, uint8_t code[PROBE_POINT_SCAN], size_t *n,
		      uint64_t *offset)
{
	const struct segment *s = find_segment(f, address);
	uint64_t inside, left;

	if (!s)
		return false;
	inside = address - s->address;
	left = s->size - inside;
	if (size && size < left) /* hand-written functions may have no size */
		left = size;
	*n = left < PROBE_POINT_SCAN ? (size_t)left : PROBE_POINT_SCAN;
	*offset = s->offset + inside;
	return read_at(f, *offset, code, *n);
}

/* A function that costs much to probe may do no more than call another. */
static void look_at_callee(const struct file *f, uint64_t address, const uint8_t *caller, size_t caller_n,
			   struct elf_point *ret)
{
	struct probe_call call = probe_point_first_call(caller, caller_n);
	uint8_t code[PROBE_POINT_SCAN];
	struct probe_point p;
	uint64_t offset;
	size_t n;

	if (!call.found || !read_code(f, address + (uint64_t)call.to, 0, code, &n, &offset))
		return;
	p = probe_point_choose(code, n);
	ret->callee = offset + p.offset;
	ret->callee_emulated = p.emulated;
	ret->forwarded = call.forwarded;
}

static bool choose_point(const struct file *f, const struct found *at, struct elf_point *ret)
{
	uint8_t code[PROBE_POINT_SCAN];
	struct probe_point p;
	uint64_t offset;
	size_t n;

	if (!read_code(f, at->address, at->size, code, &n, &offset))
		return false;
	p = probe_point_choose(code, n);
	*ret = (struct elf_point){ .offset = offset + p.offset, .emulated = p.emulated };
	if (!p.emulated)
		look_at_callee(f, at->address, code, n, ret);
	return true;
}

static int open_elf(int fd, struct file *ret)
{
	struct file f = { .fd = fd };
	struct stat st;
	Elf64_Ehdr head;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	if ((uint64_t)st.st_size > FILE_BYTES_MAX)
		return -EFBIG;
	f.size = (uint64_t)st.st_size;
	if (!read_at(&f, 0, &head, sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
	    head.e_machine != EM_X86_64 || (head.e_type != ET_DYN && head.e_type != ET_EXEC) ||
	    !read_segments(&f, &head))
		return -ENOEXEC;
	r = read_tables(&f, &head);
	if (r < 0)
		return r;
	*ret = f;
	return 0;
}

int elf_has_section(int fd, const char *name, void *ret, size_t n)
{
	size_t name_n = strlen(name) + 1;
	char text[NAME_BYTES_MAX];
	Elf64_Shdr names, s;
	Elf64_Ehdr head;
	struct file f;
	int r = open_elf(fd, &f);

	if (r < 0)
		return r;
	if (name_n > sizeof(text) || !read_at(&f, 0, &head, sizeof(head)) ||
	    !read_section(&f, &head, head.e_shstrndx, &names))
		return 0;
	for (uint64_t i = 0; i < sections_count(&f, &head); i++) {
		if (!read_section(&f, &head, i, &s))
			return 0;
		if (s.sh_name >= names.sh_size || names.sh_offset > f.size ||
		    !read_at(&f, names.sh_offset + s.sh_name, text, name_n) || memcmp(text, name, name_n) != 0)
			continue;
		if (n && s.sh_size >= n && s.sh_type != SHT_NOBITS)
			(void)!read_at(&f, s.sh_offset, ret, n);
		return 1;
	}
	return 0;
}

/* Looks all names up. Number of usable symbols, or a negative errno. */
static int find(int fd, const char *const *names, size_t names_n, unsigned int type, struct file *ret,
		struct found found[NAMES_MAX])
{
	struct wanted w = { .names = names, .n = names_n, .type = type };
	int r, n = 0;

	if (names_n == 0 || names_n > NAMES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < names_n; i++) {
		w.lengths[i] = strlen(names[i]);
		if (w.lengths[i] == 0 || w.lengths[i] > NAME_BYTES_MAX)
			return -EINVAL;
	}
	r = open_elf(fd, ret);
	if (r < 0)
		return r;
	if (!find_symbols(ret, &ret->dynamic, &w, found) || !find_symbols(ret, &ret->full, &w, found))
		return -ENOEXEC;
	for (size_t i = 0; i < names_n; i++)
		n += found[i].rank != 0;
	return n;
}

int elf_find_points(int fd, const char *const *names, size_t names_n, struct elf_point *ret)
{
	struct found found[NAMES_MAX] = { { 0 } };
	struct elf_point points[NAMES_MAX] = { { 0 } };
	struct file f;
	int n = find(fd, names, names_n, STT_FUNC, &f, found);

	if (n < 0)
		return n;
	for (size_t i = 0; i < names_n; i++)
		if (found[i].rank && !choose_point(&f, &found[i], &points[i]))
			return -ENOEXEC;
	memcpy(ret, points, names_n * sizeof(points[0]));
	return n;
}

int elf_find_objects(int fd, const char *const *names, size_t names_n, struct elf_object *ret)
{
	struct found found[NAMES_MAX] = { { 0 } };
	struct file f;
	int n = find(fd, names, names_n, STT_OBJECT, &f, found);

	if (n < 0)
		return n;
	for (size_t i = 0; i < names_n; i++) {
		ret[i] = (struct elf_object){ .found = found[i].rank != 0, .address = found[i].address };
		if (!ret[i].found)
			continue;
		ret[i].place = found[i].address - f.code[0].address + f.code[0].offset;
		for (size_t k = 0; k < f.data_n; k++) {
			uint64_t inside = found[i].address - f.data[k].address;

			if (found[i].address >= f.data[k].address && inside < f.data[k].size &&
			    f.data[k].size - inside >= sizeof(ret[i].value))
				(void)!read_at(&f, f.data[k].offset + inside, &ret[i].value, sizeof(ret[i].value));
		}
	}
	return n;
}

/* x86-64 has them below the thread pointer, which their end, aligned, is at (ELF Handling For Thread-Local Storage). */
static int thread_local_place(const struct file *f, uint64_t address, int64_t *ret)
{
	uint64_t align = f->tls_align ? f->tls_align : 1, end;

	if ((align & (align - 1)) || align > FILE_BYTES_MAX || f->tls_size > FILE_BYTES_MAX || address > f->tls_size)
		return -ENOEXEC;
	end = (f->tls_size + align - 1) & ~(align - 1);
	*ret = (int64_t)address - (int64_t)end;
	return 1;
}

int elf_thread_local(int fd, const char *name, int64_t *ret)
{
	struct found found[NAMES_MAX] = { { 0 } };
	struct file f;
	int n = find(fd, &name, 1, STT_TLS, &f, found);

	return n <= 0 ? n : thread_local_place(&f, found[0].address, ret);
}

/* The symbol's name has all the parts. */
static bool is_like(const struct file *f, const Elf64_Sym *s, const char *const *parts)
{
	char name[NAME_BYTES_MAX];
	uint64_t left = s->st_name < f->full.strings_n ? f->full.strings_n - s->st_name : 0;
	size_t n = left < sizeof(name) ? (size_t)left : sizeof(name);

	if (ELF64_ST_TYPE(s->st_info) != STT_TLS || s->st_shndx == SHN_UNDEF || !n ||
	    !read_at(f, f->full.strings + s->st_name, name, n))
		return false;
	name[n - 1] = '\0';
	for (size_t i = 0; parts[i]; i++)
		if (!strstr(name, parts[i]))
			return false;
	return true;
}

int elf_thread_local_like(int fd, const char *const *parts, int64_t *ret, uint64_t *ret_size)
{
	enum { BATCH = 256 };
	Elf64_Sym s[BATCH];
	struct file f;
	int r = open_elf(fd, &f);

	if (r < 0)
		return r;
	if (!f.program || !f.tls_size)
		return 0;
	for (uint64_t i = 0; i < f.full.symbols_n; i += BATCH) {
		size_t n = f.full.symbols_n - i < BATCH ? (size_t)(f.full.symbols_n - i) : BATCH;

		if (!read_at(&f, f.full.symbols + i * sizeof(s[0]), s, n * sizeof(s[0])))
			return -ENOEXEC;
		for (size_t k = 0; k < n; k++) {
			if (!is_like(&f, &s[k], parts))
				continue;
			*ret_size = s[k].st_size;
			return thread_local_place(&f, s[k].st_value, ret);
		}
	}
	return 0;
}
