/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "export/console_text.h"

static const char *kind_name(enum span_kind kind)
{
	switch (kind) {
	case SPAN_SERVER:
		return "server";
	case SPAN_CLIENT:
		return "client";
	case SPAN_PRODUCER:
		return "producer";
	case SPAN_CONSUMER:
		return "consumer";
	default:
		return "internal";
	}
}

static void json_string(struct buf *out, struct bytes s)
{
	buf_char(out, '"');
	buf_json(out, s);
	buf_char(out, '"');
}

static void json_attrs(struct buf *out, const struct attrs *a)
{
	buf_char(out, '{');
	for (uint32_t i = 0; i < a->n; i++) {
		const struct attr *at = &a->v[i];

		if (i)
			buf_char(out, ',');
		json_string(out, bytes_str(at->key));
		buf_char(out, ':');
		switch (at->type) {
		case ATTR_STRING:
			json_string(out, at->s);
			break;
		case ATTR_INT:
			buf_printf(out, "%" PRId64, at->i);
			break;
		case ATTR_DOUBLE:
			if (isfinite(at->d))
				buf_printf(out, "%.17g", at->d);
			else
				buf_str(out, "null"); /* JSON has no word for these */
			break;
		case ATTR_BOOL:
			buf_str(out, at->b ? "true" : "false");
			break;
		}
	}
	buf_char(out, '}');
}

static void json_time(struct buf *out, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	char text[32];

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		text[0] = '\0';
	buf_printf(out, "%s.%06uZ", text, (unsigned)(ns % 1000000000 / 1000));
}

static void json_hex(struct buf *out, const uint8_t *id, size_t n)
{
	char hex[32];

	hex_encode(hex, id, n);
	buf_char(out, '"');
	buf_add(out, bytes_of(hex, 2 * n));
	buf_char(out, '"');
}

void console_json(struct buf *out, const struct span *s)
{
	buf_str(out, "{\"time\":\"");
	json_time(out, s->start);
	buf_str(out, "\",\"trace_id\":");
	json_hex(out, s->trace.b, sizeof(s->trace.b));
	buf_str(out, ",\"span_id\":");
	json_hex(out, s->id.b, sizeof(s->id.b));
	buf_str(out, ",\"parent_span_id\":");
	if (span_id_zero(&s->parent))
		buf_str(out, "null");
	else
		json_hex(out, s->parent.b, sizeof(s->parent.b));
	if (s->parent_remote)
		buf_str(out, ",\"parent_remote\":true");
	buf_str(out, ",\"name\":");
	json_string(out, s->name);
	buf_printf(out, ",\"kind\":\"%s\",\"service\":", kind_name(s->kind));
	json_string(out, resource_service(s->resource));
	buf_printf(out, ",\"start_unix_nano\":\"%" PRIu64 "\",\"end_unix_nano\":\"%" PRIu64 "\"", s->start, s->end);
	buf_printf(out, ",\"duration_ms\":%.6f,\"status\":\"%s\",\"attributes\":",
		   s->end > s->start ? (double)(s->end - s->start) / 1e6 : 0.0,
		   s->status == SPAN_ERROR ? "error" : "unset");
	json_attrs(out, &s->attrs);
	buf_str(out, ",\"resource\":");
	if (s->resource)
		json_attrs(out, &s->resource->attrs);
	else
		buf_str(out, "{}");
	buf_str(out, "}\n");
}
