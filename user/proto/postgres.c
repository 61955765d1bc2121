/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL protocol 3 in turns: what one request was and how its answer ended. Of authentication messages only the
 * type is looked at; their bytes are never kept.
 */
#include "frame/postgres.h"
#include "proto/postgres_stream.h"

/* How a request's messages add up. */
struct request {
	bool query, execute, function, password, nonsense;
	struct bytes text, parsed_name;
	bool cut, parsed;
	struct pg_bind bind;
};

static bool read_startup(struct bytes b, struct operation *ret)
{
	struct bytes key, value;
	uint32_t len, code;

	if (b.n < 8 || b.p[0] != 0)
		return false;
	if (!bytes_get_be32(&b, &len) || !bytes_get_be32(&b, &code) || len < 8)
		return false;
	if (code == PG_CODE_SSL || code == PG_CODE_GSSENC || code == PG_CODE_CANCEL) {
		ret->startup = true;
		return true;
	}
	if (code >> 16 != PG_CODE_STARTUP_MAJOR || len > 10000)
		return false;
	ret->startup = true;
	b = bytes_head(b, len - 8);
	while (bytes_get_cstr(&b, &key) && key.n && bytes_get_cstr(&b, &value)) {
		if (bytes_eq(key, BYTES_LITERAL("user")))
			ret->user = value;
		else if (bytes_eq(key, BYTES_LITERAL("database")))
			ret->database = value;
		else if (bytes_eq(key, BYTES_LITERAL("application_name")))
			ret->application = value;
	}
	if (!ret->database.n) /* the server's default */
		ret->database = ret->user;
	return true;
}

static void read_parse(struct bytes body, struct request *r)
{
	bool cut;

	r->parsed_name = pg_string(&body, &cut);
	r->parsed = !cut;
	if (cut)
		return;
	r->text = pg_string(&body, &r->cut);
}

static void read_messages(struct bytes b, struct request *r)
{
	struct pg_message m;
	enum pg_next next;

	while ((next = pg_next_message(&b, false, &m)) == PG_NEXT_OK) {
		switch (m.type) {
		case 'Q':
			r->query = true;
			r->text = pg_string(&m.body, &r->cut);
			break;
		case 'P':
			if (!r->execute)
				read_parse(m.body, r);
			break;
		case 'B':
			if (!r->execute)
				(void)!pg_read_bind(m.body, &r->bind);
			break;
		case 'E':
			r->execute = true;
			break;
		case 'F':
			r->function = true;
			break;
		case 'p':
			r->password = true;
			break;
		}
	}
	r->nonsense = next == PG_NEXT_BAD;
}

static bool read_request(const struct exchange_bytes *in, struct operation *ret)
{
	struct request r = { 0 };

	if (in->request.n == 0) { /* its bytes were not seen: what the kernel made of it */
		uint8_t method = in->e ? in->e->method : PG_NONE;

		ret->startup = method == PG_STARTUP || method == PG_SSL || method == PG_CANCEL;
		ret->internal = !ret->startup && !pg_statement_counts(method);
		return true;
	}
	if (read_startup(in->request, ret))
		return true;
	read_messages(in->request, &r);
	ret->startup = r.password;
	ret->internal = !r.password && !r.query && !r.execute && !r.function;
	if (ret->internal && r.nonsense && !pg_frontend_type(in->request.p[0]))
		return false;
	if (r.password || ret->internal) {
		/* A cut request may end before its Execute; the kernel has walked all of it. Or it could not be
		 * prepared. */
		if (!r.password && in->e && pg_statement_counts(in->e->method) &&
		    (in->e->request_bytes > in->request.n || r.parsed))
			ret->internal = false;
		if (ret->internal || r.password)
			return true;
	}
	ret->simple = r.query;
	if (r.query || (r.parsed && bytes_eq(r.parsed_name, r.bind.statement)) || (r.parsed && !r.execute)) {
		ret->statement = r.text;
		ret->statement_cut = r.cut;
	} else if (r.bind.statement.p) {
		ret->statement_name = r.bind.statement;
	}
	ret->statement_parameterised = r.bind.parameters;
	return true;
}

#define PG_READY_SIZE 6

/* What was learnt while walking an answer. */
struct answer {
	uint64_t returned, affected;
	bool rows_seen; /* a row description or a row went by */
	bool any_known, select, empty, gap, parsed;
	bool end_cut; /* the bytes end inside a CommandComplete or ErrorResponse */
	struct bytes tag;
	unsigned completed;
};

static void take_message(struct pg_message m, struct answer *a, struct operation *ret)
{
	struct pg_tag tag;

	switch (m.type) {
	case 'T':
	case 'D':
	case 'H':
		a->rows_seen = true;
		break;
	case 'C':
		if (!m.whole || !pg_read_tag(m.body, &tag))
			break;
		a->completed++;
		a->tag = tag.text;
		if (tag.rows_known) {
			a->any_known = true;
			if (a->rows_seen || (tag.select && tag.rows == 0)) {
				a->returned += tag.rows;
				a->select = true;
			} else {
				a->affected += tag.rows;
			}
		}
		a->rows_seen = false;
		break;
	case '1':
		a->parsed = true;
		break;
	case 'I':
		a->empty = true;
		break;
	case 'E':
		pg_read_error(m.body, ret);
		break;
	}
}

/* Walks messages from the cursor on. True when it came to the end without losing its place; else *ret_left. */
static bool walk(struct bytes b, struct answer *a, struct operation *ret, uint64_t *ret_missing)
{
	struct pg_message m;
	enum pg_next next;

	*ret_missing = 0;
	while ((next = pg_next_message(&b, true, &m)) == PG_NEXT_OK) {
		if (m.whole || m.type == 'E' || m.type == 'D' || m.type == 'T')
			take_message(m, a, ret);
		if (m.whole)
			continue;
		*ret_missing = m.len - m.body.n;
		a->end_cut = m.type == 'C' || m.type == 'E';
	}
	return next == PG_NEXT_END && b.n == 0;
}

/* Looks in the last bytes for a message that ends where ReadyForQuery begins, or at the end. */
static void scan_tail(struct bytes tail, struct answer *a, struct operation *ret)
{
	size_t end = tail.n;

	if (end >= 6 && pg_ready_at_end(tail.p + end - 6))
		end -= 6;
	for (size_t i = 0; i + PG_HEADER < end; i++) {
		struct bytes at = bytes_of(tail.p + i, end - i);
		struct pg_message m;

		if ((at.p[0] != 'C' && at.p[0] != 'E') || pg_next_message(&at, true, &m) != PG_NEXT_OK || !m.whole ||
		    at.n)
			continue;
		if (m.type == 'E' && (m.body.n < 2 || m.body.p[0] != 'S' || m.body.p[m.body.n - 1]))
			continue;
		take_message(m, a, ret);
		return;
	}
}

static void read_answer(const struct exchange_bytes *in, struct operation *ret)
{
	uint64_t total = in->e ? in->e->answer_bytes : in->answer.n, missing, tail_at, next;
	struct answer a = { 0 };
	bool sure = walk(in->answer, &a, ret, &missing);

	if (in->tail.n) {
		tail_at = total >= in->tail.n ? total - in->tail.n : 0;
		next = in->answer.n + missing;
		a.rows_seen |= in->answer.n == 0;
		if (a.completed && total - in->answer.n <= PG_READY_SIZE) { /* only ReadyForQuery is missing */
			next = total;
			sure = true;
		}
		sure = sure && total >= in->tail.n && next >= tail_at && next <= total;
		if (sure && a.end_cut && total - next <= PG_READY_SIZE) {
			scan_tail(in->tail, &a, ret); /* it is the last but ReadyForQuery: the tail has all of it */
		} else if (sure) {
			walk(bytes_tail(in->tail, (size_t)(next - tail_at)), &a, ret, &missing);
		} else {
			a.gap = true;
			scan_tail(in->tail, &a, ret);
		}
	}
	ret->prepare_failed = ret->sqlstate.n && !a.parsed;
	ret->completed = a.completed;
	ret->command_tag = a.tag;
	/* Between head and tail other statements of the same text may have ended unseen. */
	ret->rows_known =
		a.any_known && !(a.gap && ret->simple && bytes_find(ret->statement, ';') + 1 < ret->statement.n);
	ret->rows_returned = ret->rows_known && a.select;
	ret->rows = a.select ? a.returned : a.affected;
	if (!ret->rows_known)
		ret->rows = 0;
	if (a.empty && !a.completed && !ret->sqlstate.n)
		ret->internal = true; /* the server does not count an empty query */
}

/* A command tag in the tail of a libpq exchange ends at its NUL, or fills its field. */
static struct bytes field(const char *p, size_t size)
{
	return bytes_of(p, strnlen(p, size));
}

static bool read_libpq(const struct exchange_bytes *in, struct operation *ret)
{
	const char *result = in->tail.p;
	struct libpq_result r;
	struct pg_tag tag;
	char text[sizeof(r.tag) + 1];
	size_t n;

	ret->startup = in->e->method == PG_STARTUP;
	ret->internal = !ret->startup && !pg_statement_counts(in->e->method);
	if (in->e->method == PG_EXECUTE)
		ret->statement_name = bytes_head(in->request, bytes_find(in->request, '\0'));
	else if (!ret->internal)
		ret->statement = bytes_head(in->request, bytes_find(in->request, '\0'));
	ret->simple = in->e->method == PG_QUERY;
	ret->statement_index = in->e->part;
	ret->statement_cut = ret->statement.n == in->request.n && in->e->request_bytes > in->request.n;
	if (in->tail.n < sizeof(r))
		return true;
	memcpy(&r, result, sizeof(r));
	ret->command_tag = field(result + offsetof(struct libpq_result, tag), sizeof(r.tag));
	ret->sqlstate = field(result + offsetof(struct libpq_result, sqlstate), 5);
	if (!pg_sqlstate_pack(ret->sqlstate.n == 5 ? ret->sqlstate.p : "     "))
		ret->sqlstate = (struct bytes){ 0 };
	ret->copy_known = r.copy_bytes && r.copy_bytes != LIBPQ_COPY_UNKNOWN;
	ret->copy_bytes = ret->copy_known ? r.copy_bytes : 0;
	n = ret->command_tag.n;
	memcpy(text, ret->command_tag.p, n);
	text[n] = '\0';
	if (!pg_read_tag(bytes_of(text, n + 1), &tag)) {
		ret->command_tag = (struct bytes){ 0 };
		return true;
	}
	ret->completed = 1;
	ret->rows_known = r.rows > 0 || tag.rows_known; /* SHOW returns rows without saying how many */
	ret->rows_returned = r.rows > 0 || (tag.rows_known && tag.select && tag.rows == 0);
	ret->rows = r.rows ? r.rows : tag.rows;
	return true;
}

static bool postgres_exchange(const struct exchange_bytes *in, struct operation *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->proto = PROTO_POSTGRES;
	if (in->e && in->e->source == SOURCE_LIBPQ)
		return read_libpq(in, ret);
	if (!read_request(in, ret))
		return false;
	if (!(in->e && in->e->method == PG_STARTUP && in->tail.n == sizeof(struct conn_opened)))
		read_answer(in, ret);
	return true;
}

static void postgres_prepared(const struct exchange_bytes *in, prepared_fn *fn, void *context)
{
	struct bytes b = in->request;
	struct pg_message m;
	uint8_t what;
	bool cut;

	if (b.n && b.p[0] == 0)
		return;
	while (pg_next_message(&b, false, &m) == PG_NEXT_OK) {
		struct prepared p = { 0 };

		if (m.type == 'P') {
			p.name = pg_string(&m.body, &cut);
			if (cut)
				return;
			p.text = pg_string(&m.body, &p.cut);
			fn(context, &p);
		} else if (m.type == 'C' && bytes_get_u8(&m.body, &what) && what == 'S') {
			p.name = pg_string(&m.body, &cut);
			p.close = true;
			if (!cut)
				fn(context, &p);
		}
	}
}

const struct proto proto_postgres = {
	.name = "postgres",
	.id = PROTO_POSTGRES,
	.exchange = postgres_exchange,
	.prepared = postgres_prepared,
	.stream_size = sizeof(struct postgres_stream),
	.stream_begin = postgres_stream_begin,
	.stream = postgres_stream_feed,
	.stream_busy = postgres_stream_busy,
	.stream_close = postgres_stream_close,
};
