/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Every map that more than one file uses, declared once, and the settings that the keeper fixes before load. */
#ifndef SONDE_MAPS_BPF_H
#define SONDE_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "drops.h"
#include "event.h"
#include "hist.h"
#include "probed.h"
#include "core/conn.bpf.h"

/* Fixed before load: bytes of a request that go up at the most. */
extern const volatile __u32 fragment_limit;

/* False: exchanges are only counted. And how many spans may go up in a slice of time, 0 = as many as there are. */
extern const volatile __u32 spans_wanted;
extern const volatile __u32 spans_per_slice;

/* So many bits name the CPU that numbers an exchange, of the most; those that have the same share a counter. */
#define EXCHANGE_CPU_BITS 8
extern const volatile __u8 exchange_cpu_bits;

/* Bytes of the ring that may wait before spans are left out: the rest is for what no number goes without. */
extern const volatile __u32 ring_for_spans;

/* How many histogram keys there are (counted again by the keeper now and then), and how many may hold operations. */
extern __u32 histogram_keys;
extern const volatile __u32 histogram_keys_soft;

/* Raised by the keeper at each start of a worker, which knows no connection yet: announce them again. */
extern __u32 generation;
/* Numbers of services given out at exec; the keeper's own start far below. */
extern __u32 next_service;
/* Some process has strands, or PROC_MOVES; until then none is asked for. */
extern __u32 any_strands, any_moves;
/* Some process answers requests by tasks of an event loop: what threads do that read no requests is followed then. */
extern __u32 any_loops;
/* Some process has PROC_RELAYS. */
extern __u32 any_relays;
/* Some program has moved bytes of a socket by io_uring. */
extern __u32 any_uring;
extern struct probed_file probed_files[PROBED_FILES_MAX];

struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
};

struct conns_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64); /* address of the struct sock: never reused while open, reuse is seen by its inode; or, of
			       struct conn.kept, its id */
	__type(value, struct conn);
};

/* Preallocated: per-CPU memory that is asked for in a hook may not be there in a burst, and a count would be lost. */
struct histograms_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hist_key);
	__type(value, struct hist_value);
};

struct counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KERNEL_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
};

struct threads_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, __u32); /* thread id */
	__type(value, struct thread);
};

/*
 * By strand (see core/strand.bpf.c). Of a goroutine what it works on: a server request, which may be answered by now.
 * Of a task of asyncio until when (ns) it is known to work for none, or for one that it has answered; and by the
 * address of the context that it runs in, the address of its object.
 */
struct strand_key {
	__u64 strand;
	__u32 tgid;
	__u32 pad;
};

struct strands_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct strand_key);
	__type(value, __u64);
};

/* Of a task of tokio that reads no requests, by its number: see core/strand_tokio.bpf.c. */
struct tokio_task {
	__u64 given; /* server request whose task last woke it, 0 = none; PARENT_UNSURE: one of several, or not known */
	__u64 started; /* that whose task started it, 0 = none */
	__u64 woken;   /* some task of a request has */
};

struct tokio_tasks_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct strand_key);
	__type(value, struct tokio_task);
};

struct procs_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, __u32); /* process id */
	__type(value, struct proc);
};

/*
 * Server requests that are not answered yet, by exchange id: at its own place (ids are given in sequence) or one of the
 * next, 0 = free. An array, because every request comes and goes here.
 */
#define OPEN_REQUESTS 65536

struct open_request {
	__u64 id;
	__u32 reader; /* thread that read it */
	__u16 waits;  /* for so many answers, see struct thread.idle */
	__u8 partial; /* its body has not come yet, and it has asked nothing; the reader, when it read the head: */
	__u8 asked, guessed; /* see struct thread */
	__u8 pad;
	__u32 slept; /* how often it had waited in the kernel, modulo 2^32 */
};

#define OPEN_PROBES 4

struct open_requests_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OPEN_REQUESTS);
	__type(key, __u32);
	__type(value, struct open_request);
};

/* Prepared statements: which text a name stands for, as its hash. */
struct prepared_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct prepared_key);
	__type(value, __u64);
};

/* PGconns by their address and process, mixed. */
struct libpq_conns_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct libpq_conn);
};

/* PGcancel and PGcancelConn, by their address and process -> key of the PGconn. */
struct libpq_cancels_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
};

/* What they were given to send, by the same key and a number. */
struct libpq_ops_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct libpq_op);
};

/*
 * What Sonde itself opens: its sockets (address -> ports of both ends, itself while it connects) and those ports. The
 * other end of its own export traffic is told by these, so that a receiver on this host makes no loop.
 */
struct own_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* address of the struct sock, or both ports */
	__type(value, __u64);
};

/* TCP sockets from their connect to their first bytes. */
struct connecting_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* address of the struct sock */
	__type(value, struct connecting);
};

/* Socket functions between entry and result, for the backends that hang on those; one entry for the others. */
struct socket_calls_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, __u32); /* thread id */
	__type(value, struct socket_call);
};

/*
 * Simple queries as they were asked last, and what was found in them (core/texts.bpf.c), by a hash of their messages.
 * Shared by all processes and CPUs, without a lock: turn is odd while one of them writes, and another one afterwards.
 */
#define TEXTS 512
#define TEXT_MIN 24
#define TEXT_MAX 512

struct known_text {
	__u64 operation; /* its key */
	__u64 last;	 /* that of the text that came here last: only what is asked again is kept */
	__u64 open;	 /* scratch of the writer */
	__u32 turn;
	__u16 len;    /* of the message, 0 = none is kept */
	__u8 several; /* enum pg_several */
	__u8 wasted;  /* how often one was kept since one was asked again */
	__u32 tries;  /* and not kept since */
	__u32 pad;
	char text[TEXT_MAX]; /* see frame/sqlsame.h */
};

struct texts_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TEXTS);
	__type(key, __u32);
	__type(value, struct known_text);
};

/* Bytes to be looked at by hooks in process context, which hold the CPU (kernel.bpf.h); softirq uses none. */
struct scratch_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture);
};

struct stream_records_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stream_record);
};

struct ssl_calls_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32); /* thread id */
	__type(value, struct ssl_call);
};

struct ssl_conns_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ssl_key);
	__type(value, struct conn_ref);
};

extern struct events_map events SEC(".maps");
extern struct conns_map conns SEC(".maps");
extern struct histograms_map histograms SEC(".maps");
extern struct counters_map counters SEC(".maps");
extern struct threads_map threads SEC(".maps");
extern struct procs_map procs SEC(".maps");
extern struct strands_map strands SEC(".maps");
extern struct tokio_tasks_map tokio_tasks SEC(".maps");
extern struct open_requests_map open_requests SEC(".maps");
extern struct prepared_map prepared SEC(".maps");
extern struct texts_map texts SEC(".maps");
extern struct scratch_map scratch SEC(".maps");
extern struct stream_records_map stream_records SEC(".maps");
extern struct libpq_conns_map libpq_conns SEC(".maps");
extern struct libpq_ops_map libpq_ops SEC(".maps");
extern struct libpq_cancels_map libpq_cancels SEC(".maps");
extern struct socket_calls_map socket_calls SEC(".maps");
extern struct own_map own SEC(".maps");
extern struct connecting_map connecting SEC(".maps");
extern struct ssl_calls_map ssl_calls SEC(".maps");
extern struct ssl_conns_map ssl_conns SEC(".maps");

static __always_inline void count_n(__u32 counter, __u64 n)
{
	__u64 *v = bpf_map_lookup_elem(&counters, &counter);

	/* Softirq programs count too and may interrupt others on this CPU. */
	if (v)
		__sync_fetch_and_add(v, n);
}

/* By value: before 6.4 the verifier takes values of a map from the stack or another map, not from an argument's memory.
 */
static __always_inline void remember_prepared(const struct prepared_key *key, __u64 operation)
{
	bpf_map_update_elem(&prepared, key, &operation, BPF_ANY);
}

static __always_inline struct capture *io_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

static __always_inline void count(__u32 counter)
{
	count_n(counter, 1);
}

#endif
