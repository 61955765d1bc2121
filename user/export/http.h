/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP POST to one URL by libcurl, one connection kept alive. Used from one thread at a time. */
#ifndef SONDE_EXPORT_HTTP_H
#define SONDE_EXPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

#define HTTP_REPLY_MAX (4u << 20) /* OTLP specification: a client stops reading here */
#define HTTP_RETRY_AFTER 64

struct http;

struct http_options {
	const char *url;
	const char *headers; /* "k=v,k2=v2", percent-encoded (OTEL_EXPORTER_OTLP_HEADERS); NULL = none */
	const char *user_agent;
	const char *content_type;
	bool gzip;
	const char *ca, *client_cert, *client_key; /* PEM files or NULL */
};

struct http_reply {
	int status;			    /* 0: no reply, or not all of it */
	struct bytes body;		    /* as far as it was kept; valid until the next call */
	bool too_large;			    /* the reply did not end within HTTP_REPLY_MAX */
	char retry_after[HTTP_RETRY_AFTER]; /* the header's value, empty = none */
	const char *error;		    /* why there is no reply; static */
};

/*
 * Loads libcurl and reads every file that sending needs: nothing but sockets is opened later, so that the process may
 * give up its rights after this. Negative errno and a static *ret_error on failure.
 */
int http_open(const struct http_options *o, struct http **ret, const char **ret_error);
void http_close(struct http *h); /* NULL is allowed */

/* Asked at least every 100 ms while a request is under way: the CLOCK_MONOTONIC ns at which it is given up. */
typedef uint64_t http_deadline_fn(void *context);

/* Sends body, compressed when so opened, and waits for the reply. */
void http_post(struct http *h, struct bytes body, http_deadline_fn *deadline, void *context, struct http_reply *ret);

#endif
