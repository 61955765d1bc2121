/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table. Sources: OpenTelemetry specification, configuration/sdk-environment-variables.md and protocol/exporter.md
 * for every OTEL_* row. Rows for both signals stand before the rows for one: within a source the narrower one wins.
 */
#include "config/options.h"

#include "util/log.h"

static const struct choice formats[] = { { "text", FORMAT_TEXT, NULL }, { "json", FORMAT_JSON, NULL }, { 0 } };
static const struct choice colours[] = { { "auto", -1, NULL }, { "always", 1, NULL }, { "never", 0, NULL }, { 0 } };
static const struct choice backends[] = {
	{ "auto", 0, NULL },   { "tp_btf", 0, NULL },  { "fentry", 0, NULL },
	{ "kprobe", 0, NULL }, { "syscall", 0, NULL }, { 0 },
};
static const struct choice samplers[] = {
	{ "parentbased_always_on", SAMPLER_PARENT_ALWAYS_ON, NULL },
	{ "parentbased_always_off", SAMPLER_PARENT_ALWAYS_OFF, NULL },
	{ "parentbased_traceidratio", SAMPLER_PARENT_RATIO, NULL },
	{ "always_on", SAMPLER_ALWAYS_ON, NULL },
	{ "always_off", SAMPLER_ALWAYS_OFF, NULL },
	{ "traceidratio", SAMPLER_RATIO, NULL },
	{ "parentbased_jaeger_remote", SAMPLER_PARENT_ALWAYS_ON,
	  "is not supported; parentbased_always_on is used instead" },
	{ "jaeger_remote", SAMPLER_PARENT_ALWAYS_ON, "is not supported; parentbased_always_on is used instead" },
	{ "xray", SAMPLER_PARENT_ALWAYS_ON, "is not supported; parentbased_always_on is used instead" },
	{ 0 },
};
static const struct choice traces_exporters[] = {
	{ "otlp", EXPORTER_OTLP, NULL },
	{ "console", EXPORTER_CONSOLE, NULL },
	{ "none", EXPORTER_NONE, NULL },
	{ "logging", EXPORTER_CONSOLE, "has logging, the old name of console, which is used" },
	{ "zipkin", 0, "has zipkin, which is not supported (otlp, console and none are) and left out" },
	{ "jaeger", 0,
	  "has jaeger, which is not supported (otlp, console and none are) and left out; Jaeger takes otlp" },
	{ "otlp/stdout", 0, "has otlp/stdout, which is not supported (otlp, console and none are) and left out" },
	{ 0 },
};
static const struct choice metrics_exporters[] = {
	{ "otlp", EXPORTER_OTLP, NULL },
	{ "console", EXPORTER_CONSOLE, NULL },
	{ "none", EXPORTER_NONE, NULL },
	{ "prometheus", 0,
	  "has prometheus, which is not supported (otlp, console and none are) and left out; Prometheus takes otlp" },
	{ "logging", EXPORTER_CONSOLE, "has logging, the old name of console, which is used" },
	{ "otlp/stdout", 0, "has otlp/stdout, which is not supported (otlp, console and none are) and left out" },
	{ 0 },
};
static const struct choice protocols[] = {
	{ "http/protobuf", 0, NULL },
	{ "grpc", 0, "is not supported; http/protobuf is used instead (its usual port is 4318, not 4317)" },
	{ "http/json", 0, "is not supported; http/protobuf is used instead" },
	{ 0 },
};
static const struct choice compressions[] = { { "none", false, NULL }, { "gzip", true, NULL }, { 0 } };
static const struct choice temporalities[] = {
	{ "cumulative", false, NULL },
	{ "delta", true, NULL },
	{ "lowmemory", true, "is not supported; delta is used instead" },
	{ 0 },
};
static const struct choice histograms[] = {
	{ "explicit_bucket_histogram", false, NULL },
	{ "base2_exponential_bucket_histogram", true, NULL },
	{ 0 },
};
static const struct choice aliases[] = { { "peer.service", ALIAS_PEER_SERVICE, NULL }, { 0 } };
static const struct choice log_levels[] = {
	{ "error", LOG_ERROR, NULL },
	{ "warn", LOG_WARN, NULL },
	{ "info", LOG_INFO, NULL },
	{ "debug", LOG_DEBUG, NULL },
	{ "warning", LOG_WARN, "is spelled warn" },
	{ "fatal", LOG_ERROR, "is not a level here; error is used instead" },
	{ "none", LOG_ERROR, "is not a level here; error is used instead" },
	{ "trace", LOG_DEBUG, "is not a level here; debug is used instead" },
	{ 0 },
};

#define ALL_COMMANDS (COMMAND_RUN | COMMAND_CHECK | COMMAND_REPLAY)
#define AT(member) .offset = offsetof(struct config_state, member), .size = sizeof(((struct config_state *)0)->member)
#define ONLY(member) AT(member), .also = NO_OFFSET
#define BOTH(signal_member) AT(c.traces.signal_member), .also = offsetof(struct config_state, c.metrics.signal_member)
#define FLAG(name, argument_, commands_) .flag = name, .argument = argument_, .commands = commands_

/* A table reads better in rows. */
/* clang-format off */
/* One setting of the OTLP exporter: for both signals, for traces, for metrics. */
#define OTLP(member, kind, key, variable, default_, help_, ...)							\
	{ .yaml = "otlp." key, .env = "OTEL_EXPORTER_OTLP_" variable, .type = kind, .fallback = default_,	\
	  .help = help_, BOTH(member), __VA_ARGS__ },								\
	{ .yaml = "otlp.traces." key, .env = "OTEL_EXPORTER_OTLP_TRACES_" variable, .type = kind,		\
	  .narrow = true, .help = help_ ", of traces", ONLY(c.traces.member), __VA_ARGS__ },			\
	{ .yaml = "otlp.metrics." key, .env = "OTEL_EXPORTER_OTLP_METRICS_" variable, .type = kind,		\
	  .narrow = true, .help = help_ ", of metrics", ONLY(c.metrics.member), __VA_ARGS__ }

const struct option options[] = {
	/* what to observe */
	{ FLAG("config", "FILE", ALL_COMMANDS), .env = "OTEL_CONFIG_FILE", .type = OPTION_FILE, ONLY(path),
	  .help = "YAML file with the settings below" },
	{ .yaml = "select.include", .type = OPTION_RULES, ONLY(c.include),
	  .help = "rules: processes to observe; without a rule, all of them" },
	{ .yaml = "select.exclude", .type = OPTION_RULES, ONLY(c.exclude),
	  .help = "rules: processes to leave alone; stronger than include" },
	/* how */
	{ .yaml = "backend", FLAG("backend", "NAME", COMMAND_RUN | COMMAND_CHECK), .type = OPTION_NAME,
	  .fallback = "auto", .choices = backends, ONLY(c.backend),
	  .help = "way to see sockets; auto takes the best that works" },
	{ .yaml = "duration", FLAG("duration", "SECONDS", COMMAND_RUN), .type = OPTION_SECONDS, .fallback = "0",
	  .max = 366 * 86400, ONLY(c.duration_s),
	  .help = "stop by itself after this time; 0 runs until stopped" },
	{ .yaml = "record", FLAG("record", "FILE", COMMAND_RUN), .type = OPTION_FILE, ONLY(c.record),
	  .help = "keep what the kernel side sends, users' values included, in this file, for sonde replay" },
	{ .yaml = "ring_buffer", .type = OPTION_SIZE, .fallback = "8MiB", .min = 4 << 10, .max = 1 << 30,
	  ONLY(c.ring_bytes), .help = "memory between kernel and agent; rounded up to a power of two" },
	{ .yaml = "limits.connections", .type = OPTION_NUMBER, .fallback = "65536", .min = 256, .max = 4 << 20,
	  ONLY(c.max_conns), .help = "connections followed at a time" },
	{ .yaml = "limits.histogram_keys", .type = OPTION_NUMBER, .fallback = "4096", .min = 64, .max = 1 << 20,
	  ONLY(c.max_keys), .help = "operations counted one by one; the rest is counted together" },
	{ .yaml = "limits.query_text", .type = OPTION_NUMBER, .fallback = "4096", .min = 64, .max = 65536,
	  ONLY(c.query_text_max), .help = "characters kept of a statement (db.query.text)" },
	{ .yaml = "log_level", .env = "OTEL_LOG_LEVEL", .type = OPTION_CHOICE, .fallback = "info",
	  .choices = log_levels, ONLY(c.log_level),
	  .help = "least severe message printed on standard error" },
	{ .yaml = "disabled", .env = "OTEL_SDK_DISABLED", .type = OPTION_BOOL, .fallback = "false", ONLY(c.disabled),
	  .help = "observe nothing: say so and exit with 0" },
	/* what to say of it */
	{ .yaml = "service_name", .env = "OTEL_SERVICE_NAME", .type = OPTION_TEXT, ONLY(c.service_name),
	  .help = "service.name of the agent's own telemetry, not of what it observes" },
	{ .yaml = "resource_attributes", .env = "OTEL_RESOURCE_ATTRIBUTES", .type = OPTION_ATTRIBUTES,
	  ONLY(c.resource_attributes), .help = "attributes added to every resource that does not have them" },
	{ .yaml = "attributes.value_length", .env = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", .type = OPTION_NUMBER,
	  .fallback = "0", .max = 1 << 20, ONLY(c.attribute_length_max),
	  .help = "characters of a text attribute; 0 is no limit" },
	{ .env = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", .type = OPTION_NUMBER, .max = 1 << 20,
	  ONLY(c.attribute_length_max), .help = "the same; stronger, for only spans are limited" },
	{ .yaml = "attributes.count", .env = "OTEL_ATTRIBUTE_COUNT_LIMIT", .type = OPTION_NUMBER, .fallback = "128",
	  .max = 65536, ONLY(c.attribute_count_max),
	  .help = "attributes of a span; 0 is no limit" },
	{ .env = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", .type = OPTION_NUMBER, .max = 65536, ONLY(c.attribute_count_max),
	  .help = "the same; stronger, for only spans are limited" },
	{ .yaml = "semconv.aliases", .type = OPTION_SET, .fallback = "peer.service", .choices = aliases,
	  ONLY(aliases), .help = "older attribute names written beside the new ones" },
	/* traces */
	{ .yaml = "traces.exporters", .env = "OTEL_TRACES_EXPORTER", .type = OPTION_SET, .choices = traces_exporters,
	  ONLY(traces_exporters), .help = "where spans go; not set: otlp where an endpoint is set, else console" },
	{ .yaml = "traces.sampler", .env = "OTEL_TRACES_SAMPLER", .type = OPTION_CHOICE,
	  .fallback = "parentbased_always_on", .choices = samplers, ONLY(c.sampler),
	  .help = "which traces are kept; metrics always count all" },
	{ .yaml = "traces.sampler_ratio", .env = "OTEL_TRACES_SAMPLER_ARG", .type = OPTION_DECIMAL, .fallback = "1",
	  .max = 1, ONLY(c.sampler_ratio),
	  .help = "part of the traces that the traceidratio samplers keep" },
	{ .yaml = "traces.spans_per_second", .type = OPTION_NUMBER, .fallback = "25000", .max = 10000000,
	  ONLY(c.spans_per_second),
	  .help = "beyond it only errors and a few of each process go on; 0 is no limit" },
	{ .yaml = "traces.wait_for_parent", .type = OPTION_MS, .fallback = "60s", .max = 3600000, ONLY(c.hold_ms),
	  .help = "how long a span may wait for its parent to end" },
	/* metrics */
	{ .yaml = "metrics.exporters", .env = "OTEL_METRICS_EXPORTER", .type = OPTION_SET,
	  .choices = metrics_exporters, ONLY(metrics_exporters),
	  .help = "where metrics go; not set: otlp where an endpoint is set; console: the summary on stopping" },
	{ .yaml = "metrics.interval", .env = "OTEL_METRIC_EXPORT_INTERVAL", .type = OPTION_MS, .fallback = "60s",
	  .min = 100, .max = 86400000, ONLY(c.metric_interval_ms),
	  .help = "time between two exports of metrics" },
	{ .yaml = "metrics.export_timeout", .env = "OTEL_METRIC_EXPORT_TIMEOUT", .type = OPTION_MS, .fallback = "30s",
	  .max = 3600000, ONLY(metrics_deadline_ms),
	  .help = "the longest an export of metrics may take, beside otlp.timeout; 0 is no limit" },
	{ .yaml = "metrics.temporality", .env = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
	  .type = OPTION_CHOICE, .fallback = "cumulative", .choices = temporalities, ONLY(c.delta),
	  .help = "count since the start, or since the last export" },
	{ .yaml = "metrics.histogram", .env = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
	  .type = OPTION_CHOICE, .fallback = "explicit_bucket_histogram", .choices = histograms, ONLY(c.exponential),
	  .help = "buckets of the semantic conventions, or exponential ones" },
	/* OTLP */
	{ .yaml = "otlp.endpoint", .env = "OTEL_EXPORTER_OTLP_ENDPOINT", .type = OPTION_BASE_URL, BOTH(endpoint),
	  .help = "base URL of the OTLP/HTTP backend; /v1/traces and /v1/metrics are appended" },
	{ .yaml = "otlp.traces.endpoint", .env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", .type = OPTION_URL,
	  ONLY(c.traces.endpoint), .help = "URL for traces, used as it is" },
	{ .yaml = "otlp.metrics.endpoint", .env = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", .type = OPTION_URL,
	  ONLY(c.metrics.endpoint), .help = "URL for metrics, used as it is" },
	{ .env = "OTEL_EXPORTER_OTLP_PROTOCOL", .type = OPTION_CHOICE, .choices = protocols, ONLY(protocol),
	  .help = "http/protobuf is the only one; others are warned of" },
	{ .env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", .type = OPTION_CHOICE, .choices = protocols, ONLY(protocol),
	  .help = "the same, of traces" },
	{ .env = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", .type = OPTION_CHOICE, .choices = protocols, ONLY(protocol),
	  .help = "the same, of metrics" },
	OTLP(headers, OPTION_HEADERS, "headers", "HEADERS", NULL, "headers of every request: keys and tokens"),
	OTLP(gzip, OPTION_CHOICE, "compression", "COMPRESSION", "none", "compression of requests",
	  .choices = compressions),
	OTLP(timeout_ms, OPTION_MS, "timeout", "TIMEOUT", "10s",
	  "time for one batch, retries included; 0 is no limit", .max = 3600000),
	OTLP(ca, OPTION_FILE, "certificate", "CERTIFICATE", NULL, "PEM file: authorities to trust"),
	OTLP(client_cert, OPTION_FILE, "client_certificate", "CLIENT_CERTIFICATE", NULL, "PEM file: own certificate"),
	OTLP(client_key, OPTION_FILE, "client_key", "CLIENT_KEY", NULL, "PEM file: key of the own certificate"),
	{ .yaml = "otlp.request_size", .type = OPTION_SIZE, .fallback = "4MiB", .min = 64 << 10, .max = 64 << 20,
	  ONLY(c.request_bytes), .help = "cap of one request before compression; larger batches are split" },
	/* batches */
	{ .yaml = "batch.queue", .env = "OTEL_BSP_MAX_QUEUE_SIZE", .type = OPTION_NUMBER, .fallback = "32768",
	  .min = 1, .max = 4 << 20, ONLY(c.queue_spans),
	  .help = "spans waiting for export; more are dropped and counted" },
	{ .yaml = "batch.size", .env = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", .type = OPTION_NUMBER, .fallback = "512",
	  .min = 1, .max = 65536, ONLY(c.batch_spans),
	  .help = "spans of one export; never more than batch.queue" },
	{ .yaml = "batch.delay", .env = "OTEL_BSP_SCHEDULE_DELAY", .type = OPTION_MS, .fallback = "5s",
	  .max = 3600000, ONLY(c.schedule_ms),
	  .help = "the longest a span waits for its batch to fill" },
	{ .yaml = "batch.export_timeout", .env = "OTEL_BSP_EXPORT_TIMEOUT", .type = OPTION_MS, .fallback = "30s",
	  .max = 3600000, ONLY(traces_deadline_ms),
	  .help = "the longest an export of spans may take, beside otlp.timeout; 0 is no limit" },
	/* console */
	{ .yaml = "console.format", FLAG("format", "text|json", ALL_COMMANDS), .type = OPTION_CHOICE,
	  .fallback = "text", .choices = formats, ONLY(c.format),
	  .help = "lines for people, or JSON; the flag also turns the console on" },
	{ .yaml = "console.color", FLAG("color", "auto|always|never", ALL_COMMANDS), .type = OPTION_CHOICE,
	  .fallback = "auto", .choices = colours, ONLY(c.colour),
	  .help = "colour; auto: on a terminal, unless NO_COLOR is set" },
	{ .yaml = "console.traces_per_second", .type = OPTION_DECIMAL, .fallback = "10", .max = 100000,
	  ONLY(c.traces_per_second), .help = "traces printed as text; errors and slow ones first" },
};
/* clang-format on */
const size_t options_n = sizeof(options) / sizeof(options[0]);

const struct rule_field rule_fields[] = {
	{ "executable", "glob over the path of the executable, or over its last part when the glob has no slash",
	  offsetof(struct config_rule, executable), RULE_GLOB },
	{ "command", "glob over the whole command line, arguments joined by one space",
	  offsetof(struct config_rule, command), RULE_GLOB },
	{ "container", "glob over the container's id or name, or the first 12 or more digits of its id",
	  offsetof(struct config_rule, container), RULE_GLOB },
	{ "pid", "process id", offsetof(struct config_rule, pid), RULE_PID },
	{ "port", "port the process listens on", offsetof(struct config_rule, port), RULE_PORT },
	{ "service", "service.name to give to what matches (include only)", offsetof(struct config_rule, service),
	  RULE_NAME },
};
const size_t rule_fields_n = sizeof(rule_fields) / sizeof(rule_fields[0]);
