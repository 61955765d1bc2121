/* SPDX-License-Identifier: Apache-2.0 */
/* All destinations that the configuration asks for, as one. */
#ifndef SONDE_WORKER_OUTPUTS_H
#define SONDE_WORKER_OUTPUTS_H

#include <stdint.h>

#include "config/config.h"
#include "export/exporter.h"
#include "util/ledger.h"
#include "worker/outbox.h"

#define OUTPUTS_MAX 8

/*
 * Destinations of spans and of metrics are opened apart, even when they are one: so the last reading of the metrics can
 * say what became of the last span.
 */
struct outputs {
	struct export_config spans, metrics; /* what each kind is opened with */
	size_t n;
	struct {
		const struct exporter *exporter;
		void *self;
		bool spans; /* else metrics */
	} v[OUTPUTS_MAX];
};

/* 0, or a negative errno after telling the user which destination could not be opened and why. patience_ms: see struct
 * export_config. */
int outputs_open(struct outputs *o, const struct config *cfg, struct ledger *ledger, uint32_t patience_ms);
/* Where lines about the run itself go: where spans are printed for people, else standard error. */
int outputs_lines_fd(const struct outputs *o);
/* An assembly_emit_fn. */
void outputs_spans(void *context, struct span *const *v, size_t n);
void outputs_metrics(struct outputs *o, const struct metric_set *set);
/* Also tells the user what a destination has to say. */
void outputs_tick(struct outputs *o, uint64_t now);
/* Destinations of spans send what they hold for at most timeout_ms, and every span ends in a counter. */
void outputs_close_spans(struct outputs *o, uint32_t timeout_ms);
/* All others. */
void outputs_close(struct outputs *o, uint32_t timeout_ms);

#endif
