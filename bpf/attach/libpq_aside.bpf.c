/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What libpq is asked for beside statements: to cancel them, and to move the data of COPY. */
#include "attach/libpq.bpf.h"

__noinline int libpq_cancel_made(__u64 pgconn, __u64 cancel)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 at = libpq_key(cancel, tgid), key = libpq_key(pgconn, tgid);

	if (cancel)
		bpf_map_update_elem(&libpq_cancels, &at, &key, BPF_ANY);
	return 0;
}

/*
 * The oldest without its result, which in a call that waits is the one that is being sent: it may have ended at the
 * server meanwhile, then its end says so. Called by another thread than that which waits, or by a signal's handler.
 */
__noinline int libpq_cancel(__u64 key)
{
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	struct libpq_op *op;
	__u64 at;

	if (!s)
		return 0;
	at = libpq_op_key(key, s->head);
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (op && !op->cancelled)
		op->cancelled = bpf_ktime_get_ns();
	return 0;
}

__noinline int libpq_cancel_by(__u64 cancel)
{
	__u64 at = libpq_key(cancel, bpf_get_current_pid_tgid() >> 32), *key, copy;

	key = bpf_map_lookup_elem(&libpq_cancels, &at);
	if (!key) {
		count(KERNEL_libpq_cancels_unlinked);
		return 0;
	}
	copy = *key;
	return libpq_cancel(copy);
}

__noinline int libpq_copied(__u64 pgconn, int n, __u32 file)
{
	__u64 key = libpq_key(pgconn, bpf_get_current_pid_tgid() >> 32), at;
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);
	struct libpq_op *op;

	file &= PROBED_FILES_MAX - 1;
	__sync_fetch_and_add(&probed_files[file].copies, 1);
	if (!s || s->wire || n <= 0)
		return 0;
	at = libpq_op_key(key, s->head);
	op = bpf_map_lookup_elem(&libpq_ops, &at);
	if (!op || !libpq_is_copy(op->result.status))
		return 0;
	op->result.copy_bytes += (__u32)n;
	op->file = file;
	return 0;
}
