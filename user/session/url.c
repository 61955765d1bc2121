/* SPDX-License-Identifier: Apache-2.0 */
#include "session/url.h"

#define REDACTED "REDACTED"

static bool is_scheme_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
	       c == '.';
}

/* Length of "scheme://" at the start, or 0. */
static size_t scheme_length(struct bytes b)
{
	size_t n = 0;

	while (n < b.n && n < 16 && is_scheme_char(b.p[n]))
		n++;
	return n && b.n >= n + 3 && memcmp(b.p + n, "://", 3) == 0 ? n : 0;
}

static struct bytes drop_userinfo(struct bytes authority, bool *ret_had)
{
	const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL;

	*ret_had = at;
	return at ? bytes_tail(authority, (size_t)(at + 1 - authority.p)) : authority;
}

void url_split(struct bytes target, bool connect, struct url *ret)
{
	size_t n, q;

	*ret = (struct url){ 0 };
	target = bytes_head(target, bytes_find(target, '#')); /* a fragment does not belong here */
	if (connect) {
		ret->authority = drop_userinfo(target, &ret->userinfo);
		return;
	}
	n = target.n && target.p[0] == '/' ? 0 : scheme_length(target);
	if (n) {
		ret->scheme = bytes_head(target, n);
		target = bytes_tail(target, n + 3);
		for (n = 0; n < target.n && target.p[n] != '/' && target.p[n] != '?'; n++)
			;
		ret->authority = drop_userinfo(bytes_head(target, n), &ret->userinfo);
		target = bytes_tail(target, n);
	}
	q = bytes_find(target, '?');
	ret->path = bytes_head(target, q);
	if (!ret->path.n && ret->scheme.n)
		ret->path = BYTES_LITERAL("/");
	else if (ret->path.n && ret->path.p[0] != '/' && !bytes_eq(ret->path, BYTES_LITERAL("*")))
		ret->path = (struct bytes){ 0 }; /* no form that RFC 9112 knows: better nothing than a secret */
	ret->has_query = q < target.n;
	ret->query = bytes_tail(target, q + 1);
}

static const bool no_host_char[256] = {
	[0 ... ' '] = true, [0x7f] = true, ['/'] = true, ['?'] = true, ['#'] = true, ['@'] = true,
	['\\'] = true,	    ['['] = true,  [']'] = true, ['"'] = true, [','] = true,
};

bool host_split(struct bytes b, struct host *ret)
{
	struct host h = { 0 };
	struct bytes port = { 0 };
	bool had;
	unsigned n = 0;
	size_t end;

	b = drop_userinfo(b, &had);
	if (b.n && b.p[0] == '[') {
		end = bytes_find(b, ']');
		if (end == b.n)
			return false;
		h.name = bytes_of(b.p + 1, end - 1);
		b = bytes_tail(b, end + 1);
		if (b.n && b.p[0] != ':')
			return false;
		port = bytes_tail(b, 1);
	} else {
		end = bytes_find(b, ':');
		h.name = bytes_head(b, end);
		port = bytes_tail(b, end + 1);
	}
	if (!h.name.n || h.name.n > 255 || port.n > 5)
		return false;
	for (size_t i = 0; i < h.name.n; i++)
		if (no_host_char[(unsigned char)h.name.p[i]])
			return false;
	for (size_t i = 0; i < port.n; i++) {
		if (port.p[i] < '0' || port.p[i] > '9')
			return false;
		n = n * 10 + (unsigned)(port.p[i] - '0');
	}
	if (n > 65535)
		return false;
	h.port = (uint16_t)n;
	*ret = h;
	return true;
}

/* RFC 3986 section 3.3: what follows a ';' in a path segment is a parameter. */
void url_redact_path(struct buf *to, struct bytes path)
{
	if (bytes_find(path, ';') == path.n) {
		buf_add(to, path);
		return;
	}
	while (path.n) {
		size_t segment = bytes_find(path, '/'), parameter;
		struct bytes part = bytes_head(path, segment);

		parameter = bytes_find(part, ';');
		buf_add(to, bytes_head(part, parameter));
		if (parameter < part.n) {
			struct bytes rest = bytes_tail(part, parameter);
			size_t eq = bytes_find(rest, '=');

			buf_add(to, bytes_head(rest, eq < rest.n ? eq + 1 : 1));
			buf_str(to, REDACTED);
		}
		if (segment < path.n)
			buf_char(to, '/');
		path = bytes_tail(path, segment + 1);
	}
}

/* A parameter without '=' may as well be the secret itself. */
void url_redact_query(struct buf *to, struct bytes query)
{
	bool first = true;

	while (query.n) {
		size_t end = bytes_find(query, '&');
		struct bytes pair = bytes_head(query, end);
		size_t eq = bytes_find(pair, '=');

		if (!first)
			buf_char(to, '&');
		first = false;
		if (eq < pair.n) {
			buf_add(to, bytes_head(pair, eq + 1));
			if (eq + 1 < pair.n)
				buf_str(to, REDACTED);
		} else if (pair.n) {
			buf_str(to, REDACTED);
		}
		query = bytes_tail(query, end + 1);
	}
}
