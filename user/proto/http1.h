/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1 heads, shared by the parser of exchanges and that of pipelined connections. */
#ifndef SONDE_PROTO_HTTP1_H
#define SONDE_PROTO_HTTP1_H

#include "frame/http1_request.h"
#include "proto/proto.h"

#define HTTP1_PENDING 128      /* requests that may wait for their answers */
#define HTTP1_HEAD_MAX 1024    /* kept of a request's head */
#define HTTP1_HEADS (32 << 10) /* of the heads of all that wait */

struct http1_pending {
	uint64_t start, first, parent;
	uint64_t head; /* its place, see struct http1_stream.heads */
	uint16_t head_n;
	uint8_t method; /* enum http_method */
};

/* State of one connection that pipelines: zeroed to begin. */
struct http1_stream {
	struct http1_answer request, answer;
	bool in_line, in_request, in_answer; /* in_line: of the request */
	bool lost;
	bool ended;	      /* what follows is another protocol */
	uint64_t answer_time; /* of the last answer bytes */
	uint32_t first, count;
	struct http1_pending pending[HTTP1_PENDING]; /* a ring */
	/* A ring of bytes, each head in one piece: places count on from 0, and are taken modulo its size. */
	uint64_t heads_end;
	char heads[HTTP1_HEADS];
};

/* Reads a request's head, that may be cut. False, and nothing set, when it is none. */
bool http1_read_request(struct bytes head, struct operation *ret);

bool http1_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
/* The exchange during which the connection began to stream, with struct http1_carry as its answer. */
void http1_stream_begin(struct proto_stream *st, const struct exchange_bytes *in, stream_emit_fn *emit, void *context);
void http1_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context);

#endif
