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

#endif
