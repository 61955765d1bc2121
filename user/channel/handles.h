/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper hands to a worker when it forks it. */
#ifndef SONDE_CHANNEL_HANDLES_H
#define SONDE_CHANNEL_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct ledger;

/* Descriptors and facts the keeper hands over at fork. Descriptors are -1 when absent (replay). */
struct worker_handles {
	int channel;		 /* SOCK_SEQPACKET to the keeper */
	int ring;		 /* BPF ring buffer map */
	int histograms;		 /* per-CPU hash struct hist_key -> struct hist_value */
	int counters;		 /* per-CPU array of __u64, enum kernel_counter */
	int record;		 /* file to keep raw events in */
	int replay;		 /* file to read events from instead of the ring */
	int names;		 /* anonymous file where workers keep the names of histogram keys (worker/names.h) */
	unsigned restarts;	 /* 0 at first start */
	int64_t realtime_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC at the first start: every worker's series begin at
				    one time */
	uint64_t started;	 /* CLOCK_MONOTONIC ns: when observing began (kept over restarts) */
	bool keeps_bpf;		 /* old kernel: CAP_BPF stays, map descriptors need it */
};

/* The worker's main function; its exit status. The keeper knows it only as this. */
typedef int worker_main_fn(const struct config *cfg, struct ledger *ledger, const struct worker_handles *h);

#endif
