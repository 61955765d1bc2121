/* SPDX-License-Identifier: Apache-2.0 */
#include "target/names.h"

#define NAME_LENGTH_MAX 128

bool name_ends(struct bytes s, struct bytes suffix)
{
	return s.n >= suffix.n && bytes_eq(bytes_tail(s, s.n - suffix.n), suffix);
}

struct bytes name_without(struct bytes s, const char *suffix)
{
	struct bytes end = bytes_str(suffix);

	return s.n > end.n && name_ends(s, end) ? bytes_head(s, s.n - end.n) : s;
}

static size_t last_slash(struct bytes path)
{
	size_t n = path.n;

	while (n && path.p[n - 1] != '/')
		n--;
	return n; /* behind it; 0 = none */
}

struct bytes path_base(struct bytes path)
{
	path = name_without(path, " (deleted)");
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	return bytes_tail(path, last_slash(path));
}

struct bytes path_folder(struct bytes path)
{
	size_t n = last_slash(path);

	while (n && path.p[n - 1] == '/')
		n--;
	return bytes_head(path, n);
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-' || c == '@' || c == '+';
}

bool name_is_plain(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_name_char(s.p[i]))
			return false;
	return s.n > 0 && s.n <= NAME_LENGTH_MAX;
}

struct bytes name_checked(struct bytes s)
{
	if (name_is_plain(s))
		for (size_t i = 0; i < s.n; i++)
			if ((s.p[i] | 0x20) >= 'a')
				return s;
	return (struct bytes){ NULL, 0 }; /* "..", "-" and numbers name nothing */
}

bool name_is_one_of(struct bytes s, const char *const *words)
{
	for (; *words; words++)
		if (bytes_eq(s, bytes_str(*words)))
			return true;
	return false;
}

struct bytes name_of_folder(struct bytes path, struct bytes cwd)
{
	struct bytes folder = path_folder(path);

	while (name_ends(folder, BYTES_LITERAL("/.")))
		folder = path_folder(folder);
	if (!folder.n || bytes_eq(folder, BYTES_LITERAL(".")))
		folder = cwd;
	return name_checked(path_base(folder));
}

struct bytes name_of_module(struct bytes module, struct bytes folder)
{
	static const char *const roles[] = { "wsgi", "asgi", "app", "main", "application", "server", NULL };
	struct bytes name = bytes_head(module, bytes_find(module, ':')), by_folder = name_checked(path_base(folder));

	if (bytes_starts(name, BYTES_LITERAL("src.")))
		name = bytes_tail(name, 4);
	name = bytes_head(name, bytes_find(name, '.'));
	return by_folder.n && name_is_one_of(name, roles) ? by_folder : name_checked(name);
}

struct bytes name_of_script(struct bytes path)
{
	static const char *const endings[] = { ".py", ".js",  ".mjs", ".cjs", ".ts", ".rb",
					       ".pl", ".php", ".sh",  ".dll", ".jar" };
	struct bytes name = path_base(path);

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (name_ends(name, bytes_str(endings[i])))
			return name_checked(name_without(name, endings[i]));
	return name_checked(name);
}
