/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What an attach file may call, and what core files call of each other. Functions are global, so the verifier checks
 * each once and not at every call: arguments are numbers or pointers to memory of known size that may be NULL.
 */
#ifndef SONDE_CORE_CORE_BPF_H
#define SONDE_CORE_CORE_BPF_H

#include "core/conn.bpf.h"
#include "maps.bpf.h"

/* How every record begins; size and time may come when they are known. */
static __always_inline void event_header(struct event_header *h, __u32 size, __u16 kind, __u64 time, __u32 tgid,
					 __u32 tid)
{
	h->size = size;
	h->kind = kind;
	h->version = EVENT_VERSION;
	h->time = time;
	h->tgid = tgid;
	h->tid = tid;
}

/* --- for attach files. Sockets are named by address, in memory: a trusted pointer may not be passed as a number. */

/* Bytes moved on a stream socket, or end of file on receive (n = 0). */
int core_io(struct io *io);
/* The same, by one that has looked the connection up already, NULL = there is none. */
int core_io_on(struct io *io, struct conn *c);
/* A client's send is about to hand its bytes to the peer. */
int core_send_begins(__u64 *sk);
/* A TCP socket changed state (enum TCP_*). Also from softirq. */
int core_state(__u64 *sk, int state, __u64 now);
/* A TCP connection is being made, was, or is over: by this process and thread, for SYN_SENT. Also from softirq. */
int core_connection(__u64 *sk, int state, __u32 tgid, __u32 tid, __u64 now);
/* The socket is gone: end what is open and forget it. Also from softirq. */
int core_destroy(__u64 *sk, __u64 now);
/* One entry of the connection table, from the sweep. */
int core_sweep(__u64 *sk, __u64 now);
int core_fork(__u32 parent_tgid, __u32 parent_tid, __u32 tgid, __u32 tid);
int core_exit(__u32 tgid, __u32 tid, int last_thread);
/* Number of the service a process counts under; one is made when it has none. Negative: not observed. */
int core_service(__u32 tgid, __u32 tid, __u64 now);

/* The current thread gives what it writes on the socket to its event loop, which will send it later, from no task. */
int core_written_later(__u64 *sk);

/* The current task of tokio, if there is one, wakes another; and it starts one. */
int core_task_woken(__u64 header);
int core_task_started(__u64 header);

/* The current thread's event loop begins with another callback, which is the one that ends a turn of it, or not. */
int core_callback_begins(int ends_turn);

/* Plaintext that the program gave to OpenSSL or got from it: io->sk is the connection that tls_connection() named. */
int core_plain(struct io *io);

/* --- tls.bpf.c: whose plaintext is whose connection's */
/* The connection turned out to carry TLS. */
int tls_begins(struct io *io, struct conn *c);
/* Ciphertext moved on the connection. */
int tls_ciphertext(struct io *io, struct conn *c);
/* The connection of an SSL object, into ref. False: not known. */
int tls_connection(struct ssl_key *key, struct conn_ref *ref);
/* A call on an object of no known connection moved nothing on a socket. */
int tls_call_alone(struct ssl_key *key, __u32 tid);
/* The object that was called last has put ciphertext out, which the connection will send later. */
int tls_written_later(struct conn *c, __u64 sk, __u32 tid);
/* The SSL object is gone. */
int tls_forget(struct ssl_key *key);
/* May this plaintext be taken, and for which connection? It may change io to what the other end did. */
int tls_resolve(struct io *io);
/* The connection is over: counts it when nobody told of it. */
int tls_ends(struct conn *c);
/* All is told of it but whose it is, see context_hidden_is_seen. */
static __always_inline int exchange_awaits_sender(const struct conn *c)
{
	return c->phase == PHASE_ANSWER && c->verdict == FRAME_COMPLETE;
}

/*
 * The client has got an answer that the server's end has not told yet: it has read since it wrote the request. It may
 * have written that it leaves since.
 */
static __always_inline int tls_answer_is_due(const struct conn *c)
{
	return c->plain == PLAIN_PEER && !c->kept && c->phase != PHASE_IDLE && c->read > c->taken &&
	       !exchange_awaits_sender(c);
}

/* --- io.bpf.c */

/* Is it not observed, and does not tell whose requests are handed on either? */
static __always_inline int conn_is_passed_over(const struct conn *c)
{
	return c->mode == MODE_IGNORE && (!c->gateway || (c->gateway == GATEWAY_RELAY && !any_relays));
}

/* One hook at a time on a connection. False: it could not be had, and the caller goes on without. */
int conn_lock(struct conn *c);
static __always_inline void conn_unlock(struct conn *c, int had)
{
	if (!had)
		return;
#ifdef __TARGET_ARCH_x86 /* what was written before is seen before, without a locked instruction */
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&c->lock = 0;
#else
	__sync_lock_test_and_set(&c->lock, 0);
#endif
}

/* Copies len bytes that io moved, from offset on, to dst->b + at. at is 0 or len at most FRAME_BLOCK. Bytes copied or
 * -1. */
int io_copy(struct io *io, __u64 offset, struct capture *dst, __u32 at, __u32 len);
/* Of the first len bytes, at most FRAME_BLOCK, those in the first piece of an array to the front of dst: how many. 0:
 * it is no array, or that piece is short. */
int io_copy_first(struct io *io, struct capture *dst, __u32 len);

/* The first n bytes of the call are done with. */
static __always_inline void io_pass(struct io *io, __u64 n)
{
	if (io->source == IO_FLAT)
		io->buffer += n;
	else
		io->skip += n;
	io->n -= n;
}

/* --- exchange.bpf.c: request and answer of a connection that speaks in turns */
int exchange_request(struct io *io, struct conn *c);
int exchange_answer(struct io *io, struct conn *c);
int exchange_finish(struct conn *c, __u32 reason, __u64 now);

/* --- sqltext.bpf.c */
/* Key of the SQL text at [off, off + len) of d, which may end sooner with a NUL: literals do not count. */
__u64 turns_text_key(struct capture *d, struct sqlkey *key, __u32 off, __u32 len);
__u64 turns_text_key_mysql(struct capture *d, struct sqlkey *key, __u32 off, __u32 len);

/* --- texts.bpf.c: simple queries that were asked before */
/* Is the request's message one of them, with other numbers? Then what was found in it is in c->pg. */
int texts_know(struct conn *c);
/* The request's key is known now, if it is such a query. */
int texts_learn(struct conn *c);

/* --- conn.bpf.c */
int conn_create(struct io *io);
int conn_detect(struct io *io, struct conn *c);
int conn_announce(struct conn *c, __u64 sk, __u32 tgid, __u32 tid, __u64 now);
/* Adds to the exchange that opened the connection how that went. */
int conn_opened(struct conn *c);

/* --- context.bpf.c: which request a thread works on */
/* p: the process, where it was looked up already, else NULL. */
int context_server_request(struct conn *c, __u32 tid, struct proc *p);
int context_server_more(struct conn *c, __u32 tid);
int context_server_waits(struct conn *c);
int context_body(struct open_request *at, const struct thread *t, __u32 tid);
int context_hastens(struct open_request *at);
int context_server_answer(struct conn *c, __u32 tid);
int context_server_end(struct conn *c);
int context_client_request(struct conn *c, __u32 tid, struct proc *p);
int context_client_end(struct conn *c);

/*
 * Where the server's end tells of a client: the client's hook may run after those of the server, which then read or
 * even answered a request of which it is not known yet what it was sent for. Its exchange stays open until it is.
 */
static __always_inline int context_hidden_is_seen(const struct conn *c)
{
	return c->wrote_to + c->unseen >= c->peer_read;
}

/* That hook did not run: none is waited for at the bytes that come. */
static __always_inline void context_hidden_is_lost(struct conn *c)
{
	if (!context_hidden_is_seen(c))
		c->unseen = c->peer_read - c->wrote_to;
}

int context_client_answer(struct conn *c, __u32 tid);
#define PARENT_UNSURE (~0ULL)
/* A statement is given to libpq, to be sent on conn (0 = not known): its parent, 0 = none, or PARENT_UNSURE. */
__u64 context_libpq_request(__u64 pgconn, __u64 conn, __u32 tid);
/* The same for what only the other end can read: at the ciphertext. */
int context_hidden_request(struct conn *c, __u32 tid);
int context_hidden_answer(struct conn *c, __u32 tid);

/* What a request that the thread writes on c is written for: a parent, 0 = none or not known. */
__u64 context_asks(struct conn *c, __u32 tid);
/* What a connection that the thread makes now is made for: a request, 0 = none, or PARENT_UNSURE. In ret_waits: that
 * request has asked before, and waits. */
__u64 context_connecting(__u32 tgid, __u32 tid, __u8 *ret_waits);

/* --- gateway.bpf.c: requests that a web server hands on */
/* Does the connection, whose first n bytes are in s, speak FastCGI or uwsgi? */
int gateway_detect(struct io *io, struct conn *c, struct capture *s, __u32 n);
int gateway_io(struct io *io, struct conn *c);
/* The parent of what a thread does with struct thread.handed; 0 = not known. */
__u64 gateway_parent(__u64 handed);
/* Names a connection by the end that reads its requests; reads: sk is that end. */
__u64 gateway_key(__u64 sk, __u16 family, int reads);

/* --- relay.bpf.c: statements that a proxy asks for those that it was asked */

int relay_detected(struct io *io, struct conn *c);
int relay_reads(struct io *io, struct conn *c);
int relay_asks(struct io *io, struct conn *c);
int relay_answered(struct conn *c, __u32 tid);

/* --- strand.bpf.c: the logical threads of a process */
/* The current thread is in a task of asyncio: a number with PARENT_STRAND for it; else 0. */
__u64 strand_task(__u32 tgid, __u32 tid);
/* The same for a thread that may answer a request, whoever read it; and it does. */
__u64 strand_thread(struct proc *p, __u32 tid);
__u64 strand_thread_answers(struct conn *c, __u32 tid);
int strand_thread_wrote(struct conn *c, __u32 tid); /* an answer, or more of it */
int strand_thread_reads(struct thread *t, struct proc *p, __u64 now);
/* Has the process such tasks? */
int strand_by_task(__u32 tgid);
/* The request that another thread has read and the current one works for, when that is the only one open; else 0. t:
 * what is kept of that, NULL = nothing yet. */
__u64 strand_only(struct conn *c, struct proc *p, struct thread *t, __u32 tid);
/* The current strand has read the start of the connection's request; and that is over. */
int strand_begins(struct conn *c);
int strand_ends(struct conn *c);
/* May a task (strand_task) that asks while its thread has one request open work for that? */
int strand_helps(__u64 task, struct thread *t);
/* It writes the answer of a request, which began at start; helped: by the hand of another. 0: none does. */
int strand_answered(__u64 task, __u64 start, int helped);
#define STRAND_ALONE (~0ULL)
#define STRAND_HELPER (~1ULL)
/*
 * The request that the current strand read last, which may be over; STRAND_ALONE: it read none; STRAND_HELPER: nor does
 * it need to, for it may be one that others leave their work to; 0: no strand.
 */
__u64 strand_request(void);
/* The request of the goroutine that waits for what the current one, of an HTTP client, does; 0: none. */
__u64 strand_awaited(void);
/* That of the goroutine that waits for a chan error of capacity 1; 0: it is none, or nobody waits. */
__u64 strand_receiver(__u32 tgid, __u64 chan);
#define STRAND_CONNECTS (~1ULL)
/*
 * What such a one asks for: a request, 0 = none, or PARENT_UNSURE. c: where, NULL = not known, which was made for
 * connect_parent; STRAND_CONNECTS: it makes one.
 */
__u64 strand_helper(struct conn *c, __u64 connect_parent);
/* The current task has asked on c. */
int strand_wrote(struct conn *c);
/* What is written may be questions of several tasks: then c->ex.parent is none's. */
int strand_streams(struct io *io, struct conn *c);

/* --- strand_java.bpf.c: virtual threads of Java */
/* The one that the current thread carries, 0 = none. */
__u64 strand_virtual(__u32 tgid);
/* What it asks for: a request, or a strand; STRAND_ALONE: for none; 0: it is none. c: where, NULL = not known. */
__u64 strand_virtual_asks(struct conn *c, __u32 tgid);
/* It writes the answer to the connection's request. False: it is none. */
int strand_virtual_answers(struct conn *c, __u32 tgid);

/* The task of an event loop that awaits what the current thread does, as strand_task() tells it; 0: none, or not known.
 */
__u64 strand_awaits(__u32 tgid, struct thread *t);

/* --- task.bpf.c: tasks that work for others */
/* The strand of the task for which that one (strand_task, strand_awaits) works in the end, which may be itself. task:
 * what may be its own, 0 = not known. */
__u64 strand_above(__u32 tgid, __u64 strand, __u64 task);

/* --- hist.bpf.c, emit.bpf.c, stream.bpf.c */
/* Counts the exchange in its histogram, with an amount (rows; HIST_NO_AMOUNT). A key that is new is announced with a
 * sample of data. */
int hist_exchange(struct event_exchange *ex, struct capture *data, __u32 peer, __u32 version, __u64 amount);
/* The same of a transaction that ended at end. */
int hist_transaction(struct event_exchange *ex, struct capture *data, __u32 peer, struct event_transaction *tx,
		     __u64 end);
/* Counts under a key, by one that holds the CPU. */
int hist_count(struct hist_key *key, __u64 ns, __u64 amount, struct event_exchange *ex, struct capture *data);

/* --- transaction.bpf.c */
enum transaction_step {
	TRANSACTION_NONE = 0,
	TRANSACTION_ENDED = 1,
	TRANSACTION_CHAINED = 2, /* and the next one began */
};

/* An exchange ended: enum transaction_step. */
int transaction_exchange(struct conn *c);
/* The connection is over. */
int transaction_close(struct conn *c, __u64 now);
/* What the record of the exchange says of it goes behind its data. */
int transaction_append(struct conn *c);

int emit_exchange(struct conn *c);

/* --- budget.bpf.c */
/* A number that no other exchange of this host has; even, above 0, and below 1 << STRAND_PROCESS_SHIFT. */
__u64 core_exchange_id(void);
/* Is the span of the process that begins left out? Children go with their parent (exchange id, 0 = none), both ends of
 * a pair alike. */
int span_skip(struct proc *p, __u32 pair, __u64 parent, __u64 now);
/* An exchange is over: is its record left out after all? Counts it by reason when counts. */
int span_left_out(struct event_exchange *ex, int counts);
int emit_fragments(struct io *io, struct conn *c, __u64 request_offset);
int stream_io(struct io *io, struct conn *c);
int stream_switch(struct conn *c, __u64 now);
int stream_walked(struct conn *c, __u64 now);
int stream_call(struct io *io, struct conn *c, __u32 before);
int stream_unasked(struct io *io, struct conn *c);
/* What was to be told later of the bytes that went up: for what the client wrote them. */
int stream_told(struct conn *c);

/* --- stream_rows.bpf.c: answers of PostgreSQL in MODE_STREAM, whose rows are not sent up */
/* The client asks. */
int stream_asked(struct io *io, struct conn *c);
/* The i-th block of the call, which begins at at: how many bytes are behind it now, 0 = it was lost, or there
 * is none. */
__u64 stream_step(struct io *io, struct conn *c, __u64 at, __u32 i);
/* The first n bytes of s are sent up. */
int stream_walk(struct pg_answer_walk *w, struct capture *s, __u32 n);
/* The call is over, of which at bytes were told. */
int stream_moved(struct io *io, struct conn *c, __u64 at);

#endif
