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

/* No span is longer: all its texts, and for each field its tag and lengths. */
static size_t most(const struct span *s)
{
	size_t n = 128 + s->tracestate.n + s->name.n;

	for (uint32_t i = 0; i < s->attrs.n; i++) {
		const struct attr *at = &s->attrs.v[i];

		n += at->key_n + 40 + (at->type == ATTR_STRING ? at->s.n : 0);
	}
	return n;
}

static uint64_t copy_word(uint8_t *to, const char *from)
{
	uint64_t w;

	memcpy(&w, from, sizeof(w));
	memcpy(to, &w, sizeof(w));
	return w;
}

/* Text has no NUL where it goes: some receivers refuse the whole request for one. */
static uint8_t *put_text(uint8_t *at, unsigned field, struct bytes s)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t w, zeros = ~0ULL; /* high bits that are set of bytes that may be zero */

	at -= s.n;
	if (s.n < sizeof(w)) {
		wire_copy(at, s.p, s.n);
	} else {
		w = copy_word(at + s.n - sizeof(w), s.p + s.n - sizeof(w));
		zeros = (w - ones) & ~w;
		for (size_t i = 0; i + sizeof(w) < s.n; i += sizeof(w)) {
			w = copy_word(at + i, s.p + i);
			zeros |= (w - ones) & ~w;
		}
	}
	if (zeros & ones << 7)
		for (size_t i = 0; i < s.n; i++)
			at[i] = at[i] ? at[i] : ' ';
	return wire_head(at, field, s.n);
}

static uint8_t *put_value(uint8_t *at, const struct attr *a)
{
	uint64_t bits;

	switch (a->type) {
	case ATTR_STRING:
		return put_text(at, ANY_STRING, a->s);
	case ATTR_INT:
		return wire_tag(wire_varint(at, (uint64_t)a->i), ANY_INT, WIRE_VARINT);
	case ATTR_DOUBLE:
		memcpy(&bits, &a->d, sizeof(bits));
		return wire_fixed64(at, ANY_DOUBLE, bits);
	case ATTR_BOOL:
		return wire_tag(wire_varint(at, a->b), ANY_BOOL, WIRE_VARINT);
	}
	return at;
}

static uint8_t *put_attrs(uint8_t *at, const struct attrs *attrs)
{
	for (uint32_t i = attrs->n; i-- > 0;) {
		const struct attr *a = &attrs->v[i];
		uint8_t *end = at;

		at = put_value(at, a);
		at = wire_head(at, KEY_VALUE_VALUE, (size_t)(end - at));
		at = wire_bytes(at, KEY_VALUE_KEY, a->key, a->key_n);
		at = wire_head(at, SPAN_ATTRIBUTES, (size_t)(end - at));
	}
	return at;
}

bool otlp_span(struct otlp_body *b, unsigned field, const struct span *s)
{
	struct bytes state = tracestate(s->tracestate);
	uint8_t *at, *end;

	if (!otlp_body_room(b, most(s)))
		return false;
	at = end = b->at;
	at = wire_fixed32(at, SPAN_FLAGS, s->trace_flags | FLAG_REMOTE_KNOWN | (s->parent_remote ? FLAG_REMOTE : 0));
	if (s->status == SPAN_ERROR) {
		at = wire_tag(wire_varint(at, STATUS_CODE_ERROR), STATUS_CODE, WIRE_VARINT);
		at = wire_head(at, SPAN_STATUS, 2);
	}
	if (s->attrs.dropped)
		at = wire_tag(wire_varint(at, s->attrs.dropped), SPAN_DROPPED_ATTRIBUTES, WIRE_VARINT);
	at = put_attrs(at, &s->attrs);
	at = wire_fixed64(at, SPAN_END, s->end > s->start ? s->end : s->start);
	at = wire_fixed64(at, SPAN_START, s->start);
	at = wire_tag(wire_varint(at, s->kind), SPAN_KIND, WIRE_VARINT);
	if (s->name.n)
		at = put_text(at, SPAN_NAME, s->name);
	if (!span_id_zero(&s->parent))
		at = wire_bytes(at, SPAN_PARENT, s->parent.b, sizeof(s->parent.b));
	if (state.n)
		at = wire_bytes(at, SPAN_TRACE_STATE, state.p, state.n);
	at = wire_bytes(at, SPAN_SPAN_ID, s->id.b, sizeof(s->id.b));
	at = wire_bytes(at, SPAN_TRACE_ID, s->trace.b, sizeof(s->trace.b));
	b->at = wire_head(at, field, (size_t)(end - at));
	return true;
}
