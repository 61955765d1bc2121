/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/options.h"
#include "config/suggest.h"
#include "util/cleanup.h"

static const char *const command_names[] = { "run", "check", "replay" }; /* by bit of enum config_command */

static const struct option *find_flag(struct bytes name)
{
	for (size_t i = 0; i < options_n; i++)
		if (options[i].flag && bytes_eq(name, bytes_str(options[i].flag)))
			return &options[i];
	return NULL;
}

static void unknown(struct complaints *to, unsigned commands, const char *argument, struct bytes name)
{
	struct suggestion s = suggest_for(name);
	char got[96];

	for (size_t i = 0; i < options_n; i++)
		if (options[i].flag && (options[i].commands & commands))
			suggest_offer(&s, bytes_str(options[i].flag));
	option_got(NULL, bytes_str(argument), got, sizeof(got));
	if (s.best.n)
		complain(to, "%s: no such flag; did you mean --%.*s?", got, (int)s.best.n, s.best.p);
	else
		complain(to, "%s: no such flag; --help lists them", got);
}

static bool belongs(struct complaints *to, unsigned commands, const struct option *o)
{
	if (o->commands & commands)
		return true;
	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++) {
		if (o->commands & (1u << i)) {
			complain(to, "--%s: a flag of 'sonde %s' only", o->flag, command_names[i]);
			break;
		}
	}
	return false;
}

/* One flag at argv[*at]; *at moves on to its value when that is an argument of its own. */
static int one_flag(struct config_state *s, unsigned commands, int argc, char **argv, int *at, struct complaints *to)
{
	struct bytes name = bytes_str(argv[*at]), value = { 0 };
	char expect[EXPECT_MAX], got[96];
	const struct option *o;
	size_t equals;
	int r;

	if (!bytes_starts(name, BYTES_LITERAL("--"))) {
		unknown(to, commands, argv[*at], bytes_tail(name, 1));
		return 0;
	}
	name = bytes_tail(name, 2);
	equals = bytes_find(name, '=');
	value = bytes_tail(name, equals + 1);
	o = find_flag(bytes_head(name, equals));
	if (!o) {
		unknown(to, commands, argv[*at], bytes_head(name, equals));
		return 0;
	}
	option_expect(o, SOURCE_FLAG, expect, sizeof(expect));
	if (equals == name.n) {
		if (*at + 1 >= argc) {
			complain(to, "--%s: expected %s behind it, got nothing", o->flag, expect);
			return 0;
		}
		value = bytes_str(argv[++*at]);
	}
	if (!belongs(to, commands, o))
		return 0;
	r = value.n ? option_set(s, o, SOURCE_FLAG, value, NULL) : -EINVAL;
	if (r == -EINVAL)
		complain(to, "--%s: expected %s, got %s", o->flag, expect, option_got(o, value, got, sizeof(got)));
	else if (r < 0)
		return r;
	else if (o->offset == offsetof(struct config_state, c.format))
		s->format_asked = true;
	return 0;
}

int flags_load(struct config *c, unsigned commands, int argc, char **argv, int *ret_rest, config_complain_fn *fn,
	       void *context)
{
	struct complaints to = { .fn = fn, .context = context };
	_cleanup_free_ char **order = calloc(argc > 0 ? (size_t)argc : 1, sizeof(*order));
	int flags_n = 0, rest_n = 0, i;

	if (!order)
		return -ENOMEM;
	/* flags to the front, the rest behind them (kept at the end of order, backwards) */
	for (i = 0; i < argc; i++) {
		int first = i, r;

		if (strcmp(argv[i], "--") == 0) {
			order[flags_n++] = argv[i++];
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			order[argc - ++rest_n] = argv[i];
			continue;
		}
		r = one_flag(config_state(c), commands, argc, argv, &i, &to);
		if (r < 0)
			return r;
		for (; first <= i; first++)
			order[flags_n++] = argv[first];
	}
	for (; i < argc; i++)
		order[argc - ++rest_n] = argv[i];
	for (i = 0; i < flags_n; i++)
		argv[i] = order[i];
	for (i = 0; i < rest_n; i++)
		argv[flags_n + i] = order[argc - 1 - i];
	*ret_rest = flags_n;
	return to.count;
}

int config_load_flags(struct config *c, int argc, char **argv, int *ret_rest, config_complain_fn *fn, void *context)
{
	return flags_load(c, COMMAND_RUN | COMMAND_CHECK | COMMAND_REPLAY, argc, argv, ret_rest, fn, context);
}
