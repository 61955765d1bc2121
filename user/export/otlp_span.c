/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One span as bytes. All else of OTLP is packed by protobuf-c; spans are by far the most of it, and its generic
 * descriptors cost three times what the whole way from the ring buffer to here does.
 */
#include "export/otlp_encode.h"
#include "export/otlp_wire.h"

#define FLAG_REMOTE_KNOWN 0x100u
#define FLAG_REMOTE 0x200u
#define TRACESTATE_MAX 512 /* characters; W3C Trace Context asks for at least so many */

/* Field numbers of trace.proto and common.proto, opentelemetry-proto 1.11.0. */
enum { SPAN_TRACE_ID = 1, SPAN_SPAN_ID, SPAN_TRACE_STATE, SPAN_PARENT, SPAN_NAME, SPAN_KIND, SPAN_START, SPAN_END };
enum { SPAN_ATTRIBUTES = 9, SPAN_DROPPED_ATTRIBUTES = 10, SPAN_STATUS = 15, SPAN_FLAGS = 16 };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4 };
enum { STATUS_CODE = 3, STATUS_CODE_ERROR = 2 };

/* What the length of a span is made of. */
struct sizes {
	size_t span;
	struct {
		uint32_t pair, value;
	} attrs[ATTRS_MAX];
};

/* A tracestate comes from a header: what is not printable ASCII would make a receiver refuse the whole request. */
static struct bytes tracestate(struct bytes s)
{
	if (s.n > TRACESTATE_MAX)
		return (struct bytes){ 0 };
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return (struct bytes){ 0 };
	return s;
}

static size_t value_size(const struct attr *at)
{
	switch (at->type) {
	case ATTR_STRING:
		return wire_bytes_size(at->s.n);
	case ATTR_INT:
		return 1 + wire_varint_size((uint64_t)at->i);
	case ATTR_DOUBLE:
		return 1 + sizeof(uint64_t);
	case ATTR_BOOL:
		return 2;
	}
	return 0;
}

static void measure(const struct span *s, struct bytes state, struct sizes *z)
{
	size_t n = wire_bytes_size(sizeof(s->trace.b)) + wire_bytes_size(sizeof(s->id.b)) + 2 + 9 + 9 + 6;

	if (!span_id_zero(&s->parent))
		n += wire_bytes_size(sizeof(s->parent.b));
	if (state.n)
		n += wire_bytes_size(state.n);
	if (s->name.n)
		n += wire_bytes_size(s->name.n);
	if (s->attrs.dropped)
		n += 1 + wire_varint_size(s->attrs.dropped);
	if (s->status == SPAN_ERROR)
		n += wire_bytes_size(2);
	for (uint32_t i = 0; i < s->attrs.n; i++) {
		const struct attr *at = &s->attrs.v[i];
		size_t value = value_size(at), pair = wire_bytes_size(at->key_n) + wire_bytes_size(value);

		z->attrs[i].value = (uint32_t)value;
		z->attrs[i].pair = (uint32_t)pair;
		n += wire_bytes_size(pair);
	}
	z->span = n;
}

/* Text has no NUL where it goes: some receivers refuse the whole request for one. */
static uint8_t *put_text(uint8_t *to, unsigned field, struct bytes s)
{
	uint8_t *end = wire_bytes(to, field, s.p, s.n), *at = end - s.n;

	while ((at = memchr(at, '\0', (size_t)(end - at))))
		*at++ = ' ';
	return end;
}

static uint8_t *put_value(uint8_t *to, const struct attr *at)
{
	uint64_t bits;

	switch (at->type) {
	case ATTR_STRING:
		return put_text(to, ANY_STRING, at->s);
	case ATTR_INT:
		return wire_varint(wire_tag(to, ANY_INT, WIRE_VARINT), (uint64_t)at->i);
	case ATTR_DOUBLE:
		memcpy(&bits, &at->d, sizeof(bits));
		return wire_fixed64(to, ANY_DOUBLE, bits);
	case ATTR_BOOL:
		return wire_varint(wire_tag(to, ANY_BOOL, WIRE_VARINT), at->b);
	}
	return to;
}

static uint8_t *put_attrs(uint8_t *to, const struct attrs *attrs, const struct sizes *z)
{
	for (uint32_t i = 0; i < attrs->n; i++) {
		const struct attr *at = &attrs->v[i];

		to = wire_varint(wire_tag(to, SPAN_ATTRIBUTES, WIRE_BYTES), z->attrs[i].pair);
		to = wire_bytes(to, KEY_VALUE_KEY, at->key, at->key_n);
		to = wire_varint(wire_tag(to, KEY_VALUE_VALUE, WIRE_BYTES), z->attrs[i].value);
		to = put_value(to, at);
	}
	return to;
}

bool otlp_span(struct otlp_arena *a, const struct span *s, struct bytes *ret)
{
	struct bytes state = tracestate(s->tracestate);
	struct sizes z;
	uint8_t *start, *to;

	measure(s, state, &z);
	start = to = otlp_alloc_dirty(a, wire_varint_size(z.span) + z.span);
	if (!to)
		return false;
	to = wire_varint(to, z.span);
	to = wire_bytes(to, SPAN_TRACE_ID, s->trace.b, sizeof(s->trace.b));
	to = wire_bytes(to, SPAN_SPAN_ID, s->id.b, sizeof(s->id.b));
	if (state.n)
		to = wire_bytes(to, SPAN_TRACE_STATE, state.p, state.n);
	if (!span_id_zero(&s->parent))
		to = wire_bytes(to, SPAN_PARENT, s->parent.b, sizeof(s->parent.b));
	if (s->name.n)
		to = put_text(to, SPAN_NAME, s->name);
	to = wire_varint(wire_tag(to, SPAN_KIND, WIRE_VARINT), s->kind);
	to = wire_fixed64(to, SPAN_START, s->start);
	to = wire_fixed64(to, SPAN_END, s->end > s->start ? s->end : s->start);
	to = put_attrs(to, &s->attrs, &z);
	if (s->attrs.dropped)
		to = wire_varint(wire_tag(to, SPAN_DROPPED_ATTRIBUTES, WIRE_VARINT), s->attrs.dropped);
	if (s->status == SPAN_ERROR) {
		to = wire_varint(wire_tag(to, SPAN_STATUS, WIRE_BYTES), 2);
		to = wire_varint(wire_tag(to, STATUS_CODE, WIRE_VARINT), STATUS_CODE_ERROR);
	}
	to = wire_fixed32(to, SPAN_FLAGS, s->trace_flags | FLAG_REMOTE_KNOWN | (s->parent_remote ? FLAG_REMOTE : 0));
	*ret = bytes_of(start, (size_t)(to - start));
	return true;
}
