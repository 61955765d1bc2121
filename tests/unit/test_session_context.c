/* SPDX-License-Identifier: Apache-2.0 */
/* Trace contexts of others, and samplers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "session/context.h"
#include "session/ids.h"
#include "session/sampler.h"
#include "session/trace.h"
#include "util/buf.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static bool parent(const char *value)
{
	struct remote_context c = { 0 };
	bool r = context_traceparent(bytes_str(value), &c);

	assert_true(r == c.valid);
	return r;
}

/* W3C Trace Context level 2, section 3.2.2, and the cases of its test suite. */
static void traceparent(void **state)
{
	struct remote_context c;

	(void)state;
	assert_true(parent("00-" TRACE "-" SPAN "-01"));
	assert_true(parent("00-" TRACE "-" SPAN "-00"));
	assert_true(parent("01-" TRACE "-" SPAN "-01"));
	assert_true(parent("cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like"));
	assert_false(parent("cc-" TRACE "-" SPAN "-01.what"));
	assert_false(parent("cc-" TRACE "-" SPAN "-0"));
	assert_false(parent("00-" TRACE "-" SPAN "-01-more"));
	assert_false(parent("00-" TRACE "-" SPAN "-01 "));
	assert_false(parent("ff-" TRACE "-" SPAN "-01"));
	assert_false(parent(".0-" TRACE "-" SPAN "-01"));
	assert_false(parent("0-" TRACE "-" SPAN "-01"));
	assert_false(parent("00-00000000000000000000000000000000-" SPAN "-01"));
	assert_false(parent("00-" TRACE "-0000000000000000-01"));
	assert_false(parent("00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01"));
	assert_false(parent("00-" TRACE "-" SPAN "-0X"));
	assert_false(parent("00-" TRACE "-" SPAN "-"));
	assert_false(parent("00-" TRACE "-" SPAN));
	assert_false(parent("00_" TRACE "-" SPAN "-01"));
	assert_false(parent("00-" TRACE "_" SPAN "-01"));
	assert_false(parent("00-" TRACE "-" SPAN "_01"));
	assert_false(parent(""));
	assert_true(context_traceparent(bytes_str("00-" TRACE "-" SPAN "-ff"), &c));
	assert_int_equal(c.flags, 3); /* bits without a meaning do not go on */
}

static struct operation op;

static void assert_context(const char *trace, const char *span, int sampled, bool deferred)
{
	struct remote_context c;
	char hex[33] = { 0 };

	context_read(&op, &c);
	memset(&op, 0, sizeof(op));
	if (!trace) {
		assert_false(c.valid);
		return;
	}
	assert_true(c.valid);
	hex_encode(hex, c.trace.b, 16);
	assert_string_equal(hex, trace);
	memset(hex, 0, sizeof(hex));
	hex_encode(hex, c.span.b, 8);
	assert_string_equal(hex, span);
	if (!deferred)
		assert_int_equal(c.flags & 1, sampled);
	assert_true(c.deferred == deferred);
}

static void header(enum trace_header h, const char *value)
{
	op.trace_headers[h] = bytes_str(value);
}

static void order(void **state)
{
	(void)state;
	op.traceparent = bytes_str("00-" TRACE "-" SPAN "-01");
	op.traceparent_count = 1;
	header(TRACE_B3, "1-1");
	header(TRACE_UBER, "1:1:0:1");
	assert_context(TRACE, SPAN, 1, false);
	op.traceparent = bytes_str("00-" TRACE "-" SPAN "-01");
	op.traceparent_count = 2; /* more than one: invalid; the next carrier is asked */
	header(TRACE_UBER, "1:2:0:1");
	assert_context("00000000000000000000000000000001", "0000000000000002", 1, false);
	assert_context(NULL, NULL, 0, false);
}

static void b3(void **state)
{
	(void)state;
	header(TRACE_B3, TRACE "-" SPAN "-1");
	assert_context(TRACE, SPAN, 1, false);
	header(TRACE_B3, TRACE "-" SPAN "-0-0000000000000001");
	assert_context(TRACE, SPAN, 0, false);
	header(TRACE_B3, "8448eb211c80319c-" SPAN "-d");
	assert_context("00000000000000008448eb211c80319c", SPAN, 1, false);
	header(TRACE_B3, TRACE "-" SPAN);
	assert_context(TRACE, SPAN, 0, true);
	header(TRACE_B3, "0");
	assert_context(NULL, NULL, 0, false);
	header(TRACE_B3, TRACE "-" SPAN "-yes");
	assert_context(NULL, NULL, 0, false);
	header(TRACE_B3_TRACE_ID, TRACE);
	header(TRACE_B3_SPAN_ID, SPAN);
	header(TRACE_B3_SAMPLED, "true");
	assert_context(TRACE, SPAN, 1, false);
	header(TRACE_B3_TRACE_ID, TRACE);
	header(TRACE_B3_SPAN_ID, SPAN);
	header(TRACE_B3_FLAGS, "1");
	assert_context(TRACE, SPAN, 1, false);
	header(TRACE_B3_TRACE_ID, TRACE);
	header(TRACE_B3_SPAN_ID, SPAN);
	assert_context(TRACE, SPAN, 0, true);
	header(TRACE_B3_TRACE_ID, TRACE);
	assert_context(NULL, NULL, 0, false);
	header(TRACE_B3_TRACE_ID, "00000000000000000000000000000000");
	header(TRACE_B3_SPAN_ID, SPAN);
	assert_context(NULL, NULL, 0, false);
}

static void others(void **state)
{
	(void)state;
	header(TRACE_DATADOG_TRACE_ID, "18446744073709551615");
	header(TRACE_DATADOG_PARENT_ID, "1");
	header(TRACE_DATADOG_PRIORITY, "2");
	header(TRACE_DATADOG_TAGS, "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000");
	assert_context("640cfd8d00000000ffffffffffffffff", "0000000000000001", 1, false);
	header(TRACE_DATADOG_TRACE_ID, "18446744073709551616");
	header(TRACE_DATADOG_PARENT_ID, "1");
	assert_context(NULL, NULL, 0, false);
	header(TRACE_DATADOG_TRACE_ID, "7");
	header(TRACE_DATADOG_PARENT_ID, "9");
	header(TRACE_DATADOG_PRIORITY, "-1");
	assert_context("00000000000000000000000000000007", "0000000000000009", 0, false);
	header(TRACE_UBER, "5%3A6%3a0%3A3");
	assert_context("00000000000000000000000000000005", "0000000000000006", 1, false);
	header(TRACE_UBER, "5:6:0");
	assert_context(NULL, NULL, 0, false);
	header(TRACE_XRAY, "Self=1-x; Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Parent=53995c3f42cd8ad8");
	assert_context("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", 1, false);
	header(TRACE_XRAY, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?");
	assert_context("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", 0, true);
	header(TRACE_XRAY, "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8");
	assert_context(NULL, NULL, 0, false);
	header(TRACE_SENTRY, TRACE "-" SPAN "-0");
	assert_context(TRACE, SPAN, 0, false);
	header(TRACE_SENTRY, TRACE "-" SPAN);
	assert_context(TRACE, SPAN, 0, true);
	header(TRACE_SENTRY, TRACE "-" SPAN "-0-1");
	assert_context(NULL, NULL, 0, false);
}

static void assert_state(const char *a, const char *b, const char *want)
{
	struct buf got = { 0 };

	op.tracestate[0] = bytes_str(a);
	op.tracestate[1] = bytes_str(b);
	op.tracestate_count = 2;
	context_tracestate(&op, &got);
	assert_true(bytes_eq(buf_bytes(&got), bytes_str(want)));
	buf_free(&got);
	memset(&op, 0, sizeof(op));
}

/* Section 3.3.1 of the same. */
static void tracestate(void **state)
{
	char many[33 * 8], *p = many;

	(void)state;
	assert_state("a=1", "b=2", "a=1,b=2");
	assert_state(" a=1 ,, \tb=2 ", "", "a=1,b=2");
	assert_state("tenant@vendor=x,0a-_*/=y", "", "tenant@vendor=x,0a-_*/=y");
	assert_state("A=1", "", "");
	assert_state("a", "", "");
	assert_state("a=", "", "");
	assert_state("=1", "", "");
	assert_state("a=1=2", "", "");
	assert_state("a=\x7f", "", "");
	assert_state("a=1", "b b=2", "");
	for (int i = 0; i < 33; i++)
		p += sprintf(p, "k%02d=v,", i);
	p[-1] = '\0';
	assert_state(many, "", "");
	p[-7] = '\0';
	assert_state(many, "", many);
}

static struct trace_id trace_low(uint64_t low)
{
	struct trace_id t = { { 1 } };

	for (int i = 15; i >= 8; i--, low >>= 8)
		t.b[i] = (uint8_t)low;
	return t;
}

static bool ratio(double p, uint64_t low)
{
	struct trace_id t = trace_low(low);

	return sampler_keeps(ASSEMBLY_RATIO, p, false, false, &t);
}

/* Bounds as opentelemetry-python's TraceIdRatioBased.get_bound_for_rate has them: round(rate * 2^64). */
static void ratio_sampler(void **state)
{
	(void)state;
	assert_true(ratio(1, UINT64_MAX));
	assert_false(ratio(0, 0));
	assert_true(ratio(0.5, 0x7fffffffffffffffULL));
	assert_false(ratio(0.5, 0x8000000000000000ULL));
	assert_true(ratio(0.1, 1844674407370955163ULL));
	assert_false(ratio(0.1, 1844674407370955264ULL)); /* the double nearest to 0.1 * 2^64 */
	assert_true(ratio(0x1p-64, 0));
	assert_false(ratio(0x1p-64, 1));
	assert_false(ratio(0.0 / 1, 0));
	assert_true(ratio(0x1.fffffffffffffp-1, 0xfffffffffffff000ULL));
}

static void parent_samplers(void **state)
{
	static const struct {
		int sampler;
		bool root, under_sampled, under_unsampled;
	} rows[] = {
		{ ASSEMBLY_PARENT_ALWAYS_ON, true, true, false }, { ASSEMBLY_PARENT_ALWAYS_OFF, false, true, false },
		{ ASSEMBLY_PARENT_RATIO, false, true, false },	  { ASSEMBLY_ALWAYS_ON, true, true, true },
		{ ASSEMBLY_ALWAYS_OFF, false, false, false },	  { ASSEMBLY_RATIO, false, false, false },
	};
	struct trace_id t = trace_low(UINT64_MAX);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sampler_keeps(rows[i].sampler, 0.5, false, false, &t), rows[i].root);
		assert_int_equal(sampler_keeps(rows[i].sampler, 0.5, true, true, &t), rows[i].under_sampled);
		assert_int_equal(sampler_keeps(rows[i].sampler, 0.5, true, false, &t), rows[i].under_unsampled);
	}
}

static void ids(void **state)
{
	struct ids a, b;
	struct span_id x, y;
	struct trace_id t, u;

	(void)state;
	ids_init(&a);
	ids_init(&b);
	x = ids_span(&a, 7);
	y = ids_span(&a, 7);
	assert_memory_equal(&x, &y, sizeof(x));
	y = ids_span(&b, 7); /* another run */
	assert_memory_not_equal(&x, &y, sizeof(x));
	y = ids_span(&a, 8);
	assert_memory_not_equal(&x, &y, sizeof(x));
	assert_false(span_id_zero(&x));
	x = ids_fresh_span(&a);
	y = ids_fresh_span(&a);
	assert_memory_not_equal(&x, &y, sizeof(x));
	t = ids_trace(&a);
	u = ids_trace(&a);
	assert_memory_not_equal(&t, &u, sizeof(t));
	assert_false(trace_id_zero(&t));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(traceparent),	   cmocka_unit_test(order),	 cmocka_unit_test(b3),
	cmocka_unit_test(others),	   cmocka_unit_test(tracestate), cmocka_unit_test(ratio_sampler),
	cmocka_unit_test(parent_samplers), cmocka_unit_test(ids),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
