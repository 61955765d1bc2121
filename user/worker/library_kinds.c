/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/library_kinds.h"

#include <string.h>

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
};

enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool library_worth_a_look(const char *path)
{
	/* executables, for what is linked into them */
	return strstr(path, "libpq") || strstr(path, "psycopg") || strncmp(name_of(path), "libssl", 6) == 0 ||
	       (*path == '/' && !strstr(name_of(path), ".so"));
}

static void add_points(struct library_points *to, const struct function *f, uint64_t offset)
{
	if (f->entry && to->n < MESSAGE_POINTS_MAX)
		to->v[to->n++] = (struct message_point){ offset, f->number, 0 };
	if (f->exit && to->n < MESSAGE_POINTS_MAX)
		to->v[to->n++] = (struct message_point){ offset, f->number, POINT_RETURN };
}

bool library_find_points(int fd, struct library_points ret[LIBRARY_KINDS])
{
	const char *names[FUNCTIONS];
	struct elf_point found[FUNCTIONS] = { 0 };

	_Static_assert(2 * FUNCTIONS <= MESSAGE_POINTS_MAX, "entry and return of each function");
	memset(ret, 0, LIBRARY_KINDS * sizeof(ret[0]));
	for (size_t i = 0; i < FUNCTIONS; i++)
		names[i] = functions[i].symbol;
	if (elf_find_points(fd, names, FUNCTIONS, found) <= 0)
		return false;
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (found[i].offset)
			add_points(&ret[functions[i].kind], &functions[i], found[i].offset);
	return ret[KIND_LIBPQ].n || ret[KIND_OPENSSL].n;
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
	if (strncmp(name, "libjvm.so", 9) == 0)
		hints |= HINT_OWN_TLS;
	return hints;
}

bool library_is_go(int fd)
{
	return elf_has_section(fd, ".go.buildinfo") > 0;
}
