/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "channel/messages.h"
#include "config/config.h"
#include "source/counters.h"
#include "source/ringbuf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/code_pages.h"
#include "util/log.h"
#include "worker/banner.h"
#include "worker/finish.h"
#include "worker/pipeline.h"
#include "worker/rerun.h"
#include "worker/sandbox.h"

#define MS 1000000ULL
#define TURN_MS \
	10 /* how long records wait in the ring: a wake-up by the kernel side costs as much as a hundred of them */
#define RECORDS_PER_TURN 4096
#define MESSAGES_PER_TURN 256
#define TICK_NS (20 * MS)
#define SCAN_NS (2000 * MS) /* how long the first records wait for the start scan, and the first lines for names */
#define READING_NS (15000 * MS)
#define OFFSET_NS (10000 * MS)
#define DRAIN_NS (1000 * MS)
#define STARTED_NS (2000 * MS)
#define TRIM_NS (10000 * MS)
#define TEXT_MAX (128u << 10) /* of one /proc file */
#define EXIT_SETUP 2	      /* starting again would end the same way; see EXIT_CONFIG of the keeper */

struct worker {
	const struct config *cfg;
	const struct worker_handles *h;
	struct pipeline pipeline;
	struct outbox *out;
	struct source *source;
	struct banner *banner;	 /* NULL once it was printed */
	uint64_t began, scanned; /* CLOCK_MONOTONIC ns; scanned: 0 = not yet */
	uint64_t ticked, read, exported, measured, trimmed;
	bool held; /* the next record waits for facts about its process */
	bool stop;
	uint32_t flush_ms;
	_Alignas(8) char message[MESSAGE_MAX];
};

/* --- messages of the keeper --- */

static void read_text(int fd, struct buf *ret)
{
	while (ret->n < TEXT_MAX && buf_reserve(ret, 4096)) {
		ssize_t n = read(fd, ret->p + ret->n, 4096);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		ret->n += (size_t)n;
	}
}

static void on_opened(struct worker *w, const struct message_opened *m, int fd, uint64_t now)
{
	struct buf text = { 0 };

	if (m->token & LIBRARIES_TOKEN) {
		libraries_opened(w->pipeline.libraries, m, fd);
		return;
	}
	if (fd >= 0)
		read_text(fd, &text);
	processes_opened(w->pipeline.processes, m, buf_bytes(&text), now);
	buf_free(&text);
}

static void on_message(struct worker *w, size_t size, int fd, uint64_t now)
{
	const struct message_plain *m = (const void *)w->message;

	if (size < sizeof(*m))
		return;
	switch (m->kind) {
	case MESSAGE_OPENED:
		if (size == sizeof(struct message_opened))
			on_opened(w, (const void *)w->message, fd, now);
		return;
	case MESSAGE_ATTACHED:
		if (size == sizeof(struct message_attached))
			libraries_attached(w->pipeline.libraries, (const void *)w->message);
		return;
	case MESSAGE_STOP:
		w->stop = true;
		w->flush_ms = m->value;
		return;
	case MESSAGE_SCANNED:
		w->scanned = now;
		break;
	case MESSAGE_SOCKET:
		if (w->banner && size == sizeof(struct message_socket))
			banner_socket(w->banner, (const void *)w->message);
		break;
	}
	pipeline_message(&w->pipeline, w->message, size, now);
}

static void receive(struct worker *w, uint64_t now)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		_cleanup_close_ int fd = -1;
		int n = channel_receive(w->h->channel, w->message, sizeof(w->message), &fd);

		if (n > 0) {
			on_message(w, (size_t)n, fd, now);
		} else if (n == 0) { /* the keeper is gone, and the kernel side with it */
			w->stop = true;
			return;
		} else if (n != -EMSGSIZE) {
			return;
		}
	}
}

/* --- records of the ring --- */

static int on_record(void *context, const void *data, size_t size)
{
	struct worker *w = context;
	int r = pipeline_record(&w->pipeline, data, size, clock_monotonic());

	w->held = r == -EAGAIN;
	return r;
}

/* True when there may be more. */
static bool take_records(struct worker *w, uint64_t now)
{
	int n;

	if (!w->scanned && now < w->began + SCAN_NS)
		return false; /* who the processes are comes first */
	w->held = false;
	n = source_poll(w->source, RECORDS_PER_TURN);
	if (n < 0) {
		log_error("cannot read the ring buffer: %s", strerror(-n));
		w->stop = true;
	}
	return n == RECORDS_PER_TURN;
}

/* --- time --- */

static void read_metrics(struct worker *w, uint64_t now)
{
	struct metric_set set = { 0 };

	counters_read(w->h->counters, w->pipeline.kernel);
	if (now >= w->read + READING_NS || now >= w->exported + w->cfg->metric_interval_ms * MS) {
		w->read = now;
		pipeline_read_histograms(&w->pipeline, false, now);
	}
	if (now < w->exported + w->cfg->metric_interval_ms * MS)
		return;
	w->exported = now;
	pipeline_collect(&w->pipeline, now, &set);
	outputs_metrics(&w->pipeline.outputs, &set);
	metric_set_free(&set);
}

/* Says who is watched as soon as it is known, and tells the keeper that observing may begin. */
static void get_ready(struct worker *w, uint64_t now)
{
	struct message_plain ready = { .kind = MESSAGE_READY };

	if (!w->banner || !w->scanned)
		return;
	if (now < w->scanned + SCAN_NS &&
	    (banner_waits(w->banner, w->pipeline.processes) || !libraries_settled(w->pipeline.libraries)))
		return;
	if (!w->h->restarts)
		banner_print(w->banner, w->pipeline.processes, w->cfg, outputs_lines_fd(&w->pipeline.outputs),
			     w->h->started, now);
	banner_free(TAKE_PTR(w->banner));
	outbox_send(w->out, &ready, sizeof(ready));
}

/* What the start needed, and what a burst of traffic did. */
static void give_memory_back(struct worker *w, uint64_t now)
{
	if (now < w->trimmed + (w->trimmed == w->began ? STARTED_NS : TRIM_NS))
		return;
	w->trimmed = now;
	malloc_trim(0);
	code_pages_give_back();
}

static void on_time(struct worker *w, uint64_t now)
{
	outbox_flush(w->out);
	if (now < w->ticked + TICK_NS)
		return;
	w->ticked = now;
	if (now >= w->measured + OFFSET_NS) {
		w->measured = now;
		w->pipeline.realtime_offset = clock_offset();
	}
	get_ready(w, now);
	give_memory_back(w, now);
	pipeline_tick(&w->pipeline, now);
	outputs_tick(&w->pipeline.outputs, now);
	if (now >= w->read + READING_NS || now >= w->exported + w->cfg->metric_interval_ms * MS)
		read_metrics(w, now);
}

/* --- the run --- */

static void loop(struct worker *w)
{
	struct pollfd channel = { .fd = w->h->channel, .events = POLLIN };
	bool more = false;

	while (!w->stop) {
		uint64_t now;

		poll(&channel, 1, more ? 0 : TURN_MS);
		now = clock_monotonic();
		more = take_records(w, now); /* first: a process is known by the time that it mapped a library */
		receive(w, now);
		on_time(w, now);
	}
}

/* What is in the ring when observing ends still counts. */
static void drain(struct worker *w)
{
	uint64_t deadline = clock_monotonic() + DRAIN_NS;
	struct pollfd channel = { .fd = w->h->channel, .events = POLLIN };
	uint64_t now = clock_monotonic();

	w->began = 0; /* no record waits for the scan any more */
	while (now < deadline && (source_poll(w->source, RECORDS_PER_TURN) > 0 || w->held)) {
		if (w->held) {
			w->held = false;
			poll(&channel, 1, 1);
			receive(w, now);
		}
		outbox_flush(w->out);
		outputs_tick(&w->pipeline.outputs, now);
		now = clock_monotonic();
	}
}

static int open_worker(struct worker *w, struct ledger *ledger)
{
	struct recording_header facts;
	int r;

	recording_describe(&facts, w->h->started);
	facts.realtime_offset = w->h->realtime_offset;
	w->out = outbox_new(w->h->channel);
	w->banner = banner_new();
	if (!w->out || !w->banner) {
		log_error("cannot start: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	r = pipeline_open(&w->pipeline, w->cfg, ledger, &facts, w->out, w->h->histograms, w->h->record, false);
	if (r)
		return r;
	metrics_keep_names(w->pipeline.metrics, w->h->names);
	r = source_new(w->h->ring, on_record, w, &w->source);
	if (r) {
		log_error("cannot map the ring buffer: %s", strerror(-r));
		return r;
	}
	r = fcntl(w->h->channel, F_SETFL, O_NONBLOCK) ? -errno : 0;
	if (!r)
		r = sandbox_enter(w->h->keeps_bpf);
	if (r) {
		log_error("cannot give up privileges: %s", strerror(-r));
		return r;
	}
	r = outputs_open(&w->pipeline.outputs, w->cfg, ledger, 0);
	if (r)
		return r;
	w->began = w->ticked = w->read = w->exported = w->measured = w->trimmed = clock_monotonic();
	return 0;
}

int worker_main(const struct config *cfg, struct ledger *ledger, const struct worker_handles *h)
{
	static struct worker w; /* large, and there is one */
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (h->replay >= 0)
		return rerun(cfg, ledger, h->replay);
	/* Ctrl-C goes to the whole foreground group; the keeper decides when this process ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	w = (struct worker){ .cfg = cfg, .h = h, .flush_ms = 1000 };
	r = open_worker(&w, ledger);
	if (!r) {
		loop(&w);
		drain(&w);
		counters_read(h->counters, w.pipeline.kernel);
		finish(&w.pipeline, clock_monotonic(), w.flush_ms);
	}
	source_free(w.source);
	pipeline_close(&w.pipeline);
	banner_free(w.banner);
	outbox_free(w.out);
	return r ? EXIT_SETUP : 0;
}
