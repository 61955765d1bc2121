/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.0 and 1.1 heads (RFC 9110, RFC 9112). Only the header fields that name, place or link a request are looked at;
 * Authorization, Cookie and everything else is stepped over and never kept.
 */
#include "frame/http1_request.h"
#include "proto/http1.h"
#include "proto/proto.h"

static bool is_token(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes b)
{
	while (b.n && (is_blank(b.p[0]) || b.p[0] == '\r' || b.p[0] == '\n'))
		b = bytes_tail(b, 1);
	while (b.n && (is_blank(b.p[b.n - 1]) || b.p[b.n - 1] == '\r' || b.p[b.n - 1] == '\n'))
		b.n--;
	return b;
}

/* One line without its end. False when the line's end is not in the bytes. */
static bool get_line(struct bytes *b, struct bytes *ret)
{
	size_t n = bytes_find(*b, '\n');

	if (n == b->n)
		return false;
	*ret = bytes_head(*b, n);
	if (n && b->p[n - 1] == '\r')
		ret->n--;
	*b = bytes_tail(*b, n + 1);
	return true;
}

/* A header line together with the lines that obs-fold continues it by (RFC 9112 section 5.2). */
static bool get_field(struct bytes *b, struct bytes *ret)
{
	struct bytes line, more;

	if (!get_line(b, &line))
		return false;
	while (line.n && b->n && is_blank(b->p[0])) {
		if (!get_line(b, &more))
			return false;
		line.n = (size_t)(more.p + more.n - line.p);
	}
	*ret = line;
	return true;
}

/* "HTTP/1.x": 10 or 11, else 0. */
static uint16_t get_version(struct bytes b)
{
	return b.n >= 8 ? http1_version(b.p) : 0;
}

/* The first element of a comma-separated list. */
static struct bytes first_of(struct bytes v)
{
	return trim(bytes_head(v, bytes_find(v, ',')));
}

/* Where the list element or parameter that begins v ends: at sep or ',' outside of a quoted string. */
static size_t unquoted_end(struct bytes v, char sep)
{
	bool quoted = false;

	for (size_t i = 0; i < v.n; i++) {
		if (quoted && v.p[i] == '\\')
			i++;
		else if (v.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && (v.p[i] == sep || v.p[i] == ','))
			return i;
	}
	return v.n;
}

struct forwarded {
	struct bytes proto, host, node;
};

/* The first element of a Forwarded field (RFC 7239 section 4): what the proxy nearest to the user says. */
static void read_forwarded(struct bytes v, struct forwarded *ret)
{
	struct bytes element = bytes_head(v, unquoted_end(v, ','));

	while (element.n) {
		size_t end = unquoted_end(element, ';'), eq;
		struct bytes pair = trim(bytes_head(element, end)), name, value;

		element = bytes_tail(element, end + 1);
		eq = bytes_find(pair, '=');
		name = trim(bytes_head(pair, eq));
		value = trim(bytes_tail(pair, eq + 1));
		if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
			value = bytes_of(value.p + 1, value.n - 2);
		if (bytes_ieq(name, BYTES_LITERAL("proto")))
			ret->proto = value;
		else if (bytes_ieq(name, BYTES_LITERAL("host")))
			ret->host = value;
		else if (bytes_ieq(name, BYTES_LITERAL("for")))
			ret->node = value;
	}
}

static const struct {
	const char *name;
	enum trace_header header;
} trace_names[] = {
	{ "b3", TRACE_B3 },
	{ "x-b3-traceid", TRACE_B3_TRACE_ID },
	{ "x-b3-spanid", TRACE_B3_SPAN_ID },
	{ "x-b3-sampled", TRACE_B3_SAMPLED },
	{ "x-b3-flags", TRACE_B3_FLAGS },
	{ "x-datadog-trace-id", TRACE_DATADOG_TRACE_ID },
	{ "x-datadog-parent-id", TRACE_DATADOG_PARENT_ID },
	{ "x-datadog-sampling-priority", TRACE_DATADOG_PRIORITY },
	{ "x-datadog-tags", TRACE_DATADOG_TAGS },
	{ "uber-trace-id", TRACE_UBER },
	{ "x-amzn-trace-id", TRACE_XRAY },
	{ "sentry-trace", TRACE_SENTRY },
};

static void read_trace_header(struct bytes name, struct bytes value, struct operation *ret)
{
	if (bytes_ieq(name, BYTES_LITERAL("traceparent"))) {
		ret->traceparent = value;
		ret->traceparent_count++;
		return;
	}
	if (bytes_ieq(name, BYTES_LITERAL("tracestate"))) {
		if (ret->tracestate_count < TRACESTATE_MAX)
			ret->tracestate[ret->tracestate_count++] = value;
		return;
	}
	for (size_t i = 0; i < sizeof(trace_names) / sizeof(trace_names[0]); i++)
		if (bytes_ieq(name, bytes_str(trace_names[i].name)) && !ret->trace_headers[trace_names[i].header].n)
			ret->trace_headers[trace_names[i].header] = value;
}

static void keep_first(struct bytes *kept, struct bytes value)
{
	if (!kept->n)
		*kept = value;
}

static void read_fields(struct bytes head, struct operation *ret)
{
	struct forwarded standard = { 0 };
	struct bytes field, name, value;
	size_t colon;

	while (get_field(&head, &field) && field.n) {
		colon = bytes_find(field, ':');
		if (colon == 0 || colon == field.n)
			continue;
		name = bytes_head(field, colon);
		value = trim(bytes_tail(field, colon + 1));
		switch (name.p[0] | 0x20) { /* most fields are none of ours */
		case 'h':
			if (bytes_ieq(name, BYTES_LITERAL("host")))
				keep_first(&ret->host, value);
			break;
		case 'u':
			if (bytes_ieq(name, BYTES_LITERAL("user-agent")))
				keep_first(&ret->user_agent, value);
			else
				read_trace_header(name, value, ret);
			break;
		case 'f':
			if (bytes_ieq(name, BYTES_LITERAL("forwarded")) && !standard.proto.n && !standard.host.n &&
			    !standard.node.n)
				read_forwarded(value, &standard);
			break;
		case 'x':
			if (bytes_ieq(name, BYTES_LITERAL("x-forwarded-proto")))
				keep_first(&ret->forwarded_proto, first_of(value));
			else if (bytes_ieq(name, BYTES_LITERAL("x-forwarded-host")))
				keep_first(&ret->forwarded_host, first_of(value));
			else if (bytes_ieq(name, BYTES_LITERAL("x-forwarded-for")))
				keep_first(&ret->forwarded_for, first_of(value));
			else
				read_trace_header(name, value, ret);
			break;
		case 'b':
		case 's':
		case 't':
			read_trace_header(name, value, ret);
			break;
		}
	}
	if (standard.proto.n)
		ret->forwarded_proto = standard.proto;
	if (standard.host.n)
		ret->forwarded_host = standard.host;
	if (standard.node.n)
		ret->forwarded_for = standard.node;
}

bool http1_read_request(struct bytes head, struct operation *ret)
{
	struct bytes line, rest;
	size_t n = 0, end;
	bool whole;

	while (head.n && (head.p[0] == '\r' || head.p[0] == '\n')) /* RFC 9112 section 2.2 */
		head = bytes_tail(head, 1);
	rest = head;
	whole = get_line(&rest, &line);
	if (!whole)
		line = head;
	while (n < line.n && is_token(line.p[n]))
		n++;
	if (n == 0 || n > 32 || n == line.n || line.p[n] != ' ')
		return false;
	ret->method = bytes_head(line, n);
	line = bytes_tail(line, n + 1);
	if (!whole) {
		end = bytes_find(line, ' ');
		ret->target_cut = end == line.n;
		ret->target = bytes_head(line, end);
		return true;
	}
	/* The version is behind the last space: a target with spaces in it is wrong, but is seen. */
	for (end = line.n; end > 0 && line.p[end - 1] != ' ';)
		end--;
	if (end == 0) { /* HTTP/0.9 has no version; no server of today speaks it */
		ret->method = (struct bytes){ 0 };
		return false;
	}
	ret->http_version = get_version(bytes_tail(line, end));
	ret->target = trim(bytes_head(line, end - 1));
	if (!ret->http_version) {
		ret->method = ret->target = (struct bytes){ 0 };
		return false;
	}
	read_fields(rest, ret);
	return true;
}

/* Skips interim answers: what counts is the last one, or 101 (RFC 9110 section 15.2). */
static bool read_answer(struct bytes head, struct operation *ret)
{
	struct bytes line;
	bool found = false;

	for (;;) {
		uint16_t version = get_version(head), status;

		if (!version || head.n < 12 || head.p[8] != ' ')
			return found;
		for (int i = 9; i < 12; i++)
			if (head.p[i] < '0' || head.p[i] > '9')
				return found;
		status = (uint16_t)((head.p[9] - '0') * 100 + (head.p[10] - '0') * 10 + (head.p[11] - '0'));
		if (status < 100 || status > 599)
			return found;
		found = true;
		ret->http_status = status;
		ret->http_version = version;
		if (status >= 200 || status == 101)
			return true;
		do {
			if (!get_line(&head, &line))
				return true;
		} while (line.n);
	}
}

static bool http1_exchange(const struct exchange_bytes *in, struct operation *ret)
{
	bool request, answer;

	memset(ret, 0, sizeof(*ret));
	ret->proto = PROTO_HTTP1;
	request = http1_read_request(in->request, ret);
	if (!request && in->request.n) { /* nothing of a request that makes no sense is kept */
		memset(ret, 0, sizeof(*ret));
		ret->proto = PROTO_HTTP1;
	}
	answer = read_answer(in->answer, ret);
	return request || answer;
}

const struct proto proto_http1 = {
	.name = "http1",
	.id = PROTO_HTTP1,
	.exchange = http1_exchange,
	.stream_size = sizeof(struct http1_stream),
	.stream_begin = http1_stream_begin,
	.stream = http1_stream_feed,
	.stream_close = http1_stream_close,
};
