/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/url.h"
#include "util/cleanup.h"

struct config *config_new(void)
{
	struct config_state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	for (size_t i = 0; i < options_n; i++) {
		const struct option *o = &options[i];

		if (o->fallback && option_set(s, o, SOURCE_DEFAULT, bytes_str(o->fallback), NULL) < 0) {
			config_free(&s->c);
			return NULL;
		}
	}
	s->c.console = true;
	s->c.alias_peer_service = s->aliases & ALIAS_PEER_SERVICE;
	return &s->c;
}

static void free_rules(struct config_rule *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].executable);
		free(v[i].command);
		free(v[i].container);
		free(v[i].service);
	}
	free(v);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < options_n; i++)
		option_clear(config_state(c), &options[i]);
	free_rules(c->include, c->include_n);
	free_rules(c->exclude, c->exclude_n);
	free(config_state(c));
}

/* What OTEL_*_EXPORTER means for the endpoint of a signal. */
static int finish_signal(struct config_signal *signal, uint32_t exporters, const char *path)
{
	if (!exporters)
		return 0;
	if (!(exporters & EXPORTER_OTLP)) {
		free(signal->endpoint);
		signal->endpoint = NULL;
		return 0;
	}
	/* named without an endpoint: the specification's default */
	return signal->endpoint ? 0 : url_join(BYTES_LITERAL("http://localhost:4318"), path, &signal->endpoint);
}

/* The exporter's timeout bounds a batch; the processor's deadline, when earlier, wins (specification 1.62). 0 = none.
 */
static void finish_timeout(struct config_signal *signal, uint32_t deadline_ms)
{
	if (deadline_ms && (!signal->timeout_ms || deadline_ms < signal->timeout_ms))
		signal->timeout_ms = deadline_ms;
}

static void check_pair(const struct config_signal *signal, const char *name, struct complaints *to)
{
	if (!signal->client_cert != !signal->client_key)
		complain(to, "otlp: expected client_certificate and client_key together, got only %s for %s",
			 signal->client_cert ? "client_certificate" : "client_key", name);
}

int config_finish(struct config *c, config_complain_fn *fn, void *context)
{
	struct complaints to = { .fn = fn, .context = context };
	struct config_state *s = config_state(c);
	size_t ring = 4096;
	int r;

	r = finish_signal(&c->traces, s->traces_exporters, "v1/traces");
	if (r == 0)
		r = finish_signal(&c->metrics, s->metrics_exporters, "v1/metrics");
	if (r < 0)
		return r;
	finish_timeout(&c->traces, s->traces_deadline_ms);
	finish_timeout(&c->metrics, s->metrics_deadline_ms);
	check_pair(&c->traces, "traces", &to);
	check_pair(&c->metrics, "metrics", &to);

	if (s->traces_exporters)
		c->console = s->traces_exporters & EXPORTER_CONSOLE;
	else
		c->console = !c->traces.endpoint && !c->metrics.endpoint;
	if (s->format_asked)
		c->console = true;
	if (c->colour < 0 && s->no_colour)
		c->colour = 0;
	if (c->batch_spans > c->queue_spans)
		c->batch_spans = c->queue_spans;
	while (ring < c->ring_bytes)
		ring *= 2;
	c->ring_bytes = ring;
	c->alias_peer_service = s->aliases & ALIAS_PEER_SERVICE;
	return to.count;
}

static void ignore(void *context, const char *line)
{
	(void)context;
	(void)line;
}

/* Which file to read: flags are the strongest source, but the file is read before them. NULL in *ret: none. */
static int find_file(unsigned command, int argc, char **argv, char *const *env, char **ret)
{
	/* flags_load() reorders, and must see the order of the person when it complains */
	_cleanup_free_ char **copy = calloc(argc > 0 ? (size_t)argc : 1, sizeof(*copy));
	struct config *scratch = config_new();
	int rest, r = copy && scratch ? 0 : -ENOMEM;

	if (r == 0) {
		if (argc > 0)
			memcpy(copy, argv, (size_t)argc * sizeof(*copy));
		r = config_load_environment(scratch, env, ignore, NULL);
	}
	if (r >= 0)
		r = flags_load(scratch, command, argc, copy, &rest, ignore, NULL);
	if (r >= 0) {
		*ret = config_state(scratch)->path;
		config_state(scratch)->path = NULL;
	}
	config_free(scratch);
	return r < 0 ? r : 0;
}

static int load_file(struct config *c, const char *path, struct complaints *to)
{
	int r = config_load_yaml(c, path, to->fn, to->context);

	if (r < 0 && r != -ENOMEM) {
		complain(to, "%s: cannot be read: %s", path, strerror(-r));
		return 0;
	}
	return r;
}

int config_load(struct config *c, enum config_command command, int argc, char **argv, char *const *env, int *ret_rest,
		config_complain_fn *fn, config_complain_fn *warn, void *context)
{
	struct complaints to = { .fn = fn, .context = context };
	char *path = NULL;
	int mistakes = 0, r;

	r = find_file(command, argc, argv, env, &path);
	if (r == 0 && path)
		r = load_file(c, path, &to);
	free(path);
	if (r < 0)
		return r;
	mistakes += r;
	r = config_load_environment(c, env, warn, context);
	if (r < 0)
		return r;
	r = flags_load(c, command, argc, argv, ret_rest, fn, context);
	if (r < 0)
		return r;
	mistakes += r;
	r = config_finish(c, fn, context);
	return r < 0 ? r : mistakes + to.count + r;
}
