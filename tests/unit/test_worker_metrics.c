/* SPDX-License-Identifier: Apache-2.0 */
/* From histogram keys to series: names, services, limits, and that no count is lost or doubled on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../tools/recording.h"
#include "config/config.h"
#include "decode/totals.h"
#include "worker/pipeline.h"

#define S 1000000000ULL

struct fixture {
	struct config *config;
	struct ledger *ledger;
	struct outbox *out;
	struct pipeline p;
	uint64_t now;
	struct metric_set set;
};

static void begin(struct fixture *f)
{
	struct recording_header h;

	rec_header(&h);
	f->now = h.started;
	assert_int_equal(pipeline_open(&f->p, f->config, f->ledger, &h, f->out, -1, -1, true), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->config = config_new();
	f->ledger = ledger_new();
	f->out = outbox_new(-1);
	assert_true(f->config && f->ledger && f->out);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metric_set_free(&f->set);
	pipeline_close(&f->p);
	outbox_free(f->out);
	config_free(f->config);
	munmap(f->ledger, sizeof(*f->ledger));
	free(f);
	return 0;
}

static void process(struct fixture *f, uint32_t tgid, uint32_t service, const char *name)
{
	struct message_process m = { .kind = MESSAGE_PROCESS, .tgid = tgid, .service = service, .start = tgid };
	char env[64];
	struct bytes facts[PROGRAM_FACTS] = { BYTES_LITERAL("/bin/x") };

	facts[2] = bytes_of(env, (size_t)snprintf(env, sizeof(env), "OTEL_SERVICE_NAME=%s", name) + 1);
	pipeline_message(&f->p, &m, sizeof(m), f->now);
	processes_identity(f->p.processes, tgid, facts, f->now);
}

static void sample(struct fixture *f, uint32_t tgid, const struct hist_key *key, const char *sql)
{
	char message[512];
	union rec r;

	rec_operation(&r, 0, 2, key, message, rec_pg(message, 'Q', sql, strlen(sql) + 1));
	r.header.tgid = tgid;
	assert_int_equal(pipeline_record(&f->p, &r, r.header.size, f->now), 0);
}

static struct hist_key sql_key(uint64_t operation, uint32_t service)
{
	struct hist_key k = rec_key(operation, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);

	k.service = service;
	return k;
}

/* The map now says so many values under this key. */
static bool counted(struct fixture *f, const struct hist_key *key, uint32_t n)
{
	struct recording_histogram h;
	bool taken;

	rec_histogram(&h, key, 2000000, n);
	assert_int_equal(pipeline_feed_histogram(&f->p, &h, &taken), 0);
	return taken;
}

static void collect(struct fixture *f)
{
	metric_set_free(&f->set);
	pipeline_collect(&f->p, f->now, &f->set);
}

/* Sum of the counts of all series of the metric whose summary is this (NULL: all), and how many there are. */
static uint64_t count_of(struct fixture *f, const char *service, const char *statement, unsigned *ret_series)
{
	uint64_t n = 0;
	unsigned series = 0;

	for (size_t i = 0; i < f->set.n; i++) {
		const struct metric_point *p = &f->set.v[i];
		const struct attr *a = attrs_find(&p->attrs, ATTR_DB_QUERY_SUMMARY);

		if (p->metric != METRIC_DB_CLIENT_OPERATION_DURATION)
			continue;
		if (service && !bytes_eq(resource_service(p->resource), bytes_str(service)))
			continue;
		if (statement && (!a || !bytes_eq(a->s, bytes_str(statement))))
			continue;
		n += p->histogram.count;
		series++;
	}
	if (ret_series)
		*ret_series = series;
	return n;
}

static void test_name_before_count(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);

	begin(f);
	process(f, 10, 7, "shop");
	sample(f, 10, &key, "SELECT a FROM t");
	assert_true(counted(f, &key, 5));
	assert_true(counted(f, &key, 8));
	collect(f);
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 8);
	collect(f); /* cumulative: a second reading without growth says the same */
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 8);
}

/* What is counted before its name is known stays in the kernel, and gets the right name then. */
static void test_count_before_name(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);

	begin(f);
	process(f, 10, 7, "shop");
	assert_false(counted(f, &key, 5));
	collect(f);
	assert_int_equal(count_of(f, NULL, NULL, NULL), 0);
	sample(f, 10, &key, "SELECT a FROM t");
	assert_true(counted(f, &key, 6));
	collect(f);
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 6);
}

/* The sample was lost: after a while the key is counted without what only the sample could say. */
static void test_lost_sample(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);

	begin(f);
	process(f, 10, 7, "shop");
	for (int i = 0; i < 59; i++) {
		pipeline_tick(&f->p, f->now + (uint64_t)i * S);
		assert_false(counted(f, &key, 5));
	}
	pipeline_tick(&f->p, f->now + 100 * S);
	assert_true(counted(f, &key, 5));
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, NULL), 5);
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 0);
	/* it came after all: what is counted from now on has its name */
	sample(f, 10, &key, "SELECT a FROM t");
	assert_true(counted(f, &key, 7));
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, NULL), 7);
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 2);
}

/* Keys that turn out to be one series: literals of another length, another peer that is the same server. */
static void test_keys_are_merged(void **state)
{
	struct fixture *f = *state;
	unsigned series;

	begin(f);
	process(f, 10, 7, "shop");
	process(f, 11, 8, "shop"); /* another number of the same service */
	for (uint64_t i = 0; i < 10; i++) {
		struct hist_key key = sql_key(i, i % 2 ? 7 : 8);

		sample(f, i % 2 ? 10 : 11, &key, "SELECT a FROM t");
		assert_true(counted(f, &key, 3));
	}
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, &series), 30);
	assert_int_equal(series, 1);
}

static void test_series_limit(void **state)
{
	struct fixture *f = *state;
	unsigned series, overflow = 0;
	uint64_t in_overflow = 0;

	begin(f);
	process(f, 10, 7, "shop");
	for (uint64_t i = 0; i < METRICS_SERIES_MAX + 500; i++) {
		struct hist_key key = sql_key(i, 7);
		char sql[64];

		snprintf(sql, sizeof(sql), "SELECT a FROM t%u", (unsigned)i);
		sample(f, 10, &key, sql);
		assert_true(counted(f, &key, 2));
	}
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, &series), 2 * (METRICS_SERIES_MAX + 500));
	assert_int_equal(series, METRICS_SERIES_MAX + 1);
	for (size_t i = 0; i < f->set.n; i++)
		if (attrs_find(&f->set.v[i].attrs, ATTR_OTEL_METRIC_OVERFLOW)) {
			overflow++;
			in_overflow += f->set.v[i].histogram.count;
		}
	assert_int_equal(overflow, 1);
	assert_int_equal(in_overflow, 1000);
}

/* The kernel's own table was full. */
static void test_kernel_overflow(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(HIST_OPERATION_OVERFLOW, 7);

	begin(f);
	process(f, 10, 7, "shop");
	assert_true(counted(f, &key, 5));
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, NULL), 5);
	for (size_t i = 0; i < f->set.n; i++)
		if (f->set.v[i].metric == METRIC_DB_CLIENT_OPERATION_DURATION)
			assert_non_null(attrs_find(&f->set.v[i].attrs, ATTR_OTEL_METRIC_OVERFLOW));
}

/* Durations that user space measures on streaming connections go to the same series. */
static void test_measured_here(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);
	char message[64];
	union rec r;

	begin(f);
	rec_operation(&r, 0, 2, &key, message, rec_pg(message, 'Q', "SELECT a FROM t", 16));
	r.header.tgid = 10;
	metrics_measure(f->p.metrics, &key, 3000000, HIST_NO_AMOUNT, &r.operation); /* nobody knows service 7 yet */
	metrics_measure(f->p.metrics, &key, 3000000, HIST_NO_AMOUNT, &r.operation);
	process(f, 10, 7, "shop");
	metrics_measure(f->p.metrics, &key, 4000000, HIST_NO_AMOUNT, &r.operation);
	assert_true(counted(f, &key, 4));
	collect(f);
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 7);
}

static const struct metric_point *point_of(struct fixture *f, enum metric_id metric)
{
	for (size_t i = 0; i < f->set.n; i++)
		if (f->set.v[i].metric == metric)
			return &f->set.v[i];
	return NULL;
}

/* Rows of a statement are a metric of their own, with the same attributes. */
static void test_returned_rows(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);
	const struct metric_point *p;
	struct recording_histogram h;

	begin(f);
	process(f, 10, 7, "shop");
	sample(f, 10, &key, "SELECT a FROM t");
	rec_histogram(&h, &key, 2000000, 3);
	assert_int_equal(pipeline_feed_histogram(&f->p, &h, NULL), 0);
	collect(f);
	assert_null(point_of(f, METRIC_DB_CLIENT_RESPONSE_RETURNED_ROWS)); /* none of them said how many */
	rec_histogram(&h, &key, 2000000, 5);
	h.value.amount = 107;
	h.value.amounts[2] = 1;
	h.value.amounts[6] = 1;
	assert_int_equal(pipeline_feed_histogram(&f->p, &h, NULL), 0);
	collect(f);
	p = point_of(f, METRIC_DB_CLIENT_RESPONSE_RETURNED_ROWS);
	assert_non_null(p);
	assert_true(p->histogram.count == 2 && p->histogram.sum == 107 && p->histogram.bounds_n == 13);
	assert_true(p->histogram.explicit_counts[2] == 1 && p->histogram.explicit_counts[6] == 1);
	assert_true(bytes_eq(attrs_find(&p->attrs, ATTR_DB_QUERY_SUMMARY)->s, bytes_str("SELECT t")));
	assert_int_equal(count_of(f, "shop", "SELECT t", NULL), 5);
}

static void test_transactions(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(0, 7);
	const struct metric_point *p;
	struct recording_histogram h;

	begin(f);
	process(f, 10, 7, "shop");
	key.method = HIST_TRANSACTION;
	key.status = TRANSACTION_ROLLBACK;
	sample(f, 10, &key, "ROLLBACK");
	rec_histogram(&h, &key, 2000000, 4);
	h.value.amount = 20;
	h.value.amounts[2] = 4;
	assert_int_equal(pipeline_feed_histogram(&f->p, &h, NULL), 0);
	key.method = HIST_TRANSACTION_IDLE;
	sample(f, 10, &key, "ROLLBACK");
	assert_true(counted(f, &key, 4));
	collect(f);
	p = point_of(f, METRIC_SONDE_DB_CLIENT_TRANSACTION_DURATION);
	assert_non_null(p);
	assert_true(p->histogram.count == 4 && p->histogram.bounds_n == metric_bounds_db_n);
	assert_true(bytes_eq(attrs_find(&p->attrs, ATTR_SONDE_DB_TRANSACTION_OUTCOME)->s, bytes_str("rollback")));
	assert_null(attrs_find(&p->attrs, ATTR_DB_QUERY_SUMMARY));
	p = point_of(f, METRIC_SONDE_DB_CLIENT_TRANSACTION_STATEMENTS);
	assert_non_null(p);
	assert_true(p->histogram.count == 4 && p->histogram.sum == 20);
	p = point_of(f, METRIC_SONDE_DB_CLIENT_TRANSACTION_IDLE_TIME);
	assert_non_null(p);
	assert_int_equal(p->histogram.count, 4);
	assert_null(point_of(f, METRIC_DB_CLIENT_OPERATION_DURATION));
}

static void test_last_reading_takes_all(void **state)
{
	struct fixture *f = *state;
	struct hist_key unnamed = sql_key(1, 7), nobodys = sql_key(2, 99);

	begin(f);
	process(f, 10, 7, "shop");
	metrics_last(f->p.metrics);
	assert_true(counted(f, &unnamed, 5));
	assert_true(counted(f, &nobodys, 6));
	collect(f);
	assert_int_equal(count_of(f, "shop", NULL, NULL), 5);
	assert_int_equal(count_of(f, NULL, NULL, NULL), 11);
}

static void test_excluded_is_not_counted(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);
	struct config_rule *rule = calloc(1, sizeof(*rule));

	rule->executable = strdup("x");
	f->config->exclude = rule;
	f->config->exclude_n = 1;
	begin(f);
	process(f, 10, 7, "shop");
	sample(f, 10, &key, "SELECT a FROM t");
	counted(f, &key, 5);
	metrics_last(f->p.metrics);
	assert_true(counted(f, &key, 5));
	collect(f);
	assert_int_equal(count_of(f, NULL, NULL, NULL), 0);
}

/* The exporters' view: buckets, bounds and unit. */
static void test_point(void **state)
{
	struct fixture *f = *state;
	struct hist_key key = sql_key(1, 7);
	const struct metric_point *p = NULL;
	uint64_t slots = 0;

	begin(f);
	process(f, 10, 7, "shop");
	sample(f, 10, &key, "SELECT a FROM t");
	assert_true(counted(f, &key, 5)); /* of 2 ms each */
	collect(f);
	for (size_t i = 0; i < f->set.n; i++)
		if (f->set.v[i].metric == METRIC_DB_CLIENT_OPERATION_DURATION)
			p = &f->set.v[i];
	assert_non_null(p);
	assert_float_equal(p->histogram.sum, 0.010, 1e-9);
	assert_ptr_equal(p->histogram.bounds, metric_bounds_db);
	assert_int_equal(p->histogram.explicit_counts[1], 5); /* above 1 ms, up to 5 ms */
	assert_int_equal(p->histogram.scale, 3);
	for (uint32_t i = 0; i < p->histogram.slots_n; i++)
		slots += p->histogram.slots[i];
	assert_int_equal(slots, 5);
	assert_true(metric_quantile(&p->histogram, 0.5) >= 0.002 && metric_quantile(&p->histogram, 0.5) < 0.0022);
	assert_int_equal(p->start, REC_START + REC_OFFSET);
}

static uint64_t self_value(struct fixture *f, enum metric_id metric, const char *reason)
{
	for (size_t i = 0; i < f->set.n; i++) {
		const struct attr *a = attrs_find(&f->set.v[i].attrs, ATTR_REASON);

		if (f->set.v[i].metric == metric && (!reason || (a && bytes_eq(a->s, bytes_str(reason)))))
			return f->set.v[i].counter;
	}
	fail_msg("no point of %s %s", metric_defs[metric].name, reason ? reason : "");
	return 0;
}

static void test_own_metrics(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->p.kernel[KERNEL_spans_seen] = 100;
	f->p.kernel[KERNEL_ring_full] = 7;
	f->p.kernel[KERNEL_conn_table_full] = 3;
	ledger_add(f->ledger, USER_spans_streamed, 20);
	ledger_add(f->ledger, USER_spans_exported, 110);
	ledger_add(f->ledger, USER_shutdown, 3);
	collect(f);
	assert_int_equal(self_value(f, METRIC_SONDE_SPANS_SEEN, NULL), 120);
	assert_int_equal(self_value(f, METRIC_SONDE_SPANS_EXPORTED, NULL), 110);
	assert_int_equal(self_value(f, METRIC_SONDE_SPANS_DROPPED, "ring_full"), 7);
	assert_int_equal(self_value(f, METRIC_SONDE_SPANS_DROPPED, "shutdown"), 3);
	assert_int_equal(self_value(f, METRIC_SONDE_EVENTS, "conn_table_full"), 3); /* connections, not spans */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_name_before_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_before_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_sample, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_series_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_measured_here, setup, teardown),
		cmocka_unit_test_setup_teardown(test_returned_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_reading_takes_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_excluded_is_not_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_point, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_metrics, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
