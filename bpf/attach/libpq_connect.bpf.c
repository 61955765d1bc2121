/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What libpq was told to connect to, and how that ended. PQconnectdb and PQreset poll by themselves, so that in both
 * ways the last PQconnectPoll tells; where the arguments are wrong there is none. The state of the PGconn is not read.
 */
#include "attach/libpq.bpf.h"

struct conn_record {
	struct event_libpq_conn e;
	char data[512];
};

/* Which of the wanted settings a key names: offset of its text in setting_names, or negative. Never a password. */
enum setting { SETTING_DBNAME = 0, SETTING_USER = 8, SETTING_HOST = 16, SETTING_PORT = 24 };

static __always_inline int setting(const char *name)
{
	__u32 w = frame_load32(name);

	if (w == HTTP1_WORD('d', 'b', 'n', 'a'))
		return SETTING_DBNAME;
	if (w == HTTP1_WORD('u', 's', 'e', 'r'))
		return SETTING_USER;
	if (w == HTTP1_WORD('h', 'o', 's', 't') && !name[4])
		return SETTING_HOST;
	if (w == HTTP1_WORD('p', 'o', 'r', 't'))
		return SETTING_PORT;
	return -1;
}

static const volatile char setting_names[33] = "dbname\0\0user\0\0\0\0host\0\0\0\0port\0\0\0\0";

#define PARAMS_MAX 24
#define PARAM_VALUE_MAX 64

/* "key NUL value NUL" to the record. The place is kept there (e.len), so that the verifier sees one state. False: full.
 */
static __noinline int add_setting(struct conn_record *r, __u32 which, __u64 value)
{
	volatile __u32 *place;
	__u32 at, k;
	long n;

	if (!r)
		return 0;
	place = &r->e.len;
	at = *place;
	asm volatile("" : "+r"(at));
	if (at > sizeof(r->data) - 8 - PARAM_VALUE_MAX)
		return 0;
	for (k = 0; k < 7; k++)
		r->data[at + k] = setting_names[(which + k) & 31];
	at += which ? 5 : 7; /* with its NUL */
	n = bpf_probe_read_user_str(&r->data[at], PARAM_VALUE_MAX, (void *)value);
	if (n > 1) /* one that is empty counts as none */
		*place = at + n;
	return 1;
}

/* Of the arrays that PQconnectdbParams takes: what names the database. */
static __noinline int read_params(struct conn_record *r, __u64 keys, __u64 values)
{
	int i;

	if (!r)
		return 0;
	for (i = 0; i < PARAMS_MAX; i++) {
		__u64 key = 0, value = 0;
		char name[8] = {};
		int which;

		if (bpf_probe_read_user(&key, sizeof(key), (void *)(keys + i * 8)) || !key)
			break;
		bpf_probe_read_user(&value, sizeof(value), (void *)(values + i * 8));
		bpf_probe_read_user_str(name, sizeof(name), (void *)key);
		which = setting(name);
		if (which >= 0 && value && !add_setting(r, which, value))
			break;
	}
	return 0;
}

/* PQsetdbLogin: its database may be a conninfo string, which the others override. */
static __noinline int read_login(struct conn_record *r, const struct call *call)
{
	if (!r || !call)
		return 0;
	if (call->database)
		add_setting(r, SETTING_DBNAME, call->database);
	if (call->user)
		add_setting(r, SETTING_USER, call->user);
	if (call->argument)
		add_setting(r, SETTING_HOST, call->argument);
	if (call->values)
		add_setting(r, SETTING_PORT, call->values);
	return 0;
}

/* PostgresPollingStatusType (libpq-fe.h). */
enum polled { PGRES_POLLING_FAILED = 0, PGRES_POLLING_WRITING = 2, PGRES_POLLING_OK = 3 };

static __always_inline void fill(struct event_libpq_conn *e, __u64 pgconn, __u64 start)
{
	__u64 id = bpf_get_current_pid_tgid();

	event_header(&e->header, sizeof(*e), EVENT_LIBPQ_CONN, bpf_ktime_get_ns(), id >> 32, id);
	e->libpq_conn = pgconn;
	e->start = start;
	e->end = e->header.time;
}

__noinline int libpq_tell(__u64 pgconn, __u64 start, __u32 failed, __u32 form)
{
	struct event_libpq_conn *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	fill(e, pgconn, start);
	e->failed = failed;
	e->form = form;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* PQconnect* returned pgconn; goes_on: PQconnectPoll will say how it ends. */
__noinline int libpq_told(struct call *call, __u64 pgconn, int failed, int goes_on)
{
	struct conn_record *r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	long n;

	if (!r)
		return 0;
	__builtin_memset(r, 0, sizeof(*r));
	if (call) {
		fill(&r->e, pgconn, call->start);
		r->e.failed = failed;
		if (goes_on)
			r->e.end = 0;
		if (call->function == LIBPQ_CONNECTDB_PARAMS || call->function == LIBPQ_CONNECT_START_PARAMS) {
			read_params(r, call->argument, call->values);
		} else if (call->function == LIBPQ_SETDB_LOGIN) {
			read_login(r, call);
		} else {
			r->e.form = LIBPQ_CONN_STRING;
			n = bpf_probe_read_user_str(r->data, sizeof(r->data), (void *)call->argument);
			r->e.len = n > 0 ? n - 1 : 0;
		}
		r->e.header.size = sizeof(r->e) + r->e.len;
	}
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The PGconn will be polled until that ends. */
static __always_inline void goes_on(__u64 pgconn, __u64 start)
{
	struct libpq_conn *s = libpq_state(libpq_key(pgconn, bpf_get_current_pid_tgid() >> 32));

	if (s)
		s->connect_start = start;
}

static __always_inline void polled(__u64 pgconn, __u64 result)
{
	__u64 key = libpq_key(pgconn, bpf_get_current_pid_tgid() >> 32);
	struct libpq_conn *s = bpf_map_lookup_elem(&libpq_conns, &key);

	if (!s || !s->connect_start || (result != PGRES_POLLING_OK && result != PGRES_POLLING_FAILED))
		return;
	libpq_tell(pgconn, s->connect_start, result == PGRES_POLLING_FAILED, LIBPQ_CONN_AGAIN);
	s->connect_start = 0;
}

static __always_inline int is_start(__u32 function)
{
	return function == LIBPQ_CONNECT_START || function == LIBPQ_CONNECT_START_PARAMS;
}

/* PQconnectdb calls PQconnectStart, and all that connect may call PQconnectPoll. */
static __always_inline int is_inside(const struct call *outer, __u32 function)
{
	if (!outer || outer->function == LIBPQ_CONNECT_POLL ||
	    (outer->function >= LIBPQ_GET_CANCEL && outer->function != LIBPQ_SETDB_LOGIN))
		return 0;
	if (function == LIBPQ_CONNECT_POLL)
		return 1;
	return is_start(function) && outer->function + 2 == function;
}

__noinline int libpq_connect_entry(__u32 function, __u64 first, __u64 second, __u64 fifth, __u64 sixth)
{
	__u32 slot = bpf_get_current_pid_tgid() | LIBPQ_ASIDE;
	struct call call = { .pgconn = first, .argument = first, .values = second, .database = fifth, .user = sixth };

	if (is_inside(bpf_map_lookup_elem(&libpq_calls, &slot), function))
		return 0;
	call.function = function;
	call.start = bpf_ktime_get_ns();
	bpf_map_update_elem(&libpq_calls, &slot, &call, BPF_ANY);
	return 0;
}

__noinline int libpq_connect_return(__u32 function, __u64 result)
{
	__u32 slot = bpf_get_current_pid_tgid() | LIBPQ_ASIDE, last;
	struct call *c = bpf_map_lookup_elem(&libpq_calls, &slot);
	int is_good, is_going_on;

	if (!c)
		return 0;
	if (function == LIBPQ_CONNECT_POLL) {
		if (c->function != function)
			c->polled = (__u32)result + 1;
		else
			polled(c->pgconn, (__u32)result);
	}
	if (c->function != function)
		return 0;
	last = c->polled;
	is_good = last == PGRES_POLLING_OK + 1;
	is_going_on = last == PGRES_POLLING_WRITING + 1;
	if (!is_start(function))
		is_going_on = 0;
	if (function < LIBPQ_RESET || function == LIBPQ_SETDB_LOGIN) {
		if (result)
			libpq_told(c, result, !is_good && !is_going_on, is_going_on);
		if (result && is_going_on)
			goes_on(result, c->start);
	} else if (function == LIBPQ_RESET) {
		libpq_tell(c->pgconn, c->start, !is_good, LIBPQ_CONN_AGAIN);
	} else if (function == LIBPQ_RESET_START) {
		if ((int)result)
			goes_on(c->pgconn, c->start);
		else
			libpq_tell(c->pgconn, c->start, 1, LIBPQ_CONN_AGAIN);
	}
	bpf_map_delete_elem(&libpq_calls, &slot);
	return 0;
}
