/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1 heads, shared by the parser of exchanges and that of pipelined connections. */
#ifndef SONDE_PROTO_HTTP1_H
#define SONDE_PROTO_HTTP1_H

#include "frame/http1.h"
#include "proto/proto.h"

#define HTTP1_PENDING 32    /* requests that may wait for their answers */
#define HTTP1_HEAD_MAX 1024 /* kept of a request's head */

struct http1_pending {
	uint64_t start, first, parent;
	uint16_t head_n;
	uint8_t method; /* enum http_method */
	char head[HTTP1_HEAD_MAX];
};

/* State of one connection that pipelines: zeroed to begin. */
struct http1_stream {
	struct http1_answer request, answer; /* a request's head and body are framed like an answer's */
	bool in_line, in_request, in_answer; /* in_line: of the request */
	bool lost;
	uint64_t answer_time; /* of the last answer bytes */
	uint32_t first, count;
	struct http1_pending pending[HTTP1_PENDING]; /* a ring */
};

/* Reads a request's head, that may be cut. False, and nothing set, when it is none. */
bool http1_read_request(struct bytes head, struct operation *ret);

bool http1_stream_feed(struct proto_stream *st, const struct stream_input *in, stream_emit_fn *emit, void *context);
void http1_stream_close(struct proto_stream *st, uint64_t time, stream_emit_fn *emit, void *context);

#endif
