/* SPDX-License-Identifier: Apache-2.0 */
#include "session/trace.h"

#include <stdlib.h>

#include "session/assembly.h"

static void told_by_callbacks(void *ctx, uint64_t exchange, uint64_t request)
{
	struct assembly *a = ctx;

	graph_found(a->graph, PARENT_STRAND | exchange, request, a->now);
}

struct assembly *assembly_new(const struct assembly_config *cfg, struct ledger *ledger, assembly_resource_fn *resource,
			      assembly_emit_fn *emit, void *ctx)
{
	struct assembly *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->cfg = *cfg;
	a->ledger = ledger;
	a->resource = resource;
	a->emit = emit;
	a->budget.per_second = cfg->spans_per_second;
	a->ctx = ctx;
	ids_init(&a->ids);
	a->conns = conn_table_new(cfg->max_conns ? cfg->max_conns : CONNS_DEFAULT, stream_free, a);
	a->graph = graph_new(cfg, ledger, &a->ids, emit, ctx);
	a->callbacks = callbacks_new(told_by_callbacks, a);
	a->opened = opened_new(cfg->max_conns ? cfg->max_conns : CONNS_DEFAULT);
	if (!a->conns || !a->graph || !a->callbacks || !a->opened) {
		assembly_free(a);
		return NULL;
	}
	return a;
}

static void on_connection(struct assembly *a, const struct event_connection *e)
{
	const struct conn *c;

	if (!e->header.conn)
		return;
	conn_table_announce(a->conns, e);
	c = conn_table_find(a->conns, e->header.conn, 0);
	if (c)
		opened_announced(a, c);
}

static void on_close(struct assembly *a, const struct event_close *e)
{
	struct conn *c = conn_table_find(a->conns, e->header.conn, 0);

	if (!c)
		return;
	stream_close(a, c, e->header.time);
	conn_table_close(a->conns, c, e->header.time);
}

void assembly_event(struct assembly *a, const struct event_header *h)
{
	if (h->time > TIME_MAX && h->kind != EVENT_EXCHANGE) {
		ledger_add(a->ledger, USER_records_unread, 1);
		return;
	}
	if (h->time > a->now && h->time <= TIME_MAX)
		a->now = h->time;
	switch ((enum event_kind)h->kind) {
	case EVENT_CONNECTION:
		on_connection(a, (const struct event_connection *)h);
		break;
	case EVENT_FRAGMENT: {
		const struct event_fragment *e = (const struct event_fragment *)h;
		struct conn *c = h->conn ? conn_table_put(a->conns, h->conn, 0) : NULL;

		if (c)
			fragments_add(&c->fragments, e->exchange, e->offset, bytes_of(e->data, e->len));
		break;
	}
	case EVENT_EXCHANGE:
		exchange_event(a, (const struct event_exchange *)h);
		break;
	case EVENT_STREAM:
		if (h->conn)
			stream_event(a, (const struct event_stream *)h);
		break;
	case EVENT_CLOSE:
		on_close(a, (const struct event_close *)h);
		break;
	case EVENT_LIBPQ_CONN:
		libpq_event(a, (const struct event_libpq_conn *)h);
		break;
	case EVENT_CONNECT_FAILED:
		opened_not(a, (const struct event_connect_failed *)h);
		break;
	case EVENT_STATE:
		opened_state(a, (const struct event_state *)h);
		break;
	case EVENT_PARENT: {
		const struct event_parent *e = (const struct event_parent *)h;

		graph_told(a->graph, e->late, e->parent, a->now);
		break;
	}
	case EVENT_PROCESS:
	case EVENT_OPERATION:
		break;
	}
}

static uint64_t before(uint64_t now, uint64_t ns)
{
	return now > ns ? now - ns : 0;
}

void assembly_tick(struct assembly *a, uint64_t now, int64_t realtime_offset)
{
	a->offset = realtime_offset;
	if (now > a->now)
		a->now = now;
	callbacks_tick(a->callbacks, a->now);
	graph_expire(a->graph, before(a->now, a->cfg.hold_ns), before(a->now, CLIENT_WAIT_NS), a->now);
	conn_table_expire(a->conns, before(a->now, CLOSED_KEEP_NS));
}

void assembly_flush(struct assembly *a)
{
	callbacks_flush(a->callbacks);
	graph_flush(a->graph, a->now);
}

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	callbacks_free(a->callbacks);
	graph_free(a->graph);
	conn_table_free(a->conns);
	opened_free(a->opened);
	sql_cache_free(&a->sql);
	buf_free(&a->request);
	buf_free(&a->text);
	free(a);
}

void assembly_set_measure(struct assembly *a, assembly_measure_fn *measure, void *ctx)
{
	a->measure = measure;
	a->measure_ctx = ctx;
}

void assembly_set_record(struct assembly *a, assembly_record_fn *record, void *ctx)
{
	a->record = record;
	a->record_ctx = ctx;
}
