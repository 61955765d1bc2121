/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A web server hands a request on to the program that answers it: nginx and Apache by FastCGI (to PHP-FPM), or by
 * uwsgi. What they say there is not read, but what its process asks meanwhile is asked for the web server's request,
 * where both are on this host: at the first bytes of its turn the writer notes what it writes for, under a name of the
 * connection that the reader can tell too. The reader's hook may run first, so the note is looked up when something is
 * asked. Processes that have one request at a time; where one reads a second before it answered, no link is made any
 * more.
 *
 * FastCGI specification 1.0, section 3.3 (Records) and 5.1 (FCGI_BEGIN_REQUEST); uwsgi protocol: the packet header.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/open_requests.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);   /* gateway_key() */
	__type(value, __u64); /* parent */
} handed_on SEC(".maps");

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
	return h ^ h >> 29;
}

static __always_inline __u64 v6_hash(const struct in6_addr *a)
{
	__u64 high = (__u64)a->in6_u.u6_addr32[0] << 32 | a->in6_u.u6_addr32[1];

	return mix(high, (__u64)a->in6_u.u6_addr32[2] << 32 | a->in6_u.u6_addr32[3]);
}

/* As a socket of IPv6 has it, which may be at the other end. */
static __always_inline __u64 v4_hash(__u32 a)
{
	return mix(0, (__u64)bpf_htonl(0xffff) << 32 | a);
}

__noinline __u64 gateway_key(__u64 sk_addr, __u16 family, int reads)
{
	struct sock *sk = (struct sock *)sk_addr;
	__u64 local, remote;
	__u16 here, there;
	struct in6_addr a = {};

	if (family == AF_UNIX)
		return reads ? (__u64)sk : (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
	here = BPF_CORE_READ(sk, __sk_common.skc_num);
	there = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET) {
		local = v4_hash(BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		remote = v4_hash(BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_rcv_saddr);
		local = v6_hash(&a);
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
		remote = v6_hash(&a);
	}
	local = mix(local, here);
	remote = mix(remote, there);
	return (reads ? mix(local, remote) : mix(remote, local)) & ~(1ULL << 63); /* never GATEWAY_MIXED */
}

/* FCGI_BEGIN_REQUEST: version 1, type 1, an id, 8 bytes of content, no padding. */
static __always_inline int is_fastcgi(const char *p, __u32 n)
{
	return n >= 8 && p[0] == 1 && p[1] == 1 && !p[4] && p[5] == 8 && !p[6] && !p[7];
}

/* A packet of variables (modifier 0): its length, and the length of the first name, which is in capitals. */
static __always_inline int is_uwsgi(const char *p, __u32 n, __u64 all)
{
	__u32 length = (__u8)p[1] | (__u32)(__u8)p[2] << 8;

	return n >= 8 && !p[0] && !p[3] && length && length + 4 <= all && p[4] > 0 && p[4] < 64 && !p[5] &&
	       p[6] >= 'A' && p[6] <= 'Z' && p[7] >= 'A' && p[7] <= 'Z';
}

/* Its header, which uWSGI reads by itself. */
static __always_inline int is_uwsgi_header(const char *p, __u64 all)
{
	return all == 4 && !p[0] && !p[3] && (p[1] || p[2]);
}

__noinline int gateway_detect(struct io *io, struct conn *c, struct capture *s, __u32 n)
{
	__u64 key;

	if (!io || !c || !s || c->plain)
		return 0;
	if (io->dir == IO_SEND) {
		if (c->received || (!is_fastcgi(s->b, n) && !is_uwsgi(s->b, n, io->n)))
			return 0;
		c->gateway = GATEWAY_CLIENT;
	} else {
		/* its reader may take a few bytes at a time: these tell, or what the other end wrote, whose hook may
		 * be late */
		key = gateway_key(io->sk, c->family, 1);
		if (c->sent ||
		    (!is_fastcgi(s->b, n) && !is_uwsgi(s->b, n, io->n) &&
		     !(c->received == io->n && is_uwsgi_header(s->b, io->n)) && !bpf_map_lookup_elem(&handed_on, &key)))
			return 0;
		c->gateway = GATEWAY_SERVER;
	}
	c->mode = MODE_IGNORE;
	c->proto = PROTO_OTHER;
	count(KERNEL_conns_gateway);
	return 1;
}

/* Has the thread another request that it has not answered, on a connection that still stands? */
static __always_inline int has_another(const struct thread *t, const struct conn *c)
{
	__u64 sk = t->handed_sk;
	struct conn *other = t->handed_id && t->handed_id != c->id ? bpf_map_lookup_elem(&conns, &sk) : NULL;

	return other && other->id == t->handed_id && other->gateway == GATEWAY_SERVER_ASKED;
}

static __always_inline void request_begins(struct io *io, struct conn *c)
{
	struct thread *t = thread_of(io->tid, 1);

	c->gateway = GATEWAY_SERVER_ASKED;
	if (!t || t->handed == GATEWAY_MIXED)
		return;
	t->handed = has_another(t, c) ? GATEWAY_MIXED : gateway_key(io->sk, c->family, 1);
	t->handed_sk = io->sk;
	t->handed_id = c->id;
}

__noinline int gateway_io(struct io *io, struct conn *c)
{
	__u64 key, parent;

	if (!io || !c || !io->n)
		return 0;
	switch (c->gateway) {
	case GATEWAY_CLIENT:
		if (io->dir != IO_SEND)
			break;
		key = gateway_key(io->sk, c->family, 0);
		parent = context_asks(c, io->tid);
		bpf_map_update_elem(&handed_on, &key, &parent, BPF_ANY);
		c->gateway = GATEWAY_CLIENT_ASKED;
		break;
	case GATEWAY_CLIENT_ASKED:
		if (io->dir == IO_RECV)
			c->gateway = GATEWAY_CLIENT;
		break;
	case GATEWAY_SERVER:
		if (io->dir == IO_RECV)
			request_begins(io, c);
		break;
	case GATEWAY_SERVER_ASKED:
		if (io->dir == IO_SEND)
			c->gateway = GATEWAY_SERVER;
		break;
	case GATEWAY_RELAY:
		relay_reads(io, c);
		break;
	}
	return 0;
}

__noinline __u64 gateway_parent(__u64 handed)
{
	__u64 *at, parent;

	if (handed == GATEWAY_MIXED)
		return PARENT_UNSURE;
	at = bpf_map_lookup_elem(&handed_on, &handed);
	parent = at ? *at : 0;
	return parent & PARENT_STRAND || (parent && open_request(parent)) ? parent : 0;
}
