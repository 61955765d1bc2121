/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over HTTP with protobuf: spans and metrics, each to its own endpoint with its own thread. */
#include <errno.h>
#include <stdlib.h>

#include "export/exporter.h"
#include "export/mailbox.h"
#include "export/otlp_delta.h"
#include "export/otlp_encode.h"
#include "export/otlp_send.h"
#include "export/queue.h"
#include "util/clock.h"
#include "util/log.h"

#define QUEUE_BYTES (8u << 20) /* of spans that wait, beside the bound on their number */
#define DELTA_WAIT_MS 500      /* for the last reading's fate, when the next one is due already */
#define BODIES_MAX 256	       /* requests of one reading */

struct otlp {
	const struct export_config *cfg;
	/* spans: the encoder belongs to the queue's thread */
	struct otlp_sender *span_sender;
	struct otlp_encoder span_encoder;
	struct queue *queue;
	/* metrics: encoded by the caller, sent by the mailbox's thread */
	struct otlp_sender *metric_sender;
	struct otlp_encoder metric_encoder;
	struct otlp_delta *delta; /* NULL = cumulative */
	struct mailbox *mailbox;
};

static bool otlp_wanted(const struct export_config *cfg)
{
	return cfg->traces.endpoint || cfg->metrics.endpoint;
}

static void send_spans(void *context, struct span *const *v, size_t n, const struct send_deadline *deadline,
		       size_t *ret_taken, struct send_verdict *ret)
{
	struct otlp *o = context;
	struct bytes body;

	if (otlp_encode_traces(&o->span_encoder, v, n, &body, ret_taken) < 0) {
		*ret = (struct send_verdict){ .result = SEND_RETRY }; /* no memory just now */
		return;
	}
	otlp_post(o->span_sender, body, *ret_taken, "spans", deadline, ret);
}

static void send_metrics(void *context, struct bytes body, const struct send_deadline *deadline,
			 struct send_verdict *ret)
{
	struct otlp *o = context;

	otlp_post(o->metric_sender, body, 1, "readings of the metrics", deadline, ret);
}

static int open_traces(struct otlp *o, struct ledger *ledger, const char **ret_error)
{
	const struct export_config *cfg = o->cfg;
	const struct queue_options options = {
		.max_spans = cfg->queue_spans,
		.max_bytes = QUEUE_BYTES,
		.batch = cfg->batch_spans,
		.schedule_ms = cfg->schedule_ms,
		.timeout_ms = cfg->traces.timeout_ms,
		.patience_ms = cfg->patience_ms,
		.times = retry_times_default,
		.ledger = ledger,
		.send = send_spans,
		.context = o,
	};
	int r = otlp_sender_open(&cfg->traces, cfg->version, &o->span_sender, ret_error);

	if (r < 0)
		return r;
	o->span_encoder = (struct otlp_encoder){ .version = cfg->version, .request_bytes = cfg->request_bytes };
	o->queue = queue_new(&options);
	return o->queue ? 0 : -ENOMEM;
}

static int open_metrics(struct otlp *o, const char **ret_error)
{
	const struct export_config *cfg = o->cfg;
	const struct mailbox_options options = {
		.timeout_ms = cfg->metrics.timeout_ms,
		.times = retry_times_default,
		.send = send_metrics,
		.context = o,
	};
	int r = otlp_sender_open(&cfg->metrics, cfg->version, &o->metric_sender, ret_error);

	if (r < 0)
		return r;
	o->metric_encoder = (struct otlp_encoder){ .version = cfg->version,
						   .request_bytes = cfg->request_bytes,
						   .exponential = cfg->exponential };
	if (cfg->delta) {
		o->delta = otlp_delta_new(cfg->exponential);
		if (!o->delta)
			return -ENOMEM;
	}
	o->mailbox = mailbox_new(&options);
	return o->mailbox ? 0 : -ENOMEM;
}

static bool otlp_trouble(void *self, char *ret, size_t size)
{
	struct otlp *o = self;

	return (o->span_sender && otlp_sender_trouble(o->span_sender, ret, size)) ||
	       (o->metric_sender && otlp_sender_trouble(o->metric_sender, ret, size));
}

/* What went wrong at the end: nobody asks for it any more. */
static void tell_last_trouble(struct otlp *o)
{
	char line[512];

	for (int i = 0; i < 4 && otlp_trouble(o, line, sizeof(line)); i++)
		log_warn("%s", line);
}

static void otlp_close(void *self, uint32_t timeout_ms)
{
	struct otlp *o = self;
	uint64_t now = clock_monotonic(), until = now + timeout_ms * 1000000ULL;

	queue_close(o->queue, timeout_ms); /* the mailbox's thread goes on meanwhile */
	now = clock_monotonic();
	mailbox_close(o->mailbox, now < until ? (uint32_t)((until - now) / 1000000) : 0);
	tell_last_trouble(o);
	otlp_sender_close(o->span_sender);
	otlp_sender_close(o->metric_sender);
	otlp_encoder_free(&o->span_encoder);
	otlp_encoder_free(&o->metric_encoder);
	otlp_delta_free(o->delta);
	free(o);
}

static int otlp_open(const struct export_config *cfg, struct ledger *ledger, void **ret_self, const char **ret_error)
{
	struct otlp *o = calloc(1, sizeof(*o));
	const char *error = "out of memory";
	int r = o ? 0 : -ENOMEM;

	if (o)
		o->cfg = cfg;
	if (r == 0 && cfg->traces.endpoint)
		r = open_traces(o, ledger, &error);
	if (r == 0 && cfg->metrics.endpoint)
		r = open_metrics(o, &error);
	if (r < 0) {
		if (o)
			otlp_close(o, 0);
		*ret_error = error;
		return r;
	}
	*ret_self = o;
	return 0;
}

static void otlp_spans(void *self, struct span *const *v, size_t n)
{
	struct otlp *o = self;

	if (o->queue)
		queue_push(o->queue, v, n);
}

static void otlp_metrics(void *self, const struct metric_set *set)
{
	struct otlp *o = self;
	struct buf *bodies;
	size_t at = 0, n = 0, settled = 0;

	if (!o->mailbox || !set->n)
		return;
	if (o->delta) {
		if (!mailbox_settled(o->mailbox, DELTA_WAIT_MS, &settled))
			return; /* the next reading covers this interval too */
		otlp_delta_begin(o->delta, settled);
	}
	bodies = calloc(BODIES_MAX, sizeof(*bodies));
	if (!bodies)
		return;
	while (at < set->n && n < BODIES_MAX) {
		size_t taken;

		if (otlp_encode_metrics(&o->metric_encoder, set->v + at, set->n - at, set->time, o->delta, n,
					&bodies[n], &taken) < 0)
			break; /* no memory: what is missing comes with the next reading */
		at += taken;
		n += bodies[n].n > 0;
	}
	if (n < BODIES_MAX)
		buf_free(&bodies[n]);
	if (n)
		mailbox_put(o->mailbox, bodies, n);
	else
		free(bodies);
}

const struct exporter exporter_otlp = {
	.name = "otlp",
	.wanted = otlp_wanted,
	.open = otlp_open,
	.spans = otlp_spans,
	.metrics = otlp_metrics,
	.close = otlp_close,
	.trouble = otlp_trouble,
};
