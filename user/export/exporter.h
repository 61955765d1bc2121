/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A destination of telemetry. One `const struct exporter exporter_<name>` per file, one line in exporters.def. An
 * exporter sees only the model. All calls come from one thread (the worker's loop) and must not block for long
 * (but for patience_ms): an exporter that talks to a network has its own thread behind export/queue.h.
 */
#ifndef SONDE_EXPORT_EXPORTER_H
#define SONDE_EXPORT_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/metric.h"
#include "model/span.h"

struct ledger; /* util/ledger.h: where exports and drops are counted */

/* What exporters need to know of the configuration. Strings are owned by the configuration and outlive the exporter. */
struct export_config {
	/* console */
	bool console; /* print spans */
	bool json;    /* one JSON object a line, every span, instead of lines for people */
	bool colour;
	bool utf8;
	unsigned columns;	  /* width of the terminal, 0 = not a terminal */
	double traces_per_second; /* bound of the readable console, default 10 */
	int console_fd;		  /* where it prints, normally 1 */
	/* otlp; empty endpoint = off */
	struct otlp_signal {
		const char *endpoint; /* full URL of the signal, NULL = this signal is not sent */
		const char *headers;  /* "k=v,k2=v2", percent-encoded, NULL = none */
		bool gzip;
		uint32_t timeout_ms;			   /* of one export, retries included; 0 = none */
		const char *ca, *client_cert, *client_key; /* PEM files or NULL */
	} traces, metrics;
	size_t queue_spans;   /* OTEL_BSP_MAX_QUEUE_SIZE, default 32768 here: one agent serves many services */
	uint32_t patience_ms; /* how long spans() may wait for room in the queue: of a file there is more whenever it is
				 asked for; 0 = never, what comes from a host cannot wait */
	size_t batch_spans;   /* OTEL_BSP_MAX_EXPORT_BATCH_SIZE, default 512 */
	uint32_t schedule_ms; /* OTEL_BSP_SCHEDULE_DELAY */
	size_t request_bytes; /* cap of one request before compression, default 4 MiB */
	bool delta;	      /* metrics temporality */
	bool exponential;     /* histograms: exponential instead of explicit buckets */
	const char *version;  /* of the agent, for User-Agent and scope */
};

struct exporter {
	const char *name;
	/* Wanted with this configuration? */
	bool (*wanted)(const struct export_config *cfg);
	/* *ret_self is the exporter's own state. Negative errno, and *ret_error a static or leaked-free text, on
	 * failure. */
	int (*open)(const struct export_config *cfg, struct ledger *ledger, void **ret_self, const char **ret_error);
	/* Borrowed: keeps a span only by span_ref(). */
	void (*spans)(void *self, struct span *const *v, size_t n);
	void (*metrics)(void *self, const struct metric_set *set);
	/* Gives time to move on, at least every 100 ms, now = CLOCK_MONOTONIC ns. May be NULL. */
	void (*tick)(void *self, uint64_t now);
	/* Sends what is queued for at most timeout_ms, counts the rest as dropped, frees everything. */
	void (*close)(void *self, uint32_t timeout_ms);
	/*
	 * What a person should know of the destination since the last call, one line without line end, as in "cannot
	 * reach http://localhost:4318/v1/traces: connection refused; spans wait". False when there is nothing new. May
	 * be NULL.
	 */
	bool (*trouble)(void *self, char *ret, size_t size);
};

extern const struct exporter *const exporters[]; /* NULL-terminated, from exporters.def */

#endif
