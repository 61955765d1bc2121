/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL messages made by hand, and what the parser makes of them as text. */
#ifndef SONDE_TESTS_POSTGRES_FIXTURE_H
#define SONDE_TESTS_POSTGRES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frame/postgres.h"
#include "golden.h"
#include "proto/proto.h"
#include "util/buf.h"

extern const struct proto proto_postgres;

#define CANARY "canary-pa55"

static struct buf out, made;
static struct proto_stream *st;

static inline void text(const char *key, struct bytes s)
{
	if (!s.p || !s.n)
		return;
	buf_printf(&out, " %s=\"", key);
	buf_json(&out, s);
	buf_char(&out, '"');
}

static inline void describe(const struct operation *op)
{
	if (op->startup)
		buf_str(&out, " startup");
	if (op->internal)
		buf_str(&out, " internal");
	text("database", op->database);
	text("user", op->user);
	text("name", op->statement_name);
	text("statement", op->statement);
	if (op->simple)
		buf_printf(&out, " simple");
	if (op->statement_index)
		buf_printf(&out, " index=%u", op->statement_index);
	if (op->statement_cut)
		buf_str(&out, " cut");
	if (op->statement_parameterised)
		buf_str(&out, " parameters");
	text("tag", op->command_tag);
	if (op->rows_known)
		buf_printf(&out, " rows=%llu%s", (unsigned long long)op->rows, op->rows_returned ? " returned" : "");
	if (op->completed)
		buf_printf(&out, " completed=%u", op->completed);
	text("severity", op->severity);
	text("sqlstate", op->sqlstate);
	buf_char(&out, '\n');
}

static inline void on_operation(void *context, const struct stream_operation *op)
{
	(void)context;
	if (op->has_prepared) {
		buf_printf(&out, "%s", op->prepared.close ? "close" : "parse");
		text("name", op->prepared.name);
		text("text", op->prepared.text);
		buf_char(&out, '\n');
		return;
	}
	if (op->op.internal && op->op.transaction_status) {
		if (op->op.transaction_status != 'I')
			buf_printf(&out, "ready %c\n", op->op.transaction_status);
		return;
	}
	buf_printf(&out, "stream %llu-%llu-%llu%s%s", (unsigned long long)op->start, (unsigned long long)op->first,
		   (unsigned long long)op->end, op->lost ? " lost" : "", op->unanswered ? " unanswered" : "");
	describe(&op->op);
}

static inline bool feed(enum stream_dir dir, struct bytes data, uint64_t gap, uint64_t time)
{
	struct stream_input in = { .dir = dir, .data = data, .gap = gap, .time = time };

	return proto_postgres.stream(st, &in, on_operation, NULL);
}

static inline int setup(void **state)
{
	(void)state;
	buf_reset(&out);
	buf_reset(&made);
	st = calloc(1, proto_postgres.stream_size);
	return st ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	free(st);
	st = NULL;
	return 0;
}

static inline struct bytes string(const char *s)
{
	return bytes_str(s);
}

static inline bool has(const char *s)
{
	return out.n && strstr(out.p, s);
}

static inline void message(struct buf *b, char type, const char *body, size_t n)
{
	uint32_t len = (uint32_t)n + 4;

	if (type)
		buf_char(b, type);
	for (int i = 24; i >= 0; i -= 8)
		buf_char(b, (char)(len >> i));
	buf_add(b, bytes_of(body, n));
}

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)
#define MESSAGE(type, body) message(&made, type, body, sizeof(body) - 1)
#define READY() MESSAGE('Z', "I")

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
