/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What tasks give to an event loop to be written later. uvloop's transports note that they have something to write, and
 * the loop writes for all of them in the end of its turn: then no task runs, but the connection knows which gave it.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

/* Two tasks of one turn may give to the same connection: nothing tells which of them the first bytes are. */
static __always_inline void give(__u64 *to, __u8 *to_helped, __u64 strand, __u8 helped)
{
	*to = *to && *to != strand ? PARENT_UNSURE : strand;
	*to_helped = helped;
}

__noinline int core_written_later(__u64 *sk_addr)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, tid = bpf_get_current_pid_tgid();
	struct connecting *k;
	__u64 sk, task, root;
	struct conn *c;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (c) {
		tls_written_later(c, sk, tid);
		if (c->mode == MODE_IGNORE || c->ssl) /* of plaintext it is known when it is given to OpenSSL */
			return 0;
	}
	task = strand_task(tgid, tid);
	root = task ? strand_above(tgid, task, 0) : 0;
	if (!root)
		return 0;
	k = c ? NULL : bpf_map_lookup_elem(&connecting, &sk);
	if (c)
		give(&c->given, &c->given_helped, root, task != root);
	else if (k)
		give(&k->given, &k->given_helped, root, task != root);
	return 0;
}
