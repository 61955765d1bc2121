/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The client/server protocol of MySQL and MariaDB as far as turns go (MySQL Internals, "Client/Server Protocol";
 * MariaDB documentation, "Clientlibrary Protocol").
 *
 * Packets are a three-byte little-endian length, a sequence number and so many bytes; one of 0xffffff bytes goes on in
 * the next. A request is a packet with sequence number 0 whose first byte is the command. What ends its answer is known
 * exactly: of every packet the header and the first bytes are looked at, the rest is skipped. Rows are counted by it,
 * for the server does not tell how many there were. Both sides walk with the same code: the kernel for connections that
 * speak in turns, user space for those that stream.
 *
 * Nothing need be known of the handshake: whether column definitions end with an EOF packet (CLIENT_DEPRECATE_EOF) and
 * whether they are sent at all (MariaDB's metadata cache, MySQL's CLIENT_OPTIONAL_RESULTSET_METADATA) shows in the
 * packets themselves. So a connection that is older than Sonde is followed like any other.
 */
#ifndef SONDE_FRAME_MYSQL_H
#define SONDE_FRAME_MYSQL_H

#include "frame/frame.h"

/* struct event_exchange.method for MySQL. */
enum mysql_request {
	MYSQL_NONE = 0,
	MYSQL_QUERY = 1,       /* COM_QUERY: the text */
	MYSQL_EXECUTE = 2,     /* COM_STMT_EXECUTE, COM_STMT_BULK_EXECUTE */
	MYSQL_PREPARE = 3,     /* COM_STMT_PREPARE: no statement runs */
	MYSQL_INIT_DB = 4,     /* COM_INIT_DB */
	MYSQL_CHANGE_USER = 5, /* COM_CHANGE_USER, with authentication */
	MYSQL_RESET = 6,       /* COM_RESET_CONNECTION: prepared statements are gone */
	MYSQL_HANDSHAKE = 7,   /* from the server's greeting to the end of authentication: struct mysql_hello */
	MYSQL_FETCH = 8,       /* COM_STMT_FETCH: rows of a statement that was executed before */
	MYSQL_OTHER = 9,       /* COM_PING and the like */
};

enum mysql_command {
	MYSQL_COM_QUIT = 0x01,
	MYSQL_COM_INIT_DB = 0x02,
	MYSQL_COM_QUERY = 0x03,
	MYSQL_COM_FIELD_LIST = 0x04,
	MYSQL_COM_STATISTICS = 0x09,
	MYSQL_COM_CHANGE_USER = 0x11,
	MYSQL_COM_BINLOG_DUMP = 0x12,
	MYSQL_COM_STMT_PREPARE = 0x16,
	MYSQL_COM_STMT_EXECUTE = 0x17,
	MYSQL_COM_STMT_SEND_LONG_DATA = 0x18,
	MYSQL_COM_STMT_CLOSE = 0x19,
	MYSQL_COM_STMT_RESET = 0x1a,
	MYSQL_COM_STMT_FETCH = 0x1c,
	MYSQL_COM_BINLOG_DUMP_GTID = 0x1e,
	MYSQL_COM_RESET_CONNECTION = 0x1f,
	MYSQL_COM_LAST = 0x21,
	MYSQL_COM_STMT_BULK_EXECUTE = 0xfa, /* MariaDB */
};

#define MYSQL_CLIENT_CONNECT_WITH_DB (1u << 3)
#define MYSQL_CLIENT_COMPRESS (1u << 5)
#define MYSQL_CLIENT_PROTOCOL_41 (1u << 9)
#define MYSQL_CLIENT_SSL (1u << 11)
#define MYSQL_CLIENT_SECURE_CONNECTION (1u << 15)
#define MYSQL_CLIENT_PLUGIN_AUTH_LENENC (1u << 21)
#define MYSQL_CLIENT_DEPRECATE_EOF (1u << 24)
#define MYSQL_CLIENT_ZSTD (1u << 26)

#define MYSQL_STATUS_IN_TRANSACTION 0x0001
#define MYSQL_STATUS_MORE_RESULTS 0x0008
#define MYSQL_STATUS_CURSOR 0x0040
#define MYSQL_STATUS_LAST_ROW 0x0080 /* of a cursor */

#define MYSQL_LAST_PREPARED 0xffffffffu /* MariaDB: for the number of a statement: the one prepared last */
#define MYSQL_FULL 0xffffffu		/* a packet of this length goes on in the next */
#define MYSQL_HEADER 4
#define MYSQL_HEAD 32 /* of a packet that are looked at: its header, and of an OK packet two numbers and two words */

FRAME_INLINE __u32 mysql_le16(const __u8 *p)
{
	return p[0] | (__u32)p[1] << 8;
}

FRAME_INLINE __u32 mysql_le24(const __u8 *p)
{
	return mysql_le16(p) | (__u32)p[2] << 16;
}

FRAME_INLINE __u32 mysql_le32(const __u8 *p)
{
	return mysql_le24(p) | (__u32)p[3] << 24;
}

FRAME_INLINE int mysql_statement_counts(__u8 request)
{
	return request == MYSQL_QUERY || request == MYSQL_EXECUTE;
}

/* Requests with values or authentication in them, of which next to nothing is kept: turns_mysql_hide(). */
FRAME_INLINE int mysql_hides(__u8 request)
{
	return request == MYSQL_EXECUTE || request == MYSQL_CHANGE_USER || request == MYSQL_HANDSHAKE;
}

FRAME_INLINE int mysql_has_answer(__u8 command)
{
	return command != MYSQL_COM_QUIT && command != MYSQL_COM_STMT_CLOSE && command != MYSQL_COM_STMT_SEND_LONG_DATA;
}

/* Commands that begin with the number of a prepared statement. */
FRAME_INLINE int mysql_names_statement(__u8 command)
{
	return command == MYSQL_COM_STMT_EXECUTE || command == MYSQL_COM_STMT_BULK_EXECUTE ||
	       command == MYSQL_COM_STMT_FETCH || command == MYSQL_COM_STMT_CLOSE || command == MYSQL_COM_STMT_RESET;
}

FRAME_INLINE int mysql_is_command(__u8 command)
{
	return command <= MYSQL_COM_LAST || command == MYSQL_COM_STMT_BULK_EXECUTE;
}

FRAME_INLINE __u8 mysql_request_of(__u8 command)
{
	switch (command) {
	case MYSQL_COM_QUERY:
		return MYSQL_QUERY;
	case MYSQL_COM_STMT_EXECUTE:
	case MYSQL_COM_STMT_BULK_EXECUTE:
		return MYSQL_EXECUTE;
	case MYSQL_COM_STMT_PREPARE:
		return MYSQL_PREPARE;
	case MYSQL_COM_INIT_DB:
		return MYSQL_INIT_DB;
	case MYSQL_COM_CHANGE_USER:
		return MYSQL_CHANGE_USER;
	case MYSQL_COM_RESET_CONNECTION:
		return MYSQL_RESET;
	case MYSQL_COM_STMT_FETCH:
		return MYSQL_FETCH;
	}
	return MYSQL_OTHER;
}

/* --- what connections are recognised by */

/*
 * Is p (n bytes, FRAME_DETECT readable; total of the whole call) the server's greeting? Protocol version 10, then the
 * server's version, which begins with a number. A client may read the header by itself, see mysql_greeting_header().
 */
FRAME_INLINE int mysql_greeting(const char *p, __u32 n, __u64 total)
{
	const __u8 *b = (const __u8 *)p;

	return n >= 8 && b[3] == 0 && b[4] == 10 && b[5] >= '0' && b[5] <= '9' &&
	       mysql_le24(b) + MYSQL_HEADER == total && total >= 40 && total <= 512;
}

/* Length of what may be a greeting, when its header came alone; else 0. */
FRAME_INLINE __u32 mysql_greeting_header(const char *p, __u64 total)
{
	__u32 len = mysql_le24((const __u8 *)p);

	return total == MYSQL_HEADER && p[3] == 0 && len >= 36 && len <= 508 ? len : 0;
}

/* The first byte of SQL text. */
FRAME_INLINE int mysql_text_begins(__u8 c)
{
	__u8 lower = c | 0x20;

	return (lower >= 'a' && lower <= 'z') || c == '(' || c == '/' || c == '#' || c == '-' || c == ' ' ||
	       (c >= 9 && c <= 13);
}

/*
 * Does p (n bytes, FRAME_DETECT readable) begin what the client of an older connection sends? total is the size of the
 * whole call, which must be one packet: strict, for connections of any protocol are asked.
 */
FRAME_INLINE int mysql_detect(const char *p, __u32 n, __u64 total)
{
	const __u8 *b = (const __u8 *)p;

	if (n < 8 || b[3] != 0 || mysql_le24(b) + MYSQL_HEADER != total)
		return 0;
	switch (b[4]) {
	case MYSQL_COM_QUERY:
		if (b[5] == 0 && b[6] == 1) /* no query attributes, in one set */
			return mysql_text_begins(b[7]);
		return mysql_text_begins(b[5]) && b[6] >= 9 && b[7] >= 9;
	case MYSQL_COM_STMT_PREPARE:
		return mysql_text_begins(b[5]) && b[6] >= 9 && b[7] >= 9;
	case MYSQL_COM_STMT_EXECUTE: /* number, flags, how often: once */
		return n >= 14 && b[9] <= 15 && mysql_le32(b + 10) == 1;
	}
	return 0;
}

/*
 * The client's answer to a greeting that was not seen in the clear: what comes first over TLS. Its filler is zero.
 */
FRAME_INLINE int mysql_detect_login(const char *p, __u32 n, __u64 total)
{
	const __u8 *b = (const __u8 *)p;
	__u32 need = MYSQL_CLIENT_PROTOCOL_41 | MYSQL_CLIENT_SSL;

	return n >= FRAME_DETECT && b[3] == 2 && total >= 36 && mysql_le24(b) + MYSQL_HEADER == total &&
	       (mysql_le32(b + 4) & need) == need && b[13] == 0 && b[14] == 0 && b[15] == 0;
}

/* --- packets of one direction */

struct mysql_packets {
	__u32 skip;  /* bytes of the current packet that are still to be passed over */
	__u8 n;	     /* bytes in head */
	__u8 joined; /* the packet before was full: the next goes on with it */
	__u8 pad[2];
	__u8 head[MYSQL_HEAD]; /* of the packet that begins: its header and what is wanted of the rest */
};

/* Bytes that head still lacks when so many of the packet are wanted; 0: it is complete. */
FRAME_INLINE __u32 mysql_packets_want(const struct mysql_packets *p, __u32 wanted)
{
	__u32 len;

	if (p->n < MYSQL_HEADER)
		return MYSQL_HEADER - p->n;
	len = mysql_le24(p->head);
	if (wanted > len)
		wanted = len;
	return MYSQL_HEADER + wanted > p->n ? MYSQL_HEADER + wanted - p->n : 0;
}

/* The head is complete and was looked at. */
FRAME_INLINE void mysql_packets_next(struct mysql_packets *p)
{
	__u32 len = mysql_le24(p->head);

	p->skip = len + MYSQL_HEADER - p->n;
	p->joined = len == MYSQL_FULL;
	p->n = 0;
}

/* --- what the client sends */

struct mysql_request_walk {
	struct mysql_packets packets;
	__u32 statement; /* that the first command names */
	__u8 command;	 /* the first that gets an answer, as commands says */
	__u8 commands;	 /* how many of them there were */
	__u8 bad;	 /* lost its place */
	__u8 unanswered; /* SEND_LONG_DATA and the like went by */
	__u8 last;	 /* enum mysql_command of the last packet that began a command */
	__u8 ended;	 /* an empty packet: the end of a file */
	__u8 pad[2];
};

FRAME_INLINE __u32 mysql_request_wants(const struct mysql_request_walk *w)
{
	const struct mysql_packets *p = &w->packets;
	__u32 wanted = 1;

	if (p->n > MYSQL_HEADER && !p->joined && mysql_names_statement(p->head[4]))
		wanted = 5;
	return mysql_packets_want(p, p->joined ? 0 : wanted);
}

FRAME_INLINE void mysql_request_packet(struct mysql_request_walk *w)
{
	struct mysql_packets *p = &w->packets;
	__u8 command = p->head[4];

	if (p->joined) {
		mysql_packets_next(p);
		return;
	}
	if (mysql_le24(p->head) == 0) {
		w->ended = 1;
	} else if (p->head[3] == 0) {
		w->last = command;
		if (!mysql_is_command(command)) {
			w->bad = 1;
		} else if (!mysql_has_answer(command)) {
			w->unanswered = 1;
		} else {
			if (!w->commands) {
				w->command = command;
				w->statement = p->n >= 9 ? mysql_le32(p->head + 5) : 0;
			}
			if (w->commands < 255)
				w->commands++;
		}
	}
	mysql_packets_next(p);
}

/* A new turn begins; the place within the packets stays. */
FRAME_INLINE void mysql_request_turn(struct mysql_request_walk *w)
{
	w->command = 0;
	w->commands = 0;
	w->bad = 0;
	w->unanswered = 0;
	w->ended = 0;
	w->statement = 0;
}

#endif
