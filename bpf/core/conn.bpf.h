/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* State that the core keeps, and what an attach file hands it. */
#ifndef SONDE_CORE_CONN_BPF_H
#define SONDE_CORE_CONN_BPF_H

#include "vmlinux.h"

#include "event.h"
#include "frame/http1_request.h"
#include "frame/mysql_answer.h"
#include "frame/postgres.h"
#include "frame/sqlkey.h"
#include "libpq.h"
#include "proc.h"

enum io_dir { IO_SEND = 0, IO_RECV = 1 };

/* Where the bytes of a call lie. */
enum io_source {
	IO_NONE = 0,	     /* nowhere a program can read (sendfile, splice, io_uring) */
	IO_FLAT = 1,	     /* one user buffer */
	IO_IOVEC = 2,	     /* an array of struct iovec in user memory */
	IO_KERNEL_IOVEC = 3, /* the same, copied into kernel memory: what it names is in user memory */
};

/* Where a copy from an iovec array stands. */
struct io_walk {
	__u64 begin; /* stream offset of iovec i */
	__u32 done, i;
};

/* One send or receive that moved bytes (or met the end of file), as an attach file saw it. */
struct io {
	__u64 sk;     /* address of the struct sock */
	__u64 ino;    /* inode of its socket: tells a reused address; 0 = not known */
	__u64 n;      /* bytes moved; 0 = end of file */
	__u64 buffer; /* IO_FLAT: the bytes; IO_IOVEC: the array */
	__u64 now;    /* CLOCK_MONOTONIC ns */
	__u64 skip;   /* bytes at the start of the iovecs that are not this call's */
	__u32 iovecs;
	__u8 dir;    /* enum io_dir */
	__u8 source; /* enum io_source */
	__u16 pad;
	__u32 tgid;
	__u32 tid;
	__u64 begun; /* plaintext: when the call that moved it began; 0 = not known */
	struct io_walk walk;
};

/* What the entry of a socket function leaves for its result (bpf/attach/iter.bpf.h). */
struct socket_call {
	__u64 sk;
	__u64 ino;
	__u64 buffer;
	__u64 skip;
	__u32 iovecs;
	__u32 flags; /* of a receive */
	__u8 source; /* enum io_source */
	__u8 dir;    /* enum io_dir */
	__u8 uring;  /* made by io_uring: no system call ends with its result */
	__u8 pad[5];
};

enum conn_mode {
	MODE_DETECT = 0, /* protocol not known yet */
	MODE_TURNS = 1,	 /* lock-step: request and answer are paired here */
	MODE_STREAM = 2, /* bytes go up, user space frames them */
	MODE_OPAQUE = 3, /* TLS: not readable here; libpq or OpenSSL may be */
	MODE_IGNORE = 4, /* not observed */
};

/* Who tells what is said on a connection whose bytes are encrypted. The first that can stays. */
enum plain_source {
	PLAIN_NONE = 0,
	PLAIN_OPENSSL = 1, /* the OpenSSL calls of this end */
	PLAIN_PEER = 2,	   /* the OpenSSL calls of the other end, which is on this host */
	PLAIN_LIBPQ = 3,   /* libpq's calls */
};

enum conn_phase {
	PHASE_IDLE = 0,
	PHASE_REQUEST = 1,
	PHASE_ANSWER = 2,
	PHASE_EARLY = 3, /* an answer whose request's own hook has not run yet */
};

#define DETECT_TRIES 32

/*
 * Request head, answer head and tail of the record under assembly, or bytes to be looked at. A copy to the front may be
 * EVENT_REQUEST_MAX long, any other FRAME_BLOCK: so offset plus length stay inside without the verifier knowing their
 * sum.
 */
struct capture {
	char b[EVENT_REQUEST_MAX + 2 * FRAME_BLOCK];
};

/* A record of a connection that does not speak in turns, as it is put together. */
struct stream_record {
	struct event_stream s;
	struct capture data;
};

struct pg_turn {
	struct pg_request_walk walk;
	__u8 request;  /* enum pg_request of the open exchange */
	__u8 ssl;      /* the next answer is the one byte to an SSLRequest */
	__u8 flush;    /* the turn ended with Flush: its answer has no ReadyForQuery */
	__u8 starting; /* start-up and authentication */
	__u8 copy;     /* the client sends COPY data: all that it writes until the answer ends is of it */
	__u8 several;  /* enum pg_several of the text so far */
	__u8 limited;  /* an Execute may leave rows in its portal for the next */
	__u8 empty;    /* EmptyQueryResponse: the server does not count it */
	__u64 rows;    /* that came back */
	__u8 returns;  /* 1: so many did */
	__u8 tag;      /* enum pg_tag_kind of the last CommandComplete */
	__u8 cut;      /* not all of the request was walked over */
	__u8 pad;
	__u16 place;	 /* where its text may be kept, from 1; 0 = nowhere */
	__u16 place_len; /* and how long its message is */
	__u64 operation; /* its key, where it was kept; else 0 */
};

/* The head of an answer that was read in one go: those that follow on its connection are mostly the same. */
struct known_head {
	__u16 len;		   /* 0 = none */
	__u8 flags;		   /* enum http1_flag: of the request */
	__u8 wasted;		   /* how often one was kept since one came again */
	__u32 tries;		   /* and not kept since */
	struct http1_answer after; /* what was read */
	char head[FRAME_BLOCK];
};

enum mysql_starting {
	MYSQL_GREETED = 1,	  /* the server spoke, the client is to answer */
	MYSQL_GREETED_IN_TWO = 2, /* the same; the header of its packet came by itself before */
	MYSQL_LOGS_IN = 3,
	MYSQL_LOGIN = 4, /* what the client says first over TLS is its login */
};

struct mysql_turn {
	struct mysql_answer answer, before; /* before: as it was when the last call's bytes came */
	struct mysql_request_walk request;
	__u32 prepared; /* number of the statement prepared last; 0 = none, or it failed */
	__u32 greeting; /* length of what may be a greeting, whose header came alone */
	__u16 text;	/* where what follows the command begins in the request */
	__u8 starting;	/* enum mysql_starting, 0 = the client is in */
	__u8 compressed;
	__u8 rolls_back; /* the text is ROLLBACK */
};

/* Through a StartupMessage: names and values, each with its NUL. */
struct startup_walk {
	__u32 hash;    /* of the string so far */
	__u32 user;    /* of the user's name, which is the database's where none is named */
	__u8 is_value; /* the string is one */
	__u8 is_user, is_database;
	__u8 done;
};

enum waits {
	WAITS_NOT = 0,
	WAITS_REQUEST = 1, /* struct open_request.waits */
	WAITS_THREAD = 2,  /* struct thread.blind */
};

/* A connection of FastCGI or uwsgi, see core/gateway.bpf.c. */
enum gateway {
	GATEWAY_NOT = 0,
	GATEWAY_CLIENT = 1, /* and no request is open */
	GATEWAY_CLIENT_ASKED = 2,
	GATEWAY_SERVER = 3,
	GATEWAY_SERVER_ASKED = 4,
	GATEWAY_RELAY = 5, /* a database server's end, see core/relay.bpf.c */
};

struct conn {
	__u64 id;
	__u64 ino;
	__u64 opened;
	__u64 last;		  /* time of the last bytes */
	__u64 mark;		  /* a client's send began, before its bytes could reach the peer; 0 = none */
	__u64 connect_parent;	  /* server request that it was opened for: an event loop may read others before it can
				     write */
	__u64 tcp_start, tcp_end; /* its TCP connection was asked for, and made; 0 = not seen */
	__u64 tls_start;	  /* a client asked for TLS, or began with it; 0 = none */
	__u64 sent, received;
	__u64 request_position, answer_position; /* MODE_STREAM */
	__u32 lock;				 /* number of the processor that has it, from 1 */
	__u32 generation;			 /* for which worker the connection was announced */
	__u32 peer;				 /* hash of the remote address and port */
	__u32 pair;				 /* the same number at both ends of the connection */
	__u32 reader;				 /* thread that read the open server request */
	__u32 epoch;				 /* and its struct thread.epoch then */
	__u16 family;
	__u8 proto, role, mode, phase;
	__u8 verdict; /* enum frame_verdict of the answer so far */
	__u8 tries;
	__u8 inner;	  /* protocol that negotiated TLS */
	__u8 reset;	  /* closed by the peer while the request was being worked on */
	__u8 method;	  /* of the open exchange */
	__u8 status;	  /* I, T, E: of the last ReadyForQuery, or the same of MySQL; 0 = not known */
	__u64 partial_at; /* time of the first byte of the beginning below */
	__u32 partial;	  /* bytes at the front of data that may begin a request, and came by themselves */
	__u32 left;	  /* HTTP/1: bytes of the call behind the end of the answer, which begin another */
	__u8 partial_dir; /* enum io_dir of the beginning, while the protocol is not known */
	__u8 asked;	  /* HTTP/1: ask is where all bytes of the turn led */
	__u8 suspect;	  /* HTTP/1: it answered what was not asked, or not all of it, so follow every turn */
	__u8 meanwhile;	  /* struct connecting.meanwhile */
	__u32 found;	  /* scratch of a search */
	__u32 database;	  /* hash of its name, 0 = not known */
	struct event_transaction tx;
	struct startup_walk startup;
	/* TLS: what of it is where, see core/tls.bpf.c */
	__u64 ssl;	    /* the SSL object that moves its bytes, 0 = not known */
	__u64 other;	    /* where one end tells for both: the other's key in the table */
	__u64 other_id;	    /* and its id */
	__u64 read;	    /* a client's end: when it last received ciphertext */
	__u64 wrote_parent; /* a client's end: the server request its last ciphertext was written for */
	__u64 wrote;	    /* and when that was */
	__u64 wrote_to;	    /* and how much it had sent then */
	__u64 taken;	    /* which of these times the request before had its parent of */
	__u64 peer_read;    /* a client's end: ciphertext that the server has received of it */
	__u64 unseen;	    /* and how much of that no hook of the client told of */
	__u32 ssl_tgid;
	__u32 wrote_tgid, wrote_tid;
	__u16 wrote_flags; /* enum exchange_flag: EXCHANGE_PARENT_* */
	__u8 plain;	   /* enum plain_source */
	__u8 told;	   /* the last struct event_state said that it was in use */
	__u8 counted;	   /* in struct proc.open */
	__u8 waits;	   /* enum waits: where it is counted that its answer is waited for */
	__u8 kept;	   /* its socket is gone, its answer is still to be told: it stands under its id */
	__u32 awaits;	   /* the client's hook has yet to tell whose the open exchange is */
	__u64 awaited;	   /* since when */
	__u64 late;	   /* and MODE_STREAM: what stands for that in the record that went up */
	__u64 finished;	   /* id of the exchange that was finished last */
	__u64 strand;	   /* that read the open server request, 0 = its thread is all that is known; client:
			      core/tokio.bpf.h, and of Java CONN_VIRTUAL and the virtual thread that asked last */
	__u64 given;	   /* strand that gave what is written next to its loop, 0 = none; PARENT_UNSURE: several */
	__u64 relay;	   /* gateway_key() of the connection whose statement it is asked for, 0 = none */
	__u64 relay_read;  /* when that was read */
	__u32 backend;	   /* PostgreSQL: the server's process, 0 = not known */
	__u8 gateway;	   /* enum gateway */
	__u8 relayed;	   /* core/relay.bpf.c can find it */
	__u8 given_helped; /* by the hand of another, which works for that */
	__u8 only;	   /* what was asked last is below the only request that is open, see strand_only */
	struct http1_answer http, ask; /* the answer, the request */
	struct known_head known_head;
	struct pg_turn pg;
	struct pg_answer_walk answers; /* MODE_STREAM */
	struct mysql_turn my;
	struct sqlkey key; /* here and not on the stack: what is stored in a map value, the verifier forgets */
	char tail[EVENT_TAIL_MAX];
	/* The record under assembly: handed over in one piece, so data follows directly. */
	struct event_exchange ex;
	struct capture data;
};

#define CONN_VIRTUAL (1ULL << 62)

/* What a thread is doing. */
struct thread {
	__u64 exchange;	   /* server request it works on, 0 = none */
	__u64 last_conn;   /* connection of the last message it read */
	__u64 last_answer; /* the same, when that was an answer to a request of its own */
	__u64 pgconn;	   /* key of the PGconn of the libpq call it is in, until its bytes were sent */
	__u32 open;	   /* server requests it has read and not answered */
	__u32 idle;	   /* of these, those for which no answer is waited for that is known to be theirs */
	__u32 blind;	   /* answers that are waited for, of which it is not known for whom */
	__u32 old;	   /* of these, those that were open when it was last mixed; it is until they are answered */
	__u32 epoch;	   /* how often it was mixed */
	__u8 fresh;	   /* exchange has asked nothing since the thread turned to it */
	__u8 asked;	   /* how often it asked, modulo 2^8, where it is known for whom */
	__u8 guessed;	   /* and where it is not */
	__u8 lent;	   /* requests it has read that others answered, less those that it answered itself */
	__u32 unanswered;  /* what it asked for a request that it may answer, see strand_thread */
	__u32 starter;	   /* thread that started it for exchange, 0 = it read that itself */
	__u8 astray;	   /* it read an answer, or asked, of which it is not known for what request, or left one */
	__u8 fans_out;	   /* a request of its has asked while it waited for another answer, or seemed to */
	__u8 visits; /* another thread read exchange, and this one an answer for it: nothing tells it when that is over
		      */
	__u8 turns;  /* how often in a row it worked in turn while it had read several, see reads_ahead() */
	__u32 callback; /* which its event loop is in, counted; 0 = that is not told */
	__u64 runtime;	/* its PyThreadState, or JavaThread, as last found */
	__u64 task;	/* what may be the task that awaits what it does, as strand_awaits() last found it */
	__u64 serves;	/* when it read its first request, 0 = none yet */
	__u64 wrote;	/* when it last wrote an answer, of those that are told by strand_thread_wrote */
	__u64 wrote_id; /* and its exchange */
	__u64 own;	/* until when it is known to ask for no request of another thread, see strand_only */
	__u64 handed;	/* gateway_key() of the request that it works on, 0 = none; GATEWAY_MIXED: it has several */
	__u64 handed_sk, handed_id; /* that connection's key and id */
	__u64 relay;	  /* gateway_key() of the connection of a database client that it has just read, 0 = none */
	__u64 relay_text; /* and the hash of what it read there */
	__u8 carrier;	  /* virtual threads of Java were seen on it */
	__u8 pad[7];
};

#define GATEWAY_MIXED (~0ULL)

enum libpq_pipeline {
	LIBPQ_PIPELINE_OFF = 0,
	LIBPQ_PIPELINE_ON = 1,
	LIBPQ_PIPELINE_LOST = 2, /* its beginning was not seen: which results are whose is not known */
};

/* What libpq was given to send, until its last result: a statement, or a text of several. */
struct libpq_op {
	struct libpq_owner owner;
	__u32 peer;
	__u32 file;	 /* that COPY data went through the functions of */
	__u64 operation; /* of the whole text */
	__u64 name;	 /* hash of the name of the prepared statement that it makes, runs or closes */
	__u64 cancelled; /* when PQcancel or its like was called, 0 = it was not */
	__u64 text[2];	 /* where the application has the statement */
	struct sqlkey key;
	struct libpq_result result;
	struct event_transaction tx; /* that ended with it */
	struct event_exchange ex;
	struct capture data;
};

/* An SSL object: addresses repeat between processes. */
struct ssl_key {
	__u64 ssl;
	__u32 tgid;
	__u32 pad;
};

/* The OpenSSL call that a thread is in. */
struct ssl_call {
	struct ssl_key key;
	__u64 buffer;
	__u64 moved; /* the _ex forms: where the number of bytes will be written */
	__u64 begun;
	__u64 io;	/* when it last sent or received on a socket, 0 = it did not */
	__u32 function; /* enum openssl_function */
	__u32 pad;
};

/* A connection by its socket and, since sockets are made again at the same address, its id. */
struct conn_ref {
	__u64 sk;
	__u64 id;
};

/* A TCP connection that is being made, by whom and for which server request. */
struct connecting {
	__u64 exchange;	  /* PARENT_UNSURE: one of several */
	__u64 start, end; /* end: 0 = not made yet */
	__u64 given;	  /* struct conn.given, of its first bytes */
	__u32 tgid, tid;
	__u8 meanwhile; /* exchange had asked for something by then, and waited for it */
	__u8 given_helped;
	__u8 pad[6];
};

struct prepared_key {
	__u64 conn; /* connection id, or the PGconn's address for libpq */
	__u64 name; /* hash of the statement's name */
};

#endif
