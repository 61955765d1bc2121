/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that do not speak in turns: bytes go to the protocol's framing, what it finds complete becomes spans. */
#include <stdlib.h>
#include <sys/socket.h>

#include "frame/http1_request.h"
#include "frame/postgres.h"
#include "frame/sqlkey.h"
#include "proto/mysql.h"
#include "session/assembly.h"
#include "util/hashmap.h"

#define SAMPLE_MAX 1024

/* MySQL: results that came of a statement that is not over. */
struct several {
	uint64_t start, first, rows;
	unsigned more; /* results of the text that were not the last of their statement */
	bool open, returned;
};

struct stream {
	const struct proto *proto;
	struct event_header header; /* of the newest record: process and thread */
	uint32_t service;
	uint8_t role;
	struct several several;
	struct transaction transaction;
	struct budget_share share;
	_Alignas(max_align_t) char state[];
};

struct emission {
	struct assembly *a;
	struct conn *c;
	struct stream *st;
};

void stream_free(void *context, struct conn *c)
{
	struct assembly *a = context;

	free(c->stream);
	c->stream = NULL;
	a->streams--;
}

static struct stream *stream_get(struct assembly *a, struct conn *c, uint8_t proto, uint8_t role)
{
	const struct proto *p = proto_find((enum proto_id)proto);
	struct stream *st = c->stream;

	if (st)
		return st;
	if (!p || !p->stream_size || a->streams >= STREAMS_MAX)
		return NULL;
	st = calloc(1, sizeof(*st) + p->stream_size);
	if (!st)
		return NULL;
	st->proto = p;
	st->role = role;
	c->stream = st;
	a->streams++;
	return st;
}

static struct proto_stream *state(struct stream *st)
{
	return (struct proto_stream *)st->state;
}

/* --- measuring --- */

static uint8_t method_number(struct bytes name)
{
	char start[FRAME_DETECT] = { 0 };
	size_t n = name.n < 10 ? name.n : 10;

	memcpy(start, name.p, n);
	memcpy(start + n, " /", 2);
	return http1_method(start, FRAME_DETECT);
}

static uint32_t status_of(const struct finished *f)
{
	if (f->flags & EXCHANGE_NO_ANSWER)
		return HIST_STATUS_NO_ANSWER;
	if (f->flags & EXCHANGE_PARTIAL)
		return HIST_STATUS_ABORTED;
	if (f->op->proto == PROTO_HTTP1)
		return f->op->http_status;
	if (f->op->proto == PROTO_MYSQL)
		return f->op->error_number;
	return f->op->sqlstate.n == 5 ? pg_sqlstate_pack(f->op->sqlstate.p) : 0;
}

static uint64_t text_key(struct bytes text, enum proto_id proto)
{
	struct sqlkey key;

	text = bytes_head(text, SAMPLE_MAX);
	sqlkey_init(&key);
	for (; text.n; text = bytes_tail(text, 16)) {
		uint32_t n = text.n < 16 ? (uint32_t)text.n : 16;
		char block[16] = { 0 };

		memcpy(block, text.p, n);
		if (proto == PROTO_MYSQL)
			sqlkey_block_mysql(&key, block, n);
		else
			sqlkey_block(&key, block, n);
	}
	return sqlkey_final(&key);
}

/* What names the key: a statement's text, or a request's head put together again. */
static struct bytes sample_of(struct assembly *a, const struct finished *f)
{
	struct buf *b = &a->request;

	if (f->op->proto != PROTO_HTTP1)
		return bytes_head(f->statement, SAMPLE_MAX);
	buf_reset(b);
	buf_add(b, f->op->method);
	buf_char(b, ' ');
	buf_add(b, bytes_head(f->op->target, SAMPLE_MAX / 2));
	buf_str(b, " HTTP/1.1\r\nHost: ");
	buf_add(b, f->op->host);
	buf_str(b, "\r\n\r\n");
	return b->failed ? (struct bytes){ 0 } : bytes_head(buf_bytes(b), SAMPLE_MAX);
}

static uint64_t rows_of(const struct operation *op)
{
	return proto_is_sql(op->proto) && op->rows_known && op->rows_returned ? op->rows : HIST_NO_AMOUNT;
}

static void measure_transaction(struct emission *e, enum proto_id proto, const struct transaction_end *end)
{
	const struct conn_tuple *u = &e->c->tuple;
	struct event_operation sample = { .header = e->st->header };
	struct hist_key key = { .service = e->st->service,
				.proto = (uint8_t)proto,
				.role = e->st->role,
				.method = HIST_TRANSACTION,
				.status = end->outcome };
	struct bytes database = bytes_str(e->c->database);

	if (!e->a->measure)
		return;
	key.peer =
		(uint32_t)hash_bytes(hash_bytes(u->remote_port, u->remote, sizeof(u->remote)), database.p, database.n);
	sample.header.kind = EVENT_OPERATION;
	sample.header.size = sizeof(sample);
	sample.key = key;
	e->a->measure(e->a->measure_ctx, &key, end->duration, end->statements, &sample);
	key.method = HIST_TRANSACTION_IDLE;
	sample.key = key;
	e->a->measure(e->a->measure_ctx, &key, end->idle, HIST_NO_AMOUNT, &sample);
}

static void measure(struct emission *e, const struct finished *f, uint64_t ns)
{
	_Alignas(struct event_operation) char memory[sizeof(struct event_operation) + SAMPLE_MAX] = { 0 };
	struct event_operation *sample = (struct event_operation *)memory;
	struct assembly *a = e->a;
	struct bytes data = sample_of(a, f);
	const struct conn_tuple *u = &e->c->tuple;
	struct hist_key key = {
		.service = e->st->service, .proto = (uint8_t)f->op->proto, .role = f->role, .status = status_of(f)
	};

	if (!a->measure)
		return;
	if (f->role == ROLE_CLIENT)
		key.peer = (uint32_t)hash_bytes(u->remote_port, u->remote, sizeof(u->remote));
	if (f->op->proto == PROTO_HTTP1) {
		key.method = method_number(f->op->method);
		key.version = (uint8_t)f->op->http_version | (e->c->tls ? HIST_VERSION_TLS : 0);
		sample->source = SOURCE_WIRE;
	} else {
		key.operation = text_key(f->statement, f->op->proto);
		sample->source = SOURCE_LIBPQ; /* the text itself, no messages around it */
	}
	sample->header = e->st->header;
	sample->header.kind = EVENT_OPERATION;
	sample->header.size = (uint32_t)(sizeof(*sample) + data.n);
	sample->key = key;
	sample->len = (uint16_t)data.n;
	if (data.n)
		memcpy(sample->data, data.p, data.n);
	a->measure(a->measure_ctx, &key, ns, rows_of(f->op), sample);
}

/* --- operations --- */

static void learn(struct emission *e, const struct prepared *p)
{
	struct statement_store *store = conn_table_store(e->a->conns);

	if (p->close)
		statements_forget(&e->c->statements, store, p->name);
	else
		statements_learn(&e->c->statements, store, p->name, p->text, p->cut);
}

/* PREPARE and DEALLOCATE are not counted by the server, and so not here (frame/postgres.h). */
static bool counts(struct bytes text)
{
	char head[24] = { 0 };

	while (text.n && (unsigned char)text.p[0] <= ' ')
		text = bytes_tail(text, 1);
	if (text.n)
		memcpy(head, text.p, text.n < sizeof(head) ? text.n : sizeof(head));
	return pg_text_counts(head);
}

/* Does another statement of the text follow the one that op is of? */
static bool another_follows(const struct stream_operation *op, const struct finished *f)
{
	struct operation next = op->op;
	struct finished g = { .op = &next, .statement = f->op->statement };

	next.statement_index++;
	return sql_pick_statement(&g);
}

/*
 * MySQL: a result of a text with several. A procedure that was called has some, the last of which is no set; and all
 * that is left is the last statement's. Such a statement is held back until its last result came: false.
 */
static bool whole_statement(struct emission *e, struct stream_operation *op, struct finished *f)
{
	struct several *s = &e->st->several;

	if (op->op.statement_index == 0)
		*s = (struct several){ 0 };
	op->op.statement_index -= s->more < op->op.statement_index ? s->more : op->op.statement_index;
	if (!sql_pick_statement(f)) /* when the text is cut, who knows */
		return op->op.statement_cut || !op->op.statement_index;
	if (op->more && !op->op.error_number &&
	    (sql_calls(e->a, f) ? op->op.rows_returned : !op->op.statement_cut && !another_follows(op, f))) {
		if (!s->open)
			*s = (struct several){ .start = op->start, .first = op->first, .more = s->more, .open = true };
		s->rows += op->op.rows_returned ? op->op.rows : 0;
		s->returned |= op->op.rows_returned;
		s->more++;
		return false;
	}
	if (s->open) {
		op->start = s->start;
		op->first = s->first;
		if (s->returned && !op->op.error_number) {
			op->op.rows = s->rows + (op->op.rows_returned ? op->op.rows : 0);
			op->op.rows_known = op->op.rows_returned = true;
		}
	}
	s->open = false;
	return true;
}

/* What the text of a statement is, and whether it is one that counts and is complete. */
static bool is_statement(struct emission *e, struct stream_operation *op, struct finished *f)
{
	sql_find_statement(e->a, e->c, f);
	sql_count_unknown(e->a, e->c, f);
	if (op->op.proto == PROTO_POSTGRES) {
		(void)sql_pick_statement(f);
		return counts(f->statement);
	}
	if (!op->op.simple)
		return true;
	if (!whole_statement(e, op, f))
		return false;
	op->op.database = op->op.error_number ? (struct bytes){ 0 } : mysql_use(f->statement);
	sql_learn_conn(e->c, &op->op);
	return true;
}

static bool is_failure(const struct finished *f)
{
	const struct operation *op = f->op;

	return f->flags & (EXCHANGE_NO_ANSWER | EXCHANGE_PARTIAL) || op->sqlstate.n || op->error_number ||
	       op->http_status >= 500;
}

static void on_operation(void *context, const struct stream_operation *given)
{
	struct stream_operation own = *given, *op = &own;
	struct emission *e = context;
	struct assembly *a = e->a;
	struct finished f = { .op = &op->op, .conn = e->c, .role = e->st->role, .first = op->first };
	struct transaction_end end;

	if (op->has_prepared)
		learn(e, &op->prepared);
	sql_learn_conn(e->c, &op->op);
	if (op->op.internal && op->op.proto == PROTO_POSTGRES && op->op.transaction_status &&
	    transaction_ready(&e->st->transaction, op->op.transaction_status, &end))
		measure_transaction(e, op->op.proto, &end);
	if (op->op.internal || op->op.startup)
		return;
	if (proto_is_sql(op->op.proto) && !op->lost && !is_statement(e, op, &f))
		return;
	ledger_add(a->ledger, USER_spans_streamed, 1);
	if (op->lost) {
		transaction_lost(&e->st->transaction);
		ledger_add(a->ledger, USER_undecodable, 1);
		return;
	}
	if (op->unanswered)
		f.flags = op->first ? EXCHANGE_PARTIAL : EXCHANGE_NO_ANSWER;
	if (proto_is_sql(op->op.proto) && transaction_statement(&e->st->transaction, op, f.statement, &end)) {
		measure_transaction(e, op->op.proto, &end);
		f.transaction = &end;
	}
	measure(e, &f, op->busy ? op->busy : op->end > op->start ? op->end - op->start : 0);
	if (budget_take(&a->budget, &e->st->share, a->now) || is_failure(&f))
		exchange_finish(a, &e->st->header, e->st->service, e->c, &f, 0, op->parent, op->start, op->end);
	else
		ledger_add(a->ledger, USER_stream_over_budget, 1);
}

static void feed_input(struct assembly *a, struct conn *c, struct stream *st, const struct stream_input *in)
{
	struct emission e = { a, c, st };

	st->proto->stream(state(st), in, on_operation, &e);
}

static void feed(struct assembly *a, struct conn *c, struct stream *st, enum stream_dir dir, struct bytes data,
		 uint64_t gap, uint64_t time, uint64_t parent)
{
	struct stream_input in = { .dir = dir, .data = data, .gap = gap, .time = time, .parent = parent };

	if (!data.p)
		in.data = BYTES_LITERAL("");
	feed_input(a, c, st, &in);
}

/* Bytes are missing before those of the record. */
static void feed_gap(struct assembly *a, struct conn *c, struct stream *st, const struct event_stream *e, uint64_t gap)
{
	struct stream_input in = { .dir = e->dir,
				   .data = BYTES_LITERAL(""),
				   .gap = gap,
				   .time = e->header.time,
				   .parent = e->parent,
				   .rows = e->rows,
				   .gap_is_rows = e->flags & STREAM_ROWS };

	feed_input(a, c, st, &in);
}

void stream_event(struct assembly *a, const struct event_stream *e)
{
	struct conn *c = conn_table_put(a->conns, e->header.conn, 0);
	struct stream *st;
	uint64_t expected;

	if (proto_is_sql(e->proto) && e->role == ROLE_SERVER)
		return;
	st = c ? stream_get(a, c, e->proto, e->role) : NULL;
	if (!st) {
		ledger_add(a->ledger, USER_records_unread, 1);
		return;
	}
	st->header = e->header;
	st->service = e->service;
	expected = c->position[e->dir];
	if (c->positioned[e->dir] && e->position > expected)
		feed_gap(a, c, st, e, e->position - expected);
	feed(a, c, st, e->dir, bytes_of(e->data, e->len), e->total > e->len ? e->total - e->len : 0, e->header.time,
	     e->parent);
	c->position[e->dir] = e->position + e->total;
	c->positioned[e->dir] = true;
	c->used = st->proto->stream_busy && st->proto->stream_busy(state(st));
}

void stream_switch(struct assembly *a, const struct exchange_bytes *in)
{
	const struct event_exchange *e = in->e;
	struct conn *c = conn_table_put(a->conns, e->header.conn, 0);
	struct stream *st = c ? stream_get(a, c, e->proto, e->role) : NULL;
	struct emission em = { a, c, st };
	struct event_transaction t;

	if (!st) {
		ledger_add(a->ledger, USER_records_unread, 1);
		return;
	}
	st->header = e->header;
	st->service = e->service;
	if (event_has_transaction(e)) { /* need not be aligned in there */
		memcpy(&t, e->data + e->request_len + e->answer_len + e->tail_len, sizeof(t));
		transaction_carry(&st->transaction, &t);
	}
	st->proto->stream_begin(state(st), in, on_operation, &em);
	c->position[STREAM_REQUEST] = e->request_bytes;
	c->position[STREAM_ANSWER] = e->answer_bytes;
	c->positioned[STREAM_REQUEST] = c->positioned[STREAM_ANSWER] = true;
}

void stream_close(struct assembly *a, struct conn *c, uint64_t time)
{
	struct stream *st = c->stream;
	struct emission e = { a, c, st };
	struct transaction_end end;

	if (!st)
		return;
	st->proto->stream_close(state(st), time, on_operation, &e);
	if (transaction_closed(&st->transaction, time, &end))
		measure_transaction(&e, st->proto->id, &end);
}
