/* SPDX-License-Identifier: Apache-2.0 */
#include "session/context.h"

#include <string.h>

#define TRACESTATE_MEMBERS 32
#define TRACESTATE_BYTES 8192

static bool get_hex(struct bytes b, size_t at, size_t n, uint8_t *ret)
{
	return at + 2 * n <= b.n && hex_decode(ret, bytes_of(b.p + at, 2 * n), n);
}

static bool usable(const struct remote_context *c)
{
	return !trace_id_zero(&c->trace) && !span_id_zero(&c->span);
}

bool context_traceparent(struct bytes v, struct remote_context *ret)
{
	struct remote_context c = { .valid = true, .w3c = true };
	uint8_t version;

	if (v.n < 55 || v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
		return false;
	if (!get_hex(v, 0, 1, &version) || version == 0xff || !get_hex(v, 3, 16, c.trace.b) ||
	    !get_hex(v, 36, 8, c.span.b) || !get_hex(v, 53, 1, &c.flags))
		return false;
	if (version == 0 ? v.n != 55 : v.n > 55 && v.p[55] != '-')
		return false;
	if (!usable(&c))
		return false;
	c.flags &= 3; /* others have no meaning yet */
	*ret = c;
	return true;
}

/* Hex digits of either case into n bytes, padded with zeros on the left. */
static bool get_id(struct bytes v, uint8_t *ret, size_t n)
{
	char digits[32];

	if (v.n == 0 || v.n > 2 * n)
		return false;
	memset(digits, '0', sizeof(digits));
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];

		digits[2 * n - v.n + i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
	}
	return hex_decode(ret, bytes_of(digits, 2 * n), n);
}

/* The part before the first sep; *v goes behind it. */
static struct bytes take(struct bytes *v, char sep)
{
	size_t n = bytes_find(*v, sep);
	struct bytes part = bytes_head(*v, n);

	*v = bytes_tail(*v, n + 1);
	return part;
}

static bool b3_ids(struct bytes trace, struct bytes span, struct remote_context *c)
{
	return (trace.n == 32 || trace.n == 16) && span.n == 16 && get_id(trace, c->trace.b, 16) &&
	       get_id(span, c->span.b, 8) && usable(c);
}

static bool read_b3_single(struct bytes v, struct remote_context *c)
{
	struct bytes trace = take(&v, '-'), span = take(&v, '-'), state = take(&v, '-');

	if (!b3_ids(trace, span, c))
		return false;
	if (state.n > 1)
		return false;
	c->deferred = state.n == 0;
	c->flags = state.n && (state.p[0] == '1' || state.p[0] == 'd');
	return true;
}

static bool read_b3_multi(const struct bytes *h, struct remote_context *c)
{
	struct bytes sampled = h[TRACE_B3_SAMPLED], flags = h[TRACE_B3_FLAGS];

	if (!b3_ids(h[TRACE_B3_TRACE_ID], h[TRACE_B3_SPAN_ID], c))
		return false;
	c->flags = bytes_eq(sampled, BYTES_LITERAL("1")) || bytes_ieq(sampled, BYTES_LITERAL("true")) ||
		   bytes_eq(flags, BYTES_LITERAL("1"));
	c->deferred = sampled.n == 0 && flags.n == 0;
	return true;
}

static bool get_decimal(struct bytes v, uint8_t *ret8)
{
	uint64_t n = 0;

	if (v.n == 0 || v.n > 20)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		uint64_t d = (uint64_t)(v.p[i] - '0');

		if (v.p[i] < '0' || v.p[i] > '9' || n > (UINT64_MAX - d) / 10)
			return false;
		n = n * 10 + d;
	}
	for (int i = 7; i >= 0; i--, n >>= 8)
		ret8[i] = (uint8_t)n;
	return true;
}

/* Ids are decimal numbers of 64 bits; the upper half of the trace id travels in a tag. */
static bool read_datadog(const struct bytes *h, struct remote_context *c)
{
	struct bytes tags = h[TRACE_DATADOG_TAGS], priority = h[TRACE_DATADOG_PRIORITY], key, value;

	if (!get_decimal(h[TRACE_DATADOG_TRACE_ID], c->trace.b + 8) ||
	    !get_decimal(h[TRACE_DATADOG_PARENT_ID], c->span.b))
		return false;
	while (tags.n) {
		value = take(&tags, ',');
		key = take(&value, '=');
		if (bytes_eq(key, BYTES_LITERAL("_dd.p.tid")) && value.n == 16)
			(void)!get_id(value, c->trace.b, 8);
	}
	c->deferred = priority.n == 0;
	c->flags = bytes_eq(priority, BYTES_LITERAL("1")) || bytes_eq(priority, BYTES_LITERAL("2"));
	return usable(c);
}

/* {trace}:{span}:{parent}:{flags}; the colons may be URL-encoded. */
static bool read_uber(struct bytes v, struct remote_context *c)
{
	char plain[128];
	struct bytes trace, span, b;
	size_t n = 0;
	uint8_t flags;

	for (size_t i = 0; i < v.n && n < sizeof(plain); i++) {
		if (v.n - i >= 3 && v.p[i] == '%' && v.p[i + 1] == '3' && (v.p[i + 2] | 0x20) == 'a') {
			plain[n++] = ':';
			i += 2;
		} else {
			plain[n++] = v.p[i];
		}
	}
	b = bytes_of(plain, n);
	trace = take(&b, ':');
	span = take(&b, ':');
	take(&b, ':');
	if (!get_id(trace, c->trace.b, 16) || !get_id(span, c->span.b, 8) || !get_id(b, &flags, 1))
		return false;
	c->flags = flags & 1;
	return usable(c);
}

/* Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled=0|1 */
static bool read_xray(struct bytes v, struct remote_context *c)
{
	bool root = false, parent = false;
	struct bytes key, value;

	c->deferred = true;
	while (v.n) {
		value = take(&v, ';');
		while (value.n && value.p[0] == ' ')
			value = bytes_tail(value, 1);
		key = take(&value, '=');
		if (bytes_eq(key, BYTES_LITERAL("Root"))) {
			root = value.n == 35 && value.p[0] == '1' && value.p[1] == '-' && value.p[10] == '-' &&
			       get_hex(value, 2, 4, c->trace.b) && get_hex(value, 11, 12, c->trace.b + 4);
		} else if (bytes_eq(key, BYTES_LITERAL("Parent"))) {
			parent = get_hex(value, 0, 8, c->span.b) && value.n == 16;
		} else if (bytes_eq(key, BYTES_LITERAL("Sampled")) && value.n == 1 && value.p[0] != '?') {
			c->flags = value.p[0] == '1';
			c->deferred = false;
		}
	}
	return root && parent && usable(c);
}

static bool read_sentry(struct bytes v, struct remote_context *c)
{
	struct bytes trace = take(&v, '-'), span = take(&v, '-');

	if (trace.n != 32 || span.n != 16 || v.n > 1 || !get_id(trace, c->trace.b, 16) || !get_id(span, c->span.b, 8))
		return false;
	c->deferred = v.n == 0;
	c->flags = v.n && v.p[0] == '1';
	return usable(c);
}

static bool read_header(const struct bytes *h, enum trace_header which, struct remote_context *c)
{
	switch (which) {
	case TRACE_B3:
		return read_b3_single(h[which], c);
	case TRACE_B3_TRACE_ID:
		return read_b3_multi(h, c);
	case TRACE_DATADOG_TRACE_ID:
		return read_datadog(h, c);
	case TRACE_UBER:
		return read_uber(h[which], c);
	case TRACE_XRAY:
		return read_xray(h[which], c);
	case TRACE_SENTRY:
		return read_sentry(h[which], c);
	default:
		return false;
	}
}

void context_read(const struct operation *op, struct remote_context *ret)
{
	*ret = (struct remote_context){ 0 };
	if (op->traceparent_count == 1 && context_traceparent(op->traceparent, ret))
		return;
	for (int i = 0; i < TRACE_HEADER_COUNT; i++) {
		struct remote_context c;

		if (!op->trace_headers[i].n)
			continue;
		c = (struct remote_context){ .valid = true };
		if (read_header(op->trace_headers, (enum trace_header)i, &c)) {
			*ret = c;
			return;
		}
	}
}

static bool is_key_char(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return !first && (c == '_' || c == '-' || c == '*' || c == '/' || c == '@');
}

static bool is_member(struct bytes m)
{
	struct bytes value = m, key = take(&value, '=');

	if (key.n == m.n || key.n == 0 || key.n > 256 || value.n == 0 || value.n > 256)
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (!is_key_char(key.p[i], i == 0))
			return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e || value.p[i] == '=')
			return false;
	return true;
}

void context_tracestate(const struct operation *op, struct buf *ret)
{
	unsigned members = 0;

	buf_reset(ret);
	for (unsigned i = 0; i < op->tracestate_count; i++) {
		struct bytes line = op->tracestate[i];

		while (line.n) {
			struct bytes m = take(&line, ',');

			while (m.n && (m.p[0] == ' ' || m.p[0] == '\t'))
				m = bytes_tail(m, 1);
			while (m.n && (m.p[m.n - 1] == ' ' || m.p[m.n - 1] == '\t'))
				m.n--;
			if (!m.n)
				continue;
			if (!is_member(m) || ++members > TRACESTATE_MEMBERS || ret->n + m.n > TRACESTATE_BYTES) {
				buf_reset(ret);
				return;
			}
			if (ret->n)
				buf_char(ret, ',');
			buf_add(ret, m);
		}
	}
}
