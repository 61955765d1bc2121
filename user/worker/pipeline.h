/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages behind the sources, wired together: what a live run and a replay have in common. Fed from one thread with
 * records, histogram growth and the passing of time; everything else follows.
 */
#ifndef SONDE_WORKER_PIPELINE_H
#define SONDE_WORKER_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "drops.h"
#include "source/histmap.h"
#include "source/record.h"
#include "util/ledger.h"
#include "worker/libraries.h"
#include "worker/metrics.h"
#include "worker/outputs.h"
#include "worker/pools.h"
#include "worker/processes.h"
#include "worker/self.h"

struct pipeline {
	const struct config *config;
	struct ledger *ledger;
	struct recording_header facts; /* of the host that was observed */
	char host_id[64];
	struct program_host host;
	struct outbox *out;
	struct outputs outputs;
	struct processes *processes;
	struct libraries *libraries; /* NULL in a replay: nothing can be attached */
	struct assembly *assembly;
	struct metrics *metrics;
	struct pools *pools;
	struct histmap *histmap;
	struct self *self;
	struct recorder *recorder; /* NULL: not recording */
	int64_t realtime_offset;   /* ns; CLOCK_REALTIME - CLOCK_MONOTONIC */
	uint64_t started;	   /* CLOCK_MONOTONIC ns */
	uint64_t kernel[KERNEL_COUNTER_COUNT];
	struct hist_key dead[64]; /* found dead in this reading */
	size_t dead_n;
	bool record_failed;
};

/*
 * p->outputs must be set before the first record. facts: of the observed host. out: to the keeper. histograms: the
 * map's descriptor, -1 in a replay. record: descriptor of a file to record to, or -1. 0, or a negative errno after
 * telling the user why; then pipeline_close() is due all the same.
 */
int pipeline_open(struct pipeline *p, const struct config *cfg, struct ledger *ledger,
		  const struct recording_header *facts, struct outbox *out, int histograms, int record, bool replay);
void pipeline_close(struct pipeline *p);

/* A source_record_fn: one record of the ring, or of a recording. -EAGAIN: facts about its process are on their way. */
int pipeline_record(struct pipeline *p, const void *data, size_t size, uint64_t now);
void pipeline_message(struct pipeline *p, const void *message, size_t size, uint64_t now);
void pipeline_tick(struct pipeline *p, uint64_t now);
/* Takes in the histograms; the counters are in p->kernel. last: all that is left, whatever is known of it. */
void pipeline_read_histograms(struct pipeline *p, bool last, uint64_t now);
/* A histogram from a recording. *ret_taken is false when it is not known yet whose it is. -ENOMEM. */
int pipeline_feed_histogram(struct pipeline *p, const struct recording_histogram *h, bool *ret_taken);
/* All metrics as of now. The caller frees what *ret holds. */
void pipeline_collect(struct pipeline *p, uint64_t now, struct metric_set *ret);

#endif
