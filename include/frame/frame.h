/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Frames: the smallest thing the kernel must know of a protocol. Does this buffer start a request, and is the answer
 * over? Plain C over bounded buffers, compiled into the BPF programs and on the host, where it is unit-tested and
 * fuzzed. Everything else about a protocol is done in user/proto/.
 */
#ifndef SONDE_FRAME_FRAME_H
#define SONDE_FRAME_FRAME_H

#include "types.h"

/* What the framing says about an answer so far. */
enum frame_verdict {
	FRAME_OPEN = 0, /* not complete: the next turn does not end it (COPY, authentication, a body with a length) */
	FRAME_COMPLETE = 1, /* its last byte was seen */
	FRAME_UNSURE = 2,   /* cannot say: the next turn, end of file, the close or the sweep ends it */
	FRAME_UPGRADE = 3,  /* complete, and what follows is another protocol */
	FRAME_STREAM = 4,   /* not lock-step: the bytes of this call and all that follow are for user space */
};

/* Bytes that the framing functions may read in one call; callers always pass a buffer of this size. */
#define FRAME_BLOCK 256
/* Bytes that are enough to recognise the start of a request of any protocol. */
#define FRAME_DETECT 16

FRAME_INLINE __u32 frame_be32(const char *p)
{
	return (__u32)(__u8)p[0] << 24 | (__u32)(__u8)p[1] << 16 | (__u32)(__u8)p[2] << 8 | (__u32)(__u8)p[3];
}

/*
 * Little-endian numbers at any address. On the kernel's side one load each: clang would make eight of the general form,
 * and the machines that Sonde runs on read from odd addresses.
 */
#if defined(__bpf__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
FRAME_INLINE __u32 frame_load32(const char *p)
{
	return *(const __u32 *)p;
}

FRAME_INLINE __u64 frame_load64(const char *p)
{
	return *(const __u64 *)p;
}
#else
FRAME_INLINE __u32 frame_load32(const char *p)
{
	return (__u32)(__u8)p[0] | (__u32)(__u8)p[1] << 8 | (__u32)(__u8)p[2] << 16 | (__u32)(__u8)p[3] << 24;
}

FRAME_INLINE __u64 frame_load64(const char *p)
{
	return (__u64)frame_load32(p + 4) << 32 | frame_load32(p);
}
#endif

/* A copy of eight bytes, which clang would make one by one: from an expression it sees that chars need no alignment. */
FRAME_INLINE void frame_copy8(char *to, const char *from)
{
#ifdef __bpf__
	*(__u64 *)to = *(const __u64 *)from;
#else
	__builtin_memcpy(to, from, 8);
#endif
}

/* x, which is at most mask (a power of two less one): the compiler knows it, the verifier must be told. */
FRAME_INLINE __u32 frame_inside(__u32 x, __u32 mask)
{
#ifdef __bpf__
	asm volatile("" : "+r"(x));
#endif
	return x & mask;
}

/* x, of which the compiler is not to know how it was made: of y & (y - 1) != 0 it makes something slower. */
FRAME_INLINE __u64 frame_kept(__u64 x)
{
#ifdef __bpf__
	asm volatile("" : "+r"(x));
#endif
	return x;
}

/*
 * Number of the lowest byte of y whose top bit is set (y is not 0, and has no other bits). Without a branch, which the
 * verifier would follow both ways: that bit alone, moved to the bottom of its byte, picks a byte of the factor.
 */
FRAME_INLINE __u32 frame_lowest_byte(__u64 y)
{
	return ((y & (0 - y)) >> 7) * 0x0001020304050607ULL >> 56;
}

/* The bytes of w that are zero, each as its top bit; above the lowest, others may be marked as well. */
FRAME_INLINE __u64 frame_zero_bytes(__u64 w)
{
	return (w - 0x0101010101010101ULL) & ~w & 0x8080808080808080ULL;
}

#endif
