/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sanitise.h"

#define TRACEPARENT_LENGTH 55
#define KEY "traceparent"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decodes into ret, as far as it has room for; returns how long that is. */
static size_t url_decode(struct bytes in, char *ret, size_t room)
{
	size_t n = 0;

	while (in.n && n < room) {
		int high = in.n > 2 ? hex_digit(in.p[1]) : -1, low = in.n > 2 ? hex_digit(in.p[2]) : -1;

		if (*in.p == '%' && high >= 0 && low >= 0) {
			ret[n++] = (char)(high << 4 | low);
			in = bytes_tail(in, 3);
		} else {
			ret[n++] = *in.p;
			in = bytes_tail(in, 1);
		}
	}
	return n;
}

static bool lower_hex(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (!((b.p[i] >= '0' && b.p[i] <= '9') || (b.p[i] >= 'a' && b.p[i] <= 'f')))
			return false;
	return true;
}

static bool all_zeros(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] != '0')
			return false;
	return true;
}

/* W3C Trace Context, 3.2.2: version 00 has 55 characters; a later one may go on behind another dash. */
static bool traceparent_valid(struct bytes v)
{
	struct bytes version = bytes_head(v, 2), trace, span, flags;

	if (v.n < TRACEPARENT_LENGTH)
		return false;
	trace = bytes_of(v.p + 3, 32);
	span = bytes_of(v.p + 36, 16);
	flags = bytes_of(v.p + 53, 2);
	if (v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
		return false;
	if (!lower_hex(version) || !lower_hex(trace) || !lower_hex(span) || !lower_hex(flags))
		return false;
	if (bytes_eq(version, BYTES_LITERAL("ff")) || all_zeros(trace) || all_zeros(span))
		return false;
	if (bytes_eq(version, BYTES_LITERAL("00")))
		return v.n == TRACEPARENT_LENGTH;
	return v.n == TRACEPARENT_LENGTH || v.p[TRACEPARENT_LENGTH] == '-';
}

static struct bytes trim(struct bytes b)
{
	while (b.n && sql_is_space((unsigned char)*b.p))
		b = bytes_tail(b, 1);
	while (b.n && sql_is_space((unsigned char)b.p[b.n - 1]))
		b.n--;
	return b;
}

/* Takes the next key='value' off; false if what is left has not this form. A quote in the value is escaped: \'. */
static bool next_pair(struct bytes *rest, struct bytes *ret_key, struct bytes *ret_value)
{
	size_t equals = bytes_find(*rest, '='), end;
	struct bytes value = trim(bytes_tail(*rest, equals + 1));

	if (equals == rest->n || value.n < 2 || *value.p != '\'')
		return false;
	for (end = 1; end < value.n && value.p[end] != '\''; end++)
		end += value.p[end] == '\\';
	if (end >= value.n)
		return false;
	*ret_key = trim(bytes_head(*rest, equals));
	*ret_value = bytes_of(value.p + 1, end - 1);
	*rest = trim(bytes_tail(value, end + 1));
	if (rest->n && *rest->p == ',')
		*rest = bytes_tail(*rest, 1);
	else if (rest->n)
		return false;
	return true;
}

bool sql_commenter_traceparent(struct bytes comment, char ret[static 56])
{
	char key[sizeof(KEY)], value[TRACEPARENT_LENGTH + 1], found[TRACEPARENT_LENGTH + 1];
	struct bytes rest, k, v;
	unsigned count = 0;

	if (comment.n < 4 || comment.p[0] != '/')
		return false;
	rest = trim(bytes_of(comment.p + 2, comment.n - 4));
	while (rest.n) {
		size_t n;

		if (!next_pair(&rest, &k, &v))
			return false;
		n = url_decode(k, key, sizeof(key));
		if (!bytes_eq(bytes_of(key, n), BYTES_LITERAL(KEY)))
			continue;
		n = url_decode(v, value, sizeof(value));
		if (++count > 1 || !traceparent_valid(bytes_of(value, n)))
			return false;
		memcpy(found, value, TRACEPARENT_LENGTH);
	}
	if (count == 0)
		return false;
	memcpy(ret, found, TRACEPARENT_LENGTH);
	ret[TRACEPARENT_LENGTH] = '\0';
	return true;
}
