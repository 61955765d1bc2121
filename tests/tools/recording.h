/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-made records of the kernel side, for tests that run without one. Times are offsets from REC_START. */
#ifndef SONDE_TESTS_TOOLS_RECORDING_H
#define SONDE_TESTS_TOOLS_RECORDING_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "channel/messages.h"
#include "event.h"
#include "drops.h"
#include "frame/http1.h"
#include "frame/postgres.h"
#include "source/record.h"

#define REC_START 1000000000000ULL	 /* CLOCK_MONOTONIC */
#define REC_OFFSET 1790000000000000000LL /* to the Unix epoch: 2026-09-21 and 1000 s */
#define REC_TGID 4711
#define REC_SERVICE 77
#define REC_MS 1000000ULL

/* A record in the making. 8-byte aligned, as the ring gives it. */
union rec {
	struct event_header header;
	struct event_connection connection;
	struct event_exchange exchange;
	struct event_process process;
	struct event_operation operation;
	struct event_stream stream;
	struct event_close close;
	char bytes[8192];
};

static inline struct event_header *rec_begin(union rec *r, uint16_t kind, size_t fixed, uint64_t at, uint64_t conn)
{
	memset(r, 0, sizeof(*r));
	r->header = (struct event_header){ .size = (uint32_t)fixed,
					   .kind = kind,
					   .version = EVENT_VERSION,
					   .time = REC_START + at,
					   .conn = conn,
					   .tgid = REC_TGID,
					   .tid = REC_TGID };
	return &r->header;
}

static inline uint16_t rec_add(union rec *r, const void *p, size_t n)
{
	memcpy(r->bytes + r->header.size, p, n);
	r->header.size += (uint32_t)n;
	return (uint16_t)n;
}

static inline void rec_connection(union rec *r, uint64_t at, uint64_t conn, uint8_t proto, uint8_t role, uint16_t local,
				  uint16_t remote)
{
	rec_begin(r, EVENT_CONNECTION, sizeof(r->connection), at, conn);
	r->connection.family = AF_INET;
	r->connection.proto = proto;
	r->connection.role = role;
	r->connection.local_port = local;
	r->connection.remote_port = remote;
	inet_pton(AF_INET, "127.0.0.1", r->connection.local_addr);
	inet_pton(AF_INET, role == ROLE_CLIENT ? "10.1.2.3" : "10.9.9.9", r->connection.remote_addr);
	r->connection.netns = 4026531840u;
	r->connection.service = REC_SERVICE;
}

struct rec_times {
	uint64_t start, first, end;
};

static inline void rec_exchange(union rec *r, struct rec_times t, uint64_t conn, uint64_t id, uint64_t parent,
				uint8_t proto, uint8_t role, uint8_t method, uint32_t status)
{
	rec_begin(r, EVENT_EXCHANGE, sizeof(r->exchange), t.end, conn);
	r->exchange.id = id;
	r->exchange.parent = parent;
	r->exchange.start = REC_START + t.start;
	r->exchange.first = REC_START + t.first;
	r->exchange.end = REC_START + t.end;
	r->exchange.service = REC_SERVICE;
	r->exchange.proto = proto;
	r->exchange.role = role;
	r->exchange.method = method;
	r->exchange.status = status;
	r->exchange.reason = END_COMPLETE;
}

static inline void rec_request(union rec *r, const void *p, size_t n)
{
	r->exchange.request_len = rec_add(r, p, n);
	r->exchange.request_bytes = n;
}

static inline void rec_answer(union rec *r, const void *p, size_t n)
{
	size_t head = n < EVENT_ANSWER_MAX ? n : EVENT_ANSWER_MAX, tail = n < EVENT_TAIL_MAX ? n : EVENT_TAIL_MAX;

	r->exchange.answer_len = rec_add(r, p, head);
	if (n > head)
		r->exchange.tail_len = rec_add(r, (const char *)p + n - tail, tail);
	r->exchange.answer_bytes = n;
}

/* One message of the PostgreSQL protocol: type, length, body. Returns its size. */
static inline size_t rec_pg(char *out, char type, const void *body, size_t n)
{
	uint32_t len = htonl((uint32_t)n + 4);

	out[0] = type;
	memcpy(out + 1, &len, 4);
	memcpy(out + 5, body, n);
	return n + 5;
}

static inline void rec_pg_query(union rec *r, const char *sql)
{
	char message[2048];

	rec_request(r, message, rec_pg(message, 'Q', sql, strlen(sql) + 1));
}

/* rows DataRows of one column, then the tag: what a SELECT is answered with. */
static inline void rec_pg_rows(union rec *r, int rows, const char *tag)
{
	static const char column[] = "\0\1id\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0", row[] = "\0\1\0\0\0\1"
												     "7";
	char out[4096];
	size_t n = rec_pg(out, 'T', column, sizeof(column) - 1);

	for (int i = 0; i < rows; i++)
		n += rec_pg(out + n, 'D', row, sizeof(row) - 1);
	n += rec_pg(out + n, 'C', tag, strlen(tag) + 1);
	n += rec_pg(out + n, 'Z', "I", 1);
	rec_answer(r, out, n);
}

static inline void rec_pg_error(union rec *r, const char *sqlstate)
{
	char out[256], body[128];
	int n = snprintf(body, sizeof(body), "SERROR%cVERROR%cC%s%cMduplicate key%c", 0, 0, sqlstate, 0, 0);
	size_t size;

	body[n++] = '\0';
	size = rec_pg(out, 'E', body, (size_t)n);
	size += rec_pg(out + size, 'Z', "I", 1);
	rec_answer(r, out, size);
}

static inline struct hist_key rec_key(uint64_t operation, uint8_t proto, uint8_t role, uint8_t method, uint32_t status)
{
	struct hist_key k = { .operation = operation,
			      .service = REC_SERVICE,
			      .status = status,
			      .proto = proto,
			      .role = role,
			      .method = proto == PROTO_HTTP1 ? method : HIST_STATEMENT };

	if (proto == PROTO_HTTP1)
		k.version = 11;
	else
		k.peer = 1234;
	return k;
}

static inline void rec_operation(union rec *r, uint64_t at, uint64_t conn, const struct hist_key *key,
				 const void *sample, size_t n)
{
	rec_begin(r, EVENT_OPERATION, sizeof(r->operation), at, conn);
	r->operation.key = *key;
	r->operation.len = rec_add(r, sample, n);
}

#define REC_HTTP_REQUEST                                                                            \
	"GET /orders/42?token=secret HTTP/1.1\r\nHost: shop.example:8000\r\nUser-Agent: test/1\r\n" \
	"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
#define REC_HTTP_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define REC_SELECT "SELECT * FROM orders WHERE id = 42 AND email = 'ann@example.com'"
#define REC_INSERT "INSERT INTO stock (sku) VALUES ('geheim')"

typedef void rec_fn(void *context, const union rec *r);

/* A request to a shop, and the two statements it made: one with three rows, one that failed. As the ring gives them. */
static inline void rec_shop(rec_fn *fn, void *context)
{
	struct hist_key key;
	char sample[512];
	union rec r;

	rec_connection(&r, 1 * REC_MS, 1, PROTO_HTTP1, ROLE_SERVER, 8000, 40000);
	fn(context, &r);
	rec_connection(&r, 2 * REC_MS, 2, PROTO_POSTGRES, ROLE_CLIENT, 50000, 5432);
	fn(context, &r);
	key = rec_key(0xabc, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);
	rec_operation(&r, 9 * REC_MS, 2, &key, sample, rec_pg(sample, 'Q', REC_SELECT, sizeof(REC_SELECT)));
	fn(context, &r);
	rec_exchange(&r, (struct rec_times){ 5 * REC_MS, 8 * REC_MS, 9 * REC_MS }, 2, 11, 10, PROTO_POSTGRES,
		     ROLE_CLIENT, PG_QUERY, 0);
	rec_pg_query(&r, REC_SELECT);
	rec_pg_rows(&r, 3, "SELECT 3");
	fn(context, &r);
	key = rec_key(0xdef, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, pg_sqlstate_pack("23505"));
	rec_operation(&r, 12 * REC_MS, 2, &key, sample, rec_pg(sample, 'Q', REC_INSERT, sizeof(REC_INSERT)));
	fn(context, &r);
	rec_exchange(&r, (struct rec_times){ 10 * REC_MS, 12 * REC_MS, 12 * REC_MS }, 2, 12, 10, PROTO_POSTGRES,
		     ROLE_CLIENT, PG_QUERY, pg_sqlstate_pack("23505"));
	r.exchange.flags |= EXCHANGE_FAILED;
	rec_pg_query(&r, REC_INSERT);
	rec_pg_error(&r, "23505");
	fn(context, &r);
	key = rec_key(0, PROTO_HTTP1, ROLE_SERVER, HTTP_GET, 200);
	rec_operation(&r, 20 * REC_MS, 1, &key, REC_HTTP_REQUEST, sizeof(REC_HTTP_REQUEST) - 1);
	fn(context, &r);
	rec_exchange(&r, (struct rec_times){ 4 * REC_MS, 20 * REC_MS, 20 * REC_MS }, 1, 10, 0, PROTO_HTTP1, ROLE_SERVER,
		     HTTP_GET, 200);
	rec_request(&r, REC_HTTP_REQUEST, sizeof(REC_HTTP_REQUEST) - 1);
	rec_answer(&r, REC_HTTP_ANSWER, sizeof(REC_HTTP_ANSWER) - 1);
	fn(context, &r);
	rec_begin(&r, EVENT_CLOSE, sizeof(r.close), 30 * REC_MS, 1);
	fn(context, &r);
}

static inline void rec_header(struct recording_header *h)
{
	*h = (struct recording_header){ .version = RECORDING_VERSION,
					.size = sizeof(*h),
					.started = REC_START,
					.realtime_offset = REC_OFFSET,
					.cpus = 2,
					.host_name = "host.example",
					.host_id = "00112233445566778899aabbccddeeff",
					.kernel = "6.1.0" };
	memcpy(h->magic, RECORDING_MAGIC, sizeof(h->magic));
}

/* count values of ns each. */
static inline void rec_histogram(struct recording_histogram *h, const struct hist_key *key, uint64_t ns, uint32_t count)
{
	uint64_t http[] = { HIST_HTTP_BOUNDS }, db[] = { HIST_DB_BOUNDS }, *bounds;
	uint32_t i = 0, clamped;

	memset(h, 0, sizeof(*h));
	h->key = *key;
	bounds = key->proto == PROTO_HTTP1 ? http : db;
	while (bounds[i] && ns > bounds[i])
		i++;
	h->value.count = count;
	h->value.sum = ns * count;
	h->value.explicit_counts[i] = count;
	h->value.slots[hist_slot(ns, &clamped)] = count;
}

static inline void rec_put(struct recorder *w, enum recording_type type, uint64_t at, const void *p, size_t n)
{
	if (recorder_add(w, type, REC_START + at, p, n))
		abort();
}

static inline void rec_put_event(void *context, const union rec *r)
{
	rec_put(context, RECORDING_EVENT, r->header.time - REC_START, r, r->header.size);
}

/* The process of rec_shop(), as known from the start scan. */
static inline void rec_put_process(struct recorder *w)
{
	static const char facts[] = "/usr/bin/python3.11"		  /* path */
				    "/srv/venv/bin/gunicorn\0shop.wsgi\0" /* arguments */
				    "OTEL_SERVICE_NAME=shop\0"
				    "0::/system.slice/shop.service\n"
				    "/srv";
	struct message_process m = { .kind = MESSAGE_PROCESS,
				     .tgid = REC_TGID,
				     .parent = 1,
				     .service = REC_SERVICE,
				     .nspid = REC_TGID,
				     .start = REC_START,
				     .comm = "gunicorn" };
	struct recording_identity *id = calloc(1, sizeof(*id) + sizeof(facts) - 1);

	if (!id)
		abort();
	rec_put(w, RECORDING_MESSAGE, 0, &m, sizeof(m));
	*id = (struct recording_identity){ .tgid = REC_TGID, .len = { 19, 33, 23, 30, 4 } };
	memcpy(id->data, facts, sizeof(facts) - 1);
	rec_put(w, RECORDING_IDENTITY, 0, id, sizeof(*id) + sizeof(facts) - 1);
	free(id);
}

/* A whole recording of rec_shop(), to a descriptor. */
static inline void rec_write_shop(int fd)
{
	const struct hist_key keys[] = { rec_key(0xabc, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0),
					 rec_key(0xdef, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY,
						 pg_sqlstate_pack("23505")),
					 rec_key(0, PROTO_HTTP1, ROLE_SERVER, HTTP_GET, 200) };
	const uint64_t ns[] = { 4 * REC_MS, 2 * REC_MS, 16 * REC_MS };
	uint64_t counters[KERNEL_COUNTER_COUNT] = { [KERNEL_spans_seen] = 3, [KERNEL_conns_opened] = 2 };
	struct recording_header header;
	struct recorder *w;

	rec_header(&header);
	if (recorder_new(fd, &header, &w))
		abort();
	rec_put_process(w);
	rec_shop(rec_put_event, w);
	for (int i = 0; i < 3; i++) {
		struct recording_histogram h;

		rec_histogram(&h, &keys[i], ns[i], 1);
		rec_put(w, RECORDING_HISTOGRAM, 40 * REC_MS, &h, sizeof(h));
	}
	rec_put(w, RECORDING_READING, 40 * REC_MS, counters, sizeof(counters));
	if (recorder_flush(w))
		abort();
	recorder_free(w);
}

#endif
