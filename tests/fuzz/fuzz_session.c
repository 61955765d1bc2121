/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any records at all, as far as decode lets them pass, through trace assembly: nothing is lost without being counted,
 * and what comes out has ids, times in order and an error only with its type. Pieces: kind, size (2 bytes), bytes of
 * the record behind its header; kind 0 lets time pass.
 */
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "session/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct resource *resource;
static uint64_t emitted;

static struct resource *on_resource(void *ctx, uint32_t tgid, uint32_t service)
{
	(void)ctx;
	(void)service;
	return tgid == 3 ? NULL : resource;
}

static void on_emit(void *ctx, struct span *const *v, size_t n)
{
	(void)ctx;
	emitted += n;
	for (size_t i = 0; i < n; i++) {
		const struct span *s = v[i];

		if (s->end < s->start || !s->name.n || span_id_zero(&s->id) || trace_id_zero(&s->trace) ||
		    (s->kind != SPAN_SERVER && s->kind != SPAN_CLIENT) ||
		    (s->status == SPAN_ERROR) != (attrs_find(&s->attrs, ATTR_ERROR_TYPE) != NULL))
			abort();
	}
}

static void on_measure(void *ctx, const struct hist_key *key, uint64_t ns, uint64_t amount,
		       const struct event_operation *sample)
{
	struct attrs at = { 0 };
	enum metric_id metric;
	bool ignore;

	(void)key;
	(void)ns;
	(void)amount;
	assembly_operation(ctx, sample, &at, &metric, &ignore);
	attrs_free(&at);
}

static void give(struct assembly *a, uint8_t kind, const uint8_t *data, size_t n, uint64_t time)
{
	size_t size = sizeof(struct event_header) + n;
	const struct event_header *checked;
	struct event_header *h = malloc(size);

	if (!h)
		abort();
	*h = (struct event_header){ .size = (uint32_t)size, .kind = kind, .version = EVENT_VERSION, .time = time };
	if (n) {
		memcpy(h + 1, data, n);
		h->conn = data[0] & 7;
		h->tgid = data[0] >> 4 & 3;
	}
	if (decode_event(h, size, &checked) == 0) {
		if (kind == EVENT_OPERATION)
			on_measure(a, NULL, 0, 0, (const struct event_operation *)checked);
		else
			assembly_event(a, checked);
	}
	free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct assembly_config cfg = { .hold_ns = 1000, .max_held = 16, .max_conns = 8, .query_text_max = 100 };
	static struct ledger ledger;
	uint64_t time = 1, came, went;
	struct assembly *a;

	if (n < 1)
		return 0;
	if (!resource) {
		resource = resource_new();
		attrs_str(&resource->attrs, "service.name", bytes_str("s"), 0);
	}
	cfg.sampler = data[0] % 6;
	cfg.ratio = 0.5;
	cfg.alias_peer_service = data[0] & 64;
	memset(&ledger, 0, sizeof(ledger));
	emitted = 0;
	a = assembly_new(&cfg, &ledger, on_resource, on_emit, NULL);
	if (!a)
		abort();
	assembly_set_measure(a, on_measure, a);
	assembly_tick(a, 1, 1000000);
	data++;
	n--;
	while (n >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2];
		uint8_t kind = data[0];

		data += 3;
		n -= 3;
		len = len < n ? len : n;
		if (kind)
			give(a, kind, data, len, ++time);
		else
			assembly_tick(a, time += len, 1000000);
		data += len;
		n -= len;
	}
	assembly_flush(a);
	assembly_free(a);
	came = ledger_get(&ledger, USER_spans_received) + ledger_get(&ledger, USER_spans_streamed);
	went = emitted + ledger_get(&ledger, USER_not_selected) + ledger_get(&ledger, USER_not_sampled) +
	       ledger_get(&ledger, USER_not_a_statement);
	/* undecodable also counts records of streams, which are no spans */
	if (went > came || went + ledger_get(&ledger, USER_undecodable) < came)
		abort();
	return 0;
}
