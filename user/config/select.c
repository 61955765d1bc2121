/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes are observed, by the user's rules. What is compared was written by strangers: bounded copies, no
 * parsing. */
#include <ctype.h>
#include <fnmatch.h>

#include "config/options.h"

enum { CANDIDATE_MAX = 4096, CONTAINER_PREFIX_MIN = 12 };

bool glob_valid(const char *glob)
{
	for (; *glob; glob++) {
		if (*glob == '\\') {
			if (!*++glob)
				return false;
		} else if (*glob == '[') {
			/* a bracket that stands first, or behind '!' or '^', is a member of the set */
			glob++;
			if (*glob == '!' || *glob == '^')
				glob++;
			if (*glob == ']')
				glob++;
			while (*glob && *glob != ']')
				glob++;
			if (!*glob)
				return false;
		}
	}
	return true;
}

static bool matches(const char *glob, struct bytes candidate)
{
	char copy[CANDIDATE_MAX + 1];

	if (!candidate.n)
		return false;
	candidate = bytes_head(candidate, CANDIDATE_MAX);
	memcpy(copy, candidate.p, candidate.n);
	copy[candidate.n] = '\0';
	return fnmatch(glob, copy, 0) == 0;
}

static bool executable_matches(const char *glob, struct bytes path)
{
	if (!strchr(glob, '/')) {
		const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

		if (slash)
			path = bytes_tail(path, (size_t)(slash - path.p) + 1);
	}
	return matches(glob, path);
}

static bool container_matches(const char *glob, const struct config_target *t)
{
	struct bytes prefix = bytes_str(glob);
	bool digits = prefix.n >= CONTAINER_PREFIX_MIN;

	for (size_t i = 0; i < prefix.n; i++)
		digits &= isxdigit((unsigned char)glob[i]) != 0;
	if (digits && bytes_starts(t->container_id, prefix))
		return true;
	return matches(glob, t->container_id) || matches(glob, t->container_name);
}

static bool listens_on(const struct config_target *t, uint16_t port)
{
	for (size_t i = 0; i < t->ports_n; i++)
		if (t->ports[i] == port)
			return true;
	return false;
}

static bool rule_matches(const struct config_rule *r, const struct config_target *t)
{
	return (!r->executable || executable_matches(r->executable, t->executable)) &&
	       (!r->command || matches(r->command, t->command)) &&
	       (!r->container || container_matches(r->container, t)) && (!r->pid || r->pid == t->pid) &&
	       (!r->port || listens_on(t, r->port));
}

bool config_selects(const struct config *c, const struct config_target *t, const char **ret_service)
{
	bool included = c->include_n == 0;
	const char *service = NULL;

	*ret_service = NULL;
	for (size_t i = 0; i < c->exclude_n; i++)
		if (rule_matches(&c->exclude[i], t))
			return false;
	for (size_t i = 0; i < c->include_n; i++) {
		if (!rule_matches(&c->include[i], t))
			continue;
		included = true;
		if (!service)
			service = c->include[i].service;
	}
	*ret_service = service;
	return included;
}
