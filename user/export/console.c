/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans on standard output: lines for people, a bounded choice of traces each second, or JSON for programs, every span.
 * The reader may be slow or gone: what it does not take at once waits in a bounded buffer, and nothing here blocks.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "export/console_json.h"
#include "export/console_text.h"
#include "export/exporter.h"
#include "export/forest.h"
#include "export/window.h"
#include "util/clock.h"
#include "util/ledger.h"

#define WINDOW_NS 1000000000ULL
#define BACKLOG_MAX (4u << 20) /* bytes that wait for a slow reader */
#define WRITE_MAX 4096	       /* poll() promises room for PIPE_BUF bytes in a pipe */
#define TRACES_MAX 1000.0      /* a second, more is not readable */

struct console {
	const struct export_config *cfg;
	struct ledger *ledger;
	struct text_style style;
	struct window *window; /* NULL: JSON */
	struct json_resources resources;
	double credit;	     /* traces that may be shown */
	uint64_t window_end; /* CLOCK_MONOTONIC ns, 0 before the first tick */
	struct buf out;
	size_t written; /* of out */
	bool broken;	/* the reader is gone */
};

static bool console_wanted(const struct export_config *cfg)
{
	return cfg->console;
}

static int console_open(const struct export_config *cfg, struct ledger *ledger, void **ret_self, const char **ret_error)
{
	struct console *c = calloc(1, sizeof(*c));
	double bound = cfg->traces_per_second < TRACES_MAX ? cfg->traces_per_second : TRACES_MAX;

	if (c && !cfg->json)
		c->window = window_new(bound > 1 ? (size_t)(bound + 1) : 1);
	if (!c || (!cfg->json && !c->window)) {
		free(c);
		*ret_error = "out of memory";
		return -ENOMEM;
	}
	c->cfg = cfg;
	c->ledger = ledger;
	c->style = (struct text_style){ .colour = cfg->colour,
					.utf8 = cfg->utf8,
					.columns = cfg->columns,
					.full_trace_id = !cfg->columns || cfg->traces.endpoint };
	tzset(); /* reads the zone's file while files can be read */
	*ret_self = c;
	return 0;
}

/* Writes what the reader takes within timeout_ms. */
static void flush(struct console *c, uint32_t timeout_ms)
{
	uint64_t now, until = clock_monotonic() + timeout_ms * 1000000ULL;

	while (!c->broken && c->written < c->out.n) {
		struct pollfd p = { .fd = c->cfg->console_fd, .events = POLLOUT };
		size_t n = c->out.n - c->written;
		ssize_t r;

		now = timeout_ms ? clock_monotonic() : until;
		r = poll(&p, 1, now < until ? (int)((until - now) / 1000000) : 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		r = write(p.fd, c->out.p + c->written, n < WRITE_MAX ? n : WRITE_MAX);
		if (r >= 0)
			c->written += (size_t)r;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			c->broken = true;
	}
	if (c->broken || c->written == c->out.n) {
		buf_reset(&c->out);
		c->written = 0;
	}
}

/* Room for one more line? What the reader took already is moved out of the way. */
static bool has_room(struct console *c)
{
	if (c->broken || c->out.failed)
		return false;
	if (c->written > BACKLOG_MAX / 2) {
		memmove(c->out.p, c->out.p + c->written, c->out.n - c->written);
		c->out.n -= c->written;
		c->written = 0;
	}
	return c->out.n - c->written < BACKLOG_MAX;
}

static void show_trace(void *context, const struct text_node *nodes, size_t n, size_t unseen)
{
	struct console *c = context;

	if (!has_room(c))
		return;
	console_trace(&c->out, &c->style, nodes, n, unseen);
	ledger_add(c->ledger, USER_spans_printed, n);
}

static void offer_trace(void *context, const struct text_node *nodes, size_t n)
{
	struct console *c = context;

	window_offer(c->window, nodes, n);
}

static void console_spans(void *self, struct span *const *v, size_t n)
{
	struct console *c = self;

	if (c->window) {
		forest_walk(v, n, offer_trace, c);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (has_room(c)) {
			console_json(&c->out, v[i], &c->resources);
			ledger_add(c->ledger, USER_spans_printed, 1);
		} else if (!c->cfg->traces.endpoint) { /* else the other destination has it */
			ledger_add(c->ledger, USER_queue_full, 1);
		}
	}
	flush(c, 0);
}

static void end_window(struct console *c)
{
	double bound = c->cfg->traces_per_second;
	size_t max;

	c->credit += bound < 0 ? 0 : bound < TRACES_MAX ? bound : TRACES_MAX;
	max = (size_t)c->credit;
	c->credit -= (double)max;
	window_close(c->window, max, show_trace, c);
}

static void console_tick(void *self, uint64_t now)
{
	struct console *c = self;

	if (c->window) {
		if (c->window_end && now >= c->window_end)
			end_window(c);
		if (now >= c->window_end)
			c->window_end = now + WINDOW_NS;
	}
	flush(c, 0);
}

static void console_metrics(void *self, const struct metric_set *set)
{
	(void)self;
	(void)set; /* the summary on stopping shows them */
}

static void console_close(void *self, uint32_t timeout_ms)
{
	struct console *c = self;

	if (c->window)
		end_window(c);
	flush(c, timeout_ms);
	window_free(c->window);
	json_resources_free(&c->resources);
	buf_free(&c->out);
	free(c);
}

const struct exporter exporter_console = {
	.name = "console",
	.wanted = console_wanted,
	.open = console_open,
	.spans = console_spans,
	.metrics = console_metrics,
	.tick = console_tick,
	.close = console_close,
};
