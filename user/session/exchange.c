/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/protocols.h"
#include "session/assembly.h"

struct bytes finished_cut(const struct finished *f)
{
	if (f->role == ROLE_CLIENT && f->flags & EXCHANGE_LOCAL_CLOSE)
		return (struct bytes){ 0 }; /* the caller lost interest: no error (semantic conventions 1.41) */
	if (f->flags & EXCHANGE_NO_ANSWER)
		return BYTES_LITERAL("connection_reset");
	if (f->flags & EXCHANGE_PARTIAL)
		return BYTES_LITERAL("response_aborted");
	return (struct bytes){ 0 };
}

/* The same rule by which the kernel counts spans_seen. */
static bool worth_a_span(const struct event_exchange *e)
{
	return e->reason != END_STREAM && frame_counts(e->proto, e->method);
}

/* The request with what came ahead of it in fragments. */
static struct bytes whole_request(struct assembly *a, const struct event_exchange *e, const struct conn *c)
{
	struct bytes head = bytes_of(e->data, e->request_len), more;

	if (!c || !(e->flags & EXCHANGE_FRAGMENTED))
		return head;
	more = fragments_after(&c->fragments, e->id, e->request_len);
	if (!more.n)
		return head;
	buf_reset(&a->request);
	buf_add(&a->request, head);
	buf_add(&a->request, more);
	return a->request.failed ? head : buf_bytes(&a->request);
}

static void set_end(struct span *s, uint8_t reason)
{
	if (reason == END_TURN)
		attrs_str(&s->attrs, ATTR_SONDE_END, BYTES_LITERAL("turn"), 0);
	else if (reason == END_SWEEP)
		attrs_str(&s->attrs, ATTR_SONDE_END, BYTES_LITERAL("sweep"), 0);
}

static void read_context(struct assembly *a, struct node *n, const struct operation *op)
{
	if (n->parent)
		return;
	context_read(op, &n->remote);
	if (!n->remote.w3c)
		return;
	context_tracestate(op, &a->text);
	if (a->text.n && !a->text.failed)
		n->tracestate = strndup(a->text.p, a->text.n);
}

/* The client's record may have come first: the exchange of the client's end that covers the server's, taken once. */
static uint64_t client_that_came(struct conn *client, const struct node *n)
{
	struct conn_recent *best = NULL;
	int64_t most = GRAPH_FIT_MIN;
	uint64_t id;

	for (size_t i = 0; i < sizeof(client->recent) / sizeof(client->recent[0]); i++) {
		struct conn_recent *r = &client->recent[i];
		int64_t fit = r->exchange ? graph_fit(r->start, r->end, n->start, n->end) : INT64_MIN;

		if (fit > most) {
			most = fit;
			best = r;
		}
	}
	if (!best)
		return 0;
	id = best->exchange;
	best->exchange = 0;
	return id;
}

static void add_server(struct assembly *a, struct node *n, struct conn *c)
{
	struct conn *client = c && !n->remote.valid && !n->parent ? conn_table_other_end(a->conns, c) : NULL;

	n->remember = true;
	if (!client || client->role == ROLE_SERVER) {
		graph_add(a->graph, n, a->now);
		return;
	}
	n->parent = client_that_came(client, n);
	if (n->parent)
		graph_add(a->graph, n, a->now);
	else
		graph_await_client(a->graph, n, client->id, a->now);
}

static void name_server(struct assembly *a, struct span *client, const struct span *server)
{
	struct bytes name = resource_service(server->resource);

	attrs_str(&client->attrs, ATTR_SERVER_SERVICE_NAME, name, a->cfg.attribute_length_max);
	if (a->cfg.alias_peer_service)
		attrs_str(&client->attrs, ATTR_PEER_SERVICE, name, a->cfg.attribute_length_max);
}

/* unanswered: the server may have begun, or gone on, when the client had given up. */
static void add_client(struct assembly *a, struct node *n, struct conn *c, uint8_t proto, bool unanswered)
{
	uint64_t end = unanswered ? UINT64_MAX : n->end;
	const struct node *server;

	if (proto == PROTO_HTTP1 && c && n->id && conn_table_other_end(a->conns, c)) {
		n->remember = true;
		c->recent[1] = c->recent[0];
		c->recent[0] = (struct conn_recent){ n->id, n->start, end };
		server = graph_client_came(a->graph, c->id, n->id, n->start, end, a->now);
		if (server) {
			c->recent[0].exchange = 0;
			name_server(a, n->span, server->span);
		}
	}
	graph_add(a->graph, n, a->now);
}

void exchange_finish(struct assembly *a, const struct event_header *h, uint32_t service, struct conn *c,
		     const struct finished *f, uint64_t id, uint64_t parent, uint64_t start, uint64_t end)
{
	struct resource *r = a->resource(a->ctx, h->tgid, service);
	struct bytes traceparent;
	struct span *s;
	struct node *n;

	if (!r) {
		ledger_add(a->ledger, USER_not_selected, 1);
		return;
	}
	s = span_new(r);
	n = s ? node_new(s) : NULL;
	if (!n) { /* out of memory */
		ledger_add(a->ledger, USER_queue_full, 1);
		return;
	}
	n->id = id;
	n->start = start;
	n->end = end < start ? start : end;
	if (f->role == ROLE_SERVER && parent & PARENT_STRAND) {
		graph_answered(a->graph, parent, id, f->worked_since ? f->worked_since : n->start,
			       f->worked_until ? f->worked_until : n->end, a->now);
		parent = 0;
	}
	n->parent = parent;
	s->start = n->start + (uint64_t)a->offset;
	s->end = n->end + (uint64_t)a->offset;
	if (f->op->proto == PROTO_HTTP1) {
		http_describe(a, s, f);
		read_context(a, n, f->op);
	} else {
		sql_describe(a, s, f, &traceparent);
		if (c)
			opened_statement(c, s, f, start);
		if (!parent)
			context_traceparent(traceparent, &n->remote);
	}
	set_end(s, f->reason);
	if (s->kind == SPAN_SERVER)
		add_server(a, n, c);
	else
		add_client(a, n, c, f->op->proto, f->flags & EXCHANGE_NO_ANSWER);
}

/* The kernel keeps so much of the text of a libpq prepare, and does not say when there was more. */
#define LIBPQ_TEXT_MAX (EVENT_REQUEST_MAX - 256 - 1)

static void learn(struct assembly *a, struct conn *c, struct conn *told, const struct proto *proto,
		  const struct exchange_bytes *in, const struct operation *op)
{
	struct bytes text;
	size_t name;

	if (c)
		sql_learn_conn(c, op);
	if (in->e->source != SOURCE_LIBPQ) {
		if (c)
			sql_learn(a, c, proto, in, op);
		return;
	}
	if (told)
		sql_learn_tag(told, op->command_tag);
	if (!told || in->e->method != PG_PARSE || op->sqlstate.n)
		return;
	name = bytes_find(in->request, '\0');
	if (name == in->request.n) { /* closed */
		statements_forget(&told->statements, conn_table_store(a->conns), in->request);
		return;
	}
	text = bytes_tail(in->request, name + 1);
	text = bytes_head(text, bytes_find(text, '\0'));
	statements_learn(&told->statements, conn_table_store(a->conns), bytes_head(in->request, name), text,
			 text.n >= LIBPQ_TEXT_MAX || in->e->request_bytes > in->request.n);
}

/* Its parent, or what stands for that until it is known. */
static uint64_t parent_of(struct assembly *a, const struct event_exchange *e)
{
	return callbacks_exchange(a->callbacks, e) ? PARENT_STRAND | e->id : e->parent;
}

static void exchange_known(struct assembly *a, const struct event_exchange *e, struct conn *c, bool worth)
{
	const struct proto *proto = proto_find((enum proto_id)e->proto);
	bool libpq = e->source == SOURCE_LIBPQ;
	struct conn *told = libpq ? libpq_conn(a, e->header.tgid, e->libpq_conn, e->method == PG_PARSE) : NULL;
	struct exchange_bytes in = { e, whole_request(a, e, c), bytes_of(e->data + e->request_len, e->answer_len),
				     bytes_of(e->data + e->request_len + e->answer_len, e->tail_len) };
	struct operation op;
	struct finished f = { .op = &op,
			      .conn = c,
			      .peer = told,
			      .role = e->role,
			      .method = e->method,
			      .source = e->source,
			      .reason = e->reason,
			      .flags = e->flags,
			      .status = e->status,
			      .first = e->flags & EXCHANGE_NO_DURATION ? 0 : e->first };
	struct transaction_end end;
	struct event_transaction t;

	if (e->role == ROLE_SERVER && e->parent & PARENT_STRAND && e->worked.until) {
		f.worked_since = e->start + e->worked.since * 1000ULL;
		f.worked_until = e->start + e->worked.until * 1000ULL;
	}
	if (proto && e->reason == END_STREAM) {
		stream_switch(a, &in);
		return;
	}
	if (!proto || (e->role != ROLE_CLIENT && e->role != ROLE_SERVER) || !proto->exchange(&in, &op)) {
		ledger_add(a->ledger, USER_undecodable, worth);
		return;
	}
	if (worth && (op.internal || op.startup)) {
		ledger_add(a->ledger, USER_not_a_statement, 1);
	} else if (worth) {
		if (event_has_transaction(e)) { /* need not be aligned in there */
			memcpy(&t, e->data + e->request_len + e->answer_len + e->tail_len, sizeof(t));
			end = transaction_ended(&t, e->end);
			f.transaction = &end;
		}
		if (proto_is_sql(e->proto)) {
			sql_find_statement(a, libpq ? told : c, &f);
			sql_count_unknown(a, libpq ? told : c, &f);
		}
		if (libpq)
			(void)sql_pick_statement(&f);
		exchange_finish(a, &e->header, e->service, c, &f, e->id, parent_of(a, e), e->start, e->end);
	}
	if (frame_opens(e->proto, e->method) || frame_prepares(e->proto, e->method))
		(void)callbacks_exchange(a->callbacks, e);
	if (c && frame_opens(e->proto, e->method)) {
		sql_learn_conn(c, &op);
		opened_exchange(a, &in, c, &f);
	} else if (e->proto == PROTO_POSTGRES && e->method == PG_CANCEL) {
		opened_cancel(a, &in, c);
	}
	if (proto_is_sql(e->proto)) /* last: the request may close the statement that it ran */
		learn(a, c, told, proto, &in, &op);
}

void exchange_event(struct assembly *a, const struct event_exchange *e)
{
	struct conn *c = conn_table_find(a->conns, e->header.conn, 0);
	bool worth = worth_a_span(e);

	if (proto_is_sql(e->proto) && e->role == ROLE_SERVER)
		return; /* the client's end of it makes the span */
	ledger_add(a->ledger, USER_spans_received, worth);
	if (e->start > TIME_MAX || e->end > TIME_MAX) {
		ledger_add(a->ledger, USER_undecodable, worth);
		return;
	}
	if (!c && e->header.conn && proto_is_sql(e->proto) && e->source == SOURCE_WIRE)
		c = conn_table_put(a->conns, e->header.conn, 0); /* its names are worth knowing all the same */
	exchange_known(a, e, c, worth);
	if (c && e->flags & EXCHANGE_FRAGMENTED)
		fragments_free(&c->fragments);
}
