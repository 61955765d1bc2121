/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What is asked of an exchange without knowing its protocol; include/frame/NAME.h has the rest. */
#ifndef SONDE_FRAME_PROTOCOLS_H
#define SONDE_FRAME_PROTOCOLS_H

#include "event.h"
#include "frame/mysql.h"
#include "frame/postgres.h"

/* Is it worth a span and a count? method: struct event_exchange.method. */
FRAME_INLINE int frame_counts(__u8 proto, __u8 method)
{
	switch (proto) {
	case PROTO_HTTP1:
		return 1;
	case PROTO_POSTGRES:
		return pg_statement_counts(method);
	case PROTO_MYSQL:
		return mysql_statement_counts(method);
	}
	return 0;
}

/* Does it open a client's connection to a database? */
FRAME_INLINE int frame_opens(__u8 proto, __u8 method)
{
	return (proto == PROTO_POSTGRES && method == PG_STARTUP) || (proto == PROTO_MYSQL && method == MYSQL_HANDSHAKE);
}

/* Does it but prepare a statement, which is run on the same connection? */
FRAME_INLINE int frame_prepares(__u8 proto, __u8 method)
{
	return (proto == PROTO_POSTGRES && method == PG_PARSE) || (proto == PROTO_MYSQL && method == MYSQL_PREPARE);
}

/* Does it run one that was prepared? */
FRAME_INLINE int frame_executes(__u8 proto, __u8 method)
{
	return (proto == PROTO_POSTGRES && method == PG_EXECUTE) || (proto == PROTO_MYSQL && method == MYSQL_EXECUTE);
}

/* Is it no span, but told to user space even when spans are left out? */
FRAME_INLINE int frame_always_told(__u8 proto, __u8 method)
{
	return frame_opens(proto, method) || (proto == PROTO_POSTGRES && method == PG_CANCEL);
}

#endif
