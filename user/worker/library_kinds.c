/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/library_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "proc.h"

#include "target/elf.h"

struct function {
	uint32_t number;
	bool entry, exit;
	const char *symbol;
	enum library_kind kind;
};

static const struct function functions[] = {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) { number, entry, ret, symbol, KIND_LIBPQ },
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
#define OPENSSL_FUNCTION(id, number, symbol, entry, ret) { number, entry, ret, symbol, KIND_OPENSSL },
#include "openssl_functions.def"
#undef OPENSSL_FUNCTION
#define UVLOOP_FUNCTION(id, number, symbol, entry, ret) { number, entry, ret, symbol, KIND_UVLOOP },
#include "uvloop_functions.def"
#undef UVLOOP_FUNCTION
#define NODE_FUNCTION(id, number, symbol) { number, true, false, symbol, KIND_NODE },
#include "node_functions.def"
#undef NODE_FUNCTION
#define TOKIO_FUNCTION(id, number, symbol) { number, true, false, symbol, KIND_TOKIO },
#include "tokio_functions.def"
#undef TOKIO_FUNCTION
};

enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

#define NODE_FUNCTION(id, number, symbol) +1
enum {
	NODE_FUNCTIONS = 0
#include "node_functions.def"
};
#undef NODE_FUNCTION

#define TOKIO_FUNCTION(id, number, symbol) TOKIO_##id = (number),
enum {
#include "tokio_functions.def"
};
#undef TOKIO_FUNCTION

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_jvm(const char *path)
{
	return strncmp(name_of(path), "libjvm.so", 9) == 0;
}

bool library_worth_a_look(const char *path)
{
	/* executables, for what is linked into them */
	return strstr(path, "libpq") || strncmp(name_of(path), "libpython3", 10) == 0 || strstr(path, "psycopg") ||
	       strncmp(name_of(path), "libssl", 6) == 0 || is_jvm(path) || strstr(path, "/uvloop/loop.") ||
	       (*path == '/' && !strstr(name_of(path), ".so"));
}

static void add_points(struct library_points *to, const struct function *f, uint64_t offset)
{
	if (f->entry && to->n < MESSAGE_POINTS_MAX)
		to->v[to->n++] = (struct message_point){ offset, f->number, 0 };
	if (f->exit && to->n < MESSAGE_POINTS_MAX)
		to->v[to->n++] = (struct message_point){ offset, f->number, POINT_RETURN };
}

static struct elf_point *point_of(struct elf_point found[FUNCTIONS], const char *symbol)
{
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (strcmp(functions[i].symbol, symbol) == 0)
			return &found[i];
	return NULL;
}

/*
 * SSL_read and SSL_read_ex, as OpenSSL 1.1.1 to 3.6 are compiled, move the stack pointer and call one function that
 * both share. A probe at their entries has to be single-stepped; that function usually begins with a push. It takes
 * what SSL_read_ex takes, for that hands on its arguments as they are, and so do its results mean the same. True: the
 * probe of the one with _ex stands for both from now on.
 */
static bool probe_heart(struct elf_point *plain, struct elf_point *ex)
{
	if (plain->emulated || ex->emulated || !ex->callee || ex->callee != plain->callee || !ex->forwarded ||
	    !ex->callee_emulated)
		return false;
	ex->offset = ex->callee;
	plain->offset = 0;
	return true;
}

static void probe_hearts(struct elf_point found[FUNCTIONS])
{
	struct elf_point *write = point_of(found, "SSL_write"), *write_ex = point_of(found, "SSL_write_ex");

	probe_heart(point_of(found, "SSL_read"), point_of(found, "SSL_read_ex"));
	/* from 3.3 on, SSL_write_ex is SSL_write_ex2 without flags (SSL_write(3)) */
	if (probe_heart(write, point_of(found, "SSL_write_ex2")))
		write_ex->offset = 0;
	else
		probe_heart(write, write_ex);
}

bool library_find_points(int fd, struct library_points ret[LIBRARY_KINDS])
{
	const char *names[FUNCTIONS];
	struct elf_point found[FUNCTIONS] = { 0 };

	_Static_assert(2 * FUNCTIONS - NODE_FUNCTIONS <= MESSAGE_POINTS_MAX, "entry and return, but of these");
	memset(ret, 0, LIBRARY_KINDS * sizeof(ret[0]));
	for (size_t i = 0; i < FUNCTIONS; i++)
		names[i] = functions[i].symbol;
	if (elf_find_points(fd, names, FUNCTIONS, found) <= 0)
		return false;
	probe_hearts(found);
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (found[i].offset)
			add_points(&ret[functions[i].kind], &functions[i], found[i].offset);
	if (ret[KIND_NODE].n != NODE_FUNCTIONS) /* another program that has libuv, as uvloop's */
		ret[KIND_NODE].n = 0;
	if (ret[KIND_TOKIO].v[0].function != TOKIO_WAKE_BY_VAL || ret[KIND_TOKIO].v[1].function != TOKIO_WAKE_BY_REF)
		ret[KIND_TOKIO].n = 0;
	for (int kind = 0; kind < LIBRARY_KINDS; kind++)
		if (ret[kind].n)
			return true;
	return false;
}

uint8_t library_hints(const char *path)
{
	static const char *const databases[] = { "postgres", "mariadbd", "mysqld" };
	const char *name = name_of(path);
	uint8_t hints = 0;

	if (strstr(path, "libpq"))
		hints |= HINT_LIBPQ;
	for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++)
		if (strcmp(name, databases[i]) == 0)
			hints |= HINT_DATABASE;
	if (is_jvm(path))
		hints |= HINT_OWN_TLS;
	if (strstr(path, "/gevent/")) /* greenlet alone comes with much, and serves nobody there */
		hints |= HINT_GREENLETS;
	return hints;
}

/* debug/buildinfo: from Go 1.18 on the version stands in it, as a text behind its length. */
bool library_is_go(int fd, uint32_t *ret_minor)
{
	enum { VERSION = 33, BYTES = 64 };
	char info[BYTES] = { 0 };
	unsigned long minor;

	*ret_minor = 0;
	if (elf_has_section(fd, ".go.buildinfo", info, sizeof(info) - 1) <= 0)
		return false;
	if (memcmp(info + VERSION, "go1.", 4) == 0) {
		minor = strtoul(info + VERSION + 4, NULL, 10);
		*ret_minor = minor <= UINT8_MAX ? (uint32_t)minor : 0;
	}
	return true;
}

/* The Go linker gives it a place of its own, but leaves that to another linker where C code is linked in. */
int64_t library_go_g(int fd)
{
	int64_t at = -8;

	(void)!elf_thread_local(fd, "runtime.tlsg", &at);
	return at;
}

/*
 * tokio's CONTEXT, one of each thread, has it in one place or another; which one, its size tells. Tried: tokio 1.28
 * and 1.35 (104 and 88 bytes), 1.43 to 1.54 (80 bytes). Names have a hash in them.
 */
int64_t library_tokio(int fd)
{
	static const char *const parts[] = { "5tokio7runtime7context7CONTEXT", "RUST_STD_INTERNAL_VAL", NULL };
	static const struct {
		uint64_t size;
		int64_t task;
	} layouts[] = { { 80, 48 }, { 88, 40 }, { 104, 40 } };
	uint64_t size;
	int64_t at;

	if (elf_thread_local_like(fd, parts, &at, &size) != 1)
		return 0;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].size == size)
			return at + layouts[i].task;
	return 0;
}

bool library_jvm(int fd, const char *path, struct jvm *ret)
{
	*ret = (struct jvm){ .is_jvm = false };
	return !is_jvm(path) || (jvm_read(fd, ret) && ret->is_jvm);
}

bool library_python(int fd, const char *path, struct library_python *ret)
{
	static const char *const symbols[] = { "_PyRuntime" };
	const char *name = name_of(path);
	struct elf_object runtime;
	unsigned long minor;
	char *end;

	*ret = (struct library_python){ 0 };
	if (strncmp(name, "lib", 3) == 0)
		name += 3;
	if (strncmp(name, "python3.", 8) != 0 || elf_find_objects(fd, symbols, 1, &runtime) != 1)
		return true;
	minor = strtoul(name + 8, &end, 10);
	/* python3.13t, python3.13d: other layouts */
	if (minor < PYTHON_MINOR_MIN || minor > PYTHON_MINOR_MAX || (*end && *end != '.'))
		return false;
	*ret = (struct library_python){ .minor = (uint32_t)minor, .runtime = runtime.place };
	return true;
}
