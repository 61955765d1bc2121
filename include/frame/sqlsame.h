/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Is a text of SQL the same as one before but for digits of its numbers? Then it has the same key (sqlkey.h), and other
 * properties that do not depend on these. Programs ask the same again and again with other numbers, and to compare is
 * much cheaper than to go through a text.
 *
 * Only digits that follow one of the characters below, or such a digit, may differ: behind these no word goes on, so
 * that they begin a number, or are in what is passed over in any case (a string, a comment). A kept text has 0xff in
 * their places; of texts with bytes from 0x80 on none is kept.
 */
#ifndef SONDE_FRAME_SQLSAME_H
#define SONDE_FRAME_SQLSAME_H

#include "frame/frame.h"

#define SQLSAME_ONES 0x0101010101010101ULL
#define SQLSAME_TOPS 0x8080808080808080ULL

/* The top bit of each byte of w, which are below 0x80, that is c. */
FRAME_INLINE __u64 sqlsame_is(__u64 w, __u32 c)
{
	return ~((w ^ c * SQLSAME_ONES) + 0x7f * SQLSAME_ONES) & SQLSAME_TOPS;
}

/*
 * The next eight bytes of a text as they are kept. open: 0x80 where the byte before lets a number follow, else 0; for
 * the byte behind them in the end. A run of digits is taken whole by a sum that runs over through it.
 */
FRAME_INLINE __u64 sqlsame_kept(__u64 w, __u64 *open)
{
	__u64 low = w & ~SQLSAME_TOPS, digits, begins, before;

	digits = (low + (0x80 - '0') * SQLSAME_ONES) & ~(low + (0x80 - '9' - 1) * SQLSAME_ONES) & SQLSAME_TOPS;
	begins = sqlsame_is(low, ' ') | sqlsame_is(low, '=') | sqlsame_is(low, ',') | sqlsame_is(low, '(');
	before = begins << 8 | *open;
	before = (digits & before) >> 7;
	digits = (digits >> 7) * 0xff;
	digits &= ~(digits + before);
	*open = (begins | digits) >> 63 << 7;
	return w | digits;
}

/* Not 0: of eight bytes of a text some are not as they were kept. */
FRAME_INLINE __u64 sqlsame_differs(__u64 w, __u64 kept)
{
	__u64 tops = kept & SQLSAME_TOPS, digits = (tops >> 7) * 0xff, d = w ^ '0' * SQLSAME_ONES;

	d = ((d & ~SQLSAME_TOPS) + 0x76 * SQLSAME_ONES) | d; /* top bit: no digit */
	return ((w ^ kept) & ~digits) | (d & tops);
}

#endif
