/* SPDX-License-Identifier: Apache-2.0 */
#include "target/environment.h"

#include <stdlib.h>

#include "util/cleanup.h"

struct bytes environment_get(struct bytes environment, const char *name)
{
	struct bytes want = bytes_str(name);

	while (environment.n) {
		size_t n = bytes_find(environment, '\0');
		struct bytes entry = bytes_head(environment, n);

		if (bytes_starts(entry, want) && entry.n > want.n && entry.p[want.n] == '=')
			return bytes_tail(entry, want.n + 1);
		environment = bytes_tail(environment, n + 1);
	}
	return (struct bytes){ NULL, 0 };
}

/* Decodes into room of at least s.n bytes. A NUL, written or encoded, is an error: no key or value can hold one. */
static bool decode(struct bytes s, char *room, struct bytes *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
			int low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return false;
		room[n++] = c;
	}
	*ret = bytes_of(room, n);
	return true;
}

/* One walk over the list; sets attributes only when to is there. */
static bool walk(struct bytes list, char *room, environment_wanted_fn *wanted, struct attrs *to)
{
	while (list.n) {
		size_t n = bytes_find(list, ','), equals;
		struct bytes entry = bytes_trim(bytes_head(list, n)), key, value;

		list = bytes_tail(list, n + 1);
		if (!entry.n)
			continue; /* a comma too many */
		equals = bytes_find(entry, '=');
		if (equals == entry.n || !decode(bytes_trim(bytes_head(entry, equals)), room, &key) || !key.n ||
		    !decode(bytes_trim(bytes_tail(entry, equals + 1)), room + key.n, &value))
			return false;
		if (!to || !value.n || (wanted && !wanted(key)))
			continue;
		if (to->n >= ENVIRONMENT_ATTRIBUTES_MAX)
			to->dropped++;
		else
			attrs_str_copy_key(to, key, value, ENVIRONMENT_VALUE_MAX);
	}
	return true;
}

bool environment_attributes(struct bytes list, environment_wanted_fn *wanted, struct attrs *to)
{
	_cleanup_free_ char *room = malloc(list.n ? list.n : 1);

	return room && walk(list, room, wanted, NULL) && walk(list, room, wanted, to);
}
