/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/postgres.h"
#include "proto/postgres.h"

bool pg_backend_type(char type)
{
	static const bool types[256] = {
		['1'] = true, ['2'] = true, ['3'] = true, ['A'] = true, ['C'] = true, ['D'] = true,
		['E'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['K'] = true, ['N'] = true,
		['R'] = true, ['S'] = true, ['T'] = true, ['V'] = true, ['W'] = true, ['Z'] = true,
		['c'] = true, ['d'] = true, ['n'] = true, ['s'] = true, ['t'] = true, ['v'] = true,
	};

	return types[(unsigned char)type];
}

enum pg_next pg_next_message(struct bytes *b, bool backend, struct pg_message *ret)
{
	struct bytes at = *b;
	uint32_t len = 0;
	uint8_t type = 0;

	if (!bytes_get_u8(&at, &type))
		return PG_NEXT_END;
	if (backend ? !pg_backend_type((char)type) : !pg_frontend_type((char)type))
		return PG_NEXT_BAD;
	if (!bytes_get_be32(&at, &len))
		return PG_NEXT_END;
	if (len < 4 || len > PG_MESSAGE_MAX)
		return PG_NEXT_BAD;
	len -= 4;
	*ret = (struct pg_message){ .type = (char)type, .len = len, .whole = len <= at.n, .body = bytes_head(at, len) };
	*b = bytes_tail(at, len);
	return PG_NEXT_OK;
}

struct bytes pg_string(struct bytes *b, bool *ret_cut)
{
	struct bytes s;

	*ret_cut = !bytes_get_cstr(b, &s);
	if (*ret_cut) {
		s = *b;
		*b = bytes_tail(*b, b->n);
	}
	return s;
}

bool pg_read_bind(struct bytes body, struct pg_bind *ret)
{
	struct pg_bind bind = { 0 };
	struct bytes formats;
	uint16_t n;

	if (!bytes_get_cstr(&body, &bind.portal) || !bytes_get_cstr(&body, &bind.statement))
		return false;
	if (bytes_get_be16(&body, &n)) {
		if (!bytes_get(&body, 2 * (size_t)n, &formats))
			bind.parameters = n > 0; /* so many formats are for as many parameters */
		else if (bytes_get_be16(&body, &n))
			bind.parameters = n > 0;
	}
	*ret = bind;
	return true;
}

void pg_read_error(struct bytes body, struct operation *ret)
{
	struct bytes severity = { 0 }, plain = { 0 }, value;
	uint8_t field;

	while (bytes_get_u8(&body, &field) && field && bytes_get_cstr(&body, &value)) {
		if (field == 'S')
			severity = value;
		else if (field == 'V') /* never translated, since 9.6 */
			plain = value;
		else if (field == 'C' && value.n == 5 && pg_sqlstate_pack(value.p))
			ret->sqlstate = value;
	}
	ret->severity = plain.n ? plain : severity;
}

bool pg_read_tag(struct bytes body, struct pg_tag *ret)
{
	struct pg_tag tag = { 0 };
	struct bytes number, verb;
	size_t space;
	uint64_t rows = 0;

	if (!bytes_get_cstr(&body, &tag.text) || body.n || tag.text.n == 0 || tag.text.n > 63)
		return false;
	for (size_t i = 0; i < tag.text.n; i++)
		if (!((tag.text.p[i] >= 'A' && tag.text.p[i] <= 'Z') || tag.text.p[i] == ' ' ||
		      (i && tag.text.p[i] >= '0' && tag.text.p[i] <= '9')))
			return false;
	for (space = tag.text.n; space > 0 && tag.text.p[space - 1] != ' ';)
		space--;
	number = bytes_tail(tag.text, space);
	if (space && number.n && number.n < 20) {
		tag.rows_known = true;
		for (size_t i = 0; i < number.n; i++) {
			if (number.p[i] < '0' || number.p[i] > '9')
				tag.rows_known = false;
			rows = rows * 10 + (uint64_t)(number.p[i] - '0');
		}
	}
	tag.rows = tag.rows_known ? rows : 0;
	verb = bytes_head(tag.text, bytes_find(tag.text, ' '));
	tag.select = bytes_eq(verb, BYTES_LITERAL("SELECT")) || bytes_eq(verb, BYTES_LITERAL("FETCH"));
	*ret = tag;
	return true;
}

bool pg_is_blank(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!strchr(" \t\r\n\f\v;", text.p[i]) || !text.p[i])
			return false;
	return true;
}
