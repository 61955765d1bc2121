/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Latency histograms: one value counted in two exact views.
 *
 * - explicit: the buckets that the OpenTelemetry semantic conventions advise, upper bounds inclusive; one list of
 * bounds for HTTP and one for databases.
 * - exponential: OpenTelemetry's base-2 exponential histogram of scale 3 (8 buckets an octave, upper bounds inclusive;
 *   metrics data model, "ExponentialHistogram"). Index i holds (2^(i/8), 2^((i+1)/8)] seconds.
 *
 * Found with integers only: nanoseconds are first scaled to units of 2^-30 s, so that octaves are bit positions, and a
 * linear eighth of an octave holds exactly one logarithmic boundary, so one compare decides. Nanoseconds are coarse
 * below 8 us: there one value in a thousand may land one bucket off; never two.
 */
#ifndef SONDE_HIST_H
#define SONDE_HIST_H

#include "types.h"

#define HIST_EXPLICIT_MAX 16 /* bounds + 1 of the longest list */
#define HIST_AMOUNT_MAX 14   /* the same of amounts */
#define HIST_SCALE 3
#define HIST_SLOTS 256
#define HIST_MIN_INDEX (-160) /* index of slot 0: above 2^-20 s = 0.95 us; slot 255 ends at 2^12 s = 4096 s */

enum hist_bounds { HIST_HTTP = 0, HIST_DB = 1, HIST_BOUNDS_COUNT };

/* Upper bounds in nanoseconds, ascending, ended by 0. */
#define HIST_HTTP_BOUNDS                                                                                          \
	5000000ULL, 10000000ULL, 25000000ULL, 50000000ULL, 75000000ULL, 100000000ULL, 250000000ULL, 500000000ULL, \
		750000000ULL, 1000000000ULL, 2500000000ULL, 5000000000ULL, 7500000000ULL, 10000000000ULL, 0ULL
#define HIST_DB_BOUNDS                                                                                              \
	1000000ULL, 5000000ULL, 10000000ULL, 50000000ULL, 100000000ULL, 500000000ULL, 1000000000ULL, 5000000000ULL, \
		10000000000ULL, 0ULL, 0ULL, 0ULL, 0ULL, 0ULL, 0ULL

/* Upper bounds of amounts (rows, statements), inclusive: db.client.response.returned_rows. Ended by 0. */
#define HIST_AMOUNT_BOUNDS 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 0

/* struct hist_key.method of databases: what is counted, and which amount beside the time. */
enum hist_what {
	HIST_STATEMENT = 0,	   /* time of a statement, rows that came back */
	HIST_TRANSACTION = 1,	   /* time of a transaction, its statements */
	HIST_TRANSACTION_IDLE = 2, /* time of it in which the server had nothing to do */
	HIST_WHAT_COUNT
};

/* struct hist_key.status of transactions. */
enum transaction_outcome { TRANSACTION_COMMIT = 1, TRANSACTION_ROLLBACK = 2 };

/* What a histogram is kept for. All bytes count: zero the struct first. */
struct hist_key {
	__u64 operation; /* hash of the operation: HTTP and transactions 0, SQL the hash of the text without literals */
	__u32 service;	 /* number of the observed service, struct event_process.service */
	__u32 peer;	 /* client side: hash of the remote address and port, of transactions also of the database */
	__u32 status;	 /* as struct event_exchange.status; failures without one: HIST_STATUS_*; or the outcome */
	__u8 proto;	 /* enum proto_id */
	__u8 role;	 /* enum conn_role */
	__u8 method;	 /* HTTP: as struct event_exchange.method; databases: enum hist_what */
	__u8 version;	 /* HTTP: 10 or 11, with HIST_VERSION_TLS for https; else 0 */
};

#define HIST_VERSION_TLS 0x80

#define HIST_STATUS_NO_ANSWER 0xfffffffeu /* the peer went away before it answered */
#define HIST_STATUS_ABORTED 0xfffffffdu	  /* the answer was cut short */
#define HIST_OPERATION_OVERFLOW (~0ULL)	  /* key table full: counted together */
#define HIST_NO_AMOUNT (~0ULL)		  /* there is none beside the time */

struct hist_value {
	__u64 count;
	__u64 sum;				  /* nanoseconds */
	__u32 announced;			  /* the key and a sample of it went to user space */
	__u32 clamped;				  /* values outside the slots, counted in the first or last one */
	__u32 explicit_counts[HIST_EXPLICIT_MAX]; /* wrap at 2^32: readers take differences */
	__u32 slots[HIST_SLOTS];
	__u64 amount;			/* sum */
	__u32 amounts[HIST_AMOUNT_MAX]; /* of those that came with one; wrap likewise */
};

_Static_assert(sizeof(struct hist_key) == 24, "size of struct hist_key");
_Static_assert(sizeof(struct hist_value) == 24 + 4 * (HIST_EXPLICIT_MAX + HIST_SLOTS) + 8 + 4 * HIST_AMOUNT_MAX,
	       "size of struct hist_value");

/*
 * The logarithmic boundary inside each linear eighth of an octave, as a fraction of 2^32 of the octave. `const
 * volatile` because a small static const table would land in .rodata.cst32, which libbpf 1.1 refuses.
 */
#ifdef __bpf__
#define HIST_TABLE static const volatile
#else
#define HIST_TABLE static const
#endif
HIST_TABLE __u32 hist_threshold[8] = { 0x172b83c7, 0x306fe0a3, 0x4bfdad53, 0x6a09e667,
				       0x8ace5422, 0xae89f995, 0xd5818dcf, 0xffffffff };

/* Index of the exponential bucket of a duration. ret is clamped to the slots; *ret_clamped is set when it had to be. */
FRAME_INLINE __u32 hist_slot(__u64 ns, __u32 *ret_clamped)
{
	__u64 v, top = 0, below, w;
	__s32 index;
	__u32 seg, sub;

	*ret_clamped = 0;
	if (ns > 4000000000000ULL) { /* near the end of the last slot, and no overflow below */
		*ret_clamped = 1;
		return HIST_SLOTS - 1;
	}
	v = ns + ((ns * 1237183ULL) >> 24); /* 2^30 / 1e9 = 1.0737418; now in 2^-30 s */
	if (v < 2) {
		*ret_clamped = 1;
		return 0;
	}
	v--; /* upper bounds are inclusive */
	w = v;
	if (w >> 32) {
		top += 32;
		w >>= 32;
	}
	if (w >> 16) {
		top += 16;
		w >>= 16;
	}
	if (w >> 8) {
		top += 8;
		w >>= 8;
	}
	if (w >> 4) {
		top += 4;
		w >>= 4;
	}
	if (w >> 2) {
		top += 2;
		w >>= 2;
	}
	if (w >> 1)
		top += 1;
	below = (v << 1) << (63 - top); /* bits under the top one, left-aligned */
	seg = (__u32)(below >> 61) & 7;
	sub = seg + ((__u32)(below >> 32) > hist_threshold[seg]);
	index = (__s32)((top << HIST_SCALE) + sub) - 30 * (1 << HIST_SCALE) - HIST_MIN_INDEX;
	if (index < 0 || index >= HIST_SLOTS) {
		*ret_clamped = 1;
		return index < 0 ? 0 : HIST_SLOTS - 1;
	}
	return (__u32)index;
}

#endif
