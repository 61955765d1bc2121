/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * PostgreSQL frontend/backend protocol 3 as far as turns go (PostgreSQL documentation, chapter "Frontend/Backend
 * Protocol", sections "Message Flow" and "Message Formats").
 *
 * Messages are a type byte and a big-endian length that counts itself. A request turn is what the client sends until
 * ReadyForQuery ('Z') ends the server's turn. What must be known of a request: how many statements it runs and how many
 * ReadyForQuery it will get; more than one of either is not lock-step. Of an answer only the tail is looked at, so that
 * its cost does not grow with its rows.
 */
#ifndef SONDE_FRAME_POSTGRES_H
#define SONDE_FRAME_POSTGRES_H

#include "frame/frame.h"

/* struct event_exchange.method for PostgreSQL. */
enum pg_request {
	PG_NONE = 0,
	PG_QUERY = 1,	 /* simple query; libpq: PQexec, PQsendQuery: request is the text */
	PG_EXTENDED = 2, /* one Execute with its Parse in the same turn; libpq: PQexecParams: request is the text */
	PG_EXECUTE = 3,	 /* one Execute of a statement prepared earlier; libpq: request is the statement's name */
	PG_PARSE = 4,	 /* Parse (or Close, Describe) and no Execute: no statement; libpq: request is name NUL text, or
			    without the NUL the name of what was closed */
	PG_FUNCTION = 5, /* function call sub-protocol */
	PG_STARTUP = 6,	 /* start-up and authentication: no statement */
	PG_SSL = 7,	 /* SSLRequest or GSSENCRequest, answered by one byte */
	PG_CANCEL = 8,	 /* CancelRequest: no answer */
	PG_OTHER = 9,	 /* Sync alone, Terminate and the like: no statement */
};

#define PG_CODE_STARTUP_MAJOR 3
#define PG_CODE_CANCEL 80877102u
#define PG_CODE_SSL 80877103u
#define PG_CODE_GSSENC 80877104u
#define PG_MESSAGE_MAX (1u << 30)
#define PG_CANCEL_NAMED 12 /* length, code, process: the secret follows */

FRAME_INLINE int pg_statement_counts(__u8 request)
{
	return request == PG_QUERY || request == PG_EXTENDED || request == PG_EXECUTE || request == PG_FUNCTION;
}

/* Letters of frontend messages that may begin a turn (or go on with one). */
FRAME_INLINE int pg_frontend_type(char t)
{
	switch (t) {
	case 'Q': /* Query */
	case 'P': /* Parse */
	case 'B': /* Bind */
	case 'C': /* Close */
	case 'D': /* Describe */
	case 'E': /* Execute */
	case 'F': /* FunctionCall */
	case 'H': /* Flush */
	case 'S': /* Sync */
	case 'X': /* Terminate */
	case 'd': /* CopyData */
	case 'c': /* CopyDone */
	case 'f': /* CopyFail */
	case 'p': /* PasswordMessage, SASL*, GSSResponse */
		return 1;
	}
	return 0;
}

/*
 * Does p (n bytes, FRAME_DETECT readable) begin what a PostgreSQL client sends? total is the size of the whole call.
 * Strict, because connections of any protocol are asked: the first message must fit what was sent.
 */
FRAME_INLINE __u8 pg_detect(const char *p, __u32 n, __u64 total)
{
	__u32 len, code;

	if (n >= 8 && p[0] == 0) {
		len = frame_be32(p);
		code = frame_be32(p + 4);
		if (len == 8 && (code == PG_CODE_SSL || code == PG_CODE_GSSENC))
			return total == 8 ? PG_SSL : PG_NONE;
		if (code == PG_CODE_CANCEL)
			return len >= 16 && len <= 268 ? PG_CANCEL : PG_NONE;
		if (code >> 16 == PG_CODE_STARTUP_MAJOR && len >= 8 && len <= 10000 && len == total)
			return PG_STARTUP;
		return PG_NONE;
	}
	if (n < 6)
		return PG_NONE;
	len = frame_be32(p + 1);
	if (len < 4 || len > PG_MESSAGE_MAX)
		return PG_NONE;
	switch (p[0]) {
	case 'Q': /* one message, all of it or its beginning; text has no NUL before the last byte */
		if (len < 5 || (__u64)len + 1 < total)
			return PG_NONE;
		return (__u8)p[5] >= 0x09 || len == 5 ? PG_QUERY : PG_NONE;
	case 'P': /* name NUL text NUL count; then more messages */
	case 'B':
		if (len < 8 || total <= len) /* followed at least by Execute, Describe, Flush or Sync */
			return PG_NONE;
		if (p[5] != 0 && ((__u8)p[5] < 0x20 || (__u8)p[5] > 0x7e))
			return PG_NONE;
		return p[0] == 'P' ? PG_EXTENDED : PG_EXECUTE;
	}
	return PG_NONE;
}

/* Progress through the messages of a request turn; survives from one send to the next. */
struct pg_request_walk {
	__u64 skip;   /* bytes of the current message still to come */
	__u8 head[5]; /* a header cut by the end of a send */
	__u8 head_n;
	__u8 queries; /* Query and FunctionCall messages: one ReadyForQuery each */
	__u8 executes;
	__u8 syncs;
	__u8 parses;
	__u8 last;  /* type of the last message begun */
	__u8 first; /* type of the first message */
	__u8 bad;   /* lost its place */
	__u8 pad[3];
};

/* A message header (5 bytes at p) begins here. Sets skip to what follows the header. */
FRAME_INLINE void pg_walk_message(struct pg_request_walk *w, const char *p)
{
	__u32 len = frame_be32(p + 1);
	char t = p[0];

	if (!pg_frontend_type(t) || len < 4 || len > PG_MESSAGE_MAX) {
		w->bad = 1;
		return;
	}
	if (!w->first)
		w->first = (__u8)t;
	w->last = (__u8)t;
	w->skip = len - 4;
	if ((t == 'Q' || t == 'F') && w->queries < 255)
		w->queries++;
	else if (t == 'E' && w->executes < 255)
		w->executes++;
	else if (t == 'S' && w->syncs < 255)
		w->syncs++;
	else if (t == 'P' && w->parses < 255)
		w->parses++;
}

/* What a walked turn is. */
FRAME_INLINE __u8 pg_walk_request(const struct pg_request_walk *w)
{
	if (w->first == 'F')
		return PG_FUNCTION;
	if (w->queries)
		return PG_QUERY;
	if (w->executes)
		return w->parses ? PG_EXTENDED : PG_EXECUTE;
	if (w->parses || w->first == 'C' || w->first == 'D')
		return PG_PARSE;
	return PG_OTHER;
}

/* More than one statement or more than one ReadyForQuery to come: not lock-step. */
FRAME_INLINE int pg_walk_pipelined(const struct pg_request_walk *w)
{
	return w->queries + w->syncs > 1 || w->executes > 1 || (w->queries && w->executes);
}

/*
 * Does a simple query hold several statements? A ';' with more behind it than blanks says so; inside a literal or a
 * comment it says so wrongly, which costs the connection its turns and nothing else. Progress through the text:
 */
enum pg_several {
	PG_ONE = 0,	  /* no ';' so far */
	PG_SEMICOLON = 1, /* one, and only blanks behind it */
	PG_SEVERAL = 2,
};

#define PG_SEVERAL_BLOCK 1024

/*
 * Goes on with n bytes of p, of which eight are readable; no more than those are looked at. Hardly a branch: the
 * verifier walks every path.
 */
FRAME_INLINE __u8 pg_several(__u8 state, const char *p, __u32 n)
{
	const __u64 ones = 0x0101010101010101ULL, tops = 0x80 * ones, low = 0x7f * ones;
	__u64 w = frame_load64(p), x = w ^ ';' * ones, semicolons, others, first;
	__u64 valid = n < 8 ? (1ULL << (n & 7) * 8) - 1 : ~0ULL;

	/* The top bit of each byte that is one: exact, no sum runs over into the next byte. */
	semicolons = ~(((x & low) + low) | x) & tops & valid;
	others = (((w & low) + (0x7f - ' ') * ones) | w) & tops & valid & ~semicolons;
	first = semicolons & (0 - semicolons);
	if (state == PG_ONE)
		others &= ~(first | (first - 1)); /* behind the first */
	if (others)
		return PG_SEVERAL;
	return semicolons ? PG_SEMICOLON : state;
}

/* Eight bytes at p without one leave PG_ONE as it is. */
FRAME_INLINE int pg_has_semicolon(const char *p)
{
	return frame_zero_bytes(frame_load64(p) ^ ';' * 0x0101010101010101ULL) != 0;
}

/*
 * PREPARE and DEALLOCATE are no statements that the server counts, by themselves: what was prepared is, each time that
 * it is executed. p: 24 readable bytes. PREPARE TRANSACTION is another matter.
 */
FRAME_INLINE int pg_text_counts(const char *p)
{
	const __u64 letters = 0x2020202020202020ULL;
	__u64 a = frame_load64(p) | letters, b = frame_load64(p + 8) | letters;

	if (a == 0x61636f6c6c616564ULL) /* "dealloca" */
		return (b & 0xffff) != 0x6574 /* "te" */ || (b >> 16 & 0xff) != ' ';
	if (a == 0x2065726170657270ULL)		   /* "prepare " */
		return b == 0x746361736e617274ULL; /* "transact" */
	return 1;
}

/* The last six bytes of an answer: ReadyForQuery? Returns its status byte (I, T, E) or 0. */
FRAME_INLINE char pg_ready_at_end(const char *p6)
{
	if (p6[0] == 'Z' && p6[1] == 0 && p6[2] == 0 && p6[3] == 0 && p6[4] == 5 &&
	    (p6[5] == 'I' || p6[5] == 'T' || p6[5] == 'E'))
		return p6[5];
	return 0;
}

/* What the CommandComplete before ReadyForQuery says. */
enum pg_tag_kind {
	PG_TAG_OTHER = 0,
	PG_TAG_RETURNS = 1, /* so many rows came back: SELECT, FETCH; but for CREATE TABLE AS */
	PG_TAG_CHANGES = 2, /* so many rows, which came back when the statement has RETURNING; COPY */
	PG_TAG_COMMIT = 3,
	PG_TAG_ROLLBACK = 4, /* also of a COMMIT that could not be, and of ROLLBACK TO a savepoint */
};

#define PG_TAG_WINDOW 40 /* the longest: type, length, "INSERT 0 " and twenty digits, NUL */
#define PG_TAG_DIGITS 20
#define PG_TAG_WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

/* Length of the words before the number of a tag, by their last four letters; 0: of no interest. */
FRAME_INLINE __u32 pg_tag_words(__u32 letters)
{
	switch (letters) {
	case PG_TAG_WORD('L', 'E', 'C', 'T'):
	case PG_TAG_WORD('D', 'A', 'T', 'E'):
	case PG_TAG_WORD('L', 'E', 'T', 'E'):
		return 6;
	case PG_TAG_WORD('E', 'T', 'C', 'H'):
	case PG_TAG_WORD('E', 'R', 'G', 'E'):
		return 5;
	case PG_TAG_WORD('C', 'O', 'P', 'Y'):
		return 4;
	case PG_TAG_WORD('R', 'T', ' ', '0'):
		return 8;
	}
	return 0;
}

/* The message that ends with the window p, PG_TAG_WINDOW bytes. enum pg_tag_kind, and the number in the tag. */
FRAME_INLINE __u8 pg_tag_at_end(const char *p, __u64 *ret_rows)
{
	const char *end = p + PG_TAG_WINDOW;
	__u64 rows = 0, scale = 1;
	__u32 k, at, words, letters;

	*ret_rows = 0;
	if (end[-1])
		return PG_TAG_OTHER;
	if (end[-12] == 'C' && frame_be32(end - 11) == 11 && frame_load32(end - 7) == PG_TAG_WORD('C', 'O', 'M', 'M'))
		return PG_TAG_COMMIT;
	if (end[-14] == 'C' && frame_be32(end - 13) == 13 && frame_load32(end - 9) == PG_TAG_WORD('R', 'O', 'L', 'L'))
		return PG_TAG_ROLLBACK;
	for (k = 0; k < PG_TAG_DIGITS; k++) {
		__u32 digit = (__u32)(__u8)p[PG_TAG_WINDOW - 2 - k] - '0';

		if (digit > 9)
			break;
		rows += digit * scale;
		scale *= 10;
	}
	at = frame_inside(PG_TAG_WINDOW - 2 - k, 63);
	if (!k || p[at] != ' ')
		return PG_TAG_OTHER;
	letters = frame_load32(p + frame_inside(at - 4, 63));
	words = pg_tag_words(letters);
	at = frame_inside(at - words - 5, 63);
	if (!words || p[at] != 'C' || frame_be32(p + at + 1) != PG_TAG_WINDOW - 1 - at)
		return PG_TAG_OTHER;
	*ret_rows = rows;
	return letters == PG_TAG_WORD('L', 'E', 'C', 'T') || letters == PG_TAG_WORD('E', 'T', 'C', 'H')
		       ? PG_TAG_RETURNS
		       : PG_TAG_CHANGES;
}

/*
 * Progress through the answers of a connection that does not speak in turns. Rows are passed over: what becomes of a
 * statement is said by other messages, but for the rows of a portal that is not finished.
 */
struct pg_answer_walk {
	__u64 skip;   /* bytes of the current message still to come */
	__u64 sent;   /* where in the answers the bytes end that went up while the walk was blind */
	__u32 rows;   /* DataRow messages among those passed over since bytes were last kept */
	__u32 ready;  /* ReadyForQuery messages since nothing was waited for */
	__u8 head[5]; /* a header cut by the end of a call */
	__u8 head_n;
	__u8 on;	/* where messages begin is known */
	__u8 type;	/* of the last message begun */
	__u8 passed;	/* bytes of rows were passed over since */
	__u8 alone;	/* one statement waits for its answer, and nothing else */
	__u8 blind;	/* its rows are not even walked over */
	__u8 uncounted; /* how many ReadyForQuery are to come is not known */
	__u8 returns;	/* the client waits for its answers: only a text of several statements did not fit a turn */
	__u8 pad[3];
};

FRAME_INLINE int pg_is_row(char type)
{
	return type == 'D' || type == 'd'; /* of a result, of COPY */
}

/* Length of a message of this type that begins at p (eight bytes readable, five of them its header); else 0. */
FRAME_INLINE __u32 pg_row(const char *p, __u8 type)
{
	__u64 w = frame_load64(p);
	__u32 len = __builtin_bswap32((__u32)(w >> 8));

	return (__u8)w != type || len - 4 > PG_MESSAGE_MAX - 4 ? 0 : len + 1;
}

/* A message of an answer begins with the header p. Its length, all in all; 0, and the walk is off, when none can. */
FRAME_INLINE __u32 pg_answer_begins(struct pg_answer_walk *w, const char *p)
{
	__u32 len = frame_be32(p + 1);
	char t = p[0];

	w->type = (__u8)t;
	w->ready += t == 'Z';
	if (len >= 4 && len <= PG_MESSAGE_MAX &&
	    ((t >= 'A' && t <= 'Z') || (t >= 'a' && t <= 'z') || (t >= '1' && t <= '3')))
		return len + 1;
	w->on = 0;
	return 0;
}

#define PG_TAIL 64
#define PG_TAIL_READY (PG_TAIL - 6)

/* Where in the last PG_TAIL bytes of an answer the CommandComplete before its ReadyForQuery begins; 0: none does. */
FRAME_INLINE __u32 pg_command_at_end(const char *p)
{
	__u32 at;

	for (at = PG_TAIL_READY - PG_TAG_WINDOW; at < PG_TAIL_READY - 5; at++)
		if (p[at] == 'C' && frame_be32(p + at + 1) == PG_TAIL_READY - 1 - at)
			return at;
	return 0;
}

/* First messages of an answer: 1 a row or what describes one, 0 none will come, -1 neither: look at the next. */
FRAME_INLINE int pg_brings_rows(char t)
{
	switch (t) {
	case 'T': /* RowDescription */
	case 'D': /* DataRow */
	case 'H': /* CopyOutResponse */
		return 1;
	case '1': /* ParseComplete */
	case '2': /* BindComplete */
	case '3': /* CloseComplete */
	case 't': /* ParameterDescription */
	case 'n': /* NoData */
	case 'N': /* NoticeResponse */
	case 'S': /* ParameterStatus */
	case 'A': /* NotificationResponse */
		return -1;
	}
	return 0;
}

/* SQLSTATE: five characters of [0-9A-Z] as a number, base 36 plus one, so that 0 means none. */
FRAME_INLINE __u32 pg_sqlstate_pack(const char *p5)
{
	__u32 v = 0;
	int i;

#ifdef __bpf__
#pragma unroll
#endif
	for (i = 0; i < 5; i++) {
		char c = p5[i];

		if (c >= '0' && c <= '9')
			v = v * 36 + (__u32)(c - '0');
		else if (c >= 'A' && c <= 'Z')
			v = v * 36 + (__u32)(c - 'A' + 10);
		else
			return 0;
	}
	return v + 1;
}

/* The inverse, for user space: writes five characters and a NUL. */
FRAME_INLINE void pg_sqlstate_unpack(__u32 v, char *out6)
{
	int i;

	v--;
	for (i = 4; i >= 0; i--) {
		__u32 d = v % 36;

		out6[i] = (char)(d < 10 ? '0' + d : 'A' + d - 10);
		v /= 36;
	}
	out6[5] = 0;
}

#endif
