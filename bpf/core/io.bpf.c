/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Where every backend ends: one send or receive becomes progress of a connection. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/emit.bpf.h"
#include "core/stream.bpf.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"

#define IO_PIECES 24

/*
 * Gathers from an iovec array. Each turn of the loop copies one piece: what is left of one iovec, and at most
 * FRAME_BLOCK when it does not go to the front of dst. Some senders (Varnish) give each word and each line's end of a
 * head an iovec of its own: what is behind that many is left for the next call, which goes on where this one stopped.
 * The place is kept in memory (io->walk): the verifier then sees one state.
 */
static __noinline int copy_iovecs(struct io *io, __u64 offset, struct capture *dst, __u32 at, __u32 len)
{
	volatile struct io_walk *w = &io->walk;
	int k;

	offset += io->skip;
	w->done = 0;
	if (offset < w->begin) {
		w->begin = 0;
		w->i = 0;
	}
	for (k = 0; k < IO_PIECES; k++) {
		struct iovec v;
		__u64 from = offset + w->done, last, n;
		__u32 to = at + w->done;
		void *place;

		if (w->i >= io->iovecs || w->done >= len)
			break;
		place = (void *)(io->buffer + w->i * sizeof(v));
		if (io->source == IO_IOVEC ? bpf_probe_read_user(&v, sizeof(v), place)
					   : bpf_probe_read_kernel(&v, sizeof(v), place))
			return -1;
		last = w->begin + v.iov_len;
		if (from >= last) {
			w->begin = last;
			w->i++;
			continue;
		}
		n = last - from;
		if (n > len - w->done)
			n = len - w->done;
		if (n > (to ? FRAME_BLOCK : EVENT_REQUEST_MAX))
			n = to ? FRAME_BLOCK : EVENT_REQUEST_MAX;
		asm volatile("" : "+r"(n));
		asm volatile("" : "+r"(to));
		if (to == 0) {
			if (n > EVENT_REQUEST_MAX)
				return -1;
			if (bpf_probe_read_user(dst->b, n, (void *)((__u64)v.iov_base + (from - w->begin))))
				return -1;
		} else {
			if (n > FRAME_BLOCK || to > EVENT_REQUEST_MAX + FRAME_BLOCK)
				return -1;
			if (bpf_probe_read_user(dst->b + to, n, (void *)((__u64)v.iov_base + (from - w->begin))))
				return -1;
		}
		w->done += n;
		if (from + n == last) {
			w->begin = last;
			w->i++;
		}
	}
	return w->done;
}

__noinline int io_copy(struct io *io, __u64 offset, struct capture *dst, __u32 at, __u32 len)
{
	if (!io || !dst)
		return -1;
	if (io->source == IO_IOVEC || io->source == IO_KERNEL_IOVEC)
		return copy_iovecs(io, offset, dst, at, len);
	if (io->source != IO_FLAT)
		return -1;
	if (at == 0) {
		asm volatile("" : "+r"(len));
		if (len > EVENT_REQUEST_MAX)
			len = EVENT_REQUEST_MAX;
		if (bpf_probe_read_user(dst->b, len, (void *)(io->buffer + offset)))
			return -1;
		return len;
	}
	asm volatile("" : "+r"(len));
	asm volatile("" : "+r"(at));
	if (len > FRAME_BLOCK)
		len = FRAME_BLOCK;
	if (at > EVENT_REQUEST_MAX + FRAME_BLOCK)
		return -1;
	if (bpf_probe_read_user(dst->b + at, len, (void *)(io->buffer + offset)))
		return -1;
	return len;
}

#define PIECE_MIN 64

/* Heads mostly come in a piece of their own, and what is in the others need not be copied to be passed over. */
__noinline int io_copy_first(struct io *io, struct capture *dst, __u32 len)
{
	struct iovec v;
	__u64 n = len;

	if (!io || !dst)
		return -1;
	if (io->source != IO_IOVEC || io->skip || bpf_probe_read_user(&v, sizeof(v), (void *)io->buffer) ||
	    v.iov_len < PIECE_MIN)
		return 0;
	if (n > v.iov_len)
		n = v.iov_len;
	asm volatile("" : "+r"(n));
	if (n > FRAME_BLOCK || bpf_probe_read_user(dst->b, n, v.iov_base))
		return -1;
	return n;
}

#define LOCK_SPINS 256

/* Some 0.3 us. A loop of its own would be walked by the verifier at each turn of the one around it. */
static __always_inline void relax(void)
{
	int i;

#pragma unroll
	for (i = 0; i < 12; i++)
		bpf_ktime_get_ns();
}

/*
 * One hook at a time on a connection: two threads may use one socket, and the sender's hook may run after the
 * receiver's. bpf_spin_lock would forbid the helpers that are needed inside. Bounded to some 0.1 ms, for an interrupt
 * may keep the holder that long: when its processor was taken away, going on without the lock loses less than waiting,
 * and is counted. A holder on this very processor was preempted by us, and will not go on before.
 */
__noinline int conn_lock(struct conn *c)
{
	__u32 me = bpf_get_smp_processor_id() + 1, holder;
	int i;

	if (!c)
		return 0;
	for (i = 0; i < LOCK_SPINS; i++) {
		holder = __sync_val_compare_and_swap(&c->lock, 0, me);
		if (!holder)
			return 1;
		if (holder == me)
			break;
		relax();
	}
	count(KERNEL_lock_spins_exhausted);
	return 0;
}

static __always_inline int conn_trylock(struct conn *c)
{
	return __sync_val_compare_and_swap(&c->lock, 0, bpf_get_smp_processor_id() + 1) == 0;
}

static __always_inline void turn(struct io *io, struct conn *c)
{
	int is_request = (c->role == ROLE_SERVER) == (io->dir == IO_RECV);

	if (c->mode == MODE_STREAM && is_request && stream_returns(c))
		c->mode = MODE_TURNS;
	if (c->mode == MODE_STREAM) {
		if (is_request && c->proto == PROTO_POSTGRES)
			stream_asked(io, c);
		stream_io(io, c);
		return;
	}
	if (is_request) {
		if (io->n)
			exchange_request(io, c);
		else if (c->phase == PHASE_ANSWER && c->verdict == FRAME_UNSURE)
			exchange_finish(c, END_EOF, io->now); /* the client closes, having all it wanted */
	} else if (io->n) {
		exchange_answer(io, c);
	} else if (c->phase == PHASE_ANSWER) {
		exchange_finish(c, END_EOF, io->now);
	}
}

/* Encrypted bytes: their connection is told to each worker. What is said is told elsewhere; only the end is seen here.
 */
static __always_inline void opaque(struct io *io, struct conn *c)
{
	int awaited;

	if (c->generation != generation)
		conn_announce(c, io->sk, io->tgid, io->tid, io->now);
	if (io->n) {
		awaited = c->awaits;
		tls_ciphertext(io, c);
		/* what did not wait, the other end's hook finishes, which may be at it where there was no lock */
		if (awaited && !c->awaits && exchange_awaits_sender(c))
			exchange_finish(c, END_COMPLETE, io->now);
	} else if (c->mode == MODE_TURNS)
		turn(io, c);
}

static __always_inline int bytes_moved(struct io *io, struct conn *c)
{
	__u64 sk = io->sk;
	int had;

	if (c && io->ino && c->ino != io->ino) {
		/* the address was used again and nobody told us of the end */
		core_destroy(&sk, io->now);
		c = NULL;
	}
	if (!c) {
		if (!io->n)
			return 0;
		if (conn_create(io) < 0)
			return 0;
		c = bpf_map_lookup_elem(&conns, &sk);
		if (!c)
			return 0;
	}
	if (c->mode == MODE_IGNORE)
		return conn_is_passed_over(c) ? 0 : gateway_io(io, c);
	had = conn_trylock(c) || conn_lock(c);
	if (io->dir == IO_SEND)
		c->sent += io->n;
	else
		c->received += io->n;
	c->last = io->now;
	if (c->mode == MODE_DETECT && io->n && !c->plain)
		conn_detect(io, c);
	if (c->gateway)
		gateway_io(io, c);
	else if (c->mode == MODE_OPAQUE || c->plain)
		opaque(io, c);
	else if (c->mode == MODE_TURNS || c->mode == MODE_STREAM)
		turn(io, c);
	if (io->dir == IO_SEND)
		c->given = 0;
	conn_unlock(c, had);
	return 0;
}

static __always_inline void plaintext_moved(struct io *io)
{
	struct conn *c;
	__u64 sk;
	int had;

	if (!tls_resolve(io))
		return;
	sk = io->sk;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c)
		return;
	had = conn_lock(c);
	if (c->kept && c->id != sk) { /* meanwhile */
		sk = c->id;
		conn_unlock(c, had);
		c = bpf_map_lookup_elem(&conns, &sk);
		if (!c)
			return;
		io->sk = sk;
		had = conn_lock(c);
	}
	if (!c->kept)
		c->last = io->now;
	if (io->dir == IO_SEND && c->phase == PHASE_IDLE && io->begun)
		c->mark = io->begun;
	if (c->mode == MODE_DETECT)
		conn_detect(io, c);
	if (c->mode == MODE_TURNS || c->mode == MODE_STREAM)
		turn(io, c);
	conn_unlock(c, had);
}

__noinline int core_plain(struct io *io)
{
	if (!io || !io->n)
		return 0;
	hold_cpu();
	plaintext_moved(io);
	release_cpu();
	return 0;
}

__noinline int core_io_on(struct io *io, struct conn *c)
{
	if (!io)
		return 0;
	hold_cpu();
	bytes_moved(io, c);
	release_cpu();
	return 0;
}

__noinline int core_io(struct io *io)
{
	__u64 sk;

	if (!io)
		return 0;
	hold_cpu();
	sk = io->sk;
	bytes_moved(io, bpf_map_lookup_elem(&conns, &sk));
	release_cpu();
	return 0;
}

static __always_inline __u32 key_status(const struct event_exchange *ex)
{
	/* A client that gives up by itself has no error (semantic conventions, HTTP spans, "Status"). */
	if (ex->role == ROLE_CLIENT && ex->flags & EXCHANGE_LOCAL_CLOSE)
		return ex->status;
	if (ex->flags & EXCHANGE_NO_ANSWER)
		return HIST_STATUS_NO_ANSWER;
	if (ex->flags & EXCHANGE_PARTIAL)
		return HIST_STATUS_ABORTED;
	return ex->status;
}

/* Here and not in hist.bpf.c: the linker of libbpf 1.1 takes the kernel's functions in one object only. */
__noinline int hist_exchange(struct event_exchange *ex, struct capture *data, __u32 peer, __u32 version, __u64 amount)
{
	struct hist_key key = {};

	if (!ex || !data)
		return 0;
	key.operation = ex->operation;
	key.service = ex->service;
	key.peer = ex->role == ROLE_CLIENT ? peer : 0;
	key.status = key_status(ex);
	key.proto = ex->proto;
	key.role = ex->role;
	key.method = ex->proto == PROTO_HTTP1 ? ex->method : HIST_STATEMENT;
	key.version = version;
	hold_cpu();
	hist_count(&key, ex->end > ex->start ? ex->end - ex->start : 0, amount, ex, data);
	release_cpu();
	return 0;
}

__noinline int hist_transaction(struct event_exchange *ex, struct capture *data, __u32 peer,
				struct event_transaction *tx, __u64 end)
{
	struct hist_key key = {};
	__u64 ns;

	if (!ex || !data || !tx)
		return 0;
	ns = end > tx->began ? end - tx->began : 0;
	key.service = ex->service;
	key.peer = peer;
	key.status = tx->outcome;
	key.proto = ex->proto;
	key.role = ex->role;
	key.method = HIST_TRANSACTION;
	hold_cpu();
	hist_count(&key, ns, tx->statements, ex, data);
	key.method = HIST_TRANSACTION_IDLE;
	hist_count(&key, ns > tx->busy ? ns - tx->busy : 0, HIST_NO_AMOUNT, ex, data);
	release_cpu();
	return 0;
}

__noinline int core_send_begins(__u64 *sk_addr)
{
	struct conn *c;
	__u64 sk;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (c && (c->mode == MODE_TURNS || (c->mode == MODE_STREAM && c->proto == PROTO_HTTP1)) &&
	    c->role == ROLE_CLIENT && c->phase == PHASE_IDLE && !c->mark && c->plain != PLAIN_OPENSSL)
		c->mark = bpf_ktime_get_ns();
	return 0;
}

/* What an end of the connection means for the exchange that is open on it. */
static __always_inline void end_by_close(struct conn *c, __u64 now)
{
	if (c->phase == PHASE_REQUEST && c->role == ROLE_SERVER && !c->reset)
		c->ex.flags |= EXCHANGE_LOCAL_CLOSE; /* the server went away without a word */
	if (c->phase == PHASE_ANSWER || c->phase == PHASE_REQUEST)
		exchange_finish(c, END_CLOSE, now);
}

/*
 * A client that half-closes reads the answer then. When the server has closed too, the socket is at TCP_CLOSE with the
 * answer still in its queue: its destroy ends what nobody reads. A reset leaves nothing to read.
 */
static __always_inline int may_still_read(const struct conn *c, __u64 sk, int state)
{
	if (c->role != ROLE_CLIENT)
		return 0;
	if (state == TCP_CLOSE)
		return !BPF_CORE_READ((struct sock *)sk, sk_err);
	return state == TCP_FIN_WAIT1 && c->phase == PHASE_REQUEST;
}

__noinline int core_state(__u64 *sk_addr, int state, __u64 now)
{
	struct conn *c;
	__u64 sk;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c || (c->mode != MODE_TURNS && c->mode != MODE_STREAM))
		return 0;
	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK && state != TCP_CLOSE)
		return 0;
	/* Softirq may have interrupted the holder on this very CPU: never wait. What stays open, the destroy or the
	 * sweep ends. */
	if (!conn_trylock(c))
		return 0;
	if (tls_answer_is_due(c)) {
		; /* the end of the socket is not that of the exchange */
	} else if (state == TCP_CLOSE && c->role == ROLE_SERVER && c->phase == PHASE_REQUEST) {
		/* The peer gave up, but the thread still works on the request and what it does belongs to it. */
		c->reset = 1;
	} else if (c->mode == MODE_TURNS) {
		if (c->phase == PHASE_ANSWER && state != TCP_CLOSE && !exchange_awaits_sender(c))
			c->ex.flags |= EXCHANGE_LOCAL_CLOSE;
		if (!may_still_read(c, sk, state))
			end_by_close(c, now);
		if (c->phase == PHASE_IDLE)
			transaction_close(c, now);
	}
	conn_unlock(c, 1);
	return 0;
}

/* What was open on the connection ends; user space forgets it. */
static __always_inline void conn_over(struct conn *c, __u64 now)
{
	struct event_close e;

	if (conn_trylock(c)) {
		if (c->mode == MODE_TURNS) {
			end_by_close(c, now);
			transaction_close(c, now);
		}
		conn_unlock(c, 1);
	} else if (c->phase != PHASE_IDLE) {
		count(KERNEL_abandoned);
	}
	if (c->generation && c->generation == generation) {
		__builtin_memset(&e, 0, sizeof(e));
		event_header(&e.header, sizeof(e), EVENT_CLOSE, now, 0, 0);
		e.header.conn = c->id;
		e.opened = c->opened;
		e.sent = c->sent;
		e.received = c->received;
		bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP);
	}
	count_n(KERNEL_bytes_seen, c->sent + c->received);
	if (c->mode == MODE_OPAQUE || c->ssl)
		tls_ends(c);
}

/*
 * A client that has its answer may close before the server's process, which was held up between sending the answer and
 * the return of its call, can tell what it was. The connection waits for that under its id, for the next socket may
 * have this one's address; until then it counts as open. True: it does.
 */
static __always_inline int conn_keep(struct conn *c, __u64 now)
{
	__u64 key = c->other, id = c->id;
	struct conn *server = bpf_map_lookup_elem(&conns, &key), *kept;

	/* the server's hook may be at it in this moment */
	if (!server || server->id != c->other_id || server->other_id != id || !conn_lock(c))
		return 0;
	if (tls_answer_is_due(c)) { /* still */
		c->kept = 1;
		c->last = now;
		bpf_map_update_elem(&conns, &id, c, BPF_ANY);
		kept = bpf_map_lookup_elem(&conns, &id);
		if (kept) {
			kept->lock = 0;
			server->other = id;
		} else {
			c->kept = 0;
		}
	}
	conn_unlock(c, 1);
	return c->kept;
}

/* The server's end is gone: nothing more will be told of the client's. */
static __always_inline void kept_over(__u64 id)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &id);

	if (!c || !c->kept)
		return;
	conn_over(c, c->last);
	bpf_map_delete_elem(&conns, &id);
}

__noinline int core_destroy(__u64 *sk_addr, __u64 now)
{
	struct conn *c;
	__u64 sk;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c)
		return 0;
	if (c->role == ROLE_SERVER && c->other_id)
		kept_over(c->other_id);
	if (!tls_answer_is_due(c) || !conn_keep(c, now))
		conn_over(c, now);
	bpf_map_delete_elem(&conns, &sk);
	return 0;
}

/* Tells when a database client's connection came into use, or out of it; what streams, user space frames itself. */
static __always_inline void tell_use(struct conn *c, __u64 now)
{
	struct event_state e = {};

	if (c->mode != MODE_TURNS || c->role != ROLE_CLIENT || c->proto == PROTO_HTTP1 || c->generation != generation)
		return;
	e.used = c->phase != PHASE_IDLE || (c->proto == PROTO_POSTGRES && (c->status == 'T' || c->status == 'E'));
	if (e.used == c->told)
		return;
	event_header(&e.header, sizeof(e), EVENT_STATE, now, 0, 0);
	e.header.conn = c->id;
	if (emit_record(&e, sizeof(e), 1) == 0) /* else it is told later */
		c->told = e.used;
}

#define SWEEP_UNSURE_NS 5000000000ULL
#define SWEEP_IDLE_NS 600000000000ULL

__noinline int core_sweep(__u64 *sk_addr, __u64 now)
{
	struct conn *c, *other;
	__u64 sk, server;
	int forget = 0;

	if (!sk_addr)
		return 0;
	sk = *sk_addr;
	c = bpf_map_lookup_elem(&conns, &sk);
	if (!c || now < c->last)
		return 0;
	if (c->kept && sk == c->id) {
		server = c->other;
		other = bpf_map_lookup_elem(&conns, &server);
		if (!other || other->id != c->other_id) /* it ended in the same moment as the client */
			kept_over(sk);
		return 0;
	}
	if (!conn_trylock(c))
		return 0;
	if (c->mode == MODE_TURNS && c->phase == PHASE_ANSWER && c->verdict == FRAME_UNSURE &&
	    now - c->last > SWEEP_UNSURE_NS) {
		count(KERNEL_ends_by_sweep);
		exchange_finish(c, END_SWEEP, now);
	}
	if (c->mode == MODE_TURNS && exchange_awaits_sender(c) && now - c->last > SWEEP_UNSURE_NS) {
		context_hidden_is_lost(c);
		exchange_finish(c, END_COMPLETE, now);
	}
	tell_use(c, now);
	/* TCP tells its end; a Unix socket may not. State that is made again at the next byte costs nothing to forget.
	 */
	if (c->family == AF_UNIX && c->phase == PHASE_IDLE && c->mode != MODE_STREAM && !c->tx.began &&
	    now - c->last > SWEEP_IDLE_NS)
		forget = 1;
	conn_unlock(c, 1);
	if (forget)
		core_destroy(&sk, now);
	return 0;
}
