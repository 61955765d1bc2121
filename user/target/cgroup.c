/* SPDX-License-Identifier: Apache-2.0 */
#include "target/cgroup.h"

#include "target/identity.h"

#define CONTAINER_ID 64 /* hex digits */

static struct bytes next_line(struct bytes *rest)
{
	size_t n = bytes_find(*rest, '\n');
	struct bytes line = bytes_head(*rest, n);

	*rest = bytes_tail(*rest, n + 1);
	return line;
}

/* "number:controllers:path" */
static bool split_line(struct bytes line, struct bytes *ret_controllers, struct bytes *ret_path)
{
	size_t n = bytes_find(line, ':');
	struct bytes rest = bytes_tail(line, n + 1);

	if (n == line.n)
		return false;
	n = bytes_find(rest, ':');
	if (n == rest.n)
		return false;
	*ret_controllers = bytes_head(rest, n);
	*ret_path = bytes_tail(rest, n + 1);
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool contains(struct bytes s, struct bytes part)
{
	for (size_t i = 0; i + part.n <= s.n; i++)
		if (memcmp(s.p + i, part.p, part.n) == 0)
			return true;
	return false;
}

/*
 * The id in one part of a path: docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, a plain ID
 * below docker/ or kubepods/, SLICE:cri-containerd:ID. A runtime's monitor (crio-conmon-ID.scope) is outside of it.
 */
static struct bytes container_in(struct bytes part)
{
	struct bytes id, none = { NULL, 0 };
	size_t from;

	if (part.n > 6 && bytes_eq(bytes_tail(part, part.n - 6), BYTES_LITERAL(".scope")))
		part.n -= 6;
	if (part.n < CONTAINER_ID || contains(part, BYTES_LITERAL("conmon")))
		return none;
	from = part.n - CONTAINER_ID;
	if (from && part.p[from - 1] != '-' && part.p[from - 1] != ':')
		return none;
	id = bytes_tail(part, from);
	for (size_t i = 0; i < id.n; i++)
		if (!is_hex(id.p[i]))
			return none;
	return id;
}

/* The innermost: a container may run containers. */
static struct bytes container_of(struct bytes path)
{
	struct bytes found = { NULL, 0 };

	while (path.n) {
		size_t n = bytes_find(path, '/');
		struct bytes id = container_in(bytes_head(path, n));

		if (id.n)
			found = id;
		path = bytes_tail(path, n + 1);
	}
	return found;
}

struct bytes identity_container(struct bytes cgroup)
{
	struct bytes controllers, path, id = { NULL, 0 };

	while (cgroup.n && !id.n)
		if (split_line(next_line(&cgroup), &controllers, &path))
			id = container_of(path);
	return id;
}

static bool ends(struct bytes s, struct bytes suffix)
{
	return s.n >= suffix.n && bytes_eq(bytes_tail(s, s.n - suffix.n), suffix);
}

/* The innermost unit of a path, when it is a service; what is below it are groups that the service made for itself. */
static struct bytes service_of(struct bytes path)
{
	struct bytes found = { NULL, 0 };

	while (path.n) {
		size_t n = bytes_find(path, '/');
		struct bytes part = bytes_head(path, n);

		if (ends(part, BYTES_LITERAL(".service")))
			found = bytes_head(part, part.n - 8);
		else if (ends(part, BYTES_LITERAL(".scope")) || ends(part, BYTES_LITERAL(".slice")))
			found = (struct bytes){ NULL, 0 };
		path = bytes_tail(path, n + 1);
	}
	return found;
}

static bool runs_anything(struct bytes unit)
{
	static const char *const names[] = { "cron",	 "crond",      "anacron",     "atd",	"ssh",	      "sshd",
					     "rc-local", "supervisor", "supervisord", "docker", "containerd", "podman",
					     "crio",	 "kubelet",    "k3s",	      "runit",	"lightdm",    "gdm" };
	static const char *const prefixes[] = { "user@", "ssh@", "sshd@", "getty@", "serial-getty@", "console-getty" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_eq(unit, bytes_str(names[i])))
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (bytes_starts(unit, bytes_str(prefixes[i])))
			return true;
	return false;
}

static int lower_hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* systemd.unit(5), "String escaping": \x2d is a dash. */
static struct bytes unescape(struct bytes s, char ret[UNIT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < UNIT_MAX; i++) {
		int high, low;

		if (i + 3 < s.n && s.p[i] == '\\' && s.p[i + 1] == 'x' && (high = lower_hex_value(s.p[i + 2])) >= 0 &&
		    (low = lower_hex_value(s.p[i + 3])) >= 0 && (high || low)) {
			ret[n++] = (char)(high << 4 | low);
			i += 3;
		} else {
			ret[n++] = s.p[i];
		}
	}
	return bytes_of(ret, n);
}

struct bytes cgroup_unit(struct bytes cgroup, char ret[UNIT_MAX])
{
	struct bytes rest = cgroup, controllers, path, unit = { NULL, 0 };

	if (identity_container(cgroup).n)
		return unit;
	while (rest.n && !unit.n) {
		if (!split_line(next_line(&rest), &controllers, &path))
			continue;
		/* systemd's own hierarchy: of version 2, or the named one of version 1 */
		if (controllers.n == 0 || bytes_eq(controllers, BYTES_LITERAL("name=systemd")))
			unit = service_of(path);
	}
	if (!unit.n || runs_anything(unit))
		return (struct bytes){ NULL, 0 };
	return unescape(unit, ret);
}
