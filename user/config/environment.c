/* SPDX-License-Identifier: Apache-2.0 */
/* OTEL_* variables, by the specification's rules: empty is not set, what cannot be used is a warning and changes
 * nothing. */
#include <errno.h>
#include <stdio.h>

#include "config/options.h"

/* The last one wins, as getenv() of a duplicate is not defined. NULL when not set or empty. */
static const char *lookup(char *const *env, const char *name)
{
	size_t n = strlen(name);
	const char *found = NULL;

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			found = *env + n + 1;
	return found && *found ? found : NULL;
}

static int apply(struct config_state *s, const struct option *o, const char *text, struct complaints *warn)
{
	char expect[EXPECT_MAX], got[96];
	const char *note;
	int r = option_set(s, o, SOURCE_ENVIRONMENT, bytes_str(text), &note);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		option_expect(o, SOURCE_ENVIRONMENT, expect, sizeof(expect));
		complain(warn, "%s: expected %s, got %s; it is %s", o->env, expect,
			 option_got(o, bytes_str(text), got, sizeof(got)),
			 o->type == OPTION_BOOL ? "taken as false" : "ignored");
		/* whatever is not "true" is false, also where the YAML file said true */
		return o->type == OPTION_BOOL ? option_set(s, o, SOURCE_ENVIRONMENT, BYTES_LITERAL("false"), NULL) : 0;
	}
	if (note)
		complain(warn, "%s: %s %s", o->env, option_got(o, bytes_str(text), got, sizeof(got)), note);
	return 0;
}

int config_load_environment(struct config *c, char *const *env, config_complain_fn *fn, void *context)
{
	struct complaints warn = { .fn = fn, .context = context };
	struct config_state *s = config_state(c);
	const char *term = lookup(env, "TERM");

	for (size_t i = 0; i < options_n; i++) {
		const char *text = options[i].env ? lookup(env, options[i].env) : NULL;
		int r = text ? apply(s, &options[i], text, &warn) : 0;

		if (r < 0)
			return r;
	}
	if (lookup(env, "NO_COLOR") || (term && strcmp(term, "dumb") == 0))
		s->no_colour = true;
	return warn.count;
}
