/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What libpq was told to connect to. */
#include "attach/libpq.bpf.h"

struct conn_record {
	struct event_libpq_conn e;
	char data[512];
};

/* Which of the wanted settings a key names: offset of its text in setting_names, or negative. Never a password. */
static __always_inline int setting(const char *name)
{
	__u32 w = frame_load32(name);

	if (w == HTTP1_WORD('d', 'b', 'n', 'a'))
		return 0;
	if (w == HTTP1_WORD('u', 's', 'e', 'r'))
		return 8;
	if (w == HTTP1_WORD('h', 'o', 's', 't') && !name[4])
		return 16;
	if (w == HTTP1_WORD('p', 'o', 'r', 't'))
		return 24;
	return -1;
}

static const volatile char setting_names[33] = "dbname\0\0user\0\0\0\0host\0\0\0\0port\0\0\0\0";

#define PARAMS_MAX 24
#define PARAM_VALUE_MAX 64

/*
 * "key NUL value NUL" of the arrays that PQconnectdbParams takes: what names the database. The place is kept in the
 * record (e.len), so that the verifier sees one state.
 */
static __noinline int read_params(struct conn_record *r, __u64 keys, __u64 values)
{
	volatile __u32 *place;
	int i, k;

	if (!r)
		return 0;
	place = &r->e.len;
	for (i = 0; i < PARAMS_MAX; i++) {
		__u64 key = 0, value = 0;
		char name[8] = {};
		int which;
		__u32 at;
		long n;

		if (bpf_probe_read_user(&key, sizeof(key), (void *)(keys + i * 8)) || !key)
			break;
		bpf_probe_read_user(&value, sizeof(value), (void *)(values + i * 8));
		bpf_probe_read_user_str(name, sizeof(name), (void *)key);
		which = setting(name);
		if (which < 0 || !value)
			continue;
		at = *place;
		asm volatile("" : "+r"(at));
		if (at > sizeof(r->data) - 8 - PARAM_VALUE_MAX)
			break;
		for (k = 0; k < 7; k++)
			r->data[at + k] = setting_names[(which + k) & 31];
		at += which ? 5 : 7; /* with its NUL */
		n = bpf_probe_read_user_str(&r->data[at], PARAM_VALUE_MAX, (void *)value);
		if (n > 0)
			*place = at + n;
	}
	return 0;
}

/* PQconnect* returned pgconn (0: out of memory). */
__noinline int libpq_connected(struct call *call, __u64 pgconn)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct conn_record *r;
	long n;

	if (!call || !pgconn)
		return 0;
	r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r)
		return 0;
	__builtin_memset(r, 0, sizeof(*r));
	r->e.header.kind = EVENT_LIBPQ_CONN;
	r->e.header.version = EVENT_VERSION;
	r->e.header.time = bpf_ktime_get_ns();
	r->e.header.tgid = id >> 32;
	r->e.header.tid = id;
	r->e.libpq_conn = pgconn;
	r->e.start = call->start;
	r->e.end = r->e.header.time;
	if (call->function == LIBPQ_CONNECTDB_PARAMS || call->function == LIBPQ_CONNECT_START_PARAMS) {
		read_params(r, call->argument, call->values);
	} else {
		r->e.form = 1;
		n = bpf_probe_read_user_str(r->data, sizeof(r->data), (void *)call->argument);
		r->e.len = n > 0 ? n - 1 : 0;
	}
	r->e.header.size = sizeof(r->e) + r->e.len;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}
