/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A key for SQL text: a hash that is the same for the same statement with other literals, taken 16 bytes at a time
 * where there is no room for a lexer. It names a histogram; user space makes the exact fingerprint from the text
 * (sql/sql.h) and merges keys that share one, so a wrong guess here splits a series but never mixes unlike statements.
 *
 * The hash is polynomial, h = h * K + byte, over the text with these changes:
 *   - a string ('..' with '' inside, E'..' with backslashes, the body of a dollar quote) is one '?'; so is a run of
 * identifier characters and periods that begins with a digit, together with a sign that can only be part of it;
 *   - a run of white space and comments is one space; none at the start, none at the end.
 * Best effort: PostgreSQL quoting only, block comments do not nest, quotes inside "identifiers" are not looked for, and
 * two dollar-quote tags count as equal when 16 bits of their hashes are.
 *
 * For the verifier: straight arithmetic but for the bytes that begin or end something; keep struct sqlkey in a map
 * value, where what is stored is forgotten, not on the stack, where every mode is its own state.
 */
#ifndef SONDE_FRAME_SQLKEY_H
#define SONDE_FRAME_SQLKEY_H

#include "types.h"

struct sqlkey {
	__u64 hash;
	__u32 mode; /* enum sqlkey_mode; upper half: hash of a dollar quote's tag */
	__u32 prev; /* the byte not yet hashed (low 8 bits), SQLKEY_* flags, upper half: tag being read */
};

enum sqlkey_mode {
	SQLKEY_PLAIN,
	SQLKEY_QUOTE,
	SQLKEY_QUOTE_END, /* after a ' that may be the first of two */
	SQLKEY_ESCAPES,
	SQLKEY_BACKSLASH,
	SQLKEY_ESCAPES_END,
	SQLKEY_BLOCK_COMMENT,
	SQLKEY_BLOCK_STAR, /* after a * that may end the comment */
	SQLKEY_LINE_COMMENT,
	SQLKEY_TAG, /* after a $ that may open a dollar quote */
	SQLKEY_DOLLAR,
	SQLKEY_DOLLAR_END, /* after a $ that may close it */
};

#define SQLKEY_PENDING 0xffu   /* the last byte of the changed text: it still depends on what follows; 0 is none */
#define SQLKEY_SPACE (1u << 8) /* a space here would be the second one, or the first byte */
#define SQLKEY_WORD (1u << 9)
#define SQLKEY_NUMBER (1u << 10)
#define SQLKEY_FIRST (1u << 11)	 /* pending is the first byte of a word */
#define SQLKEY_UNARY (1u << 12)	 /* pending is a sign without an operand before it */
#define SQLKEY_SPACED (1u << 13) /* pending is / or - and the byte before it is a space */
#define SQLKEY_FLAGS 0xff00u

#define SQLKEY_MULTIPLIER 0x9e3779b97f4a7c15ULL
#define SQLKEY_INVERSE 0xf1de83e19937733dULL /* of the multiplier, modulo 2^64 */

/* Sets of bytes, one bit each: c < 64, or c - 64 where the name says HIGH. */
#define SQLKEY_SET_EVENT 0x0000ac9000000000ULL /* ' $ * + - / */
#define SQLKEY_SET_DIGIT 0x03ff000000000000ULL
#define SQLKEY_SET_HIGH_IDENT 0x07fffffe87fffffeULL /* A-Z _ a-z */

FRAME_INLINE void sqlkey_init(struct sqlkey *s)
{
	s->hash = 0;
	s->mode = SQLKEY_PLAIN;
	s->prev = SQLKEY_SPACE;
}

/* 1 if c may be part of an identifier. The multiplication by 0 or 1 keeps the compiler from making it a branch. */
FRAME_INLINE __u32 sqlkey_ident(__u32 c)
{
	__u64 set = SQLKEY_SET_DIGIT ^ ((SQLKEY_SET_DIGIT ^ SQLKEY_SET_HIGH_IDENT) * (c >> 6 & 1));

	return ((__u32)(set >> (c & 63)) & 1) | c >> 7;
}

/* 1 if c is below 64 and in the set. */
FRAME_INLINE __u32 sqlkey_in(__u64 set, __u32 c)
{
	return (__u32)(set >> (c & 63)) & ((c >> 6) - 1) >> 31;
}

/* Makes c what is pending; what was is hashed. */
FRAME_INLINE void sqlkey_push(struct sqlkey *s, __u32 c, __u32 flags)
{
	if (s->prev & SQLKEY_PENDING)
		s->hash = s->hash * SQLKEY_MULTIPLIER + (s->prev & SQLKEY_PENDING);
	s->prev = c | flags;
}

/* A comment is white space: the / or - that is pending becomes the space before it, or nothing at the very start. */
FRAME_INLINE void sqlkey_comment(struct sqlkey *s, __u32 mode)
{
	__u32 spaced = s->prev & SQLKEY_SPACED;

	if (spaced)
		s->hash = (s->hash - ' ') * SQLKEY_INVERSE;
	s->prev = SQLKEY_SPACE | (spaced || s->hash ? ' ' : 0);
	s->mode = mode;
}

/* A byte that begins a literal or a comment, or might. */
FRAME_INLINE void sqlkey_event(struct sqlkey *s, __u32 c)
{
	__u32 last = s->prev & SQLKEY_PENDING, flags = s->prev & SQLKEY_FLAGS, lower = last | 0x20;

	if (c == '\'') {
		s->mode = SQLKEY_QUOTE;
		if ((flags & SQLKEY_FIRST) && (lower == 'e' || lower == 'n' || lower == 'b' || lower == 'x')) {
			s->prev = 0;
			if (lower == 'e')
				s->mode = SQLKEY_ESCAPES;
		}
		sqlkey_push(s, '?', 0);
	} else if (c - '0' <= 9) {
		if (flags & SQLKEY_UNARY)
			s->prev = 0;
		sqlkey_push(s, '?', SQLKEY_NUMBER);
	} else if (c == '$') {
		if (!(flags & SQLKEY_WORD))
			s->mode = SQLKEY_TAG;
		sqlkey_push(s, c, (flags & SQLKEY_WORD) | 1u << 16);
	} else if (c == '*' && last == '/') {
		sqlkey_comment(s, SQLKEY_BLOCK_COMMENT);
	} else if (c == '-' && last == '-') {
		sqlkey_comment(s, SQLKEY_LINE_COMMENT);
	} else {
		__u32 unary = (c == '-' || c == '+') && !(flags & (SQLKEY_WORD | SQLKEY_NUMBER)) && last != ')' &&
			      last != ']' && last != '"' && last != '?';

		sqlkey_push(s, c, (last == ' ' ? SQLKEY_SPACED : 0) | (unary ? SQLKEY_UNARY : 0));
	}
}

/* In the tag of a dollar quote, or in what may be the tag that closes one. Returns as sqlkey_inside. */
FRAME_INLINE int sqlkey_tag(struct sqlkey *s, __u32 c)
{
	__u32 tag = s->prev >> 16, opening = (s->mode & 0xff) == SQLKEY_TAG;

	if (c == '$') {
		if (opening) {
			s->mode = tag << 16 | SQLKEY_DOLLAR;
			sqlkey_push(s, '?', 0);
		} else if (tag == s->mode >> 16) {
			s->mode = SQLKEY_PLAIN;
			s->prev &= 0xffff;
		} else {
			s->prev = (s->prev & 0xffff) | 1u << 16;
		}
	} else if (sqlkey_ident(c) && !(tag == 1 && sqlkey_in(SQLKEY_SET_DIGIT, c))) {
		tag = (tag * 31 + c) & 0xffff;
		if (opening)
			sqlkey_push(s, c, SQLKEY_WORD);
		s->prev = (s->prev & 0xffff) | tag << 16;
	} else if (opening) { /* a parameter, or an operator */
		s->mode = SQLKEY_PLAIN;
		s->prev &= 0xffff;
		return 0;
	} else {
		s->mode = (s->mode & ~0xffu) | SQLKEY_DOLLAR;
	}
	return 1;
}

/* A byte in a literal or comment. 0: it ended before c, which is to be read as any other byte. */
FRAME_INLINE int sqlkey_inside(struct sqlkey *s, __u32 c)
{
	__u32 mode = s->mode & 0xff;

	if (mode == SQLKEY_QUOTE) {
		if (c == '\'')
			s->mode = SQLKEY_QUOTE_END;
	} else if (mode == SQLKEY_QUOTE_END) {
		s->mode = c == '\'' ? SQLKEY_QUOTE : SQLKEY_PLAIN;
		return c == '\'';
	} else if (mode == SQLKEY_ESCAPES) {
		if (c == '\'')
			s->mode = SQLKEY_ESCAPES_END;
		else if (c == '\\')
			s->mode = SQLKEY_BACKSLASH;
	} else if (mode == SQLKEY_BACKSLASH) {
		s->mode = SQLKEY_ESCAPES;
	} else if (mode == SQLKEY_ESCAPES_END) {
		s->mode = c == '\'' ? SQLKEY_ESCAPES : SQLKEY_PLAIN;
		return c == '\'';
	} else if (mode == SQLKEY_BLOCK_COMMENT) {
		if (c == '*')
			s->mode = SQLKEY_BLOCK_STAR;
	} else if (mode == SQLKEY_BLOCK_STAR) {
		if (c != '*')
			s->mode = c == '/' ? SQLKEY_PLAIN : SQLKEY_BLOCK_COMMENT;
	} else if (mode == SQLKEY_LINE_COMMENT) {
		if (c == '\n' || c == '\r')
			s->mode = SQLKEY_PLAIN;
	} else if (mode == SQLKEY_DOLLAR) {
		if (c == '$') {
			s->mode = (s->mode & ~0xffu) | SQLKEY_DOLLAR_END;
			s->prev = (s->prev & 0xffff) | 1u << 16;
		}
	} else {
		return sqlkey_tag(s, c);
	}
	return 1;
}

#define SQLKEY_LOAD(type, field) (*(volatile type *)&(field))

/*
 * n in 1..16; p has 16 readable bytes. Ordinary bytes are done in registers; the others in memory, from where the
 * verifier sees unknown values come back, so that its paths join again.
 */
FRAME_INLINE void sqlkey_block(struct sqlkey *s, const char *p, __u32 n)
{
	__u64 hash = SQLKEY_LOAD(__u64, s->hash), keep;
	__u32 prev = SQLKEY_LOAD(__u32, s->prev), mode = SQLKEY_LOAD(__u32, s->mode);
	__u32 i, c, ident, space, word, number;

	for (i = 0; i < 16; i++) {
		if (i >= n)
			break;
		c = (__u8)p[i];
		if (mode) {
			int done = sqlkey_inside(s, c);

			prev = SQLKEY_LOAD(__u32, s->prev);
			mode = SQLKEY_LOAD(__u32, s->mode);
			hash = SQLKEY_LOAD(__u64, s->hash);
			if (done)
				continue;
		}
		ident = sqlkey_ident(c);
		space = (c - 33) >> 31;
		word = prev / SQLKEY_WORD & 1;
		number = prev / SQLKEY_NUMBER & 1;
		if (sqlkey_in(SQLKEY_SET_EVENT, c) | (sqlkey_in(SQLKEY_SET_DIGIT, c) & ~(word | number))) {
			s->hash = hash;
			s->prev = prev;
			sqlkey_event(s, c);
			prev = SQLKEY_LOAD(__u32, s->prev);
			mode = SQLKEY_LOAD(__u32, s->mode);
			hash = SQLKEY_LOAD(__u64, s->hash);
			continue;
		}
		number &= ident | sqlkey_in(1ULL << '.', c);
		ident &= ~number;
		keep = (__u64)((space & prev / SQLKEY_SPACE) | number) - 1; /* all ones, or 0 to leave c out */
		c = (c & (space - 1)) | space * ' ';
		hash = hash * (1 + ((SQLKEY_MULTIPLIER - 1) & keep)) + (prev & SQLKEY_PENDING & keep);
		prev = (prev & SQLKEY_PENDING & ~(__u32)keep) | (c & (__u32)keep) | space * SQLKEY_SPACE |
		       ident * SQLKEY_WORD | number * SQLKEY_NUMBER | (ident & ~word) * SQLKEY_FIRST;
	}
	s->hash = hash;
	s->prev = prev;
}

/* Never 0. */
FRAME_INLINE __u64 sqlkey_final(const struct sqlkey *s)
{
	__u64 h = s->hash;
	__u32 last = s->prev & SQLKEY_PENDING;

	if (last && last != ' ' && last != ';')
		h = h * SQLKEY_MULTIPLIER + last;
	h ^= h >> 32;
	h *= SQLKEY_MULTIPLIER;
	h ^= h >> 29;
	return h ? h : 1;
}

#endif
