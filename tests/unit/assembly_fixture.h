/* SPDX-License-Identifier: Apache-2.0 */
/* Records as the kernel side would send them, given to a trace assembly, and the spans that come out. */
#ifndef SONDE_TESTS_ASSEMBLY_FIXTURE_H
#define SONDE_TESTS_ASSEMBLY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "decode/decode.h"
#include "frame/http1.h"
#include "frame/postgres.h"
#include "session/trace.h"
#include "util/buf.h"

#define SECOND 1000000000ULL
#define OFFSET 1700000000000000000LL
#define SPANS_MAX 4096
#define TGID_UNSELECTED 666

struct fixture {
	struct assembly *a;
	struct ledger *ledger;
	struct resource *resource;
	struct span *spans[SPANS_MAX];
	size_t group[SPANS_MAX]; /* in which call it came */
	size_t n, groups;
	struct assembly_config cfg;
	struct buf record;
	/* what assembly_measure_fn got */
	size_t measured;
	struct hist_key key;
	uint64_t ns, amount; /* amounts added up */
	unsigned transactions[HIST_WHAT_COUNT];
	uint64_t transaction_ns[HIST_WHAT_COUNT];
	uint32_t outcome; /* of the last one */
	struct attrs measured_attrs;
};

static struct fixture fx;

static struct resource *fixture_resource(void *ctx, uint32_t tgid, uint32_t service)
{
	struct fixture *f = ctx;

	(void)service;
	return tgid == TGID_UNSELECTED ? NULL : f->resource;
}

static void fixture_emit(void *ctx, struct span *const *v, size_t n)
{
	struct fixture *f = ctx;

	for (size_t i = 0; i < n; i++) {
		assert_true(f->n < SPANS_MAX);
		f->group[f->n] = f->groups;
		f->spans[f->n++] = span_ref(v[i]);
	}
	f->groups++;
}

static inline void fixture_start(void)
{
	fx.a = assembly_new(&fx.cfg, fx.ledger, fixture_resource, fixture_emit, &fx);
	assert_non_null(fx.a);
	assembly_tick(fx.a, SECOND, OFFSET);
}

static inline int fixture_setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.cfg = (struct assembly_config){ .hold_ns = 60 * SECOND, .query_text_max = 4096 };
	fx.ledger = calloc(1, sizeof(*fx.ledger));
	fx.resource = resource_new();
	attrs_str(&fx.resource->attrs, "service.name", bytes_str("shop"), 0);
	fixture_start();
	return 0;
}

static inline void fixture_forget(void)
{
	for (size_t i = 0; i < fx.n; i++)
		span_unref(fx.spans[i]);
	fx.n = fx.groups = 0;
}

static inline int fixture_teardown(void **state)
{
	(void)state;
	fixture_forget();
	assembly_free(fx.a);
	resource_unref(fx.resource);
	attrs_free(&fx.measured_attrs);
	buf_free(&fx.record);
	free(fx.ledger);
	return 0;
}

/* Starts again with what was changed in fx.cfg. */
static inline void fixture_restart(void)
{
	assembly_free(fx.a);
	fixture_start();
}

static inline uint64_t counted(enum user_counter c)
{
	return ledger_get(fx.ledger, c);
}

/* Every record goes the way of those of the kernel: through the check of decode/. */
static inline void give(const void *fixed, size_t size, struct bytes data)
{
	const struct event_header *checked;
	char *aligned;

	aligned = calloc(1, size + data.n);
	memcpy(aligned, fixed, size);
	if (data.n)
		memcpy(aligned + size, data.p, data.n);
	((struct event_header *)aligned)->size = (uint32_t)(size + data.n);
	((struct event_header *)aligned)->version = EVENT_VERSION;
	assert_int_equal(decode_event(aligned, size + data.n, &checked), 0);
	assembly_event(fx.a, checked);
	free(aligned);
}

struct connect {
	uint64_t conn;
	uint8_t proto, role;
	const char *local, *remote; /* IPv4 */
	uint16_t local_port, remote_port;
	uint32_t netns;
	const char *path; /* AF_UNIX instead */
	uint64_t local_ino, remote_ino;
};

static inline void connect_conn(struct connect c)
{
	struct event_connection e = { .header = {
					      .kind = EVENT_CONNECTION, .conn = c.conn, .time = SECOND, .tgid = 1 } };

	e.family = c.path ? AF_UNIX : AF_INET;
	e.proto = c.proto;
	e.role = c.role;
	e.netns = c.netns;
	e.local_port = c.local_port;
	e.remote_port = c.remote_port;
	e.local_ino = c.local_ino;
	e.remote_ino = c.remote_ino;
	if (c.local)
		inet_pton(AF_INET, c.local, e.local_addr);
	if (c.remote)
		inet_pton(AF_INET, c.remote, e.remote_addr);
	if (c.path)
		snprintf(e.path, sizeof(e.path), "%s", c.path);
	give(&e, sizeof(e), bytes_str(""));
}

struct exchange {
	uint64_t id, parent, conn, start, end, libpq_conn;
	uint8_t proto, role, method, reason, source;
	uint16_t flags;
	uint32_t status, tgid;
	const char *request, *answer; /* text */
	struct bytes raw_request, raw_answer, tail;
	uint64_t request_bytes; /* 0 = as many as given */
	const struct event_transaction *transaction;
};

static inline void exchange(struct exchange x)
{
	struct bytes request = x.request ? bytes_str(x.request) : x.raw_request;
	struct bytes answer = x.answer ? bytes_str(x.answer) : x.raw_answer;
	struct event_exchange e = {
		.header = { .kind = EVENT_EXCHANGE, .conn = x.conn, .tgid = x.tgid ? x.tgid : 1, .tid = 1 },
		.id = x.id,
		.parent = x.parent,
		.start = x.start ? x.start : SECOND,
		.proto = x.proto ? x.proto : PROTO_HTTP1,
		.role = x.role,
		.method = x.method,
		.reason = x.reason ? x.reason : END_COMPLETE,
		.source = x.source,
		.flags = x.flags,
		.status = x.status,
		.libpq_conn = x.libpq_conn,
	};

	e.end = x.end ? x.end : e.start + 1000000;
	e.first = x.flags & EXCHANGE_NO_ANSWER ? 0 : e.end;
	e.header.time = e.end;
	request = bytes_head(request, EVENT_REQUEST_MAX);
	answer = bytes_head(answer, EVENT_ANSWER_MAX);
	e.request_bytes = x.request_bytes ? x.request_bytes : request.n;
	e.answer_bytes = answer.n + x.tail.n;
	e.request_len = (uint16_t)request.n;
	e.answer_len = (uint16_t)answer.n;
	e.tail_len = (uint16_t)x.tail.n;
	buf_reset(&fx.record);
	buf_add(&fx.record, request);
	buf_add(&fx.record, answer);
	buf_add(&fx.record, x.tail);
	if (x.transaction) {
		e.flags |= EXCHANGE_TRANSACTION;
		buf_add(&fx.record, bytes_of((const char *)x.transaction, sizeof(*x.transaction)));
	}
	give(&e, sizeof(e), buf_bytes(&fx.record));
}

static inline const char *find(size_t i, const char *key)
{
	static char text[8][4096];
	static int next;
	const struct attr *at;
	char *to = text[next++ % 8];

	assert_true(i < fx.n);
	at = attrs_find(&fx.spans[i]->attrs, key);
	if (!at)
		return NULL;
	if (at->type == ATTR_STRING)
		snprintf(to, 4096, "%.*s", (int)at->s.n, at->s.p);
	else
		snprintf(to, 4096, "%lld", at->type == ATTR_BOOL ? (long long)at->b : (long long)at->i);
	return to;
}

static inline void assert_attr(size_t i, const char *key, const char *want)
{
	const char *got = find(i, key);

	if (!want) {
		if (got)
			fail_msg("%s is there: %s", key, got);
		return;
	}
	if (!got)
		fail_msg("%s is not there", key);
	assert_string_equal(got, want);
}

static inline void assert_name(size_t i, const char *want)
{
	char got[1024];

	assert_true(i < fx.n);
	snprintf(got, sizeof(got), "%.*s", (int)fx.spans[i]->name.n, fx.spans[i]->name.p);
	assert_string_equal(got, want);
}

/* No string of any span, nor its name, holds the secret. */
static inline void assert_secret(const char *secret)
{
	for (size_t i = 0; i < fx.n; i++) {
		const struct span *s = fx.spans[i];

		assert_null(memmem(s->name.p, s->name.n, secret, strlen(secret)));
		for (uint32_t k = 0; k < s->attrs.n; k++)
			if (s->attrs.v[k].type == ATTR_STRING && s->attrs.v[k].s.n &&
			    memmem(s->attrs.v[k].s.p, s->attrs.v[k].s.n, secret, strlen(secret)))
				fail_msg("%s holds %s", s->attrs.v[k].key, secret);
	}
}

static inline bool same_trace(size_t i, size_t k)
{
	return memcmp(&fx.spans[i]->trace, &fx.spans[k]->trace, 16) == 0;
}

static inline bool is_child(size_t child, size_t parent)
{
	return same_trace(child, parent) &&
	       memcmp(&fx.spans[child]->parent, &fx.spans[parent]->id, sizeof(struct span_id)) == 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
