/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a user can set. Filled from, in rising precedence: embedded defaults, the YAML file, OTEL_* variables,
 * flags. One table (config/options.c) drives all four, --help and the docs check. Passed as const to what needs it; no
 * globals.
 */
#ifndef SONDE_CONFIG_CONFIG_H
#define SONDE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/bytes.h"

enum config_format { FORMAT_TEXT, FORMAT_JSON };
enum config_sampler {
	SAMPLER_PARENT_ALWAYS_ON, /* parentbased_always_on, the default */
	SAMPLER_PARENT_ALWAYS_OFF,
	SAMPLER_PARENT_RATIO,
	SAMPLER_ALWAYS_ON,
	SAMPLER_ALWAYS_OFF,
	SAMPLER_RATIO,
};

/* One rule of select.include / select.exclude: every field that is set must match. */
struct config_rule {
	char *executable; /* glob over the executable's path (or its last part when the glob has no '/') */
	char *command;	  /* glob over the whole command line, arguments joined by one space */
	char *container;  /* container id prefix or name glob */
	uint32_t pid;	  /* 0 = any */
	uint16_t port;	  /* a port it listens on, 0 = any */
	char *service;	  /* service.name to give to what matches, NULL = found by itself */
};

struct config_signal {
	char *endpoint; /* full URL of this signal, NULL = not sent */
	char *headers;
	bool gzip;
	uint32_t timeout_ms;
	char *ca, *client_cert, *client_key;
};

struct config {
	/* what to observe; no include rule = everything but Sonde itself */
	struct config_rule *include, *exclude;
	size_t include_n, exclude_n;
	/* how */
	char *backend;		 /* NULL = best that works; tp_btf, fentry, kprobe, syscall */
	size_t ring_bytes;	 /* power of two, default 8 MiB */
	uint32_t max_conns;	 /* connection table, default 65536 */
	uint32_t max_keys;	 /* histogram keys, default 4096 */
	uint32_t query_text_max; /* characters of db.query.text, default 4096 */
	uint32_t hold_ms;	 /* how long a span may wait for its parent, default 60000 */
	uint32_t duration_s;	 /* 0 = until stopped */
	char *record;		 /* file to keep what the kernel side sent, NULL = none */
	/* what to say of it */
	char *service_name; /* OTEL_SERVICE_NAME of the agent's own environment: names the agent's own telemetry */
	char *resource_attributes; /* OTEL_RESOURCE_ATTRIBUTES of the agent: added to every resource */
	enum config_sampler sampler;
	double sampler_ratio;
	uint32_t spans_per_second; /* beyond that only metrics are made; 0 = no limit, default 25000 */
	bool alias_peer_service;   /* semconv.aliases */
	/* where to */
	enum config_format format;
	bool console; /* default: true when no endpoint is set, or when OTEL_TRACES_EXPORTER has console */
	double traces_per_second;
	int colour; /* -1 auto, 0 never, 1 always */
	struct config_signal traces, metrics;
	size_t queue_spans, batch_spans, request_bytes;
	uint32_t schedule_ms, metric_interval_ms;
	bool delta, exponential;
	uint32_t attribute_length_max, attribute_count_max; /* 0 = no limit; 128 */
	int log_level;					    /* enum log_level */
	/* disabled by OTEL_SDK_DISABLED=true: says so and exits 0 */
	bool disabled;
};

/* Called for each mistake: one line, without line end, "FILE:LINE: what was expected", "OTEL_X: ..." or "--x: ...". */
typedef void config_complain_fn(void *context, const char *line);

struct config *config_new(void); /* embedded defaults; NULL when out of memory */
void config_free(struct config *c);
/* Each returns the number of mistakes (0 = fine), or a negative errno when it could not be read at all. */
int config_load_yaml(struct config *c, const char *path, config_complain_fn *complain, void *context);
/* env: "NAME=value" strings, NULL-terminated. Standard rules: an unusable value is a warning and the default stays. */
int config_load_environment(struct config *c, char *const *env, config_complain_fn *warn, void *context);
/* argv without the sub-command; handles --x VALUE and --x=VALUE. *ret_rest: index of the first non-option. */
int config_load_flags(struct config *c, int argc, char **argv, int *ret_rest, config_complain_fn *complain,
		      void *context);
/* What depends on several settings: default endpoints, console default, power-of-two rounding. Number of mistakes. */
int config_finish(struct config *c, config_complain_fn *complain, void *context);
void config_print_help(FILE *to); /* the options part of --help, from the table */

/* Sub-commands, as bits: which flags are theirs. */
enum config_command { COMMAND_RUN = 1, COMMAND_CHECK = 2, COMMAND_REPLAY = 4 };

void config_print_command_help(FILE *to, enum config_command command); /* only the flags of one command */
/*
 * All sources in their order, then config_finish. The YAML file is the one of --config, else of OTEL_CONFIG_FILE, else
 * none. A flag of another command is a mistake. What the environment got wrong goes to warn and is not counted.
 * Number of mistakes, or -ENOMEM. argv is reordered: what is no option comes last, from *ret_rest on.
 */
int config_load(struct config *c, enum config_command command, int argc, char **argv, char *const *env, int *ret_rest,
		config_complain_fn *complain, config_complain_fn *warn, void *context);

/* What is known of a process when deciding whether to observe it. Empty = not known (then a rule that needs it fails).
 */
struct config_target {
	struct bytes executable, command, container_id, container_name;
	uint32_t pid;
	const uint16_t *ports;
	size_t ports_n;
};

/* True when the process is to be observed. *ret_service is the name a rule gives it, or NULL. */
bool config_selects(const struct config *c, const struct config_target *t, const char **ret_service);

#endif
