/* SPDX-License-Identifier: Apache-2.0 */
/* Histogram keys given names: the same words as on the spans that they count. */
#include "frame/http1.h"
#include "frame/postgres.h"
#include "session/assembly.h"

#define STREAM_SAMPLE 1024 /* the same of a text alone */

/* A name of a prepared statement, where a text was expected: one word that is no keyword. */
static bool looks_like_name(struct bytes s)
{
	bool mark = s.n == 0;

	for (size_t i = 0; i < s.n; i++) {
		if (strchr(" \t\r\n;(*'\"", s.p[i]))
			return false;
		if ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-')
			mark = true;
	}
	return mark;
}

static void name_http(struct assembly *a, struct finished *f, struct operation *op, struct bytes data,
		      const struct hist_key *key, struct attrs *to)
{
	struct exchange_bytes in = { NULL, data, { 0 }, { 0 } };

	if (!proto_find(PROTO_HTTP1)->exchange(&in, op))
		*op = (struct operation){ .proto = PROTO_HTTP1 };
	if (key->method != HTTP_NONE && key->method != HTTP_OTHER)
		op->method = (struct bytes){ 0 }; /* the key's own number decides */
	op->http_version = key->version & ~HIST_VERSION_TLS;
	if (key->version & HIST_VERSION_TLS)
		f->flags |= EXCHANGE_TLS;
	http_metric(a, to, f);
}

/* The length of what the sample is the head of, or one more than the sample when it may go on: libpq's texts leave room
 * for their NUL. */
static uint32_t sampled_bytes(const struct event_operation *e)
{
	uint32_t most = e->source == SOURCE_LIBPQ ? EVENT_REQUEST_MAX - 1 : EVENT_REQUEST_MAX;

	return e->len >= most ? e->len + 1 : e->len;
}

/* False when the key counts no statement. */
static bool name_sql(struct assembly *a, struct finished *f, struct operation *op, const struct event_operation *e,
		     struct conn *c, struct conn *told, struct attrs *to)
{
	const struct proto *proto = proto_find((enum proto_id)e->key.proto);
	struct event_exchange x = { .proto = e->key.proto,
				    .source = e->source,
				    .method = PG_QUERY,
				    .part = (uint16_t)e->part,
				    .request_bytes = sampled_bytes(e) };
	struct exchange_bytes in = { &x, bytes_of(e->data, e->len), { 0 }, { 0 } };
	struct statement_store *store = conn_table_store(a->conns);
	struct bytes name;

	if (e->key.proto == PROTO_MYSQL && e->source != SOURCE_WIRE) /* a text alone, from a connection that streams */
		*op = (struct operation){ .proto = PROTO_MYSQL,
					  .statement = in.request,
					  .statement_cut = e->len == STREAM_SAMPLE };
	else if (!proto->exchange(&in, op))
		*op = (struct operation){ .proto = proto->id };
	if (op->internal || op->startup)
		return false;
	sql_find_statement(a, e->source == SOURCE_LIBPQ ? told : c, f);
	if (e->source == SOURCE_LIBPQ)
		(void)sql_pick_statement(f);
	name = bytes_head(in.request, bytes_find(in.request, '\0'));
	if (e->source == SOURCE_LIBPQ && told &&
	    statements_find(&told->statements, store, name, &f->statement, &f->statement_cut))
		;
	else if (e->source == SOURCE_LIBPQ && looks_like_name(name))
		f->statement = (struct bytes){ 0 };
	sql_metric(a, to, f);
	return true;
}

static void apply_status(struct finished *f, uint32_t status)
{
	if (status == HIST_STATUS_NO_ANSWER)
		f->flags |= EXCHANGE_NO_ANSWER;
	else if (status == HIST_STATUS_ABORTED)
		f->flags |= EXCHANGE_PARTIAL;
	else
		f->status = status;
}

static enum metric_id metric_of(const struct hist_key *key)
{
	static const enum metric_id databases[HIST_WHAT_COUNT] = {
		[HIST_STATEMENT] = METRIC_DB_CLIENT_OPERATION_DURATION,
		[HIST_TRANSACTION] = METRIC_SONDE_DB_CLIENT_TRANSACTION_DURATION,
		[HIST_TRANSACTION_IDLE] = METRIC_SONDE_DB_CLIENT_TRANSACTION_IDLE_TIME,
	};

	if (key->proto != PROTO_HTTP1)
		return databases[key->method];
	return key->role == ROLE_SERVER ? METRIC_HTTP_SERVER_REQUEST_DURATION : METRIC_HTTP_CLIENT_REQUEST_DURATION;
}

void assembly_operation(struct assembly *a, const struct event_operation *op, struct attrs *ret_attrs,
			enum metric_id *ret_metric, bool *ret_ignore)
{
	const struct hist_key *key = &op->key;
	bool overflow = key->operation == HIST_OPERATION_OVERFLOW;
	struct conn *c = conn_table_find(a->conns, op->header.conn, 0);
	struct conn *told = libpq_conn(a, op->header.tgid, op->libpq_conn, false);
	struct operation parsed = { 0 };
	struct finished f = {
		.op = &parsed, .conn = c, .peer = told, .role = key->role, .method = key->method, .source = op->source
	};

	*ret_ignore = true;
	if ((key->proto != PROTO_HTTP1 && !proto_is_sql(key->proto)) ||
	    (key->role != ROLE_CLIENT && key->role != ROLE_SERVER))
		return;
	if (proto_is_sql(key->proto) && key->role == ROLE_SERVER)
		return;
	parsed.proto = (enum proto_id)key->proto;
	if (proto_is_sql(key->proto) && key->method >= HIST_WHAT_COUNT)
		return;
	if (!proto_is_sql(key->proto) || key->method == HIST_STATEMENT)
		apply_status(&f, key->status);
	if (overflow) {
		attrs_bool(ret_attrs, ATTR_OTEL_METRIC_OVERFLOW, true);
	} else if (key->proto == PROTO_HTTP1) {
		name_http(a, &f, &parsed, bytes_of(op->data, op->len), key, ret_attrs);
	} else if (key->method != HIST_STATEMENT) {
		sql_transaction_metric(a, ret_attrs, &f, key->status);
	} else if (!name_sql(a, &f, &parsed, op, c, told, ret_attrs)) {
		return;
	}
	*ret_ignore = false;
	*ret_metric = metric_of(key);
}
