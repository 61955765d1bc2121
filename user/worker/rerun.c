/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/rerun.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "channel/messages.h"
#include "source/replay.h"
#include "util/clock.h"
#include "util/hashmap.h"
#include "util/log.h"
#include "worker/finish.h"

#define TICK_NS 20000000ULL
#define FLUSH_MS 10000
#define PATIENCE_MS 10000 /* a file gives spans faster than a network takes them: how long one waits for room */

struct rerun {
	struct pipeline pipeline;
	struct replay *replay;
	struct outbox *out;   /* to nobody */
	struct hashmap *late; /* hist_key -> hist_value: histograms that nobody could be given when they came */
	uint64_t now, ticked;
};

static bool identity(struct rerun *r, const struct replay_record *rec)
{
	const struct recording_identity *id = rec->payload;
	struct bytes data, facts[PROGRAM_FACTS];

	_Static_assert(sizeof(id->len) / sizeof(id->len[0]) == PROGRAM_FACTS, "one length for each fact");
	if (rec->size < sizeof(*id))
		return false;
	data = bytes_of(id->data, rec->size - sizeof(*id));
	for (size_t i = 0; i < PROGRAM_FACTS; i++)
		if (!bytes_get(&data, id->len[i], &facts[i]))
			return false;
	processes_identity(r->pipeline.processes, id->tgid, facts, rec->time);
	return true;
}

static bool histogram(struct rerun *r, const struct replay_record *rec)
{
	struct recording_histogram h = { 0 };
	struct hist_value *late;
	bool taken;

	if (rec->size != sizeof(h) && rec->size != RECORDING_HISTOGRAM_SHORT)
		return false;
	memcpy(&h, rec->payload, rec->size);
	if (pipeline_feed_histogram(&r->pipeline, &h, &taken) || taken) {
		hashmap_remove(r->late, &h.key);
		return true;
	}
	late = hashmap_put(r->late, &h.key, NULL);
	if (late)
		*late = h.value;
	return true;
}

static bool message(struct rerun *r, const struct replay_record *rec)
{
	uint32_t kind;

	if (rec->size < sizeof(struct message_plain))
		return false;
	memcpy(&kind, rec->payload, sizeof(kind));
	if ((kind == MESSAGE_PROCESS && rec->size != sizeof(struct message_process)) ||
	    (kind == MESSAGE_SOCKET && rec->size != sizeof(struct message_socket)))
		return false;
	pipeline_message(&r->pipeline, rec->payload, rec->size, rec->time);
	return true;
}

static bool reading(struct rerun *r, const struct replay_record *rec)
{
	struct metric_set set = { 0 };
	size_t n = rec->size / sizeof(uint64_t);

	if (rec->size % sizeof(uint64_t))
		return false;
	if (n > KERNEL_COUNTER_COUNT) /* made by a later version, which counts more */
		n = KERNEL_COUNTER_COUNT;
	memcpy(r->pipeline.kernel, rec->payload, n * sizeof(uint64_t));
	pipeline_collect(&r->pipeline, rec->time, &set);
	outputs_metrics(&r->pipeline.outputs, &set);
	metric_set_free(&set);
	return true;
}

static bool one(struct rerun *r, const struct replay_record *rec)
{
	/* times of a file may be anything: they only ever move on, and by no more than a day at once */
	if (rec->time > r->now && rec->time - r->now < 86400ULL * 1000000000ULL)
		r->now = rec->time;
	if (r->now >= r->ticked + TICK_NS) {
		r->ticked = r->now;
		pipeline_tick(&r->pipeline, r->now);
		outputs_tick(&r->pipeline.outputs, clock_monotonic());
	}
	switch (rec->type) {
	case RECORDING_EVENT:
		pipeline_record(&r->pipeline, rec->payload, rec->size, r->now);
		return true;
	case RECORDING_MESSAGE:
		return message(r, rec);
	case RECORDING_IDENTITY:
		return identity(r, rec);
	case RECORDING_HISTOGRAM:
		return histogram(r, rec);
	case RECORDING_READING:
		return reading(r, rec);
	}
	return false;
}

static int run(struct rerun *r)
{
	struct replay_record rec;
	struct hist_value *v;
	void *cursor = NULL;
	const void *key;
	int e;

	while ((e = replay_next(r->replay, &rec)) == 1)
		if (!one(r, &rec)) {
			e = -EBADMSG;
			break;
		}
	metrics_last(r->pipeline.metrics);
	while ((v = hashmap_next(r->late, &cursor, &key))) {
		struct recording_histogram h = { *(const struct hist_key *)key, *v };
		bool taken;

		pipeline_feed_histogram(&r->pipeline, &h, &taken);
	}
	finish(&r->pipeline, r->now, FLUSH_MS);
	return e;
}

static void explain(int e, uint64_t offset)
{
	if (e == -EPROTONOSUPPORT)
		log_error("this file is not a recording. Make one with: sonde run --record FILE");
	else if (e == -EPROTO)
		log_error("this recording was made by another version of Sonde, or on a machine of another byte order");
	else if (e == -EBADMSG)
		log_error("the recording is damaged or cut off at byte %" PRIu64 "; what came before it was replayed",
			  offset);
	else
		log_error("cannot read the recording: %s", strerror(-e));
}

int rerun(const struct config *cfg, struct ledger *ledger, int fd)
{
	struct rerun r = { 0 };
	int e = replay_new(fd, &r.replay);

	if (e) {
		explain(e, 0);
		return 2; /* what was asked for is not there: as a mistake in the configuration */
	}
	r.now = replay_header(r.replay)->started;
	r.late = hashmap_new(sizeof(struct hist_key), sizeof(struct hist_value), 2 * (size_t)cfg->max_keys, NULL, NULL);
	r.out = outbox_new(-1);
	e = -ENOMEM;
	if (r.late && r.out)
		e = pipeline_open(&r.pipeline, cfg, ledger, replay_header(r.replay), r.out, -1, -1, true);
	if (!e)
		e = outputs_open(&r.pipeline.outputs, cfg, ledger, PATIENCE_MS);
	if (!e) {
		e = run(&r);
		if (e)
			explain(e, replay_offset(r.replay));
	}
	pipeline_close(&r.pipeline);
	hashmap_free(r.late);
	outbox_free(r.out);
	replay_free(r.replay);
	return e ? 1 : 0;
}
