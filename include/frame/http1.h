/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * HTTP/1.0 and 1.1 message framing (RFC 9112 sections 2 to 7): where an answer ends. Where a request begins and ends:
 * frame/http1_request.h.
 *
 * Takes any cut of the answer's bytes and keeps its place in struct http1_answer. Bytes of a body are skipped by
 * number, those of uninteresting header lines eight at a time, so the cost is that of the lines and of the chunk
 * headers.
 */
#ifndef SONDE_FRAME_HTTP1_H
#define SONDE_FRAME_HTTP1_H

#include "frame/frame.h"

/* struct event_exchange.method for HTTP. */
enum http_method {
	HTTP_NONE = 0,
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_CONNECT,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_PATCH,
	HTTP_QUERY,
	HTTP_OTHER, /* a token that is not among the known methods */
};

#define HTTP1_WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

/* "HTTP/1.0" or "HTTP/1.1" at p (8 bytes): 10 or 11, else 0. */
FRAME_INLINE __u8 http1_version(const char *p)
{
	if (frame_load32(p) != HTTP1_WORD('H', 'T', 'T', 'P') || p[4] != '/' || p[5] != '1' || p[6] != '.')
		return 0;
	return p[7] == '0' ? 10 : p[7] == '1' ? 11 : 0;
}

enum http1_state {
	HTTP1_STATUS = 0,  /* in the status line */
	HTTP1_HEADER,	   /* in a header line */
	HTTP1_BODY,	   /* skip counts the body down; then complete */
	HTTP1_UNTIL_CLOSE, /* no length: the close ends it */
	HTTP1_CHUNK_SIZE,  /* in the hexadecimal size */
	HTTP1_CHUNK_EXT,   /* behind it, until the line ends */
	HTTP1_CHUNK_DATA,  /* skip counts the chunk and its CRLF down */
	HTTP1_TRAILER,	   /* after the last chunk: an empty line ends it */
	HTTP1_DONE,
	HTTP1_UPGRADED,
	HTTP1_LOST, /* makes no sense, or bytes were not seen: cannot say */
};

enum http1_flag {
	HTTP1_HEAD_REQUEST = 1 << 0, /* the request was HEAD: no body */
	HTTP1_CONNECT_REQUEST = 1 << 1,
	HTTP1_CHUNKED = 1 << 2,
	HTTP1_LENGTH = 1 << 3,
};

struct http1_answer {
	__u64 skip;   /* bytes not to be looked at */
	__u64 length; /* Content-Length, or the size of a chunk while it is read */
	__u16 status;
	__u8 state;
	__u8 flags;
	__u8 column;	   /* in the line, at most HTTP1_COLUMN_MAX */
	__u8 name;	   /* HTTP1_NAME_*: which header the line may still be */
	__u8 digits;	   /* seen of a number */
	__u8 version;	   /* 10 or 11 */
	__u8 chunked_tail; /* matched of "chunked" at the end of Transfer-Encoding */
	__u8 pad[7];
};

#define HTTP1_COLUMN_MAX 200
#define HTTP1_NAME_LENGTH 1   /* content-length: */
#define HTTP1_NAME_TRANSFER 2 /* transfer-encoding: */

#ifdef __bpf__
#define HTTP1_TABLE static const volatile
#else
#define HTTP1_TABLE static const
#endif
/* Sizes that are no power of two up to 32: those land in sections that libbpf 1.1 refuses. */
HTTP1_TABLE char http1_name_length[33] = "content-length:";
HTTP1_TABLE char http1_name_transfer[33] = "transfer-encoding:";
HTTP1_TABLE char http1_chunked[33] = "chunked";

FRAME_INLINE void http1_answer_init(struct http1_answer *a, __u8 method)
{
	__builtin_memset(a, 0, sizeof(*a));
	if (method == HTTP_HEAD)
		a->flags = HTTP1_HEAD_REQUEST;
	else if (method == HTTP_CONNECT)
		a->flags = HTTP1_CONNECT_REQUEST;
}

/* The empty line after the headers: what kind of body follows (RFC 9112 section 6.3, in its order). */
FRAME_INLINE void http1_head_end(struct http1_answer *a)
{
	if (a->status < 200 && a->status != 101) { /* interim: the real answer follows */
		a->state = HTTP1_STATUS;
		a->flags &= HTTP1_HEAD_REQUEST | HTTP1_CONNECT_REQUEST;
		a->status = 0;
	} else if (a->status == 101 || (a->flags & HTTP1_CONNECT_REQUEST && a->status < 300)) {
		a->state = HTTP1_UPGRADED;
	} else if (a->flags & HTTP1_HEAD_REQUEST || a->status == 204 || a->status == 304) {
		a->state = HTTP1_DONE;
	} else if (a->flags & HTTP1_CHUNKED) {
		a->state = HTTP1_CHUNK_SIZE;
		a->length = 0;
		a->digits = 0;
	} else if (a->flags & HTTP1_LENGTH) {
		a->state = a->length ? HTTP1_BODY : HTTP1_DONE;
		a->skip = a->length;
	} else {
		a->state = HTTP1_UNTIL_CLOSE;
	}
	a->column = 0;
	a->name = 0;
}

/* One byte of a header line. */
FRAME_INLINE void http1_header_byte(struct http1_answer *a, char c)
{
	__u32 col = a->column;
	char low = c >= 'A' && c <= 'Z' ? c | 0x20 : c;

	if (c == '\n') {
		if (col == 0) {
			http1_head_end(a);
			return;
		}
		if (a->name == HTTP1_NAME_TRANSFER && a->chunked_tail == 7)
			a->flags |= HTTP1_CHUNKED;
		a->column = 0;
		a->name = 0;
		return;
	}
	if (c == '\r') {
		if (col < (a->name == HTTP1_NAME_LENGTH ? 15 : 18))
			a->name = 0; /* no part of a name */
		return;
	}
	if (col == 0) {
		a->name = low == 'c' ? HTTP1_NAME_LENGTH : low == 't' ? HTTP1_NAME_TRANSFER : 0;
		a->digits = 0;
		a->chunked_tail = 0;
	}
	if (col < HTTP1_COLUMN_MAX)
		a->column = col + 1;
	if (a->name == HTTP1_NAME_LENGTH) {
		if (col < 15) {
			if (low != http1_name_length[col & 31])
				a->name = 0;
		} else if (c >= '0' && c <= '9' && a->digits < 18) {
			a->length = (a->digits ? a->length * 10 : 0) + (__u64)(c - '0');
			a->digits++;
			a->flags |= HTTP1_LENGTH;
		} else if (c != ' ' && c != '\t') {
			a->name = 0; /* not a number: the first value of a list counts */
		}
	} else if (a->name == HTTP1_NAME_TRANSFER) {
		if (col < 18) {
			if (low != http1_name_transfer[col & 31])
				a->name = 0;
		} else if (c != ' ' && c != '\t') { /* chunked is always the last coding */
			__u32 k = a->chunked_tail;

			if (k < 7 && low == http1_chunked[k & 31])
				a->chunked_tail = k + 1;
			else
				a->chunked_tail = low == 'c';
		}
	}
}

/* One byte of the status line: "HTTP/1.1 200 OK". */
FRAME_INLINE void http1_status_byte(struct http1_answer *a, char c)
{
	__u32 col = a->column;

	if (c == '\n') {
		if (col < 12) {
			a->state = HTTP1_LOST;
			return;
		}
		a->state = HTTP1_HEADER;
		a->column = 0;
		a->name = 0;
		return;
	}
	if (col < HTTP1_COLUMN_MAX)
		a->column = col + 1;
	if (col == 7)
		a->version = c == '0' ? 10 : 11;
	if (col >= 9 && col < 12) {
		if (c < '0' || c > '9')
			a->state = HTTP1_LOST;
		else
			a->status = a->status * 10 + (__u16)(c - '0');
	}
}

/* One byte of a chunk's header or of the trailer (RFC 9112 section 7.1). */
FRAME_INLINE void http1_chunk_byte(struct http1_answer *a, char c)
{
	char low = c | 0x20;

	if (a->state == HTTP1_TRAILER) {
		if (c == '\n') {
			if (a->column == 0)
				a->state = HTTP1_DONE;
			a->column = 0;
		} else if (c != '\r') {
			a->column = 1;
		}
		return;
	}
	if (c == '\n') {
		if (!a->digits) {
			a->state = HTTP1_LOST;
		} else if (a->length == 0) {
			a->state = HTTP1_TRAILER;
			a->column = 0;
		} else {
			a->state = HTTP1_CHUNK_DATA;
			a->skip = a->length + 2;
		}
		a->length = 0;
		a->digits = 0;
		return;
	}
	if (a->state == HTTP1_CHUNK_EXT || c == '\r')
		return;
	if (c >= '0' && c <= '9' && a->digits < 15) {
		a->length = a->length * 16 + (__u64)(c - '0');
		a->digits++;
	} else if (low >= 'a' && low <= 'f' && a->digits < 15) {
		a->length = a->length * 16 + (__u64)(low - 'a' + 10);
		a->digits++;
	} else if (c == ';' || c == ' ' || c == '\t') {
		a->state = HTTP1_CHUNK_EXT;
	} else {
		a->state = HTTP1_LOST;
	}
}

/* Takes one byte in a state that looks at bytes. */
FRAME_INLINE void http1_byte(struct http1_answer *a, char c)
{
	if (a->state == HTTP1_HEADER)
		http1_header_byte(a, c);
	else if (a->state == HTTP1_STATUS)
		http1_status_byte(a, c);
	else
		http1_chunk_byte(a, c);
}

#define HTTP1_LINE_WORD 16

/* "content-", "-length:", "transfer", "-encodin" and "ncoding:" in small letters, as numbers of eight bytes. */
#define HTTP1_CONTENT 0x2d746e65746e6f63ULL
#define HTTP1_LENGTH8 0x3a6874676e656c2dULL
#define HTTP1_TRANSFER 0x726566736e617274ULL
#define HTTP1_ENCODIN 0x6e69646f636e652dULL
#define HTTP1_NCODING 0x3a676e69646f636eULL
#define HTTP1_LETTERS 0x2020202020202020ULL

/*
 * A line that begins with "content-", or "transfer", in any case: is it of Content-Length, or of Transfer-Encoding? The
 * bits that tell letters' case also tell a few control characters from '-' and ':', so those are compared as they are.
 */
FRAME_INLINE int http1_is_length(const char *p)
{
	return (frame_load64(p + 7) | (HTTP1_LETTERS & 0x00ffffffffffff00ULL)) == HTTP1_LENGTH8;
}

FRAME_INLINE int http1_is_transfer(const char *p)
{
	return (frame_load64(p + 8) | (HTTP1_LETTERS & ~0xffULL)) == HTTP1_ENCODIN &&
	       (frame_load64(p + 10) | HTTP1_LETTERS >> 8) == HTTP1_NCODING;
}

#define HTTP1_PLAIN_DIGITS 9 /* no more of a number are taken at once: it then fits any type */

/* A Content-Length as everybody writes it, with the end of its line: p is behind the colon. Bytes taken, 0 = it is not
 * so. */
FRAME_INLINE __u32 http1_plain_length(struct http1_answer *a, const char *p, __u32 n)
{
	__u64 length = 0;
	__u32 i, at = p[0] == ' ';

	for (i = 0; i < HTTP1_PLAIN_DIGITS && at + 2 < n; i++, at++) {
		__u8 digit = p[at] - '0';

		if (digit > 9)
			break;
		length = length * 10 + digit;
	}
	if (!i || at + 2 > n || p[at] != '\r' || p[at + 1] != '\n')
		return 0;
	a->length = length;
	a->digits = i;
	a->flags |= HTTP1_LENGTH;
	a->column = 0;
	a->name = 0;
	return at + 2;
}

#define HTTP1_CHUNKED7 0x0064656b6e756863ULL /* "chunked" */

/* The same for Transfer-Encoding. */
FRAME_INLINE __u32 http1_plain_chunked(struct http1_answer *a, const char *p, __u32 n)
{
	if (n < 10 || p[0] != ' ' || ((frame_load64(p + 1) | HTTP1_LETTERS) & 0xffffffffffffffULL) != HTTP1_CHUNKED7 ||
	    p[8] != '\r' || p[9] != '\n')
		return 0;
	a->chunked_tail = 7;
	a->flags |= HTTP1_CHUNKED;
	a->column = 0;
	a->name = 0;
	return 10;
}

#define HTTP1_PLAIN_HEAD 32 /* bytes that such a head has at least */

/*
 * Goes over the lines of a head, of which p is the start: FRAME_BLOCK + HTTP1_LINE_WORD + 2 readable bytes, n of them
 * data. Leaves in a->skip the start of the first line that ends the head, is not all there or is to be looked at more
 * closely, 0 = there is none; in a->length, by 16 bits, where a Content-Length and a Transfer-Encoding before it are.
 * There and not in variables: what is in memory is one state to the verifier.
 */
FRAME_INLINE void http1_plain_lines(struct http1_answer *a, const char *p, __u32 n)
{
	__u32 k, at;

	for (k = 8; k < FRAME_BLOCK; k += 8) {
		__u64 w = frame_load64(&p[k]) ^ 0x0a0a0a0a0a0a0a0aULL;
		__u64 y = (w - 0x0101010101010101ULL) & 0x8080808080808080ULL;

		if (!y)
			continue;
		y &= ~w; /* bytes from 0x80 on were marked as well */
		if (!y)
			continue;
		at = frame_inside(k + frame_lowest_byte(y) + 1, 2 * FRAME_BLOCK - 1);
		if (at + 2 > n)
			return;
		a->skip = at;
		at &= FRAME_BLOCK - 1; /* it is, to the verifier */
		/* Not all there; or in the word of another line's end, or of what may be one. */
		if ((__u8)p[at] <= '\r' || at + HTTP1_LINE_WORD + 2 > n || y & frame_kept(y - 1))
			return;
		w = frame_load64(&p[at]) | HTTP1_LETTERS;
		if (w == HTTP1_CONTENT && http1_is_length(&p[at]))
			a->length = (a->length & ~0xffffULL) | at;
		else if (w == HTTP1_TRANSFER && http1_is_transfer(&p[at]))
			a->length = (a->length & 0xffff) | at << 16;
	}
}

/*
 * The head of an answer as nearly everybody writes it, at once: p and n as there, n at most FRAME_BLOCK. Bytes taken:
 * to the head's end, or to the start of a line that is to be looked at; 0 = go by lines, nothing is changed.
 */
FRAME_INLINE __u32 http1_plain_head(struct http1_answer *a, const char *p, __u32 n)
{
	__u32 end, length, chunked;
	__u8 i, j, k;

	if (a->state != HTTP1_STATUS || a->column || n < HTTP1_PLAIN_HEAD || !http1_version(p) || p[8] != ' ')
		return 0;
	a->length = 0;
	http1_plain_lines(a, p, n);
	end = a->skip;
	a->skip = 0;
	length = frame_inside(a->length & 0xffff, FRAME_BLOCK - 1);
	chunked = frame_inside(a->length >> 16, FRAME_BLOCK - 1);
	a->length = 0;
	i = p[9] - '0', j = p[10] - '0', k = p[11] - '0';
	if (!end || i > 9 || j > 9 || k > 9)
		return 0;
	if (chunked && !http1_plain_chunked(a, &p[chunked + 18], n - chunked - 18))
		return 0;
	if (length && !http1_plain_length(a, &p[length + 15], n - length - 15)) {
		a->flags &= ~HTTP1_CHUNKED;
		return 0;
	}
	a->state = HTTP1_HEADER;
	a->version = http1_version(p);
	a->status = i * 100 + j * 10 + k;
	end = frame_inside(end, FRAME_BLOCK - 1);
	if (p[end] != '\r' || p[end + 1] != '\n')
		return end;
	http1_head_end(a);
	return end + 2;
}

#define HTTP1_PLAIN_HEX 7

/* A chunk's size with the end of its line, and no extension; or the end of the trailer. */
FRAME_INLINE __u32 http1_plain_chunk(struct http1_answer *a, const char *p, __u32 n)
{
	__u64 length = 0;
	__u32 i;

	if (a->state == HTTP1_TRAILER) {
		if (p[0] != '\r' || p[1] != '\n')
			return 0;
		a->state = HTTP1_DONE;
		return 2;
	}
	if (a->state != HTTP1_CHUNK_SIZE || a->digits)
		return 0;
	for (i = 0; i < HTTP1_PLAIN_HEX && i + 2 < n; i++) {
		__u8 digit = p[i] - '0', letter = (p[i] | 0x20) - 'a';

		if (digit > 9 && letter > 5)
			break;
		length = length << 4 | (digit > 9 ? letter + 10 : digit);
	}
	if (!i || i + 2 > n || p[i] != '\r' || p[i + 1] != '\n')
		return 0;
	a->state = length ? HTTP1_CHUNK_DATA : HTTP1_TRAILER;
	a->skip = length ? length + 2 : 0;
	a->length = 0;
	return i + 2;
}

/*
 * Takes the start of a line, or all of it, at once, when that cannot differ from taking it by bytes: p has
 * HTTP1_LINE_WORD + 2 readable bytes, and n of data if those are more. Bytes taken, 0 = go by bytes.
 */
FRAME_INLINE __u32 http1_line_start(struct http1_answer *a, const char *p, __u32 n)
{
	__u64 w;

	if (a->column || n < 2)
		return 0;
	if (a->state >= HTTP1_CHUNK_SIZE)
		return http1_plain_chunk(a, p, n);
	if (a->state == HTTP1_HEADER && p[0] == '\r' && p[1] == '\n') {
		http1_head_end(a);
		return 2;
	}
	if (n < HTTP1_LINE_WORD + 2)
		return 0;
	if (a->state == HTTP1_STATUS) {
		__u8 version = http1_version(p), i = p[9] - '0', j = p[10] - '0', k = p[11] - '0';

		if (!version || p[8] != ' ' || i > 9 || j > 9 || k > 9)
			return 0;
		a->version = version;
		a->status = i * 100 + j * 10 + k;
		a->column = 12;
		return 12;
	}
	if (a->state != HTTP1_HEADER || p[0] == '\n' || p[0] == '\r')
		return 0;
	w = frame_load64(p) | HTTP1_LETTERS;
	a->name = 0;
	a->column = 1;
	a->digits = 0;
	a->chunked_tail = 0;
	if (w == HTTP1_CONTENT && http1_is_length(p)) {
		a->name = HTTP1_NAME_LENGTH;
		a->column = 15;
		return 15 + http1_plain_length(a, p + 15, n - 15);
	}
	if (w == HTTP1_TRANSFER && http1_is_transfer(p)) {
		a->name = HTTP1_NAME_TRANSFER;
		a->column = 18;
		return 18 + http1_plain_chunked(a, p + 18, n - 18);
	}
	return 1;
}

/* What is left of the line does not matter: go on at its '\n'. */
FRAME_INLINE int http1_skips_line(const struct http1_answer *a)
{
	return (a->state == HTTP1_HEADER && a->column && !a->name) || (a->state == HTTP1_STATUS && a->column >= 12);
}

/* Of the line that begins at p, with HTTP1_LINE_WORD + 2 readable bytes: is it one to look at, or the head's end? */
FRAME_INLINE int http1_line_matters(const char *p)
{
	__u64 w;

	if (p[0] == '\r' || p[0] == '\n')
		return 1;
	w = frame_load64(p) | HTTP1_LETTERS;
	return w == HTTP1_CONTENT || w == HTTP1_TRANSFER;
}

/* Blocks of eight bytes, and lines, that a block of a head may have. */
#define HTTP1_SKIP_STEPS (FRAME_BLOCK / 8 + FRAME_BLOCK / 4)

/*
 * Where http1_skips_line(): goes over the rest of the line at [at, n) of p (FRAME_BLOCK + 8 readable bytes), and over
 * lines that do not matter, as http1_byte() would by bytes. Returns where it stands, which is behind at: at the start
 * of a line that matters or is not all there, or at n. Masks and not comparisons keep the position inside: then it is
 * the same to the verifier in every step.
 */
FRAME_INLINE __u32 http1_skip_lines(struct http1_answer *a, const char *p, __u32 at, __u32 n)
{
	__u32 k;

	for (k = 0; k < HTTP1_SKIP_STEPS; k++) {
		__u64 y;

		if (at >= n)
			break;
		y = frame_zero_bytes(frame_load64(&p[at & (FRAME_BLOCK - 1)]) ^ 0x0a0a0a0a0a0a0a0aULL);
		if (!y) {
			at = (at + 8) & (2 * FRAME_BLOCK - 1);
			continue;
		}
		at = (at + frame_lowest_byte(y) + 1) & (2 * FRAME_BLOCK - 1);
		if (at > n) /* behind the data */
			break;
		if (at + HTTP1_LINE_WORD + 2 > n || http1_line_matters(&p[at & (FRAME_BLOCK - 1)])) {
			a->state = HTTP1_HEADER;
			a->column = 0;
			a->name = 0;
			return at;
		}
		a->state = HTTP1_HEADER;
		a->column = 1;
		a->name = 0;
	}
	return n;
}

/* Bytes are to be fed one after the other (true), or the state needs none (false). */
FRAME_INLINE int http1_wants_bytes(const struct http1_answer *a)
{
	return a->skip == 0 && (a->state == HTTP1_STATUS || a->state == HTTP1_HEADER || a->state == HTTP1_CHUNK_SIZE ||
				a->state == HTTP1_CHUNK_EXT || a->state == HTTP1_TRAILER);
}

/* n bytes pass that are not looked at, n at most skip. */
FRAME_INLINE void http1_skip(struct http1_answer *a, __u64 n)
{
	a->skip -= n;
	if (a->skip)
		return;
	if (a->state == HTTP1_BODY)
		a->state = HTTP1_DONE;
	else if (a->state == HTTP1_CHUNK_DATA)
		a->state = HTTP1_CHUNK_SIZE;
}

FRAME_INLINE __u8 http1_verdict(const struct http1_answer *a)
{
	switch (a->state) {
	case HTTP1_DONE:
		return FRAME_COMPLETE;
	case HTTP1_UPGRADED:
		return FRAME_UPGRADE;
	case HTTP1_UNTIL_CLOSE:
	case HTTP1_LOST:
		return FRAME_UNSURE;
	}
	return FRAME_OPEN;
}

#endif
