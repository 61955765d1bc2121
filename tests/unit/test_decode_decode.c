/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../tools/recording.h"
#include "decode/decode.h"

/* In memory that ends where the record ends, so that a look behind it is found. */
static int decode(const union rec *r, size_t size)
{
	const struct event_header *h = NULL;
	void *p = malloc(size ? size : 1);
	int e;

	memcpy(p, r, size);
	e = decode_event(p, size, &h);
	assert_true(e ? h == NULL : (const void *)h == p);
	free(p);
	return e;
}

static void valid(const union rec *r)
{
	assert_int_equal(decode(r, r->header.size), 0);
	for (size_t n = 0; n < r->header.size; n++)
		assert_int_equal(decode(r, n), -EBADMSG); /* a cut record is none */
}

static void each(void *context, const union rec *r)
{
	++*(int *)context;
	valid(r);
}

static void test_valid_records(void **state)
{
	union rec r;
	int n = 0;

	(void)state;
	rec_shop(each, &n);
	assert_int_equal(n, 9);
	rec_begin(&r, EVENT_PROCESS, sizeof(r.process), 0, 0);
	r.process.what = PROCESS_EXEC;
	r.process.args_len = rec_add(&r, "a\0b", 4);
	r.process.env_len = rec_add(&r, "X=1", 4);
	valid(&r);
	rec_begin(&r, EVENT_STREAM, sizeof(r.stream), 0, 5);
	r.stream.len = rec_add(&r, "hello", 5);
	r.stream.total = 9;
	valid(&r);
	rec_begin(&r, EVENT_LIBPQ_CONN, sizeof(struct event_libpq_conn), 0, 0);
	valid(&r);
}

static void test_longer_than_it_says(void **state)
{
	union rec r;

	(void)state; /* reserved in full, filled in part: the rest is not looked at */
	rec_begin(&r, EVENT_CLOSE, sizeof(r.close), 0, 5);
	assert_int_equal(decode(&r, 4000), 0);
	r.header.size = 4001;
	assert_int_equal(decode(&r, 4000), -EBADMSG);
	r.header.size = 8;
	assert_int_equal(decode(&r, 4000), -EBADMSG);
}

static void test_unknown(void **state)
{
	union rec r;

	(void)state;
	rec_begin(&r, EVENT_CLOSE, sizeof(r.close), 0, 5);
	r.header.kind = 0;
	assert_int_equal(decode(&r, r.header.size), -EPROTO);
	r.header.kind = EVENT_PARENT + 1;
	assert_int_equal(decode(&r, r.header.size), -EPROTO);
	r.header.kind = 0xffff;
	assert_int_equal(decode(&r, r.header.size), -EPROTO);
	r.header.kind = EVENT_CLOSE;
	r.header.version = EVENT_VERSION + 1;
	assert_int_equal(decode(&r, r.header.size), -EPROTO);
}

static void make_exchange(union rec *r)
{
	rec_exchange(r, (struct rec_times){ 1, 2, 3 }, 5, 6, 0, PROTO_HTTP1, ROLE_SERVER, 1, 200);
	rec_request(r, "GET / HTTP/1.1\r\n", 16);
	rec_answer(r, "HTTP/1.1 200 OK\r\n", 17);
	assert_int_equal(decode(r, r->header.size), 0);
}

static void test_exchange_lengths(void **state)
{
	union rec r;

	(void)state;
	make_exchange(&r);
	r.exchange.request_len += 1;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	make_exchange(&r);
	r.exchange.flags |= EXCHANGE_TRANSACTION; /* there is none behind */
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	rec_add(&r, "123456789012345678901234", sizeof(struct event_transaction));
	valid(&r);
	make_exchange(&r);
	r.exchange.request_len = r.exchange.answer_len = r.exchange.tail_len = 0xffff;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	make_exchange(&r);
	r.exchange.role = ROLE_SERVER + 1;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	make_exchange(&r);
	r.exchange.source = SOURCE_LIBPQ + 1;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	make_exchange(&r);
	r.exchange.id = 0;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
}

static void test_libpq_result(void **state)
{
	struct libpq_result result = { .rows = 3, .tag = "SELECT 3" };
	union rec r;

	(void)state;
	for (int broken = 0; broken < 4; broken++) {
		struct libpq_result tail = result;

		rec_exchange(&r, (struct rec_times){ 1, 2, 3 }, 5, 6, 0, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);
		r.exchange.source = SOURCE_LIBPQ;
		rec_request(&r, "SELECT", 7); /* so that the result is not aligned */
		if (broken == 1)
			memset(tail.tag, 'x', sizeof(tail.tag));
		if (broken == 2)
			memset(tail.sqlstate, 'x', sizeof(tail.sqlstate));
		r.exchange.tail_len = rec_add(&r, &tail, broken == 3 ? sizeof(tail) - 1 : sizeof(tail));
		assert_int_equal(decode(&r, r.header.size), broken ? -EBADMSG : 0);
	}
}

static void test_libpq_conn(void **state)
{
	static const struct {
		uint64_t end;
		uint32_t failed, form, len;
		int error;
	} cases[] = {
		{ 0, 0, LIBPQ_CONN_PAIRS, 3, 0 },	 { 9, 1, LIBPQ_CONN_STRING, 3, 0 },
		{ 9, 0, LIBPQ_CONN_AGAIN, 0, 0 },	 { 9, 0, LIBPQ_CONN_GONE, 0, 0 },
		{ 9, 0, LIBPQ_CONN_AGAIN, 3, -EBADMSG }, { 9, 0, LIBPQ_CONN_GONE + 1, 0, -EBADMSG },
		{ 9, 2, LIBPQ_CONN_PAIRS, 3, -EBADMSG }, { 4, 0, LIBPQ_CONN_PAIRS, 3, -EBADMSG },
		{ 9, 0, LIBPQ_CONN_PAIRS, 4, -EBADMSG },
	};
	union rec r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_libpq_conn *e = (struct event_libpq_conn *)&r;

		rec_begin(&r, EVENT_LIBPQ_CONN, sizeof(*e), 0, 0);
		rec_add(&r, "a=b", 3);
		e->start = 5;
		e->end = cases[i].end;
		e->failed = cases[i].failed;
		e->form = cases[i].form;
		e->len = cases[i].len;
		assert_int_equal(decode(&r, r.header.size), cases[i].error);
	}
}

static void test_other_lengths(void **state)
{
	struct event_fragment *f;
	union rec r;

	(void)state;
	rec_begin(&r, EVENT_FRAGMENT, sizeof(*f), 0, 5);
	f = (void *)&r;
	f->len = rec_add(&r, "abc", 3);
	valid(&r);
	f->offset = UINT32_MAX;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	f->offset = 0;
	f->len = UINT32_MAX;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	rec_begin(&r, EVENT_STREAM, sizeof(r.stream), 0, 5);
	r.stream.len = rec_add(&r, "hello", 5);
	r.stream.total = 4;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	r.stream.total = 5;
	r.stream.position = UINT64_MAX - 3;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	r.stream.position = 0;
	r.stream.dir = 2;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	rec_begin(&r, EVENT_PROCESS, sizeof(r.process), 0, 0);
	r.process.what = PROCESS_EXEC;
	r.process.args_len = r.process.env_len = 0xffff;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	r.process.args_len = r.process.env_len = 0;
	assert_int_equal(decode(&r, r.header.size), 0);
	memset(r.process.comm, 'x', sizeof(r.process.comm));
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
}

static void test_connection(void **state)
{
	union rec r;

	(void)state;
	rec_connection(&r, 0, 1, PROTO_HTTP1, ROLE_CLIENT, 1, 2);
	memset(r.connection.path, 'x', sizeof(r.connection.path));
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
	r.connection.path[107] = '\0';
	assert_int_equal(decode(&r, r.header.size), 0);
	r.connection.family = 77;
	assert_int_equal(decode(&r, r.header.size), -EBADMSG);
}

static void test_alignment(void **state)
{
	const struct event_header *h = NULL;
	_Alignas(8) char p[256];
	union rec r;

	(void)state;
	rec_begin(&r, EVENT_CLOSE, sizeof(r.close), 0, 5);
	memcpy(p + 4, &r, r.header.size);
	assert_int_equal(decode_event(p + 4, r.header.size, &h), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_records), cmocka_unit_test(test_longer_than_it_says),
		cmocka_unit_test(test_unknown),	      cmocka_unit_test(test_exchange_lengths),
		cmocka_unit_test(test_libpq_result),  cmocka_unit_test(test_libpq_conn),
		cmocka_unit_test(test_other_lengths), cmocka_unit_test(test_connection),
		cmocka_unit_test(test_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
