/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* MySQL's answers, packet by packet, see frame/mysql.h; and what the kernel side sends up of them. */
#ifndef SONDE_FRAME_MYSQL_ANSWER_H
#define SONDE_FRAME_MYSQL_ANSWER_H

#include "frame/mysql.h"

/* --- what the server answers */

enum mysql_answer_state {
	MYSQL_FIRST = 0,   /* a result begins */
	MYSQL_COLUMNS = 1, /* definitions of columns */
	MYSQL_COLUMNS_END, /* they may end with an EOF packet */
	MYSQL_ROWS,
	MYSQL_PREPARED,	   /* what COM_STMT_PREPARE says first */
	MYSQL_DEFINITIONS, /* then of parameters and of columns */
	MYSQL_DEFINITIONS_END,
	MYSQL_ONE,  /* one packet of any kind */
	MYSQL_AUTH, /* until OK or an error */
	MYSQL_DONE,
	MYSQL_MAYBE_EOF, /* over, unless an EOF packet comes: not yet known of this connection */
	MYSQL_UNENDING,	 /* a turn ends it */
	MYSQL_TAIL,	 /* rows, too many in one call to be counted: the end is looked for in the last bytes */
	MYSQL_LOST,
};

enum mysql_eof { MYSQL_EOF_UNKNOWN = 0, MYSQL_EOF_SENT = 1, MYSQL_EOF_DEPRECATED = 2 };

struct mysql_answer {
	__u64 rows;	/* of all result sets */
	__u64 affected; /* by all that are none */
	struct mysql_packets packets;
	__u32 columns;	 /* definitions that are still to come */
	__u32 later;	 /* of a statement's columns, behind those of its parameters */
	__u32 statement; /* number given by COM_STMT_PREPARE */
	__u16 error;	 /* 0 = none */
	__u16 status;	 /* enum mysql_status of the last OK or EOF packet */
	__u16 results;	 /* how many ended */
	__u16 params;
	char sqlstate[5];
	__u8 state; /* enum mysql_answer_state */
	__u8 eof;   /* enum mysql_eof; stays from one answer to the next */
	__u8 set;   /* a result set came */
	__u8 sets_uncounted;
	__u8 infile; /* the server waits for a file of the client */
	__u8 oks;    /* results that were no sets, up to 255 */
	__u8 pad[1];
};

FRAME_INLINE void mysql_answer_init(struct mysql_answer *a, __u8 command)
{
	__u8 eof = a->eof;

	__builtin_memset(a, 0, sizeof(*a));
	a->eof = eof;
	if (command == MYSQL_COM_STMT_PREPARE)
		a->state = MYSQL_PREPARED;
	else if (command == MYSQL_COM_STMT_FETCH || command == MYSQL_COM_FIELD_LIST)
		a->state = MYSQL_ROWS;
	else if (command == MYSQL_COM_STATISTICS)
		a->state = MYSQL_ONE;
	else if (command == MYSQL_COM_CHANGE_USER)
		a->state = MYSQL_AUTH;
	else if (command == MYSQL_COM_BINLOG_DUMP || command == MYSQL_COM_BINLOG_DUMP_GTID)
		a->state = MYSQL_UNENDING;
}

/* More than one result: several statements in one text, or a procedure. */
FRAME_INLINE int mysql_several(const struct mysql_answer *a)
{
	return a->results > 1 || (a->results && a->status & MYSQL_STATUS_MORE_RESULTS);
}

/*
 * Can all of it be of one procedure that was called? It ends with its one result that is no set; what comes behind that
 * is of another statement.
 */
FRAME_INLINE int mysql_one_call(const struct mysql_answer *a)
{
	return a->oks == 0 || (a->oks == 1 && a->state == MYSQL_DONE);
}

/* The rows of a statement that was executed come when they are fetched. */
FRAME_INLINE int mysql_opens_cursor(const struct mysql_answer *a)
{
	return a->state == MYSQL_DONE && a->set && !a->error && a->status & MYSQL_STATUS_CURSOR;
}

FRAME_INLINE int mysql_answer_ended(const struct mysql_answer *a)
{
	return a->state >= MYSQL_DONE && a->state != MYSQL_MAYBE_EOF;
}

FRAME_INLINE int mysql_answer_verdict(const struct mysql_answer *a)
{
	if (a->packets.skip || (a->packets.n && a->state != MYSQL_TAIL))
		return FRAME_OPEN;
	if (a->state == MYSQL_DONE)
		return FRAME_COMPLETE;
	return a->state > MYSQL_DONE ? FRAME_UNSURE : FRAME_OPEN;
}

/* Bytes that the head of the next packet still lacks; 0: mysql_answer_packet() can take it. */
FRAME_INLINE __u32 mysql_answer_wants(const struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	__u32 wanted = MYSQL_HEAD - MYSQL_HEADER;

	if (p->joined)
		wanted = 0;
	else if (a->state != MYSQL_FIRST && a->state != MYSQL_PREPARED && (p->n <= MYSQL_HEADER || p->head[4] < 0xfe))
		wanted = 1;
	return mysql_packets_want(p, wanted);
}

/* A number of one to nine bytes at head[at]; *ret_next: behind it. */
FRAME_INLINE __u64 mysql_number(const struct mysql_packets *p, __u32 at, __u32 *ret_next)
{
	__u32 c;
	__u64 low;

	*ret_next = MYSQL_HEAD;
	if (at > MYSQL_HEAD - 9)
		return 0;
	c = p->head[at];
	*ret_next = at + 1;
	if (c < 0xfb)
		return c;
	low = mysql_le32(p->head + at + 1);
	if (c == 0xfc) {
		*ret_next = at + 3;
		return low & 0xffff;
	}
	if (c == 0xfd) {
		*ret_next = at + 4;
		return low & 0xffffff;
	}
	*ret_next = at + 9;
	return low | (__u64)mysql_le32(p->head + at + 5) << 32;
}

FRAME_INLINE void mysql_error(struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	int i;

	a->error = p->n >= 7 ? mysql_le16(p->head + 5) : 0;
	/* MariaDB's word of how far ALTER TABLE or LOAD DATA is, to clients that asked for it: nothing ends. */
	if (a->error == 0xffff) {
		a->error = 0;
		return;
	}
	if (!a->error)
		a->error = 0xffff; /* none that is known */
	if (p->n >= 13 && p->head[7] == '#')
		for (i = 0; i < 5; i++)
			a->sqlstate[i] = (char)p->head[8 + i];
	a->state = MYSQL_DONE;
}

FRAME_INLINE void mysql_result_ends(struct mysql_answer *a)
{
	if (a->results < 0xffff)
		a->results++;
	a->state = a->status & MYSQL_STATUS_MORE_RESULTS ? MYSQL_FIRST : MYSQL_DONE;
}

/* An OK packet, at the start of a result or, with 0xfe for its first byte, at the end of one. */
FRAME_INLINE void mysql_ok(struct mysql_answer *a, int counts)
{
	const struct mysql_packets *p = &a->packets;
	__u32 at;
	__u64 affected = mysql_number(p, 5, &at);

	if (counts) {
		a->affected += affected;
		if (a->oks < 255)
			a->oks++;
	}
	(void)mysql_number(p, at, &at);
	a->status = at <= MYSQL_HEAD - 2 && at + 2 <= p->n ? mysql_le16(p->head + at) : 0;
	mysql_result_ends(a);
}

FRAME_INLINE int mysql_is_eof(const struct mysql_packets *p)
{
	return p->head[4] == 0xfe && mysql_le24(p->head) == 5 && !p->joined;
}

/*
 * A result set begins with the number of its columns. One more byte says whether their definitions follow: behind it
 * (MariaDB) or before it (MySQL), where it was negotiated.
 */
FRAME_INLINE void mysql_columns(struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	__u32 len = mysql_le24(p->head), next, follow = 1;
	__u64 n = mysql_number(p, 4, &next);

	if (next - 4 + 1 == len && len <= 10) {
		if (p->head[4] <= 1 && p->head[5] > 1) {
			follow = p->head[4];
			n = mysql_number(p, 5, &next);
		} else {
			follow = next < MYSQL_HEAD ? p->head[next & (MYSQL_HEAD - 1)] : 1;
		}
	} else if (next - 4 != len) {
		a->state = MYSQL_LOST;
		return;
	}
	if (n == 0 || n > 65535) {
		a->state = MYSQL_LOST;
		return;
	}
	a->set = 1;
	a->columns = follow ? n : 0;
	a->state = follow ? MYSQL_COLUMNS : MYSQL_COLUMNS_END;
}

FRAME_INLINE void mysql_first(struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	__u32 len = mysql_le24(p->head);

	a->infile = 0;
	if (len == 0)
		a->state = MYSQL_LOST;
	else if (p->head[4] == 0x00 && len >= 7)
		mysql_ok(a, 1);
	else if (p->head[4] == 0xff)
		mysql_error(a);
	else if (p->head[4] == 0xfb)
		a->infile = 1;
	else if (mysql_is_eof(p))
		a->state = MYSQL_DONE;
	else
		mysql_columns(a);
}

FRAME_INLINE void mysql_row_or_end(struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	__u32 len = mysql_le24(p->head);

	if (len && p->head[4] == 0xff) {
		mysql_error(a);
	} else if (mysql_is_eof(p)) {
		a->status = mysql_le16(p->head + 7);
		mysql_result_ends(a);
	} else if (len >= 7 && len < MYSQL_FULL && p->head[4] == 0xfe) {
		mysql_ok(a, 0);
	} else {
		a->rows++;
		a->state = MYSQL_ROWS;
	}
}

/* So many definitions came: what is next? */
FRAME_INLINE void mysql_definitions_next(struct mysql_answer *a)
{
	a->columns = a->later;
	a->later = 0;
	a->state = a->columns ? MYSQL_DEFINITIONS : MYSQL_DONE;
}

FRAME_INLINE void mysql_definition(struct mysql_answer *a)
{
	if (a->columns)
		a->columns--;
	if (a->columns)
		return;
	if (a->state == MYSQL_COLUMNS)
		a->state = MYSQL_COLUMNS_END;
	else if (a->eof == MYSQL_EOF_DEPRECATED)
		mysql_definitions_next(a);
	else if (a->eof == MYSQL_EOF_SENT || a->later)
		a->state = MYSQL_DEFINITIONS_END;
	else
		a->state = MYSQL_MAYBE_EOF;
}

FRAME_INLINE void mysql_prepared(struct mysql_answer *a)
{
	const struct mysql_packets *p = &a->packets;
	__u32 len = mysql_le24(p->head);

	if (len && p->head[4] == 0xff) {
		mysql_error(a);
		return;
	}
	if (len < 12 || p->head[4] != 0) {
		a->state = MYSQL_LOST;
		return;
	}
	a->statement = mysql_le32(p->head + 5);
	a->params = mysql_le16(p->head + 11);
	a->columns = a->params;
	a->later = mysql_le16(p->head + 9);
	a->state = MYSQL_DEFINITIONS;
	if (len >= 13 && p->head[16] == 0) /* CLIENT_OPTIONAL_RESULTSET_METADATA: none follow */
		a->columns = a->later = 0;
	if (!a->columns)
		mysql_definitions_next(a);
}

/* At the end of columns or definitions: an EOF packet, or already what follows. */
FRAME_INLINE void mysql_columns_end(struct mysql_answer *a)
{
	int eof = mysql_is_eof(&a->packets);

	a->eof = eof ? MYSQL_EOF_SENT : MYSQL_EOF_DEPRECATED;
	if (a->state == MYSQL_COLUMNS_END) {
		if (!eof) {
			mysql_row_or_end(a);
			return;
		}
		a->status = mysql_le16(a->packets.head + 7);
		a->state = MYSQL_ROWS;
		if (a->status & MYSQL_STATUS_CURSOR) /* rows come when they are fetched */
			mysql_result_ends(a);
		return;
	}
	mysql_definitions_next(a);
	if (!eof && a->state == MYSQL_DEFINITIONS)
		mysql_definition(a);
}

/* The head of a packet is complete. */
FRAME_INLINE void mysql_answer_packet(struct mysql_answer *a)
{
	struct mysql_packets *p = &a->packets;

	if (!p->joined) {
		switch (a->state) {
		case MYSQL_FIRST:
			mysql_first(a);
			break;
		case MYSQL_COLUMNS:
		case MYSQL_DEFINITIONS:
			if (p->head[4] == 0xff && mysql_le24(p->head))
				mysql_error(a);
			else
				mysql_definition(a);
			break;
		case MYSQL_COLUMNS_END:
		case MYSQL_DEFINITIONS_END:
			mysql_columns_end(a);
			break;
		case MYSQL_ROWS:
			mysql_row_or_end(a);
			break;
		case MYSQL_PREPARED:
			mysql_prepared(a);
			break;
		case MYSQL_MAYBE_EOF:
			if (mysql_is_eof(p)) {
				a->eof = MYSQL_EOF_SENT;
				a->state = MYSQL_DONE;
			} else {
				a->state = MYSQL_LOST;
			}
			break;
		case MYSQL_AUTH:
			if (mysql_le24(p->head) && p->head[4] == 0xff)
				mysql_error(a);
			else if (mysql_le24(p->head) && p->head[4] == 0)
				a->state = MYSQL_DONE;
			break;
		case MYSQL_ONE:
			a->state = MYSQL_DONE;
			break;
		}
	}
	mysql_packets_next(p);
}

/* Length of a whole row that begins at p (5 bytes readable), with its header; 0: look at it more closely. */
FRAME_INLINE __u32 mysql_row(const char *p)
{
	const __u8 *b = (const __u8 *)p;
	__u32 len = mysql_le24(b);

	return b[4] >= 0xfe || len == 0 || len == MYSQL_FULL ? 0 : len + MYSQL_HEADER;
}

#define MYSQL_ALIKE_FROM 1000 /* rows: only large results are worth it */

/*
 * How many rows of b, from the one at i on, can be passed at once: it has len bytes, and as many as the one before it.
 * A packet that far ahead as rows of this length reach, with their length and its number in the sequence, says how many
 * packets are before it, whatever their lengths: less than 256 fit. n: bytes of b, EVENT_REQUEST_MAX at the most. A row
 * of one column is 5 bytes at the least.
 */
FRAME_INLINE __u32 mysql_alike(const char *b, __u32 i, __u32 len, __u32 n)
{
	const __u8 *p;
	__u32 rows, ahead;
	__u8 number;

	if (len < 5 || n < i + 5)
		return 0;
	rows = (n - 5 - i) / len;
	ahead = frame_inside(i + rows * len, 1023);
	number = (__u8)b[frame_inside(i, 1023) + 3] + rows;
	p = (const __u8 *)b + ahead;
	return rows < 256 && mysql_row(b + ahead) == len && p[3] == number ? rows : 0;
}

/*
 * Rows whose number is not known any more: is what begins at p, with so many bytes to the end, the packet that ends the
 * answer? p has 16 readable bytes. A row that looks like it is one in 2^40 for an EOF packet, less for OK.
 */
FRAME_INLINE int mysql_tail(struct mysql_answer *a, const char *p, __u32 left)
{
	const __u8 *b = (const __u8 *)p;

	if (left < 9 || mysql_le24(b) + MYSQL_HEADER != left)
		return 0;
	if (b[4] == 0xff && left >= 13 && b[7] == '#') {
		a->error = mysql_le16(b + 5);
		__builtin_memcpy(a->sqlstate, b + 8, 5);
		a->state = MYSQL_DONE;
		return 1;
	}
	if (b[4] != 0xfe || (left > 9 && (left < 11 || b[5] || b[6])))
		return 0;
	a->status = mysql_le16(b + 7); /* EOF: behind the warnings; OK: behind two numbers that are 0 */
	mysql_result_ends(a);
	return 1;
}

/* --- what the kernel side sends up */

/* As the answer of an exchange: no byte of the server's leaves the kernel. */
enum mysql_result_flag { MYSQL_RESULT_SET = 1, MYSQL_ROWS_UNKNOWN = 2 };

struct mysql_result {
	__u64 rows;
	__u64 affected;
	__u32 statement; /* MYSQL_PREPARE: the number given; MYSQL_EXECUTE: the number named */
	__u16 error;	 /* 0 = none */
	__u16 results;
	__u16 text; /* where the request's bytes behind its command begin */
	__u8 flags; /* enum mysql_result_flag */
	char sqlstate[5];
};

/* As the request of MYSQL_HANDSHAKE. Strings end with a NUL, or are cut where they fill their field. */
#define MYSQL_HELLO_VERSION 64
#define MYSQL_HELLO_DATABASE 128

struct mysql_hello {
	__u32 capabilities; /* the client's, lower half */
	char version[MYSQL_HELLO_VERSION];
	char database[MYSQL_HELLO_DATABASE];
};

/* As the answer of an exchange in which a connection began to stream. */
struct mysql_carry {
	struct mysql_answer answer;
	struct mysql_request_walk request;
	__u32 prepared; /* number of the statement prepared last */
	__u16 text;	/* as in struct mysql_result */
	__u8 pad[6];
};

/* How many rows came: not all were looked at, or those of a cursor come when they are fetched. */
FRAME_INLINE int mysql_rows_known(const struct mysql_answer *a)
{
	return !a->sets_uncounted && !(a->status & MYSQL_STATUS_CURSOR);
}

FRAME_INLINE void mysql_result_fill(struct mysql_result *r, const struct mysql_answer *a, __u32 executed)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->rows = a->rows;
	r->affected = a->affected;
	r->statement = executed ? executed : a->statement;
	r->error = a->error;
	r->results = a->results;
	r->flags = (a->set ? MYSQL_RESULT_SET : 0) | (mysql_rows_known(a) ? 0 : MYSQL_ROWS_UNKNOWN);
	__builtin_memcpy(r->sqlstate, a->sqlstate, sizeof(r->sqlstate));
}

#endif
