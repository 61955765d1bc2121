/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the kernel side sends through the ring buffer, and what a recording holds.
 *
 * Every record starts with struct event_header. All times are CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns). Integers
 * are in the host's byte order except addresses, which stay in network order. A record is as long as header.size says;
 * variable bytes follow the fixed struct. Numbers of kinds, roles, protocols and reasons are never reused.
 */
#ifndef SONDE_EVENT_H
#define SONDE_EVENT_H

#include "hist.h"
#include "types.h"

#define EVENT_VERSION 1

enum event_kind {
	EVENT_CONNECTION =
		1,	    /* struct event_connection: who speaks with whom; before the first record of a connection */
	EVENT_FRAGMENT = 2, /* struct event_fragment: request bytes beyond what the exchange record can hold */
	EVENT_EXCHANGE = 3, /* struct event_exchange: one request and its answer */
	EVENT_STREAM = 4,   /* struct event_stream: bytes of a connection that does not speak in turns */
	EVENT_PROCESS = 5,  /* struct event_process: exec, fork, exit */
	EVENT_OPERATION = 6,	  /* struct event_operation: a new histogram key with a sample of what it counts */
	EVENT_CLOSE = 7,	  /* struct event_close: a connection ended */
	EVENT_LIBPQ_CONN = 8,	  /* struct event_libpq_conn: what PQconnect* was told, without the password */
	EVENT_CONNECT_FAILED = 9, /* struct event_connect_failed: a TCP connection that could not be made */
	EVENT_STATE = 10,	  /* struct event_state: a database client's connection came into use, or out of it */
	EVENT_PARENT = 11,	  /* struct event_parent: for what a statement was asked whose record said that later */
};

enum proto_id {
	PROTO_UNKNOWN = 0,
	PROTO_HTTP1 = 1,
	PROTO_POSTGRES = 2,
	PROTO_MYSQL = 3,   /* and MariaDB */
	PROTO_TLS = 254,   /* bytes are encrypted */
	PROTO_OTHER = 255, /* looked at, not recognised */
};

enum conn_role { ROLE_UNKNOWN = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };

/* Where the bytes of an exchange came from. */
enum exchange_source { SOURCE_WIRE = 0, SOURCE_LIBPQ = 1 };

/* Why the kernel held an exchange to be over. */
enum end_reason {
	END_COMPLETE = 1, /* the protocol's own framing said so */
	END_TURN = 2,	  /* the next request began */
	END_EOF = 3,	  /* the peer closed its sending half */
	END_CLOSE = 4,	  /* the connection was closed */
	END_SWEEP = 5,	  /* nothing moved for a while; ended with the time of its last byte */
	END_UPGRADE = 6,  /* 101 Switching Protocols: what follows is not this protocol */
	END_STREAM = 7,	  /* the connection switched to streaming; user space ends what was open */
};

/*
 * In struct event_exchange.parent, instead of an exchange id: the strand that asked, of which it is not known yet what
 * request it works on. Of a server's exchange, the strand that answered it. See bpf/core/strand.bpf.c.
 */
#define PARENT_STRAND (1ULL << 63)
#define STRAND_PROCESS_SHIFT 44 /* tgid above it; below, twice the thread's number, or an address */
#define STRAND_THREAD_MAX (1U << 24)

/* A thread of the kernel's, which works on one request after the other. */
static inline int strand_is_thread(__u64 strand)
{
	return (strand & ((1ULL << STRAND_PROCESS_SHIFT) - 1)) < STRAND_THREAD_MAX;
}

/* The same of what was told before its client's hook ran: of no process. Struct event_parent says for what it was. */
static inline int parent_is_late(__u64 parent)
{
	return parent >> STRAND_PROCESS_SHIFT == PARENT_STRAND >> STRAND_PROCESS_SHIFT;
}

enum exchange_flag {
	EXCHANGE_NO_ANSWER = 1 << 0,	 /* ended before any byte of an answer */
	EXCHANGE_PARTIAL = 1 << 1,	 /* the answer had begun and its framing says that bytes are missing */
	EXCHANGE_NO_DURATION = 1 << 2,	 /* early-answer rule: counted, its start is unknown (start = end) */
	EXCHANGE_PARENT_UNSURE = 1 << 3, /* a parent was possible, the link was not sure, none is set */
	EXCHANGE_PARENT_ENDED = 1 << 4,	 /* the parent had already answered when this one began */
	EXCHANGE_FRAGMENTED = 1 << 5,	 /* EVENT_FRAGMENT records with the same exchange id came before */
	EXCHANGE_FAILED = 1 << 6,	 /* the protocol's own failure (HTTP 5xx, an ErrorResponse) */
	EXCHANGE_LOCAL_CLOSE = 1 << 7,	 /* END_CLOSE/END_EOF came from our side, not the peer's */
	EXCHANGE_SKIPPED = 1 << 8,	 /* in the kernel only: counted, and not sent up unless it fails */
	EXCHANGE_TLS = 1 << 9,		 /* encrypted on the wire; its bytes were read at OpenSSL's calls */
	EXCHANGE_CANCEL_ASKED = 1 << 10, /* SOURCE_LIBPQ: the application asked to cancel it */
	EXCHANGE_TRANSACTION = 1 << 11,	 /* a struct event_transaction follows the data */
	EXCHANGE_CALLBACKS = 1 << 12,	 /* SOURCE_WIRE: callbacks is set */
};

#define CALLBACK_TURN 1024

struct event_header {
	__u32 size;    /* of the whole record */
	__u16 kind;    /* enum event_kind */
	__u16 version; /* EVENT_VERSION */
	__u64 time;    /* when the record was made */
	__u64 conn;    /* connection id, unique on this host since boot; 0 = none */
	__u32 tgid;    /* process, in the initial pid namespace */
	__u32 tid;     /* thread */
};

/* Limits of what one exchange record carries. */
#define EVENT_REQUEST_MAX 1024 /* bytes of the request's head */
#define EVENT_ANSWER_MAX 256   /* bytes of the answer's head */
#define EVENT_TAIL_MAX 64      /* last bytes of the answer */
#define EVENT_FRAGMENT_MAX 4096
#define EVENT_STREAM_MAX 4096

struct event_exchange {
	struct event_header header;
	__u64 id;	 /* exchange id, unique on this host since boot; odd: a server request that is not sent up */
	__u64 parent;	 /* exchange id of the server request this one was made for, 0 = none known;
			    or PARENT_STRAND */
	__u64 start;	 /* first byte of the request */
	__u64 first;	 /* first byte of the answer, 0 = none came */
	__u64 end;	 /* last byte of the answer */
	__u64 operation; /* struct hist_key.operation */
	__u64 request_bytes;
	__u64 answer_bytes;
	__u32 service; /* struct hist_key.service */
	__u32 status;  /* HTTP status code; PostgreSQL: SQLSTATE packed by pg_sqlstate_pack(), MySQL: error number, 0 =
			  none */
	__u16 flags;   /* enum exchange_flag */
	__u8 proto;    /* enum proto_id */
	__u8 role;     /* enum conn_role */
	__u8 source;   /* enum exchange_source */
	__u8 reason;   /* enum end_reason */
	__u8 method;   /* HTTP: enum http_method; PostgreSQL: enum pg_request; MySQL: enum mysql_request */
	__u8 transaction_goes_on; /* of a database's client: one is open behind it */
	__u16 request_len;	  /* bytes of the request that follow this struct */
	__u16 answer_len;	  /* then bytes of the answer's head */
	__u16 tail_len;		  /* then the last bytes of the answer, when they are not all in its head */
	__u16 part;		  /* SOURCE_LIBPQ: which statement of its text, from 0 */
	union {
		__u64 libpq_conn; /* SOURCE_LIBPQ: the PGconn's address, for EVENT_LIBPQ_CONN */
		/*
		 * A server's exchange that a thread answered (parent): from when until when that thread, which answers
		 * one request after the other, was at this one, in us after start; until 0 = until its end.
		 */
		struct {
			__u32 since, until;
		} worked;
		/*
		 * The thread runs callbacks one after the other, as Node.js does, and these are their numbers: the one
		 * that asked, or read the request to its end, 0 = they were not counted yet; and the one that had the
		 * answer, or began it, 0 = none. A multiple of CALLBACK_TURN is the one that ends a turn of the loop,
		 * in which runs what the others of that turn have left to its end, as by Node's setImmediate().
		 */
		struct {
			__u32 asked, answered;
		} callbacks;
	};
	/*
	 * data: request_len + answer_len + tail_len bytes.
	 * PROTO_HTTP1 with END_STREAM: the answer is a struct http1_carry.
	 * PROTO_MYSQL: the answer is a struct mysql_result, or with END_STREAM a struct mysql_carry; the request of
	 * MYSQL_HANDSHAKE is a struct mysql_hello.
	 * PG_STARTUP and MYSQL_HANDSHAKE of a client: the tail is a struct conn_opened. PG_CANCEL: the request ends
	 * before the secret.
	 * EXCHANGE_TRANSACTION: a struct event_transaction behind them.
	 * SOURCE_LIBPQ: the request is the statement's text; there is no answer, the tail is a struct libpq_result.
	 */
	char data[];
};

/* How a client's connection to a database came to be. Of BackendKeyData only the process is kept, never the secret. */
struct conn_opened {
	__u64 tcp_start, tcp_end; /* 0 = not seen, or no TCP */
	__u64 tls_start;	  /* TLS was asked for; it was there when this exchange began; 0 = none */
	__u32 backend;		  /* PostgreSQL: the process that a CancelRequest names, 0 = not known */
	__u32 pad;
};

/* Behind the data of an exchange: the transaction that it ended; with END_STREAM, the one that the connection is in. */
struct event_transaction {
	__u64 began;	  /* first byte of what began it; 0 = there is none, or its begin was not seen */
	__u64 busy;	  /* ns of it in which the client waited for the server */
	__u32 statements; /* as the server counts them: with BEGIN and COMMIT */
	__u8 status;	  /* after the exchange: I, T, E as in ReadyForQuery; 0 = not known */
	__u8 outcome;	  /* enum transaction_outcome */
	__u8 pad[2];
};

#ifndef __bpf__
static inline int event_has_transaction(const struct event_exchange *e)
{
	return (e->flags & EXCHANGE_TRANSACTION) != 0;
}
#endif

/* What a PGresult said, as the tail of a SOURCE_LIBPQ exchange. */
struct libpq_result {
	__u32 status;	  /* ExecStatusType of the last result */
	__u32 rows;	  /* PQntuples over all results */
	__u32 results;	  /* number of results */
	char tag[36];	  /* command tag, NUL-terminated ("SELECT 3", "UPDATE 2") */
	char sqlstate[8]; /* NUL-terminated, empty = no error */
	__u64 copy_bytes; /* given to PQputCopyData or got from PQgetCopyData */
};

#define LIBPQ_COPY_UNKNOWN (~0ULL) /* not all of these calls were seen */

struct event_fragment {
	struct event_header header;
	__u64 exchange;
	__u32 offset; /* of data[0] in the request */
	__u32 len;
	char data[];
};

enum stream_dir { STREAM_REQUEST = 0, STREAM_ANSWER = 1 };

enum stream_flag {
	STREAM_ROWS = 1, /* what is missing before position are whole rows of PostgreSQL, and data begins a message */
};

struct event_stream {
	struct event_header header;
	__u64 position; /* of data[0] in its direction, counted from the switch */
	__u64 parent;	/* request direction: exchange id of the thread's server request, 0 = none */
	__u64 total;	/* bytes moved by the call, of which len follow: more bytes than len are a gap */
	__u32 service;
	__u32 len;
	__u8 dir; /* enum stream_dir: requests are what the client end sends */
	__u8 proto;
	__u8 role;
	__u8 flags; /* enum stream_flag */
	__u32 rows; /* STREAM_ROWS: how many, but for those of COPY */
	char data[];
};

struct event_connection {
	struct event_header header;
	__u16 family; /* AF_INET, AF_INET6, AF_UNIX */
	__u8 proto;
	__u8 role;
	__u16 local_port;
	__u16 remote_port;
	__u8 local_addr[16]; /* AF_INET uses the first four */
	__u8 remote_addr[16];
	__u32 netns; /* inode number of the network namespace */
	__u32 service;
	__u64 local_ino; /* AF_UNIX: socket inodes of both ends, 0 = unknown */
	__u64 remote_ino;
	char path[108]; /* AF_UNIX: the server's path, "@..." when abstract, empty = none */
	__u8 inner; /* PROTO_TLS: the protocol that negotiated it (PROTO_POSTGRES after an SSLRequest), 0 = not known */
	__u8 tls;   /* 1: proto is what is said inside of TLS */
	__u8 pad[2];
};

struct event_close {
	struct event_header header;
	__u64 opened;
	__u64 sent, received;
};

struct event_connect_failed {
	struct event_header header; /* tgid, tid: who asked for it */
	__u64 start, end;
	__u64 parent; /* exchange id of the thread's server request, 0 = none */
	__u32 service;
	__u32 error;  /* errno */
	__u16 family; /* AF_INET, AF_INET6 */
	__u16 remote_port;
	__u32 pad;
	__u8 remote_addr[16];
};

struct event_state {
	struct event_header header;
	__u32 used; /* 1: an exchange or a transaction is open */
	__u32 pad;
};

struct event_parent {
	struct event_header header;
	__u64 late;   /* what the record has for a parent, see parent_is_late */
	__u64 parent; /* exchange id, a strand, or 0 = none */
};

enum process_event { PROCESS_EXEC = 1, PROCESS_FORK = 2, PROCESS_EXIT = 3, PROCESS_SEEN = 4 };

struct event_process {
	struct event_header header; /* tgid: the process (for FORK: the child) */
	__u32 what;		    /* enum process_event */
	__u32 parent;		    /* tgid of the parent */
	__u32 service;		    /* the number the kernel gave it (EXEC) or inherited (FORK) */
	__u32 nspid;		    /* pid in its own pid namespace */
	__u64 start;		    /* start time of the process, CLOCK_BOOTTIME ns */
	char comm[16];
	__u16 args_len; /* EXEC: bytes of the argument vector that follow, NUL-separated */
	__u16 env_len;	/* EXEC: then bytes of the environment, NUL-separated; taken before the program can overwrite it
			 */
	__u16 flags;	/* enum process_flag */
	__u16 pad;
	char data[];
};

enum process_flag { PROCESS_ARGS_CUT = 1 << 0, PROCESS_ENV_CUT = 1 << 1 };

#define EVENT_ARGS_MAX 1024
#define EVENT_ENV_MAX 16384 /* Kubernetes tells each container of all services */

enum libpq_conn_form {
	LIBPQ_CONN_PAIRS = 0,  /* data: "key\0value\0" pairs (dbname, user, host, port) */
	LIBPQ_CONN_STRING = 1, /* data: the conninfo string as the application wrote it, to be parsed and forgotten */
	LIBPQ_CONN_AGAIN = 2,  /* no data, what was told before holds: PQconnectPoll or PQreset made the connection */
	LIBPQ_CONN_GONE = 3,   /* no data: PQfinish */
};

struct event_libpq_conn {
	struct event_header header; /* conn: the socket it used, 0 = not known */
	__u64 libpq_conn;	    /* the PGconn's address */
	__u64 start, end; /* end: 0 = begun by PQconnectStart, a record of LIBPQ_CONN_AGAIN says how it ended */
	__u32 failed;	  /* 1: the connection is bad, or was given up */
	__u32 len;	  /* of data */
	__u32 form;	  /* enum libpq_conn_form */
	__u32 pad;
	char data[];
};

/* A histogram key that is new on some CPU, with the head of the first request that it counts, to name it by. */
struct event_operation {
	struct event_header header;
	struct hist_key key;
	__u8 source; /* enum exchange_source: the sample is wire bytes, or a statement's text */
	__u8 pad;
	__u16 len;  /* of data */
	__u32 part; /* SOURCE_LIBPQ: which statement of the text, from 0 */
	__u64 libpq_conn;
	char data[];
};

#define EVENT_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "size of struct " #type)
EVENT_ASSERT_SIZE(event_header, 32);
EVENT_ASSERT_SIZE(event_exchange, 32 + 8 * 8 + 8 + 8 + 8 + 8);
EVENT_ASSERT_SIZE(libpq_result, 64);
EVENT_ASSERT_SIZE(event_transaction, 24);
EVENT_ASSERT_SIZE(event_fragment, 48);
EVENT_ASSERT_SIZE(event_stream, 72);
EVENT_ASSERT_SIZE(event_connection, 208);
EVENT_ASSERT_SIZE(event_close, 56);
EVENT_ASSERT_SIZE(event_connect_failed, 88);
EVENT_ASSERT_SIZE(event_state, 40);
EVENT_ASSERT_SIZE(event_parent, 48);
EVENT_ASSERT_SIZE(conn_opened, 32);
EVENT_ASSERT_SIZE(event_process, 80);
EVENT_ASSERT_SIZE(event_libpq_conn, 72);
EVENT_ASSERT_SIZE(event_operation, 72);

#endif
