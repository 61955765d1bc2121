/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Text and names of the statements that libpq is given, as a wire request would have them. */
#include "attach/libpq.bpf.h"

#define TEXT_OFFSET_MAX 256

/* The user string at from, without its NUL; its length. The capture has room behind EVENT_REQUEST_MAX. */
static __always_inline __u32 read_text(struct capture *d, __u64 from)
{
	long n = bpf_probe_read_user_str(d->b, EVENT_REQUEST_MAX, (void *)from);

	return n > 0 ? n - 1 : 0;
}

/* The name of a prepared statement, at the front of the data; its length with the NUL. */
static __noinline int read_name(struct libpq_op *op)
{
	__u32 n, hash = 2166136261u, k;
	long more;

	if (!op)
		return 1;
	more = bpf_probe_read_user_str(op->data.b, TEXT_OFFSET_MAX, (void *)op->text[0]);
	n = more > 0 ? more : 1;
	for (k = 0; k < 64; k++) {
		if (k + 1 >= n || !op->data.b[k])
			break;
		hash = (hash ^ (__u8)op->data.b[k]) * 16777619u;
	}
	op->name = hash;
	return n;
}

/* Text; for PG_PARSE name NUL text; for PG_EXECUTE, and a PG_PARSE that closes, the name. */
__noinline int libpq_text(struct libpq_op *op)
{
	struct event_exchange *ex;
	__u32 n;
	long more;

	if (!op)
		return 0;
	ex = &op->ex;
	if (ex->method == PG_QUERY || ex->method == PG_EXTENDED) {
		n = read_text(&op->data, op->text[0]);
		ex->request_len = n;
		ex->request_bytes = n == EVENT_REQUEST_MAX - 1 ? n + 1 : n; /* one more than is kept: it was cut */
		op->operation = turns_text_key(&op->data, &op->key, 0, n);
		return 0;
	}
	if (ex->method != PG_PARSE && ex->method != PG_EXECUTE)
		return 0;
	n = read_name(op);
	if (ex->method != PG_PARSE || !op->text[1]) {
		ex->request_len = n - 1;
		ex->request_bytes = n - 1;
		return 0;
	}
	asm volatile("" : "+r"(n));
	if (n > TEXT_OFFSET_MAX)
		return 0;
	more = bpf_probe_read_user_str(op->data.b + n, EVENT_REQUEST_MAX - TEXT_OFFSET_MAX, (void *)op->text[1]);
	ex->request_len = n + (more > 0 ? more - 1 : 0);
	ex->request_bytes =
		ex->request_len + (more == EVENT_REQUEST_MAX - TEXT_OFFSET_MAX); /* as above, when it was cut */
	op->operation = turns_text_key(&op->data, &op->key, n, more > 0 ? more - 1 : 0);
	return 0;
}
