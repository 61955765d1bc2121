/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The key of a statement: its text without the literals (include/frame/sqlkey.h). */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "frame/sqlkey.h"

#define KEY_BLOCKS 32

/* How many of the eight bytes at p come before a NUL. */
static __always_inline __u32 before_nul(const char *p)
{
	__u64 w = *(__u64 *)p, y = frame_zero_bytes(w);

	return y ? frame_lowest_byte(y) : 8;
}

struct block16 {
	char b[16];
};

__noinline int text_key_block(struct sqlkey *key, struct block16 *block, __u32 n)
{
	if (!key || !block || n == 0 || n > 16)
		return 0;
	sqlkey_block(key, block->b, n);
	return 0;
}

__noinline int text_key_block_mysql(struct sqlkey *key, struct block16 *block, __u32 n)
{
	if (!key || !block || n == 0 || n > 16)
		return 0;
	sqlkey_block_mysql(key, block->b, n);
	return 0;
}

static __always_inline __u64 text_key(struct capture *d, struct sqlkey *key, __u32 off, __u32 len, int mysql)
{
	__u32 k;

	if (!d || !key)
		return 0;
	sqlkey_init(key);
	for (k = 0; k < KEY_BLOCKS; k++) {
		__u32 n = len - k * 16, at = off + k * 16, whole;

		if (k * 16 >= len)
			break;
		asm volatile("" : "+r"(at));
		if (at > EVENT_REQUEST_MAX)
			break;
		whole = before_nul(&d->b[at]);
		if (whole == 8)
			whole += before_nul(&d->b[at + 8]);
		if (n > whole)
			n = whole;
		if (n > 16)
			n = 16;
		if (n && mysql)
			text_key_block_mysql(key, (struct block16 *)&d->b[at], n);
		else if (n)
			text_key_block(key, (struct block16 *)&d->b[at], n);
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
