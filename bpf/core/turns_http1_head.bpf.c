/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* HTTP/1: heads of answers, which mostly are like the last of their connection. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"

__noinline int http1_head(struct http1_answer *a, struct capture *s, __u32 n)
{
	if (!a || !s || n > FRAME_BLOCK)
		return 0;
	return http1_plain_head(a, s->b, n);
}

#define BLOCK 64

static __always_inline int block_differs(const char *a, const char *b)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < BLOCK; i += 8)
		if (frame_load64(a + i) != frame_load64(b + i))
			return 1;
	return 0;
}

/* Is what begins at the front of s the known head, of n bytes? Its end, where such heads differ mostly, comes first. */
__noinline int http1_head_differs(struct known_head *known, struct capture *s, __u32 n)
{
	const char *a, *b;
	__u32 last = n - BLOCK;

	asm volatile("" : "+r"(last));
	if (!known || !s || last > FRAME_BLOCK - BLOCK)
		return 1;
	a = known->head;
	b = s->b;
	if (block_differs(a + last, b + last) || (last && block_differs(a, b)))
		return 1;
	if (last > BLOCK && block_differs(a + BLOCK, b + BLOCK))
		return 1;
	return last > 2 * BLOCK && block_differs(a + 2 * BLOCK, b + 2 * BLOCK);
}

#define WASTED_MAX 4
#define WASTED_TRIES 32

/* A head was read. What differs each time is not worth its keeping. */
static __always_inline void learn(struct conn *c, const struct capture *s, __u32 len, __u8 flags)
{
	struct known_head *known = &c->known_head;

	if (len < BLOCK || len > FRAME_BLOCK || (known->wasted >= WASTED_MAX && ++known->tries % WASTED_TRIES))
		return;
	known->len = len;
	known->flags = flags;
	known->after = c->http;
	__builtin_memcpy(known->head, s->b, FRAME_BLOCK);
	if (known->wasted < WASTED_MAX)
		known->wasted++;
}

__noinline int turns_http1_head(struct conn *c, struct capture *s, __u32 n)
{
	struct known_head *known;
	__u32 len;
	__u8 flags;

	if (!c || !s)
		return 0;
	known = &c->known_head;
	flags = c->http.flags;
	len = known->len;
	/* One behind another (100 Continue) is read as it comes. */
	if (len && len <= n && known->flags == flags && !c->ex.answer_bytes && !http1_head_differs(known, s, len)) {
		c->http = known->after;
		known->wasted = 0;
		return len;
	}
	len = http1_head(&c->http, s, n);
	if (c->http.state > HTTP1_HEADER && !c->ex.answer_bytes)
		learn(c, s, len, flags);
	return len;
}
