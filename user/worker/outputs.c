/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/outputs.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "channel/messages.h"
#include "util/clock.h"
#include "util/log.h"

static bool locale_is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

static bool wants_colour(const struct config *cfg, bool terminal)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	if (cfg->colour >= 0)
		return cfg->colour > 0;
	return terminal && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static struct otlp_signal signal_config(const struct config_signal *s)
{
	return (struct otlp_signal){ .endpoint = s->endpoint,
				     .headers = s->headers,
				     .gzip = s->gzip,
				     .timeout_ms = s->timeout_ms,
				     .ca = s->ca,
				     .client_cert = s->client_cert,
				     .client_key = s->client_key };
}

static void fill(struct export_config *e, const struct config *cfg)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct winsize size;

	*e = (struct export_config){
		.console = cfg->console,
		.json = cfg->format == FORMAT_JSON,
		.colour = wants_colour(cfg, terminal),
		.utf8 = locale_is_utf8(),
		.traces_per_second = cfg->traces_per_second,
		.console_fd = STDOUT_FILENO,
		.traces = signal_config(&cfg->traces),
		.metrics = signal_config(&cfg->metrics),
		.queue_spans = cfg->queue_spans,
		.batch_spans = cfg->batch_spans,
		.schedule_ms = cfg->schedule_ms,
		.request_bytes = cfg->request_bytes,
		.delta = cfg->delta,
		.exponential = cfg->exponential,
		.version = SONDE_VERSION,
	};
	if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		e->columns = size.ws_col;
	else if (terminal)
		e->columns = 80;
}

static int open_kind(struct outputs *o, const struct export_config *cfg, bool spans, struct ledger *ledger)
{
	for (size_t i = 0; exporters[i] && o->n < OUTPUTS_MAX; i++) {
		const char *why = NULL;
		int r;

		if (!exporters[i]->wanted(cfg))
			continue;
		r = exporters[i]->open(cfg, ledger, &o->v[o->n].self, &why);
		if (r) {
			log_error("cannot send to %s: %s", exporters[i]->name, why ? why : strerror(-r));
			return r;
		}
		o->v[o->n].spans = spans;
		o->v[o->n++].exporter = exporters[i];
	}
	return 0;
}

int outputs_open(struct outputs *o, const struct config *cfg, struct ledger *ledger, uint32_t patience_ms)
{
	int r;

	*o = (struct outputs){ 0 };
	fill(&o->spans, cfg);
	o->spans.patience_ms = patience_ms;
	o->metrics = o->spans;
	o->spans.metrics.endpoint = NULL;
	o->metrics.traces.endpoint = NULL;
	o->metrics.console = false;
	r = open_kind(o, &o->spans, true, ledger);
	if (!r)
		r = open_kind(o, &o->metrics, false, ledger);
	if (r)
		outputs_close(o, 0);
	return r;
}

int outputs_lines_fd(const struct outputs *o)
{
	return o->spans.json ? STDERR_FILENO : o->spans.console_fd;
}

void outputs_spans(void *context, struct span *const *v, size_t n)
{
	struct outputs *o = context;

	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].spans)
			o->v[i].exporter->spans(o->v[i].self, v, n);
}

void outputs_metrics(struct outputs *o, const struct metric_set *set)
{
	for (size_t i = 0; i < o->n; i++)
		o->v[i].exporter->metrics(o->v[i].self, set);
}

static void tell_trouble(const struct exporter *e, void *self)
{
	char line[512];

	for (int i = 0; i < 4 && e->trouble && e->trouble(self, line, sizeof(line)); i++)
		log_warn("%s", line);
}

void outputs_tick(struct outputs *o, uint64_t now)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].exporter->tick)
			o->v[i].exporter->tick(o->v[i].self, now);
		tell_trouble(o->v[i].exporter, o->v[i].self);
	}
}

static void close_kind(struct outputs *o, bool spans, uint32_t timeout_ms)
{
	uint64_t now = clock_monotonic(), deadline = now + timeout_ms * 1000000ULL;
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (o->v[i].spans != spans) {
			o->v[kept++] = o->v[i];
			continue;
		}
		tell_trouble(o->v[i].exporter, o->v[i].self);
		now = clock_monotonic();
		o->v[i].exporter->close(o->v[i].self, now < deadline ? (uint32_t)((deadline - now) / 1000000) : 0);
	}
	o->n = kept;
}

void outputs_close_spans(struct outputs *o, uint32_t timeout_ms)
{
	close_kind(o, true, timeout_ms);
}

void outputs_close(struct outputs *o, uint32_t timeout_ms)
{
	close_kind(o, true, timeout_ms);
	close_kind(o, false, timeout_ms);
}
