/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* State of libpq's connections that the kernel side keeps in maps and the keeper sweeps. */
#ifndef SONDE_LIBPQ_H
#define SONDE_LIBPQ_H

#include "event.h"
#include "types.h"

enum libpq_function {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) LIBPQ_##id = number,
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
};

/* A PGconn. Its statements are numbered; those of [head, tail) wait for results, tail is being sent. */
struct libpq_conn {
	__u64 conn;	     /* connection that its bytes went over, 0 = not known */
	__u64 epoch;	     /* since when names of prepared statements hold; as no other PGconn has it */
	__u64 connect_start; /* PQconnectStart or PQresetStart; until PQconnectPoll says how that ended */
	__u32 peer;
	__u32 head, tail;
	__u8 wire;     /* they were in the clear: its statements are counted there */
	__u8 pipeline; /* enum libpq_pipeline */
	__u16 pad;
	struct event_transaction tx; /* by the command tags; status is not known */
};

/* How struct libpq_op begins. */
struct libpq_owner {
	__u64 conn; /* key of its struct libpq_conn */
	__u32 tgid;
	__u32 number; /* of the statement */
};

#endif
