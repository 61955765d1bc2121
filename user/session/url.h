/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets (RFC 9112 section 3.2, RFC 3986), made safe to keep: user information and the values of query
 * parameters never leave, nor do path parameters such as ;jsessionid=. Keys of query parameters stay.
 */
#ifndef SONDE_SESSION_URL_H
#define SONDE_SESSION_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/bytes.h"

struct url {
	struct bytes scheme;	/* absolute-form only */
	bool userinfo;		/* there was one */
	struct bytes authority; /* without user information; absolute-form and authority-form only */
	struct bytes path;	/* "/…" or "*"; empty for authority-form */
	struct bytes query;	/* without '?' */
	bool has_query;
};

/* connect: the method is CONNECT, the target is an authority. */
void url_split(struct bytes target, bool connect, struct url *ret);

struct host {
	struct bytes name; /* without brackets */
	uint16_t port;	   /* 0 = none given */
};

/* False when it is no host[:port]. */
bool host_split(struct bytes authority, struct host *ret);

void url_redact_path(struct buf *to, struct bytes path);
void url_redact_query(struct buf *to, struct bytes query);

#endif
