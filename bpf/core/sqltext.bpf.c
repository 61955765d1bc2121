/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The key of a statement: its text without the literals (include/frame/sqlkey.h). */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "frame/sqlkey.h"

#define KEY_BLOCKS 32

/* How many bytes of w come before a NUL. */
static __always_inline __u32 before_nul(__u64 w)
{
	__u64 y = frame_zero_bytes(w);

	return y ? frame_lowest_byte(y) : 8;
}

__noinline int text_key_round(struct sqlkey *key)
{
	return key ? sqlkey_round(key, SQLKEY_POSTGRES) : 0;
}

__noinline int text_key_round_mysql(struct sqlkey *key)
{
	return key ? sqlkey_round(key, SQLKEY_MYSQL) : 0;
}

/* The next block of the text, of which rest bytes are left; it may end sooner with a NUL. 0: that was the last. */
__noinline int text_key_next(struct capture *d, struct sqlkey *key, __u32 at, __u32 rest)
{
	__u32 n = rest > 16 ? 16 : rest, whole;
	__u64 low, high;

	asm volatile("" : "+r"(at));
	if (!d || !key || at > EVENT_REQUEST_MAX)
		return 0;
	low = frame_load64(&d->b[at]);
	high = frame_load64(&d->b[at + 8]);
	whole = before_nul(low);
	if (whole == 8)
		whole += before_nul(high);
	if (n > whole)
		n = whole;
	if (n == 0)
		return 0;
	sqlkey_words(key, low, high, n);
	return n;
}

static __always_inline __u64 text_key(struct capture *d, struct sqlkey *key, __u32 off, __u32 len, int mysql)
{
	__u32 k, i;

	if (!d || !key)
		return 0;
	sqlkey_init(key);
	for (k = 0; k < KEY_BLOCKS; k++) {
		int n;

		if (k * 16 >= len)
			break;
		n = text_key_next(d, key, off + k * 16, len - k * 16);
		/* A round takes a byte at least. */
		for (i = 0; n && i < 16; i++)
			if (!(mysql ? text_key_round_mysql(key) : text_key_round(key)))
				break;
		if (n < 16)
			break;
	}
	return sqlkey_final(key);
}

__noinline __u64 turns_text_key(struct capture *d, struct sqlkey *key, __u32 off, __u32 len)
{
	return text_key(d, key, off, len, SQLKEY_POSTGRES);
}

__noinline __u64 turns_text_key_mysql(struct capture *d, struct sqlkey *key, __u32 off, __u32 len)
{
	return text_key(d, key, off, len, SQLKEY_MYSQL);
}
