/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A proxy of databases (pgbouncer, ProxySQL, a PostgreSQL with foreign tables) reads statements as a server does and
 * asks them as a client. What a thread asks first after it read a statement is asked for that, and is to be below it:
 * below the exchange at the client's end, where both are on this host. That is looked up when the answer comes, for by
 * then the client's hook, which may be late, has run. A statement that waited for a connection of the pool is asked
 * after something else was read: it is known by its bytes, as long as one statement of these waits.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* gateway_key() of a client's connection to a database on any host */
	__type(value, struct conn_ref);
} relayed SEC(".maps");

/* Of what begins with the same bytes, how many statements were read and not asked yet, and the last of them. */
struct waiting {
	__u64 relay; /* gateway_key() of its connection */
	__u64 read;  /* when */
	__u64 n;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* text_of() */
	__type(value, struct waiting);
} relay_waiting SEC(".maps");

#define TEXT_BYTES 128
#define HOOK_LATE_NS 50000 /* so long after the bytes were on their way a client's exchange may begin */

/* A connection of a database is recognised: the process is a server of them, a client, or both. */
__noinline int relay_detected(struct io *io, struct conn *c)
{
	struct proc *p;

	if (!io || !c)
		return 0;
	p = process_of(io->tgid);
	if (!p)
		return 0;
	if (c->role == ROLE_SERVER && c->mode == MODE_IGNORE) {
		c->gateway = GATEWAY_RELAY;
		if (!(p->flags & PROC_DATABASE))
			__sync_fetch_and_or(&p->flags, PROC_DATABASE);
	} else if (c->role == ROLE_CLIENT && p->flags & PROC_DATABASE && !(p->flags & PROC_RELAYS)) {
		__sync_fetch_and_or(&p->flags, PROC_RELAYS);
		any_relays = 1;
	}
	return 0;
}

/* Of the first bytes of a statement, n of which are there. */
static __noinline __u64 text_of(__u32 tgid, struct capture *s, __u32 n)
{
	__u64 h = tgid, word;
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i < TEXT_BYTES; i += 8) {
		if (i >= n)
			break;
		word = *(__u64 *)&s->b[i];
		if (n - i < 8)
			word &= (1ULL << (n - i) * 8) - 1;
		h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
		h ^= h >> 29;
	}
	return h;
}

static __always_inline void begins_to_wait(__u64 text, __u64 relay, __u64 now)
{
	struct waiting fresh = { .relay = relay, .read = now, .n = 1 }, *w = bpf_map_lookup_elem(&relay_waiting, &text);

	if (!w) {
		bpf_map_update_elem(&relay_waiting, &text, &fresh, BPF_ANY);
		return;
	}
	w->relay = relay;
	w->read = now;
	w->n++;
}

/* One of them waits no longer. Where it was the only one, it is that. */
static __always_inline __u64 waits_no_longer(__u64 text, __u64 *ret_read)
{
	struct waiting *w = bpf_map_lookup_elem(&relay_waiting, &text);
	__u64 relay;

	if (!w)
		return 0;
	if (w->n > 1) {
		w->n--;
		return 0;
	}
	relay = w->relay;
	*ret_read = w->read;
	bpf_map_delete_elem(&relay_waiting, &text);
	return relay;
}

__noinline int relay_reads(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	struct thread *t;
	struct proc *p;
	int n;

	if (!io || !c || !s || !any_relays || io->dir != IO_RECV)
		return 0;
	p = process_of(io->tgid);
	t = p && p->flags & PROC_RELAYS ? thread_of(io->tid, 1) : NULL;
	if (!t)
		return 0;
	t->relay = gateway_key(io->sk, c->family, 1);
	n = io_copy(io, 0, s, 0, io->n > TEXT_BYTES ? TEXT_BYTES : io->n);
	t->relay_text = text_of(io->tgid, s, n > 0 ? n : 0);
	begins_to_wait(t->relay_text, t->relay, io->now);
	return 0;
}

/* A client of a database can be found by what its server reads from. */
static __always_inline void publish(struct io *io, struct conn *c)
{
	__u64 key = gateway_key(io->sk, c->family, 0);
	struct conn_ref ref = { .sk = io->sk, .id = c->id };

	c->relayed = 1;
	bpf_map_update_elem(&relayed, &key, &ref, BPF_ANY);
}

__noinline int relay_asks(struct io *io, struct conn *c)
{
	struct thread *t;
	struct proc *p;
	__u64 read;

	if (!io || !c)
		return 0;
	c->relay = 0;
	if (!any_relays || c->proto == PROTO_HTTP1)
		return 0;
	if (!c->relayed)
		publish(io, c);
	p = process_of(io->tgid);
	t = p && p->flags & PROC_RELAYS ? thread_of(io->tid, 0) : NULL;
	if (!t)
		return 0;
	read = io->now;
	if (t->relay) {
		c->relay = t->relay;
		t->relay = 0;
		waits_no_longer(t->relay_text, &read);
	} else {
		c->relay = waits_no_longer(text_of(io->tgid, &c->data, c->ex.request_len), &read);
	}
	c->relay_read = read;
	return 0;
}

__noinline int relay_answered(struct conn *c, __u32 tid)
{
	struct thread *t = thread_of(tid, 0);
	struct conn_ref *ref;
	struct conn *client;
	__u64 key, sk;

	if (t)
		t->relay = 0;
	if (!c || !c->relay)
		return 0;
	key = c->relay;
	c->relay = 0;
	ref = bpf_map_lookup_elem(&relayed, &key);
	if (!ref)
		return 0;
	sk = ref->sk;
	client = bpf_map_lookup_elem(&conns, &sk);
	if (!client || client->id != ref->id || client->mode != MODE_TURNS || client->phase == PHASE_IDLE ||
	    client->ex.start > c->relay_read + HOOK_LATE_NS)
		return 0;
	c->ex.parent = client->ex.id;
	if (client->ex.flags & EXCHANGE_SKIPPED) /* and this with it */
		c->ex.flags |= EXCHANGE_SKIPPED;
	return 0;
}
