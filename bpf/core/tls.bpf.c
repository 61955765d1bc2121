/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which connection the plaintext of an SSL object belongs to. Its ciphertext tells: while a thread is in a call of
 * OpenSSL on the object, what it sends and receives on a TLS connection is that object's. Programs that move the
 * ciphertext themselves (node, Python's asyncio) do so around their calls: what came in on a connection goes into its
 * object, and what comes out goes out on it. Where one object alone was called between a receive and a send of one
 * connection, or before a new one's first bytes, they belong together; else no link is made, and that is counted.
 *
 * One teller for a connection, the first that can: the OpenSSL calls of this end; libpq's calls, where OpenSSL's are
 * not probed when the connection begins; or, for a client of a database whose own TLS cannot be read (Go, Java), the
 * OpenSSL calls of the server's end, when that is on this host. Then what the server reads is what the client sent,
 * and counts for the client: its service, its thread when it wrote, the request that thread worked on.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "maps.bpf.h"

/* Both ends of a TCP connection, the client's first; IPv4 in IPv6 form, as an IPv6 socket may have it. */
struct ends {
	__u32 client[4];
	__u32 server[4];
	__u16 client_port;
	__u16 server_port;
	__u32 netns; /* of loopback addresses: they mean another host in each */
};

/* Clients that speak TLS: for the other end to find. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct ends);
	__type(value, struct conn_ref);
} tls_clients SEC(".maps");

/* What a thread did outside of calls on sockets, and in calls without sockets, since it last moved ciphertext. */
struct ssl_thread {
	struct ssl_key key; /* the object that was called, of no known connection; ssl 0 = none */
	__u64 before;	    /* id of the connection that it received ciphertext of, 0 = none */
	__u32 many;	    /* more than one object was called */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* thread id */
	__type(value, struct ssl_thread);
} ssl_threads SEC(".maps");

static __always_inline void mapped_address(__u32 *to, __u32 v4)
{
	to[2] = bpf_htonl(0xffff);
	to[3] = v4;
}

static __always_inline int is_loopback(const __u32 *a)
{
	if (a[0] || a[1])
		return 0;
	if (a[2] == bpf_htonl(0xffff))
		return (bpf_ntohl(a[3]) >> 24) == 127;
	return !a[2] && a[3] == bpf_htonl(1);
}

/* False: not TCP. */
static __always_inline int ends_of(struct ends *e, struct sock *sk, __u16 family, __u8 role)
{
	__u32 *local = role == ROLE_CLIENT ? e->client : e->server;
	__u32 *remote = role == ROLE_CLIENT ? e->server : e->client;
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	struct in6_addr a;

	if (family == AF_INET) {
		mapped_address(local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		mapped_address(remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_rcv_saddr);
		__builtin_memcpy(local, &a, sizeof(a));
		BPF_CORE_READ_INTO(&a, sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(remote, &a, sizeof(a));
	} else {
		return 0;
	}
	e->client_port = role == ROLE_CLIENT ? port : remote_port;
	e->server_port = role == ROLE_CLIENT ? remote_port : port;
	if (is_loopback(local) || is_loopback(remote))
		e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return 1;
}

/* Apart from tls_begins, whose callees would else stand on this stack: 512 bytes are all that a chain of calls has. */
__noinline int tls_remember_client(struct io *io, struct conn *c)
{
	struct conn_ref ref = {};
	struct ends e = {};

	if (!io || !c || !ends_of(&e, (struct sock *)io->sk, c->family, ROLE_CLIENT))
		return 0;
	ref.sk = io->sk;
	ref.id = c->id;
	bpf_map_update_elem(&tls_clients, &e, &ref, BPF_ANY);
	return 0;
}

__noinline int tls_begins(struct io *io, struct conn *c)
{
	if (!io || !c)
		return 0;
	c->mode = MODE_OPAQUE;
	c->proto = PROTO_TLS;
	c->tls_start = c->inner ? c->ex.start : io->now; /* it was asked for */
	count(KERNEL_conns_tls);
	if (c->role != ROLE_SERVER) /* not known of one that is older than we are: then as if it were */
		tls_remember_client(io, c);
	conn_announce(c, io->sk, io->tgid, io->tid, io->now);
	return 0;
}

/* The connection's ciphertext is this object's. */
static __always_inline void bind(__u64 sk, struct conn *c, struct ssl_key key)
{
	struct conn_ref ref = {};

	if (c->ssl == key.ssl && c->ssl_tgid == key.tgid)
		return;
	c->ssl = key.ssl;
	c->ssl_tgid = key.tgid;
	ref.sk = sk;
	ref.id = c->id;
	bpf_map_update_elem(&ssl_conns, &key, &ref, BPF_ANY);
}

/* Ciphertext of a connection whose object is not known, moved by the program itself. */
static __always_inline void between_calls(struct io *io, struct conn *c)
{
	__u32 tid = io->tid;
	struct ssl_thread *t = bpf_map_lookup_elem(&ssl_threads, &tid), fresh = {};
	int begins = io->dir == IO_SEND && c->role == ROLE_CLIENT && c->sent == io->n && !c->received;

	if (io->dir == IO_SEND && t && t->key.ssl && !t->many && (t->before == c->id || (begins && !t->before)) &&
	    t->key.tgid == io->tgid)
		bind(io->sk, c, t->key);
	if (io->dir == IO_RECV)
		fresh.before = c->id;
	if (t)
		*t = fresh;
	else if (fresh.before)
		bpf_map_update_elem(&ssl_threads, &tid, &fresh, BPF_ANY);
}

__noinline int tls_call_alone(struct ssl_key *key, __u32 tid)
{
	struct ssl_thread *t, fresh = {};

	if (!key)
		return 0;
	t = bpf_map_lookup_elem(&ssl_threads, &tid);
	if (!t) {
		fresh.key = *key;
		bpf_map_update_elem(&ssl_threads, &tid, &fresh, BPF_ANY);
	} else if (!t->key.ssl) {
		t->key = *key;
	} else if (t->key.ssl != key->ssl || t->key.tgid != key->tgid) {
		t->many = 1;
	}
	return 0;
}

/*
 * Where the loop writes in the end of its turn, many objects were called by then. But each has its output given to its
 * connection right after a call: when one alone was called since that was last done, it is the connection's.
 */
__noinline int tls_written_later(struct conn *c, __u64 sk, __u32 tid)
{
	struct ssl_thread *t = bpf_map_lookup_elem(&ssl_threads, &tid);

	if (!c || !t || !t->key.ssl || (c->proto != PROTO_TLS && !c->ssl))
		return 0;
	if (!c->ssl && !c->plain && !t->many)
		bind(sk, c, t->key);
	t->key.ssl = 0;
	t->many = 0;
	return 0;
}

__noinline int tls_ciphertext(struct io *io, struct conn *c)
{
	struct ssl_call *call;
	__u32 tid;

	if (!io || !c)
		return 0;
	tid = io->tid;
	call = bpf_map_lookup_elem(&ssl_calls, &tid);
	if (call) {
		call->io = io->now;
		bind(io->sk, c, call->key);
		/* else the plaintext, which comes at the call's return, takes libpq's call along */
		if (io->dir == IO_SEND && c->plain == PLAIN_LIBPQ)
			context_hidden_request(c, tid);
	} else if (!c->ssl && !c->plain) {
		between_calls(io, c);
	}
	if (c->role == ROLE_SERVER || (c->ssl && c->plain != PLAIN_PEER))
		return 0;
	if (io->dir == IO_RECV) {
		c->read = io->now;
		context_hidden_answer(c, tid);
		return 0;
	}
	c->wrote_tgid = io->tgid;
	c->wrote_tid = tid;
	context_hidden_request(c, tid);
	if (c->plain == PLAIN_PEER && c->phase == PHASE_IDLE && !c->mark && c->sent + c->unseen > c->peer_read)
		c->mark = io->now;
	return 0;
}

__noinline int tls_connection(struct ssl_key *key, struct conn_ref *ref)
{
	struct conn_ref *known;
	struct ssl_key k = {}; /* before 6.4 a map's key may not be in an argument's memory */
	struct conn *c;
	__u64 sk;

	if (!key || !ref)
		return 0;
	k = *key;
	known = bpf_map_lookup_elem(&ssl_conns, &k);
	if (!known)
		return 0;
	*ref = *known;
	sk = known->sk;
	c = bpf_map_lookup_elem(&conns, &sk);
	return c && c->id == ref->id;
}

__noinline int tls_forget(struct ssl_key *key)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct ssl_thread *t = bpf_map_lookup_elem(&ssl_threads, &tid);
	struct ssl_key k = {};

	if (!key)
		return 0;
	k = *key;
	bpf_map_delete_elem(&ssl_conns, &k);
	if (t && t->key.ssl == key->ssl)
		t->key.ssl = 0;
	return 0;
}

/* What the bytes inside are is to be found out; what negotiated the TLS says it already. */
static __always_inline void read_as(struct conn *c, __u8 plain)
{
	c->plain = plain;
	c->generation = 0; /* announced again, by what it says */
	c->tries = 0;
	c->mode = MODE_DETECT;
	c->proto = PROTO_UNKNOWN;
	if (c->inner == PROTO_POSTGRES) {
		c->mode = MODE_TURNS;
		c->proto = PROTO_POSTGRES;
		c->role = ROLE_CLIENT;
	} else if (c->inner == PROTO_MYSQL && plain == PLAIN_PEER) { /* MariaDB reads heads of packets by themselves */
		c->mode = MODE_TURNS;
		c->proto = PROTO_MYSQL;
		c->role = ROLE_CLIENT;
		__builtin_memset(&c->my, 0, sizeof(c->my));
	}
}

/* The client's end of this server's connection, when it is here and nobody else tells of it. */
static __always_inline int find_client(struct io *io, struct conn *server)
{
	struct conn_ref *ref;
	struct ends e = {};
	struct conn *c;
	int taken, had;
	__u64 sk;

	if (!ends_of(&e, (struct sock *)io->sk, server->family, ROLE_SERVER))
		return 0;
	ref = bpf_map_lookup_elem(&tls_clients, &e);
	if (!ref)
		return 0;
	sk = ref->sk;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c || c->id != ref->id)
		return 0;
	had = conn_lock(c);
	taken = c->mode == MODE_OPAQUE && !c->plain && !c->ssl && c->wrote_tgid;
	if (taken) {
		if (!c->inner && server->received > c->sent) /* Sonde came later than its first bytes */
			c->unseen = server->received - c->sent;
		c->inner = server->inner;
		read_as(c, PLAIN_PEER);
		c->other = io->sk;
		c->other_id = server->id;
		server->other = sk;
		server->other_id = c->id;
		count(KERNEL_tls_read_at_peer);
	}
	conn_unlock(c, had);
	return taken;
}

/*
 * A connection that asked for its TLS before Sonde came: is what was read a statement? Then this is a database server's
 * end. Not so of MySQL, whose servers read the head of a packet by itself.
 */
static __noinline int reads_statement(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	__u32 n = io->n > FRAME_DETECT ? FRAME_DETECT : io->n;

	if (!s || io->dir != IO_RECV || c->role || c->inner)
		return 0;
	__builtin_memset(s->b, 0, FRAME_DETECT);
	return io_copy(io, 0, s, 0, n) == (int)n && pg_detect(s->b, n, io->n);
}

/* The client's end tells, or is on another host. But of an older connection it may only not have said yet that it is.
 */
static __always_inline void not_told(struct conn *server, int older)
{
	server->mode = MODE_IGNORE;
	if (!older || ++server->tries >= DETECT_TRIES)
		return;
	server->mode = MODE_OPAQUE;
	server->role = ROLE_UNKNOWN;
	server->inner = PROTO_UNKNOWN;
}

/* A database server's plaintext, as its client sent and got it. */
static __always_inline int tell_for_client(struct io *io, struct conn *server, int older)
{
	struct conn *c;
	__u64 sk;

	if (!server->other && !find_client(io, server)) {
		not_told(server, older);
		return 0;
	}
	sk = server->other;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c || c->id != server->other_id) { /* just kept? */
		sk = server->other_id;
		c = bpf_map_lookup_elem(&conns, &sk);
		if (!c)
			return 0;
	}
	if (io->dir == IO_RECV) {
		if (exchange_awaits_sender(c))
			context_hidden_is_lost(c); /* it has the answer, or it would not ask again */
		if (c->mode == MODE_STREAM && c->awaits && c->read > c->awaited) {
			context_hidden_is_lost(c);
			c->awaits = 0;
		}
		c->peer_read = server->received;
	}
	io->sk = sk;
	io->dir = io->dir == IO_SEND ? IO_RECV : IO_SEND;
	io->tgid = c->wrote_tgid;
	io->tid = c->wrote_tid;
	/* the client may go on before the server's call returns */
	if (io->dir == IO_RECV && c->read > io->begun && c->read < io->now)
		io->now = c->read;
	io->begun = 0;
	return 1;
}

__noinline int tls_resolve(struct io *io)
{
	struct conn *c;
	int older;
	__u64 sk;

	if (!io)
		return 0;
	sk = io->sk;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c || c->mode == MODE_IGNORE)
		return 0;
	older = c->mode == (c->plain == PLAIN_OPENSSL ? MODE_DETECT : MODE_OPAQUE) && reads_statement(io, c);
	if (older) {
		c->plain = PLAIN_NONE;
		c->mode = MODE_OPAQUE;
		c->proto = PROTO_TLS;
		c->role = ROLE_SERVER;
		c->inner = PROTO_POSTGRES;
	}
	if (c->plain == PLAIN_OPENSSL)
		return 1;
	if (c->plain || c->mode != MODE_OPAQUE)
		return 0;
	if (c->role == ROLE_SERVER && c->inner)
		return tell_for_client(io, c, older);
	read_as(c, PLAIN_OPENSSL);
	count(KERNEL_tls_read);
	return 1;
}

__noinline int tls_ends(struct conn *c)
{
	struct ssl_key key = {};
	struct conn_ref *ref;

	if (!c)
		return 0;
	if (c->ssl) {
		key.ssl = c->ssl;
		key.tgid = c->ssl_tgid;
		ref = bpf_map_lookup_elem(&ssl_conns, &key);
		if (ref && ref->id == c->id)
			bpf_map_delete_elem(&ssl_conns, &key);
	}
	if (c->mode != MODE_OPAQUE || c->plain || c->ssl || c->role == ROLE_SERVER)
		return 0;
	count(c->inner ? KERNEL_tls_unread_database : KERNEL_tls_unread);
	return 0;
}
