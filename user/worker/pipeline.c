/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "session/trace.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define STATE_LISTEN 10 /* TCP_LISTEN */

/* --- recording --- */

static void record(struct pipeline *p, enum recording_type type, uint64_t now, const void *payload, size_t size)
{
	int r = p->recorder ? recorder_add(p->recorder, type, now, payload, size) : 0;

	if (r && r != -EMSGSIZE && !p->record_failed) {
		log_warn("cannot go on recording: %s. What was written so far can be replayed", strerror(-r));
		p->record_failed = true;
	}
}

/* The environment of a new program as far as identity needs it, not as it is. */
static void process_to_keep(const struct event_process *e, struct buf *to)
{
	struct event_process head = *e;
	struct program *program = program_new(0);

	if (!program) {
		to->failed = true;
		return;
	}
	program_environment(program, bytes_of(e->data + e->args_len, e->env_len));
	head.env_len = (__u16)program->env.n;
	head.header.size = (__u32)(sizeof(head) + e->args_len + head.env_len);
	buf_add(to, bytes_of(&head, sizeof(head)));
	buf_add(to, bytes_of(e->data, e->args_len));
	buf_add(to, buf_bytes(&program->env));
	program_unref(program);
}

/* What is no traffic goes into the recording without what may be secret in it: the rest is of no use there. */
static void record_event(struct pipeline *p, const struct event_header *h, uint64_t now)
{
	struct buf copy = { 0 };

	if (!p->recorder)
		return;
	if (h->kind == EVENT_PROCESS && ((const struct event_process *)h)->env_len)
		process_to_keep((const void *)h, &copy);
	else if (h->kind == EVENT_LIBPQ_CONN)
		libpq_conn_to_keep((const void *)h, &copy);
	else
		record(p, RECORDING_EVENT, now, h, h->size);
	if (copy.n && !copy.failed)
		record(p, RECORDING_EVENT, now, copy.p, copy.n);
	buf_free(&copy);
}

static void learned(void *context, uint32_t tgid, struct program *program)
{
	struct pipeline *p = context;
	struct recording_identity head = { .tgid = tgid };
	struct buf b = { 0 };

	if (!p->recorder)
		return;
	for (size_t i = 0; i < PROGRAM_FACTS; i++)
		head.len[i] = (uint32_t)program_fact(program, i)->n;
	buf_add(&b, bytes_of(&head, sizeof(head)));
	for (size_t i = 0; i < PROGRAM_FACTS; i++)
		buf_add(&b, buf_bytes(program_fact(program, i)));
	if (!b.failed)
		record(p, RECORDING_IDENTITY, clock_monotonic(), b.p, b.n);
	buf_free(&b);
}

/* --- wiring --- */

static struct resource *resource_of(void *context, uint32_t tgid, uint32_t service)
{
	struct pipeline *p = context;

	return processes_resource(p->processes, tgid, service);
}

static void emit(void *context, struct span *const *v, size_t n)
{
	struct pipeline *p = context;

	outputs_spans(&p->outputs, v, n);
}

static void describe_host(struct pipeline *p, bool replay)
{
	_cleanup_fclose_ FILE *f = replay ? NULL : fopen("/etc/machine-id", "re");

	snprintf(p->host_id, sizeof(p->host_id), "%s", p->facts.host_id);
	if (f && fscanf(f, "%63[0-9a-f]", p->host_id) != 1)
		p->host_id[0] = '\0';
	p->host = (struct program_host){
		.host_name = bytes_str(p->facts.host_name),
		.host_id = bytes_str(p->host_id),
		.agent_attributes = bytes_str(p->config->resource_attributes),
		.agent_version = bytes_str(SONDE_VERSION),
		.boottime_to_unix = p->facts.realtime_offset - p->facts.boottime_offset,
	};
}

static int open_stages(struct pipeline *p, int histograms, bool replay)
{
	const struct config *cfg = p->config;
	struct processes_config processes = {
		.config = cfg, .host = p->host, .asks = !replay, .learned = learned, .context = p
	};
	struct assembly_config assembly = {
		.hold_ns = cfg->hold_ms * 1000000ULL,
		.max_conns = cfg->max_conns,
		.sampler = (int)cfg->sampler,
		.ratio = cfg->sampler_ratio,
		.query_text_max = cfg->query_text_max,
		.attribute_length_max = cfg->attribute_length_max,
		.spans_per_second = cfg->record || replay ? 0 : cfg->spans_per_second,
		.alias_peer_service = cfg->alias_peer_service,
	};
	uint64_t start = p->started + (uint64_t)p->realtime_offset;

	p->processes = processes_new(&processes, p->out);
	p->assembly = p->processes ? assembly_new(&assembly, p->ledger, resource_of, emit, p) : NULL;
	if (!p->assembly)
		return -ENOMEM;
	p->metrics = metrics_new(p->processes, p->assembly, cfg->max_keys, cfg->exponential, start);
	p->self = self_new(cfg->service_name, &p->host, start);
	if (!replay)
		p->libraries = libraries_new(p->processes, p->out, p->ledger);
	p->pools = pools_new(p->processes, start);
	if (!p->metrics || !p->pools || !p->self || (!replay && !p->libraries))
		return -ENOMEM;
	assembly_set_measure(p->assembly, metrics_measure, p->metrics);
	assembly_set_record(p->assembly, metrics_record, p->metrics);
	assembly_tick(p->assembly, p->started, p->realtime_offset);
	return histmap_new(histograms, 2 * (size_t)cfg->max_keys, &p->histmap);
}

int pipeline_open(struct pipeline *p, const struct config *cfg, struct ledger *ledger,
		  const struct recording_header *facts, struct outbox *out, int histograms, int record_fd, bool replay)
{
	int r;

	*p = (struct pipeline){ .config = cfg, .ledger = ledger, .facts = *facts, .out = out };
	p->realtime_offset = facts->realtime_offset;
	p->started = facts->started;
	describe_host(p, replay);
	r = open_stages(p, histograms, replay);
	if (r) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	if (record_fd >= 0) {
		r = recorder_new(record_fd, facts, &p->recorder);
		if (r) {
			log_error("cannot write the recording: %s", strerror(-r));
			return r;
		}
	}
	return 0;
}

void pipeline_close(struct pipeline *p)
{
	if (p->recorder && recorder_flush(p->recorder) && !p->record_failed)
		log_warn("the recording is not complete: its file could not be written to the end");
	recorder_free(p->recorder);
	self_free(p->self);
	histmap_free(p->histmap);
	pools_free(p->pools);
	metrics_free(p->metrics);
	libraries_free(p->libraries);
	assembly_free(p->assembly);
	processes_free(p->processes);
	*p = (struct pipeline){ 0 };
}

/* --- what comes in --- */

static uint32_t service_of(const struct event_header *h)
{
	switch (h->kind) {
	case EVENT_CONNECTION:
		return ((const struct event_connection *)(const void *)h)->service;
	case EVENT_EXCHANGE:
		return ((const struct event_exchange *)(const void *)h)->service;
	case EVENT_STREAM:
		return ((const struct event_stream *)(const void *)h)->service;
	case EVENT_CONNECT_FAILED:
		return ((const struct event_connect_failed *)(const void *)h)->service;
	case EVENT_OPERATION:
		return ((const struct event_operation *)(const void *)h)->key.service;
	default:
		return 0;
	}
}

int pipeline_record(struct pipeline *p, const void *data, size_t size, uint64_t now)
{
	const struct event_header *h;
	const struct event_connection *c;

	if (decode_event(data, size, &h)) {
		ledger_add(p->ledger, USER_events_read, 1);
		ledger_add(p->ledger, decode_is_span(data, size) ? USER_undecodable : USER_records_unread, 1);
		return 0;
	}
	if (h->kind != EVENT_PROCESS && h->kind != EVENT_CLOSE && h->kind != EVENT_STATE && h->kind != EVENT_PARENT &&
	    !processes_ready(p->processes, h->tgid, service_of(h), now))
		return -EAGAIN;
	ledger_add(p->ledger, USER_events_read, 1);
	record_event(p, h, now);
	switch (h->kind) {
	case EVENT_PROCESS:
		processes_event(p->processes, (const void *)h, now);
		return 0;
	case EVENT_OPERATION:
		metrics_operation(p->metrics, (const void *)h);
		return 0;
	case EVENT_CONNECTION:
		c = (const void *)h;
		if (c->role == ROLE_SERVER)
			processes_port(p->processes, c->service, c->local_port);
		break;
	}
	if (p->libraries)
		libraries_event(p->libraries, h);
	assembly_event(p->assembly, h);
	return 0;
}

static void on_socket(struct pipeline *p, const struct message_socket *m, uint64_t now)
{
	const struct event_header *h;
	const struct process *process = processes_find(p->processes, m->tgid);

	if (m->state == STATE_LISTEN && process)
		processes_port(p->processes, process->service, m->conn.local_port);
	processes_want(p->processes, m->tgid, now);
	if (p->libraries)
		libraries_scan(p->libraries, m->tgid);
	/* Known to the kernel side already: a worker before this one was told, and died. */
	if (m->conn.header.conn && decode_event(&m->conn, sizeof(m->conn), &h) == 0 && h->kind == EVENT_CONNECTION)
		assembly_event(p->assembly, h);
}

void pipeline_message(struct pipeline *p, const void *message, size_t size, uint64_t now)
{
	const struct message_plain *m = message;

	if (size < sizeof(*m))
		return;
	if (m->kind == MESSAGE_PROCESS && size == sizeof(struct message_process)) {
		processes_message(p->processes, message, now);
	} else if (m->kind == MESSAGE_SOCKET && size == sizeof(struct message_socket)) {
		on_socket(p, message, now);
	} else if (m->kind == MESSAGE_MAPPED && size == sizeof(struct message_mapped)) {
		if (p->libraries)
			libraries_mapped(p->libraries, message);
		return; /* means nothing to a replay */
	} else if (m->kind != MESSAGE_SCANNED) {
		return;
	}
	record(p, RECORDING_MESSAGE, now, message, size);
}

void pipeline_tick(struct pipeline *p, uint64_t now)
{
	processes_tick(p->processes, now);
	if (p->libraries)
		libraries_tick(p->libraries, now);
	assembly_tick(p->assembly, now, p->realtime_offset);
	metrics_tick(p->metrics, now);
}

/* --- metrics --- */

struct reading {
	struct pipeline *p;
	uint64_t now;
};

static bool grew(void *context, const struct hist_key *key, const struct hist_value *growth)
{
	return metrics_grew(((struct reading *)context)->p->metrics, key, growth);
}

static void value(void *context, const struct hist_key *key, const struct hist_value *v)
{
	struct reading *r = context;
	struct recording_histogram h = { *key, *v };

	record(r->p, RECORDING_HISTOGRAM, r->now, &h, sizeof(h));
}

static bool dead(void *context, const struct hist_key *key)
{
	struct pipeline *p = ((struct reading *)context)->p;

	/* what does not fit is found again by the next reading */
	if (p->dead_n == sizeof(p->dead) / sizeof(p->dead[0]) || !processes_service_dead(p->processes, key->service))
		return false;
	p->dead[p->dead_n++] = *key;
	return true;
}

void pipeline_read_histograms(struct pipeline *p, bool last, uint64_t now)
{
	struct reading r = { p, now };
	int e;

	p->dead_n = 0;
	if (last)
		metrics_last(p->metrics);
	e = histmap_read(p->histmap, last, grew, p->recorder ? value : NULL, dead, &r);
	if (e)
		log_warn("cannot read all histograms: %s", strerror(-e));
	for (size_t i = 0; i < p->dead_n; i++)
		metrics_forget(p->metrics, &p->dead[i]);
}

int pipeline_feed_histogram(struct pipeline *p, const struct recording_histogram *h, bool *ret_taken)
{
	struct reading r = { p, 0 };

	return histmap_feed(p->histmap, &h->key, &h->value, grew, &r, ret_taken);
}

void pipeline_collect(struct pipeline *p, uint64_t now, struct metric_set *ret)
{
	record(p, RECORDING_READING, now, p->kernel, sizeof(p->kernel));
	*ret = (struct metric_set){ .time = now + (uint64_t)p->realtime_offset };
	metrics_collect(p->metrics, ret);
	pools_collect(p->pools, p->assembly, ret);
	self_collect(p->self, p->kernel, p->ledger, ret);
}
