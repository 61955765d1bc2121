/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "export/console_json.h"
#include "util/number.h"

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

		buf_str(out, i ? ",\"" : "\"");
		buf_json(out, bytes_of(at->key, at->key_n));
		buf_str(out, "\":");
		switch (at->type) {
		case ATTR_STRING:
			json_string(out, at->s);
			break;
		case ATTR_INT:
			number_signed(out, at->i);
			break;
		case ATTR_DOUBLE:
			if (isfinite(at->d))
				number_double(out, at->d);
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

/* The day of the proleptic Gregorian calendar that is so many after 1970-01-01, as YYYY-MM-DD. */
static char *put_date(char *to, uint64_t days)
{
	uint64_t era, day, year, month;

	days += 719468; /* from 0000-03-01 on: leap days come last */
	era = days / 146097;
	day = days % 146097;
	year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153; /* of the year that begins in March */
	day -= (153 * month + 2) / 5;
	to = number_put(to, era * 400 + year + (month >= 10), 4);
	*to++ = '-';
	to = number_put(to, month < 10 ? month + 3 : month - 9, 2);
	*to++ = '-';
	return number_put(to, day + 1, 2);
}

static void json_time(struct buf *out, uint64_t ns)
{
	uint64_t seconds = ns / 1000000000;
	char text[32], *at = put_date(text, seconds / 86400);

	*at++ = 'T';
	at = number_put(at, seconds / 3600 % 24, 2);
	*at++ = ':';
	at = number_put(at, seconds / 60 % 60, 2);
	*at++ = ':';
	at = number_put(at, seconds % 60, 2);
	*at++ = '.';
	at = number_put(at, ns % 1000000000 / 1000, 6);
	*at++ = 'Z';
	buf_add(out, bytes_of(text, (size_t)(at - text)));
}

/* As %.6f writes the quotient of doubles: up to here they tell nanoseconds apart. */
#define EXACT_NS (1ULL << 51)

static void json_duration(struct buf *out, const struct span *s)
{
	uint64_t ns = s->end > s->start ? s->end - s->start : 0;
	char text[6];

	if (ns > EXACT_NS) {
		buf_printf(out, "%.6f", (double)ns / 1e6);
		return;
	}
	number_unsigned(out, ns / 1000000);
	buf_char(out, '.');
	number_put(text, ns % 1000000, sizeof(text));
	buf_add(out, bytes_of(text, sizeof(text)));
}

static void json_hex(struct buf *out, const uint8_t *id, size_t n)
{
	char hex[32];

	hex_encode(hex, id, n);
	buf_char(out, '"');
	buf_add(out, bytes_of(hex, 2 * n));
	buf_char(out, '"');
}

static void json_resource(struct buf *out, struct json_resources *known, struct resource *r)
{
	struct json_resource *new = &known->v[known->next];

	for (size_t i = 0; i < JSON_RESOURCES; i++)
		if (known->v[i].resource == r && !known->v[i].text.failed) {
			buf_add(out, buf_bytes(&known->v[i].text));
			return;
		}
	known->next = (known->next + 1) % JSON_RESOURCES;
	resource_unref(new->resource);
	new->resource = resource_ref(r);
	buf_reset(&new->text);
	json_attrs(&new->text, &r->attrs);
	if (new->text.failed)
		json_attrs(out, &r->attrs);
	else
		buf_add(out, buf_bytes(&new->text));
}

void json_resources_free(struct json_resources *known)
{
	for (size_t i = 0; i < JSON_RESOURCES; i++) {
		resource_unref(known->v[i].resource);
		buf_free(&known->v[i].text);
	}
	*known = (struct json_resources){ 0 };
}

void console_json(struct buf *out, const struct span *s, struct json_resources *known)
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
	buf_str(out, ",\"kind\":\"");
	buf_str(out, kind_name(s->kind));
	buf_str(out, "\",\"service\":");
	json_string(out, resource_service(s->resource));
	buf_str(out, ",\"start_unix_nano\":\"");
	number_unsigned(out, s->start);
	buf_str(out, "\",\"end_unix_nano\":\"");
	number_unsigned(out, s->end);
	buf_str(out, "\",\"duration_ms\":");
	json_duration(out, s);
	buf_str(out, s->status == SPAN_ERROR ? ",\"status\":\"error\"" : ",\"status\":\"unset\"");
	buf_str(out, ",\"attributes\":");
	json_attrs(out, &s->attrs);
	buf_str(out, ",\"resource\":");
	if (s->resource)
		json_resource(out, known, s->resource);
	else
		buf_str(out, "{}");
	buf_str(out, "}\n");
}
