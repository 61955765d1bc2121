/* SPDX-License-Identifier: Apache-2.0 */
#include "config/url.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "util/buf.h"

struct url {
	struct bytes authority; /* scheme and host: all before the path */
	struct bytes path;	/* from its '/', may be empty */
	struct bytes query;	/* from its '?', may be empty */
};

static bool port_valid(struct bytes port)
{
	uint32_t v = 0;

	if (!port.n || port.n > 5)
		return false;
	for (size_t i = 0; i < port.n; i++) {
		if (port.p[i] < '0' || port.p[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(port.p[i] - '0');
	}
	return v >= 1 && v <= 65535;
}

static bool host_valid(struct bytes host)
{
	size_t at = bytes_find(host, '@'), colon;

	if (at < host.n)
		host = bytes_tail(host, at + 1);
	if (host.n && host.p[0] == '[') {
		size_t close = bytes_find(host, ']');

		if (close < 3 || close == host.n)
			return false;
		host = bytes_tail(host, close + 1);
		return !host.n || (host.p[0] == ':' && port_valid(bytes_tail(host, 1)));
	}
	colon = bytes_find(host, ':');
	return colon > 0 && (colon == host.n || port_valid(bytes_tail(host, colon + 1)));
}

static bool url_split(struct bytes text, struct url *ret)
{
	static const char never[] = "\"<>\\^`{|}#";
	size_t scheme, end;
	struct url u;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= 0x20 || text.p[i] >= 0x7f || memchr(never, text.p[i], sizeof(never) - 1))
			return false;
	if (bytes_ieq(bytes_head(text, 7), BYTES_LITERAL("http://")))
		scheme = 7;
	else if (bytes_ieq(bytes_head(text, 8), BYTES_LITERAL("https://")))
		scheme = 8;
	else
		return false;
	for (end = scheme; end < text.n && text.p[end] != '/' && text.p[end] != '?'; end++)
		;
	u.authority = bytes_head(text, end);
	if (!host_valid(bytes_tail(u.authority, scheme)))
		return false;
	u.path = bytes_tail(text, end);
	end = bytes_find(u.path, '?');
	u.query = bytes_tail(u.path, end);
	u.path = bytes_head(u.path, end);
	*ret = u;
	return true;
}

static int url_build(const struct url *u, const char *suffix, char **ret)
{
	struct buf b = { 0 };

	buf_add(&b, u->authority);
	buf_add(&b, u->path);
	if (!u->path.n || (*suffix && u->path.p[u->path.n - 1] != '/'))
		buf_char(&b, '/');
	buf_str(&b, suffix);
	buf_add(&b, u->query);
	if (b.failed) {
		buf_free(&b);
		return -ENOMEM;
	}
	*ret = b.p;
	return 0;
}

int url_as_is(struct bytes url, char **ret)
{
	struct url u;

	return url_split(url, &u) ? url_build(&u, "", ret) : -EINVAL;
}

int url_join(struct bytes base, const char *suffix, char **ret)
{
	struct url u;

	return url_split(base, &u) ? url_build(&u, suffix, ret) : -EINVAL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Percent-encoding is right, and what comes out has no control characters. */
static bool value_valid(struct bytes v)
{
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c == '%') {
			if (v.n - i < 3 || hex_digit(v.p[i + 1]) < 0 || hex_digit(v.p[i + 2]) < 0)
				return false;
			c = (unsigned char)(hex_digit(v.p[i + 1]) << 4 | hex_digit(v.p[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

static bool token_valid(struct bytes name)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		      memchr(marks, c, sizeof(marks) - 1)))
			return false;
	}
	return true;
}

static struct bytes trim_spaces(struct bytes b)
{
	while (b.n && *b.p == ' ')
		b = bytes_tail(b, 1);
	while (b.n && b.p[b.n - 1] == ' ')
		b.n--;
	return b;
}

bool pairs_valid(struct bytes text, bool headers)
{
	while (text.n) {
		size_t comma = bytes_find(text, ',');
		struct bytes item = trim_spaces(bytes_head(text, comma)), key;
		size_t equals = bytes_find(item, '=');

		text = bytes_tail(text, comma + 1);
		if (!item.n)
			continue;
		key = trim_spaces(bytes_head(item, equals));
		if (!key.n || equals == item.n || !value_valid(bytes_tail(item, equals + 1)))
			return false;
		if (headers ? !token_valid(key) : !value_valid(key))
			return false;
	}
	return true;
}
