/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MySQL and MariaDB in turns: the kernel has walked the answer and says what it held (struct mysql_result), so only the
 * request's text is read here.
 */
#include "proto/mysql.h"

/* Value of a parameter of that type, binary protocol. */
static bool skip_value(struct bytes *b, uint8_t type)
{
	static const uint8_t sizes[] = { [1] = 1, [2] = 2, [3] = 4, [4] = 4, [5] = 8, [8] = 8, [9] = 4, [13] = 2 };
	struct bytes value;
	uint8_t n;

	if (type == 6) /* NULL */
		return true;
	if (type < sizeof(sizes) && sizes[type])
		return bytes_get(b, sizes[type], &value);
	return bytes_get_u8(b, &n) && n < 0xfb && bytes_get(b, n, &value);
}

struct bytes mysql_query_text(struct bytes b)
{
	struct bytes all = b, names = { 0 }, skipped;
	uint8_t count, sets, bound, n, type, sign;

	if (!bytes_get_u8(&b, &count) || !bytes_get_u8(&b, &sets) || count >= 0x20 || sets != 1)
		return all;
	if (count == 0)
		return b;
	if (!bytes_get(&b, (count + 7u) / 8, &skipped) || !bytes_get_u8(&b, &bound) || bound != 1)
		return (struct bytes){ 0 };
	names = b;
	for (unsigned i = 0; i < count; i++)
		if (!bytes_get(&b, 2, &skipped) || !bytes_get_u8(&b, &n) || n >= 0xfb || !bytes_get(&b, n, &skipped))
			return (struct bytes){ 0 };
	for (unsigned i = 0; i < count; i++) {
		if (!bytes_get_u8(&names, &type) || !bytes_get_u8(&names, &sign) || !bytes_get_u8(&names, &n) ||
		    !bytes_get(&names, n, &skipped) || !skip_value(&b, type))
			return (struct bytes){ 0 };
	}
	return b;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without the white space and the comments that it begins with, but for those that hold SQL. */
static struct bytes past_comments(struct bytes text)
{
	while (text.n > 2) {
		bool block = text.p[0] == '/' && text.p[1] == '*' && text.p[2] != '!' && text.p[2] != 'M';
		bool line = text.p[0] == '#' || (text.p[0] == '-' && text.p[1] == '-' && is_space(text.p[2]));
		const char *end;

		if (is_space(text.p[0])) {
			text = bytes_tail(text, 1);
			continue;
		}
		if (!block && !line)
			break;
		end = block ? memmem(text.p + 2, text.n - 2, "*/", 2) : memchr(text.p, '\n', text.n);
		text = bytes_tail(text, end ? (size_t)(end - text.p) + (block ? 2 : 1) : text.n);
	}
	return text;
}

struct bytes mysql_use(struct bytes text)
{
	size_t n = 0;

	text = past_comments(text);
	if (text.n < 5 || strncasecmp(text.p, "use", 3) != 0 || !(is_space(text.p[3]) || text.p[3] == '`'))
		return (struct bytes){ 0 };
	text = bytes_tail(text, 3);
	while (text.n && is_space(text.p[0]))
		text = bytes_tail(text, 1);
	if (text.n && text.p[0] == '`') {
		text = bytes_tail(text, 1);
		n = bytes_find(text, '`');
		return n < text.n ? bytes_head(text, n) : (struct bytes){ 0 };
	}
	while (n < text.n && text.p[n] != ';' && !is_space(text.p[n]))
		n++;
	return bytes_head(text, n);
}

struct bytes mysql_change_user_database(struct bytes payload)
{
	size_t user = bytes_find(payload, '\0');
	uint8_t n;

	payload = bytes_tail(payload, user + 1);
	if (!bytes_get_u8(&payload, &n) || payload.n <= n)
		return (struct bytes){ 0 };
	payload = bytes_tail(payload, n);
	return bytes_head(payload, bytes_find(payload, '\0'));
}

void mysql_describe_request(uint8_t request, struct bytes payload, bool cut, struct operation *ret)
{
	ret->internal = !mysql_statement_counts(request);
	switch (request) {
	case MYSQL_QUERY:
		ret->simple = true;
		ret->statement = mysql_query_text(payload);
		ret->statement_cut = cut;
		break;
	case MYSQL_EXECUTE:
		ret->statement_name = bytes_head(payload, 4);
		break;
	case MYSQL_RESET:
		ret->forgets_prepared = true;
		break;
	case MYSQL_CHANGE_USER:
		ret->forgets_prepared = true;
		ret->forgets_database = true;
		ret->database = mysql_change_user_database(payload);
		break;
	}
}

/* Statements that are told how many rows they changed. */
static bool changes(struct bytes text)
{
	static const char *const verbs[] = { "insert", "update", "delete", "replace", "load" };

	text = past_comments(text);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (text.n > strlen(verbs[i]) && strncasecmp(text.p, verbs[i], strlen(verbs[i])) == 0)
			return true;
	return false;
}

void mysql_describe_result(uint8_t request, const struct mysql_result *r, struct operation *ret)
{
	ret->error_number = r->error;
	if (r->error) {
		ret->forgets_prepared = ret->forgets_database = false;
		ret->database = (struct bytes){ 0 };
	}
	ret->completed = r->results;
	ret->rows_returned = r->flags & MYSQL_RESULT_SET && !r->error;
	if (ret->rows_returned)
		ret->rows_known = !(r->flags & MYSQL_ROWS_UNKNOWN);
	else
		ret->rows_known = !r->error && (r->affected || changes(ret->statement));
	if (ret->rows_known)
		ret->rows = ret->rows_returned ? r->rows : r->affected;
	if (request == MYSQL_QUERY && !r->error)
		ret->database = mysql_use(ret->statement);
}

/* Of what prepares a statement there is a sample when it failed, which then counts as the statement. */
static uint8_t sampled(uint8_t command)
{
	return command == MYSQL_COM_STMT_PREPARE ? MYSQL_QUERY : mysql_request_of(command);
}

/*
 * The same without the packet's head, which MariaDB reads by itself: as the end that tells of a client's TLS. As a
 * head, its bytes would have a sequence number, or name no command: COM_SLEEP is never sent.
 */
static bool read_bare_sample(struct bytes b, struct operation *ret)
{
	bool execute = b.n > MYSQL_HEADER && b.p[0] == MYSQL_COM_STMT_EXECUTE && !b.p[3] && !b.p[4];
	bool text = b.n > MYSQL_HEADER && (b.p[0] == MYSQL_COM_QUERY || b.p[0] == MYSQL_COM_STMT_PREPARE) && b.p[3];

	if (execute || text)
		mysql_describe_request(sampled((uint8_t)b.p[0]), bytes_tail(b, 1), false, ret);
	return execute || text;
}

/* A number that is named, or the text of a request that the kernel did not tell about: that of a histogram key. */
static bool read_sample(struct bytes b, struct operation *ret)
{
	if (read_bare_sample(b, ret))
		return true;
	while (b.n > MYSQL_HEADER) {
		const uint8_t *p = (const uint8_t *)b.p;
		size_t len = mysql_le24(p);
		struct bytes payload = bytes_head(bytes_tail(b, MYSQL_HEADER), len);

		if (p[3] == 0 && payload.n && mysql_has_answer(p[4])) {
			mysql_describe_request(sampled(p[4]), bytes_tail(payload, 1), payload.n < len, ret);
			return true;
		}
		b = bytes_tail(b, MYSQL_HEADER + payload.n);
	}
	return false;
}

static void read_hello(struct bytes b, struct operation *ret)
{
	const struct mysql_hello *h = (const struct mysql_hello *)b.p; /* only offsets are used: it may be unaligned */

	ret->startup = true;
	if (b.n < sizeof(*h))
		return;
	ret->server_version = bytes_of(h->version, strnlen(h->version, sizeof(h->version)));
	ret->database = bytes_of(h->database, strnlen(h->database, sizeof(h->database)));
}

static bool mysql_exchange(const struct exchange_bytes *in, struct operation *ret)
{
	struct mysql_result r;

	memset(ret, 0, sizeof(*ret));
	ret->proto = PROTO_MYSQL;
	if (in->answer.n < sizeof(r))
		return read_sample(in->request, ret);
	memcpy(&r, in->answer.p, sizeof(r));
	if (in->e->method == MYSQL_HANDSHAKE) {
		read_hello(in->request, ret);
		return true;
	}
	mysql_describe_request(in->e->method, bytes_tail(in->request, r.text), in->e->request_bytes > in->request.n,
			       ret);
	if (in->e->method == MYSQL_EXECUTE)
		ret->statement_name = bytes_of(in->answer.p + offsetof(struct mysql_result, statement), 4);
	mysql_describe_result(in->e->method, &r, ret);
	if (in->e->method == MYSQL_INIT_DB && !r.error)
		ret->database = bytes_tail(in->request, r.text);
	return true;
}

static void mysql_prepared_names(const struct exchange_bytes *in, prepared_fn *fn, void *context)
{
	struct prepared p = { 0 };
	struct mysql_result r;

	if (in->answer.n < sizeof(r) || in->e->method != MYSQL_PREPARE)
		return;
	memcpy(&r, in->answer.p, sizeof(r));
	if (r.error)
		return;
	p.name = bytes_of(in->answer.p + offsetof(struct mysql_result, statement), 4);
	p.text = bytes_tail(in->request, r.text);
	p.cut = in->e->request_bytes > in->request.n;
	fn(context, &p);
}

const struct proto proto_mysql = {
	.name = "mysql",
	.id = PROTO_MYSQL,
	.exchange = mysql_exchange,
	.prepared = mysql_prepared_names,
	.stream_size = sizeof(struct mysql_stream),
	.stream_begin = mysql_stream_begin,
	.stream = mysql_stream_feed,
	.stream_busy = mysql_stream_busy,
	.stream_close = mysql_stream_close,
};
