/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a recording's entries, through the whole pipeline behind the sources: records as the ring would give
 * them, messages, identities, histograms. Nothing may crash, every span that was received ends in one counter, and each
 * series counts what its buckets hold. Input: struct recording_entry and payload, again and again, as in a recording
 * behind its header.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "session/trace.h"
#include "source/record.h"
#include "util/hashmap.h"
#include "util/log.h"
#include "worker/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                        \
	do {                                                                            \
		if (!(x)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static struct config *config;
static struct ledger *ledger;
static struct outbox *out;
static uint64_t emitted;

/* A destination that looks at everything. */
static bool wanted(const struct export_config *cfg)
{
	return cfg->console;
}

static void look(void *self, struct span *const *v, size_t n)
{
	(void)self;
	for (size_t i = 0; i < n; i++) {
		CHECK(v[i]->resource && v[i]->name.n > 0);
		CHECK(v[i]->end >= v[i]->start);
		CHECK(!trace_id_zero(&v[i]->trace) && !span_id_zero(&v[i]->id));
		CHECK((v[i]->status == SPAN_ERROR) == (attrs_find(&v[i]->attrs, ATTR_ERROR_TYPE) != NULL));
	}
	emitted += n;
}

static const struct exporter looker = { .name = "looker", .wanted = wanted, .spans = look };

static void check_metrics(struct pipeline *p)
{
	struct metric_set set;

	pipeline_collect(p, p->started + 1, &set);
	for (size_t i = 0; i < set.n; i++) {
		const struct metric_histogram *h = &set.v[i].histogram;
		uint64_t explicits = 0;

		if (metric_defs[set.v[i].metric].kind != METRIC_HISTOGRAM)
			continue;
		CHECK(set.v[i].resource);
		for (uint32_t b = 0; b <= h->bounds_n; b++)
			explicits += h->explicit_counts[b];
		CHECK(h->count == explicits);
	}
	metric_set_free(&set);
}

static void feed(struct pipeline *p, const struct recording_entry *e, void *payload, uint64_t now)
{
	const struct recording_identity *id = payload;
	struct bytes data, facts[PROGRAM_FACTS];
	bool taken;

	switch (e->type) {
	case RECORDING_EVENT:
		CHECK(pipeline_record(p, payload, e->size, now) == 0);
		break;
	case RECORDING_MESSAGE:
		pipeline_message(p, payload, e->size, now);
		break;
	case RECORDING_IDENTITY:
		if (e->size < sizeof(*id))
			break;
		data = bytes_of(id->data, e->size - sizeof(*id));
		for (size_t i = 0; i < PROGRAM_FACTS; i++)
			if (!bytes_get(&data, id->len[i], &facts[i]))
				return;
		processes_identity(p->processes, id->tgid, facts, now);
		break;
	case RECORDING_HISTOGRAM:
		if (e->size == sizeof(struct recording_histogram))
			pipeline_feed_histogram(p, payload, &taken);
		break;
	default: /* time passes */
		pipeline_tick(p, now);
		break;
	}
}

static void setup(void)
{
	config = config_new();
	ledger = ledger_new();
	out = outbox_new(-1);
	CHECK(config && ledger && out);
	config->console = true;
	config->max_conns = 256;
	config->max_keys = 256;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct recording_header facts = { .size = sizeof(facts), .started = 1000000000000, .realtime_offset = 1 };
	uint64_t now = facts.started, dropped;
	struct recording_entry e;
	struct pipeline p;

	if (!config)
		setup();
	memset(ledger, 0, sizeof(*ledger));
	emitted = 0;
	CHECK(pipeline_open(&p, config, ledger, &facts, out, -1, -1, true) == 0);
	p.outputs.n = 1;
	p.outputs.v[0].exporter = &looker;
	p.outputs.v[0].spans = true;
	while (n >= sizeof(e)) {
		void *payload;
		size_t size;

		memcpy(&e, data, sizeof(e));
		data += sizeof(e);
		n -= sizeof(e);
		e.size = e.size < n ? e.size : (uint32_t)n;
		size = e.size;
		payload = malloc(size ? size : 1); /* ends where the record ends */
		CHECK(payload);
		memcpy(payload, data, size);
		size = (size + 7) & ~(size_t)7;
		data += size < n ? size : n;
		n -= size < n ? size : n;
		now += e.time % 100000000000;
		feed(&p, &e, payload, now);
		free(payload);
	}
	assembly_flush(p.assembly);
	metrics_last(p.metrics);
	check_metrics(&p);
	dropped = ledger_get(ledger, USER_not_sampled) + ledger_get(ledger, USER_not_selected) +
		  ledger_get(ledger, USER_not_a_statement) + ledger_get(ledger, USER_queue_full);
	CHECK(ledger_get(ledger, USER_spans_received) + ledger_get(ledger, USER_spans_streamed) <=
	      emitted + dropped + ledger_get(ledger, USER_undecodable));
	CHECK(emitted + dropped <= ledger_get(ledger, USER_spans_received) + ledger_get(ledger, USER_spans_streamed));
	p.outputs.n = 0;
	pipeline_close(&p);
	return 0;
}
