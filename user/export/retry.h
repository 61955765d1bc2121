/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again. Within one export call (bounded by OTEL_EXPORTER_OTLP_TIMEOUT) waits start at a second and double;
 * what could not be delivered is queued again with longer waits, and dropped five minutes after its first failure.
 */
#ifndef SONDE_EXPORT_RETRY_H
#define SONDE_EXPORT_RETRY_H

#include <stdint.h>

/* Nanoseconds. */
struct retry_times {
	uint64_t call_first;	/* wait after the first failure within a call, doubled each time */
	uint64_t requeue_first; /* wait before the next call, grown by half each time */
	uint64_t requeue_max;
	uint64_t give_up; /* after the first failure */
};

extern const struct retry_times retry_times_default; /* 1 s; 5 s to 30 s; 5 min */

struct retry_random {
	uint64_t state; /* any value */
};

/* A wait between half of and one and a half times ns: so that many senders do not come back all at once. */
uint64_t retry_jitter(struct retry_random *r, uint64_t ns);

/* What became of one request. */
enum send_result {
	SEND_ACCEPTED, /* any 2xx */
	SEND_REFUSED,  /* not to be sent again */
	SEND_RETRY,    /* the destination asks to, or gave no answer */
};

/* When the call under way is to be given up, CLOCK_MONOTONIC ns; may move closer while it runs. */
struct send_deadline {
	uint64_t (*at)(void *context);
	void *context;
};

struct send_verdict {
	enum send_result result;
	uint64_t rejected; /* accepted, but for these (OTLP partial success) */
	uint64_t wait;	   /* ns to wait at least (Retry-After), 0 = not told */
	uint8_t silent;	   /* SEND_RETRY: nobody answered */
};

#endif
