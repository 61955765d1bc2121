/* SPDX-License-Identifier: Apache-2.0 */
#include "target/args.h"

/* Nothing but padding behind the first: a title, not arguments. */
static bool is_title(struct bytes line)
{
	struct bytes rest = bytes_tail(line, bytes_find(line, '\0'));

	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] != '\0')
			return false;
	return bytes_find(bytes_head(line, line.n - rest.n), ' ') < line.n - rest.n;
}

struct args args_of(struct bytes line)
{
	struct args a = { .rest = line, .separator = '\0' };

	if (is_title(line)) {
		a.rest = bytes_head(line, bytes_find(line, '\0'));
		a.separator = ' ';
	}
	return a;
}

bool args_next(struct args *a, struct bytes *ret)
{
	size_t n;

	if (!a->rest.n)
		return false;
	n = bytes_find(a->rest, a->separator);
	*ret = bytes_head(a->rest, n);
	a->rest = bytes_tail(a->rest, n + 1);
	return true;
}

static bool is_flag(struct bytes name, const char *const *flags)
{
	if (bytes_starts(name, BYTES_LITERAL("--no-")))
		return true;
	for (; *flags; flags++)
		if (bytes_eq(name, bytes_str(*flags)))
			return true;
	return false;
}

bool args_next_option(struct args *a, const char *const *flags, struct args_option *ret)
{
	struct args_option o = { { NULL, 0 }, { NULL, 0 } };
	struct bytes arg;
	size_t n;

	if (!args_next(a, &arg))
		return false;
	if (arg.n < 2 || arg.p[0] != '-') {
		*ret = (struct args_option){ .name = o.name, .value = arg };
		return true;
	}
	n = arg.p[1] == '-' ? bytes_find(arg, '=') : 2;
	o.name = bytes_head(arg, n);
	if (n < arg.n)
		o.value = bytes_tail(arg, arg.p[1] == '-' ? n + 1 : n);
	else if (!is_flag(o.name, flags) && !bytes_eq(o.name, BYTES_LITERAL("--")))
		(void)args_next(a, &o.value);
	*ret = o;
	return true;
}

struct bytes args_find(struct args a, const char *long_name, const char *short_name)
{
	struct bytes l = bytes_str(long_name), s = bytes_str(short_name), arg;

	while (args_next(&a, &arg)) {
		if (bytes_eq(arg, l) || (s.n && bytes_eq(arg, s))) {
			if (args_next(&a, &arg))
				return arg;
		} else if (bytes_starts(arg, l) && arg.p[l.n] == '=') {
			return bytes_tail(arg, l.n + 1);
		} else if (s.n && bytes_starts(arg, s)) {
			return bytes_tail(arg, s.n);
		}
	}
	return (struct bytes){ NULL, 0 };
}
