/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Connections: made at their first bytes, recognised by them, announced once to each worker. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

static struct conn empty_conn; /* too large for the stack */
static __u64 conn_counter;

static __always_inline __u32 mix(__u32 h, __u32 v)
{
	h = (h ^ v) * 0x9e3779b1u;
	return h ^ h >> 15;
}

/* The remote end as one number, for histogram keys. */
static __always_inline __u32 peer_hash(struct sock *sk, __u16 family)
{
	struct in6_addr a = {};
	__u32 h = mix(family, BPF_CORE_READ(sk, __sk_common.skc_dport));

	if (family == AF_INET)
		return mix(h, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	if (family != AF_INET6)
		return h;
	BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
	h = mix(mix(h, a.in6_u.u6_addr32[0]), a.in6_u.u6_addr32[1]);
	return mix(mix(h, a.in6_u.u6_addr32[2]), a.in6_u.u6_addr32[3]);
}

/* Only stream sockets of TCP and the Unix domain. */
static __always_inline int is_observed_kind(struct sock *sk, __u16 family)
{
	if (family == AF_UNIX)
		return BPF_CORE_READ(sk, sk_type) == SOCK_STREAM;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	return BPF_CORE_READ(sk, sk_type) == SOCK_STREAM && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* Names a connection of Sonde at both its ends: the same local port may lead to other places at the same time. */
static __always_inline __u64 own_key(__u16 from, __u16 to)
{
	return (__u64)from << 16 | to;
}

/* Sockets of Sonde, from their connect on. At TCP_CLOSE the port is gone from the socket: what was kept must tell. */
static __always_inline void own_connection(__u64 sk_addr, int state)
{
	struct sock *sk = (struct sock *)sk_addr;
	__u64 key = sk_addr, ends, *known = bpf_map_lookup_elem(&own, &key);

	if (!known)
		return;
	if (state == TCP_ESTABLISHED) {
		ends = own_key(BPF_CORE_READ(sk, __sk_common.skc_num),
			       bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
		bpf_map_update_elem(&own, &ends, &key, BPF_ANY);
		bpf_map_update_elem(&own, &key, &ends, BPF_ANY);
	} else if (state == TCP_CLOSE) {
		ends = *known;
		bpf_map_delete_elem(&own, &ends);
		bpf_map_delete_elem(&own, &key);
	}
}

/* A connection that could not be made. What gave up by itself has no error. */
static __always_inline void connect_failed(struct sock *sk, const struct connecting *k, __u64 now)
{
	struct event_connect_failed *e;
	__u32 tgid = k->tgid, error = BPF_CORE_READ(sk, sk_err);
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);
	struct in6_addr a;

	if (!error || (p && p->flags & (PROC_IGNORE | PROC_SELF)))
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, sizeof(*e), EVENT_CONNECT_FAILED, now, tgid, k->tid);
	e->start = k->start;
	e->end = now;
	e->parent = k->exchange & 1 ? 0 : k->exchange;
	e->service = p ? p->service : 0;
	e->error = error;
	e->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	e->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (e->family == AF_INET6) {
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(e->remote_addr, &a, sizeof(e->remote_addr));
	} else {
		*(__u32 *)e->remote_addr = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	}
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

__noinline int core_connection(__u64 *sk_addr, int state, __u32 tgid, __u32 tid, __u64 now)
{
	struct connecting fresh = {}, *known;
	struct proc *p;
	__u64 sk;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	if (state != TCP_SYN_SENT) {
		own_connection(sk, state);
		known = bpf_map_lookup_elem(&connecting, &sk);
		if (known && state == TCP_ESTABLISHED) {
			known->end = now;
		} else if (known) {
			if (!known->end)
				connect_failed((struct sock *)sk, known, now);
			bpf_map_delete_elem(&connecting, &sk);
		}
		return 0;
	}
	p = bpf_map_lookup_elem(&procs, &tgid);
	if (p && p->flags & PROC_SELF) {
		bpf_map_update_elem(&own, &sk, &sk, BPF_ANY);
		return 0;
	}
	fresh.exchange = context_connecting(tgid, tid, &fresh.meanwhile);
	fresh.start = now;
	fresh.tgid = tgid;
	fresh.tid = tid;
	bpf_map_update_elem(&connecting, &sk, &fresh, BPF_ANY);
	return 0;
}

/* Is this the other end of a connection that Sonde made? */
static __always_inline int is_ours(struct sock *sk)
{
	__u64 ends =
		own_key(bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)), BPF_CORE_READ(sk, __sk_common.skc_num));

	return bpf_map_lookup_elem(&own, &ends) != NULL;
}

static __always_inline __u32 pair_of(struct sock *sk, __u16 family)
{
	__u64 both;

	if (family != AF_UNIX)
		return BPF_CORE_READ(sk, __sk_common.skc_num) + bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	both = (__u64)sk ^ (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
	return (__u32)(both ^ both >> 32);
}

__noinline int conn_create(struct io *io)
{
	struct sock *sk;
	struct conn *c;
	__u16 family;
	struct connecting *known;
	__u64 key;

	if (!io)
		return -1;
	key = io->sk;
	sk = (struct sock *)key;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (!is_observed_kind(sk, family))
		return -1;
	if (bpf_map_update_elem(&conns, &key, &empty_conn, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&conns, &key))
			count(KERNEL_conn_table_full);
		return -1;
	}
	c = bpf_map_lookup_elem(&conns, &key);
	if (!c)
		return -1;
	c->id = __sync_fetch_and_add(&conn_counter, 1) + 1;
	c->ino = io->ino;
	c->opened = io->now;
	c->last = io->now;
	c->family = family;
	c->peer = peer_hash(sk, family);
	c->pair = pair_of(sk, family);
	if (core_service(io->tgid, io->tid, io->now) < 0 || (family != AF_UNIX && is_ours(sk)))
		c->mode = MODE_IGNORE;
	known = bpf_map_lookup_elem(&connecting, &key);
	if (known) {
		c->connect_parent = known->exchange;
		c->meanwhile = known->meanwhile;
		c->given = known->given;
		c->given_helped = known->given_helped;
		c->tcp_start = known->start;
		c->tcp_end = known->end;
		bpf_map_delete_elem(&connecting, &key);
	}
	count(KERNEL_conns_opened);
	return 0;
}

#define TLS_HANDSHAKE 0x16

/* A TLS record: a handshake begins, or data of a connection older than we are. */
static __always_inline int is_tls(const char *p, __u32 n)
{
	if (n < 5 || p[1] != 3 || (__u8)p[2] > 4)
		return 0;
	if (p[0] == TLS_HANDSHAKE || p[0] == 0x17)
		return ((__u8)p[3] << 8 | (__u8)p[4]) <= 16384 + 256;
	return 0;
}

static __always_inline void is_turns(struct conn *c, __u8 proto, __u8 dir)
{
	c->proto = proto;
	c->mode = MODE_TURNS;
	c->role = dir == IO_RECV ? ROLE_SERVER : ROLE_CLIENT;
}

/*
 * The client's end tells all, with the parent it had; the server's end of it makes no second span. Its statements count
 * where they were made. But where TLS is asked for, the client's end may not be readable, see core/tls.bpf.c.
 */
static __always_inline void server_of_database(struct conn *c, int asks_for_tls)
{
	if (c->role != ROLE_SERVER)
		return;
	if (asks_for_tls && !c->plain) {
		c->inner = c->proto;
		c->proto = PROTO_UNKNOWN;
		c->mode = MODE_DETECT;
	} else {
		c->mode = MODE_IGNORE;
	}
}

__noinline int conn_detect(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	__u32 n;

	if (!io || !c || !s)
		return 0;
	n = io->n > FRAME_DETECT ? FRAME_DETECT : io->n;
	__builtin_memset(s->b, 0, FRAME_DETECT);
	if (io_copy(io, 0, s, 0, n) < (int)n)
		n = 0;
	if (turns_http1_detect(io, c, s, n))
		return 0;
	if (pg_detect(s->b, n, io->n)) {
		is_turns(c, PROTO_POSTGRES, io->dir);
		server_of_database(c, pg_detect(s->b, n, io->n) == PG_SSL);
		relay_detected(io, c);
	} else if (turns_mysql_detect(io, c, s, n)) {
		relay_detected(io, c);
	} else if (!c->plain && is_tls(s->b, n)) {
		if (s->b[0] == TLS_HANDSHAKE && !c->role) /* the client speaks first */
			c->role = io->dir == IO_SEND ? ROLE_CLIENT : ROLE_SERVER;
		tls_begins(io, c);
	} else if (gateway_detect(io, c, s, n)) {
		return 0;
	} else if (++c->tries >= DETECT_TRIES) {
		c->mode = MODE_IGNORE;
		c->proto = PROTO_OTHER;
		count(KERNEL_conns_other);
	} else {
		turns_http1_keeps(io, c, s, n);
	}
	return 0;
}

static __always_inline void tcp_addresses(struct event_connection *e, struct sock *sk)
{
	struct in6_addr a = {};
	__u32 v4;

	e->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	e->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (e->family == AF_INET) {
		v4 = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__builtin_memcpy(e->local_addr, &v4, 4);
		v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		__builtin_memcpy(e->remote_addr, &v4, 4);
		return;
	}
	BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_rcv_saddr);
	__builtin_memcpy(e->local_addr, &a, 16);
	BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
	__builtin_memcpy(e->remote_addr, &a, 16);
}

/* The path a Unix socket is bound to; only the server's end is. False: not bound. */
static __always_inline int unix_path(struct event_connection *e, struct sock *sk)
{
	struct unix_address *addr = BPF_CORE_READ((struct unix_sock *)sk, addr);
	int len;

	if (!addr)
		return 0;
	len = BPF_CORE_READ(addr, len) - 2;
	if (len <= 0)
		return 0;
	if (len > (int)sizeof(e->path) - 1)
		len = sizeof(e->path) - 1;
	asm volatile("" : "+r"(len));
	if (len <= 0 || len > (int)sizeof(e->path) - 1)
		return 0;
	bpf_probe_read_kernel(e->path, len, (char *)addr + bpf_core_field_offset(struct unix_address, name) + 2);
	if (!e->path[0])
		e->path[0] = '@'; /* abstract */
	return 1;
}

static __always_inline void unix_addresses(struct event_connection *e, struct sock *sk)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

	e->local_ino = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
	if (peer)
		e->remote_ino = BPF_CORE_READ(peer, sk_socket, file, f_inode, i_ino);
	if (!unix_path(e, sk) && peer)
		unix_path(e, peer);
}

__noinline int conn_announce(struct conn *c, __u64 sk_addr, __u32 tgid, __u32 tid, __u64 now)
{
	struct sock *sk = (struct sock *)sk_addr;
	struct event_connection *e;
	int service;

	if (!c || !sk_addr)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(KERNEL_announce_lost);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	event_header(&e->header, sizeof(*e), EVENT_CONNECTION, now, tgid, tid);
	e->header.conn = c->id;
	e->family = c->family;
	e->proto = c->proto;
	e->role = c->role;
	e->inner = c->inner;
	e->tls = c->plain != PLAIN_NONE;
	service = core_service(tgid, tid, now);
	e->service = service > 0 ? service : 0;
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (c->family == AF_UNIX)
		unix_addresses(e, sk);
	else
		tcp_addresses(e, sk);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	c->generation = generation;
	c->told = 0;
	return 0;
}

/* The tail of the exchange that opened a client's connection. */
__noinline int conn_opened(struct conn *c)
{
	struct conn_opened *to;
	__u32 at;

	if (!c || c->role != ROLE_CLIENT)
		return 0;
	at = c->ex.request_len + c->ex.answer_len;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX + EVENT_ANSWER_MAX)
		return 0;
	to = (struct conn_opened *)&c->data.b[at];
	to->tcp_start = c->tcp_start;
	to->tcp_end = c->tcp_end;
	to->tls_start = c->tls_start;
	to->backend = c->backend;
	to->pad = 0;
	c->ex.tail_len = sizeof(*to);
	return 0;
}
