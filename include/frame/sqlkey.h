/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A key for SQL text: a hash that is the same for the same statement with other literals, taken 16 bytes at a time
 * where there is no room for a lexer. It names a histogram; user space makes the exact fingerprint from the text
 * (sql/sql.h) and merges keys that share one, so a wrong guess here splits a series but never mixes unlike statements.
 *
 * What is hashed, in groups of eight bytes, is the text with these changes:
 *   - a string ('..' with '' inside, E'..' with backslashes, the body of a dollar quote) is one '?'; so is a run of
 * identifier characters and periods that begins with a digit, together with a sign that can only be part of it;
 *   - a run of white space and comments is one space; none at the start, none at the end.
 * MySQL's text (SQLKEY_MYSQL) has its own rules: backslashes in all strings, "..." is a string, # begins a comment,
 * -- only with white space behind it, comments with ! are SQL, and there are no dollar quotes.
 * Best effort: block comments do not nest, quotes inside "identifiers" are not looked for, and
 * two dollar-quote tags count as equal when 16 bits of their hashes are.
 *
 * Bytes that stand for themselves are taken eight at a time; only those that begin or end something are looked at one
 * by one. For the verifier: keep struct sqlkey in a map value, where what is stored is forgotten, not on the stack,
 * where every mode is its own state; call sqlkey_words() and sqlkey_round() from global functions, each verified once.
 */
#ifndef SONDE_FRAME_SQLKEY_H
#define SONDE_FRAME_SQLKEY_H

#include "types.h"

struct sqlkey {
	__u64 hash;
	__u32 mode;  /* enum sqlkey_mode; upper half: hash of a dollar quote's tag */
	__u32 prev;  /* how many bytes wait in group (low 4 bits), SQLKEY_* flags, upper half: tag being read */
	__u64 group; /* the last 1 to 8 bytes of the changed text, not yet hashed; first in the lowest bits */
	/* The block: here and not in registers for the verifier's sake. */
	__u64 low, high; /* what is left of it, next in the lowest bits */
	__u32 left;	 /* bytes of it */
	__u32 unused;
};

enum sqlkey_mode {
	SQLKEY_PLAIN,
	SQLKEY_QUOTE,
	SQLKEY_ESCAPES,	      /* in E'..' */
	SQLKEY_BLOCK_COMMENT, /* up to here, bytes that end nothing are skipped eight at a time */
	SQLKEY_LINE_COMMENT,
	SQLKEY_DOLLAR,
	SQLKEY_QUOTE_END, /* after a ' that may be the first of two */
	SQLKEY_ESCAPES_END,
	SQLKEY_BACKSLASH,
	SQLKEY_BLOCK_STAR, /* after a * that may end the comment */
	SQLKEY_BLOCK_OPEN, /* MySQL, after the first bytes of a comment that may be SQL */
	SQLKEY_TAG,	   /* after a $ that may open a dollar quote */
	SQLKEY_DOLLAR_END, /* after a $ that may close it */
	SQLKEY_SLASH,	   /* after a byte that is held back: it may begin a comment, or be the sign of a number */
	SQLKEY_MINUS,
	SQLKEY_PLUS,
	SQLKEY_MINUSES, /* MySQL, after two */
};

/* Of a text; a constant wherever it is passed on, so that neither costs the other anything. */
enum sqlkey_flavour { SQLKEY_POSTGRES, SQLKEY_MYSQL };

#define SQLKEY_COUNT 15u
#define SQLKEY_SPACE (1u << 8) /* a space here would be the second one, or the first byte */
#define SQLKEY_WORD (1u << 9)
#define SQLKEY_NUMBER (1u << 10)
#define SQLKEY_FIRST (1u << 11) /* the last byte is the first of a word */
#define SQLKEY_UNARY (1u << 12) /* the byte held back is a sign without an operand before it */

#define SQLKEY_MULTIPLIER 0x9e3779b97f4a7c15ULL
#define SQLKEY_ONES 0x0101010101010101ULL
#define SQLKEY_TOPS 0x8080808080808080ULL

/* The compiler must load from memory again, where the verifier takes any value for possible: its paths join here. */
#ifdef __bpf__
#define SQLKEY_FORGET(s) asm volatile("" : : "r"(s) : "memory")
#else
#define SQLKEY_FORGET(s) ((void)(s))
#endif

FRAME_INLINE void sqlkey_init(struct sqlkey *s)
{
	s->hash = 0;
	s->mode = SQLKEY_PLAIN;
	s->prev = SQLKEY_SPACE;
	s->group = 0;
}

FRAME_INLINE int sqlkey_digit(__u32 c)
{
	return c - '0' <= 9;
}

FRAME_INLINE int sqlkey_ident(__u32 c)
{
	return (c | 0x20) - 'a' < 26 || c - '0' <= 9 || c == '_' || c >= 0x80;
}

/* Shifts by n bytes, 0 to 8. */
FRAME_INLINE __u64 sqlkey_up(__u64 w, __u32 n)
{
	return w << n * 4 << n * 4;
}

FRAME_INLINE __u64 sqlkey_down(__u64 w, __u32 n)
{
	return w >> n * 4 >> n * 4;
}

/* The first n bytes of w (0 to 8; the others must be 0) follow. */
FRAME_INLINE void sqlkey_append(struct sqlkey *s, __u64 w, __u32 n)
{
	__u32 count = s->prev & SQLKEY_COUNT, total = count + n;
	__u64 group = s->group | sqlkey_up(w, count);

	if (total > 8) {
		s->hash = (s->hash ^ group) * SQLKEY_MULTIPLIER;
		s->hash ^= s->hash >> 32;
		group = sqlkey_down(w, 8 - count);
		total -= 8;
	}
	s->group = group;
	s->prev = (s->prev & ~SQLKEY_COUNT) | (total & SQLKEY_COUNT);
}

FRAME_INLINE void sqlkey_push(struct sqlkey *s, __u32 c, __u32 flags)
{
	sqlkey_append(s, c, 1);
	s->prev = (s->prev & SQLKEY_COUNT) | flags;
}

/* The last byte, 0 if there is none. */
FRAME_INLINE __u32 sqlkey_last(const struct sqlkey *s)
{
	return (__u32)sqlkey_down(s->group, (s->prev - 1) & 7) & 0xff;
}

FRAME_INLINE void sqlkey_drop(struct sqlkey *s)
{
	s->prev--;
	s->group &= ~sqlkey_up(0xff, s->prev & 7);
}

/* A comment is white space. */
FRAME_INLINE void sqlkey_comment(struct sqlkey *s, __u32 mode)
{
	if (!(s->prev & SQLKEY_SPACE))
		sqlkey_push(s, ' ', SQLKEY_SPACE);
	s->mode = mode;
}

FRAME_INLINE void sqlkey_quote(struct sqlkey *s, __u32 c, int mysql)
{
	__u32 last = sqlkey_last(s) | 0x20;

	s->mode = mysql ? c << 16 | SQLKEY_ESCAPES : SQLKEY_QUOTE;
	if ((s->prev & SQLKEY_FIRST) && (last == 'e' || last == 'n' || last == 'b' || last == 'x')) {
		sqlkey_drop(s);
		if (last == 'e' && !mysql)
			s->mode = SQLKEY_ESCAPES;
	}
	sqlkey_push(s, '?', 0);
}

FRAME_INLINE void sqlkey_sign(struct sqlkey *s, __u32 mode)
{
	__u32 last = sqlkey_last(s);

	s->mode = mode;
	if (!(s->prev & (SQLKEY_WORD | SQLKEY_NUMBER)) && last != ')' && last != ']' && last != '"' && last != '?')
		s->prev |= SQLKEY_UNARY;
}

/* A byte outside of literals and comments. */
FRAME_INLINE void sqlkey_plain(struct sqlkey *s, __u32 c, int mysql)
{
	__u32 flags = s->prev;

	if (c <= ' ') {
		if (!(flags & SQLKEY_SPACE))
			sqlkey_push(s, ' ', SQLKEY_SPACE);
	} else if ((flags & SQLKEY_NUMBER) && (sqlkey_ident(c) || c == '.')) {
		return;
	} else if (sqlkey_digit(c) && !(flags & SQLKEY_WORD)) {
		sqlkey_push(s, '?', SQLKEY_NUMBER);
	} else if (sqlkey_ident(c)) {
		sqlkey_push(s, c, flags & SQLKEY_WORD ? SQLKEY_WORD : SQLKEY_WORD | SQLKEY_FIRST);
	} else if (c == '\'' || (mysql && c == '"')) {
		sqlkey_quote(s, c, mysql);
	} else if (mysql && c == '#') {
		sqlkey_comment(s, SQLKEY_LINE_COMMENT);
	} else if (mysql && (c == '$' || c == '`')) {
		sqlkey_push(s, c, SQLKEY_WORD); /* a digit behind it begins no number */
	} else if (c == '/') {
		s->mode = SQLKEY_SLASH;
	} else if (c == '-') {
		sqlkey_sign(s, SQLKEY_MINUS);
	} else if (c == '+') {
		sqlkey_sign(s, SQLKEY_PLUS);
	} else if (c == '$') {
		if (!(flags & SQLKEY_WORD))
			s->mode = SQLKEY_TAG;
		sqlkey_push(s, c, (flags & SQLKEY_WORD) | 1u << 16);
	} else {
		sqlkey_push(s, c, 0);
	}
}

/* In the tag of a dollar quote, or in what may be the tag that closes one. Returns as sqlkey_inside. */
FRAME_INLINE int sqlkey_tag(struct sqlkey *s, __u32 c, __u32 opening)
{
	__u32 tag = s->prev >> 16;

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
	} else if (sqlkey_ident(c) && !(tag == 1 && sqlkey_digit(c))) {
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

/* Behind a byte held back. Returns as sqlkey_inside. */
FRAME_INLINE int sqlkey_held(struct sqlkey *s, __u32 c, __u32 mode, int mysql)
{
	if (c == '*' && mode == SQLKEY_SLASH) {
		sqlkey_comment(s, mysql ? SQLKEY_BLOCK_OPEN : SQLKEY_BLOCK_COMMENT);
		return 1;
	}
	if (mysql && mode == SQLKEY_MINUSES) {
		s->mode = SQLKEY_PLAIN;
		if (c <= ' ') {
			sqlkey_comment(s, c == '\n' ? SQLKEY_PLAIN : SQLKEY_LINE_COMMENT);
			return 1;
		}
		sqlkey_push(s, '-', 0);
		sqlkey_push(s, '-', 0);
		return 0;
	}
	if (mysql && c == '-' && mode == SQLKEY_MINUS) {
		s->mode = SQLKEY_MINUSES;
		return 1;
	}
	if (c == '-' && mode == SQLKEY_MINUS) {
		sqlkey_comment(s, SQLKEY_LINE_COMMENT);
		return 1;
	}
	s->mode = SQLKEY_PLAIN;
	if (!(sqlkey_digit(c) && (s->prev & SQLKEY_UNARY)))
		sqlkey_push(s, mode == SQLKEY_SLASH ? '/' : mode == SQLKEY_MINUS ? '-' : '+', 0);
	return 0;
}

/* A byte in any mode but SQLKEY_PLAIN. 0: what it was in ended before c, which is to be read as any other byte. */
FRAME_INLINE int sqlkey_inside(struct sqlkey *s, __u32 c, int mysql)
{
	__u32 mode = s->mode & 0xff, end = mysql ? s->mode >> 16 : '\'';

	if (mode == SQLKEY_QUOTE) {
		if (c == '\'')
			s->mode = SQLKEY_QUOTE_END;
	} else if (mode == SQLKEY_QUOTE_END) {
		s->mode = c == '\'' ? SQLKEY_QUOTE : SQLKEY_PLAIN;
		return c == '\'';
	} else if (mode == SQLKEY_ESCAPES) {
		if (c == end)
			s->mode = (s->mode & ~0xffu) | SQLKEY_ESCAPES_END;
		else if (c == '\\')
			s->mode = (s->mode & ~0xffu) | SQLKEY_BACKSLASH;
	} else if (mode == SQLKEY_BACKSLASH) {
		s->mode = (s->mode & ~0xffu) | SQLKEY_ESCAPES;
	} else if (mode == SQLKEY_ESCAPES_END) {
		s->mode = c == end ? (s->mode & ~0xffu) | SQLKEY_ESCAPES : SQLKEY_PLAIN;
		return c == end;
	} else if (mysql && mode == SQLKEY_BLOCK_OPEN) {
		if (c == '!') {
			sqlkey_push(s, c, 0);
			s->mode = SQLKEY_PLAIN;
		} else if (c != 'M') {
			s->mode = c == '*' ? SQLKEY_BLOCK_STAR : SQLKEY_BLOCK_COMMENT;
		}
	} else if (mode == SQLKEY_BLOCK_COMMENT) {
		if (c == '*')
			s->mode = SQLKEY_BLOCK_STAR;
	} else if (mode == SQLKEY_BLOCK_STAR) {
		if (c != '*')
			s->mode = c == '/' ? SQLKEY_PLAIN : SQLKEY_BLOCK_COMMENT;
	} else if (mode == SQLKEY_LINE_COMMENT) {
		if (c == '\n' || (c == '\r' && !mysql))
			s->mode = SQLKEY_PLAIN;
	} else if (!mysql && mode == SQLKEY_DOLLAR) {
		if (c == '$') {
			s->mode = (s->mode & ~0xffu) | SQLKEY_DOLLAR_END;
			s->prev = (s->prev & 0xffff) | 1u << 16;
		}
	} else if (!mysql && (mode == SQLKEY_TAG || mode == SQLKEY_DOLLAR_END)) {
		return sqlkey_tag(s, c, mode == SQLKEY_TAG);
	} else {
		return sqlkey_held(s, c, mode, mysql);
	}
	return 1;
}

/* The top bit of each byte of w that is c, given in all eight bytes; those of bytes from 0x80 on are not to be trusted.
 */
FRAME_INLINE __u64 sqlkey_is(__u64 w, __u64 c)
{
	return SQLKEY_TOPS - (w ^ c);
}

/* The top bit of each byte of w, below 0x80, that is c or more. */
FRAME_INLINE __u64 sqlkey_from(__u64 w, __u32 c)
{
	return w + (0x80 - c) * SQLKEY_ONES;
}

/*
 * How many bytes of w, of n that are text, stand for themselves; the top bit of each that is in an identifier, or is a
 * space, in the sets. Bytes from 0x80 on never do, so that sums do not run over.
 */
FRAME_INLINE __u32 sqlkey_run(__u64 w, __u32 n, __u32 prev, int mysql, __u64 *ret_idents, __u64 *ret_spaces)
{
	__u64 low = w & ~SQLKEY_TOPS, lower = low | 0x20 * SQLKEY_ONES;
	__u64 digits = sqlkey_from(low, '0') & ~sqlkey_from(low, '9' + 1);
	__u64 idents =
		(sqlkey_from(lower, 'a') & ~sqlkey_from(lower, 'z' + 1)) | digits | sqlkey_is(low, '_' * SQLKEY_ONES);
	__u64 spaces = sqlkey_is(low, ' ' * SQLKEY_ONES);
	__u64 stops = w | ~sqlkey_from(low, ' ');

	idents &= SQLKEY_TOPS;
	spaces &= SQLKEY_TOPS;
	stops |= sqlkey_is(low | 3 * SQLKEY_ONES, '\'' * SQLKEY_ONES); /* $ % & ' */
	stops |= sqlkey_is(low | 2 * SQLKEY_ONES, '/' * SQLKEY_ONES);  /* - / */
	stops |= sqlkey_is(low, '+' * SQLKEY_ONES);
	if (mysql) {
		stops |= sqlkey_is(low | SQLKEY_ONES, '#' * SQLKEY_ONES); /* " # */
		stops |= sqlkey_is(low, '`' * SQLKEY_ONES);
	}
	stops |= digits & ~(idents << 8 | (prev & SQLKEY_WORD ? 0x80 : 0));
	stops |= spaces & (spaces << 8 | (prev & SQLKEY_SPACE ? 0x80 : 0));
	stops = (stops & SQLKEY_TOPS) | sqlkey_up(SQLKEY_TOPS, n < 8 ? n : 8);
	*ret_idents = idents;
	*ret_spaces = spaces;
	/* Ones in all bytes below the lowest stop, counted. */
	stops = ((stops & (0 - stops)) >> 7) - 1;
	return (__u32)((stops & SQLKEY_ONES) * SQLKEY_ONES >> 56);
}

/* The same, of bytes that the mode skips: all but a and b. */
FRAME_INLINE __u32 sqlkey_skip(__u64 w, __u32 n, __u32 a, __u32 b)
{
	__u64 low = w & ~SQLKEY_TOPS;
	__u64 stops = (sqlkey_is(low, a * SQLKEY_ONES) | sqlkey_is(low, b * SQLKEY_ONES)) & ~w & SQLKEY_TOPS;

	stops |= sqlkey_up(SQLKEY_TOPS, n < 8 ? n : 8);
	stops = ((stops & (0 - stops)) >> 7) - 1;
	return (__u32)((stops & SQLKEY_ONES) * SQLKEY_ONES >> 56);
}

/* The same, of bytes of a number, which all are skipped: its digits. */
FRAME_INLINE __u32 sqlkey_digits(__u64 w, __u32 n)
{
	__u64 low = w & ~SQLKEY_TOPS;
	__u64 stops = (w | ~sqlkey_from(low, '0') | sqlkey_from(low, '9' + 1)) & SQLKEY_TOPS;

	stops |= sqlkey_up(SQLKEY_TOPS, n < 8 ? n : 8);
	stops = ((stops & (0 - stops)) >> 7) - 1;
	return (__u32)((stops & SQLKEY_ONES) * SQLKEY_ONES >> 56);
}

/* Takes the bytes at the start of w that need no closer look; returns how many. */
FRAME_INLINE __u32 sqlkey_fast(struct sqlkey *s, __u64 w, __u32 n, int mysql)
{
	__u32 prev = s->prev, mode = s->mode & 0xff, k;
	__u64 idents, spaces;

	if (mode == SQLKEY_PLAIN) {
		if (prev & SQLKEY_NUMBER)
			return sqlkey_digits(w, n);
		k = sqlkey_run(w, n, prev, mysql, &idents, &spaces);
		if (k == 0)
			return 0;
		sqlkey_append(s, w & ~sqlkey_up(~0ULL, k), k);
		/* The flags of the last byte taken, in the top bit of the top byte. */
		idents = sqlkey_up(idents, 8 - k);
		spaces = sqlkey_up(spaces, 8 - k);
		k |= idents << 8 >> 63 || (k == 1 && prev & SQLKEY_WORD) ? 0 : 16;
		s->prev = (s->prev & SQLKEY_COUNT) | (__u32)(spaces >> 63) * SQLKEY_SPACE |
			  (__u32)(idents >> 63) * (SQLKEY_WORD | (k & 16 ? SQLKEY_FIRST : 0));
		return k & 15;
	}
	if (mode == SQLKEY_QUOTE)
		return sqlkey_skip(w, n, '\'', '\'');
	if (mode == SQLKEY_ESCAPES && mysql)
		return sqlkey_skip(w, n, s->mode >> 16 & 0x7f, '\\');
	if (mode == SQLKEY_ESCAPES)
		return sqlkey_skip(w, n, '\'', '\\');
	if (mode == SQLKEY_BLOCK_COMMENT)
		return sqlkey_skip(w, n, '*', '*');
	if (mode == SQLKEY_LINE_COMMENT)
		return sqlkey_skip(w, n, '\n', '\r');
	if (mode == SQLKEY_DOLLAR)
		return sqlkey_skip(w, n, '$', '$');
	return 0;
}

FRAME_INLINE __u64 sqlkey_load64(const char *p)
{
	__u64 w;

#ifdef __bpf__
	w = *(const __u64 *)p; /* the kernel runs BPF where that need not be aligned */
#else
	__builtin_memcpy(&w, p, sizeof(w));
#endif
	return w;
}

/* Moves n bytes on, 0 to 8. */
FRAME_INLINE void sqlkey_shift(struct sqlkey *s, __u32 n)
{
	__u64 high = s->high;

	s->low = sqlkey_down(s->low, n) | sqlkey_up(high, 8 - n);
	s->high = sqlkey_down(high, n);
	s->left -= n;
}

FRAME_INLINE void sqlkey_byte(struct sqlkey *s, __u32 c, int mysql)
{
	if (!(s->mode & 0xff) || !sqlkey_inside(s, c, mysql)) {
		SQLKEY_FORGET(s);
		sqlkey_plain(s, c, mysql);
	}
}

/* Takes up a block: the first n bytes, 1 to 16, of these. */
FRAME_INLINE void sqlkey_words(struct sqlkey *s, __u64 low, __u64 high, __u32 n)
{
	s->low = low & ~sqlkey_up(~0ULL, n < 8 ? n : 8);
	s->high = n > 8 ? high & ~sqlkey_up(~0ULL, n - 8) : 0;
	s->left = n;
}

/* The same; p has 16 readable bytes, or n if n is less than 16. */
FRAME_INLINE void sqlkey_load(struct sqlkey *s, const char *p, __u32 n)
{
	__u32 i;

	s->low = s->high = 0;
	s->left = n;
	if (n == 16) {
		s->low = sqlkey_load64(p);
		s->high = sqlkey_load64(p + 8);
	} else {
		for (i = 0; i < 8 && i < n; i++)
			s->low |= (__u64)(__u8)p[i] << i * 8;
		for (i = 8; i < 15 && i < n; i++)
			s->high |= (__u64)(__u8)p[i] << (i - 8) * 8;
	}
}

/* As many bytes of the block as go at once, or one that does not. How many are left of it. */
FRAME_INLINE __u32 sqlkey_round(struct sqlkey *s, int mysql)
{
	__u32 n;

	SQLKEY_FORGET(s);
	n = sqlkey_fast(s, s->low, s->left, mysql);
	if (n) {
		sqlkey_shift(s, n);
		return s->left;
	}
	SQLKEY_FORGET(s);
	sqlkey_byte(s, s->low & 0xff, mysql);
	SQLKEY_FORGET(s);
	sqlkey_shift(s, 1);
	return s->left;
}

/* A whole block, as sqlkey_load(). Much dearer by the byte when n is 1 each time. */
FRAME_INLINE void sqlkey_block_of(struct sqlkey *s, const char *p, __u32 n, int mysql)
{
	__u32 i;

	if (__builtin_constant_p(n) && n == 1) {
		sqlkey_byte(s, (__u8)*p, mysql);
		return;
	}
	sqlkey_load(s, p, n);
	/* A round takes a byte at least. */
	for (i = 0; i < 16 && sqlkey_round(s, mysql); i++)
		;
}

FRAME_INLINE void sqlkey_block(struct sqlkey *s, const char *p, __u32 n)
{
	sqlkey_block_of(s, p, n, SQLKEY_POSTGRES);
}

FRAME_INLINE void sqlkey_block_mysql(struct sqlkey *s, const char *p, __u32 n)
{
	sqlkey_block_of(s, p, n, SQLKEY_MYSQL);
}

/* Never 0. */
FRAME_INLINE __u64 sqlkey_final(const struct sqlkey *s)
{
	__u32 mode = s->mode & 0xff, last = sqlkey_last(s);
	__u64 h = s->hash, group = s->group;

	/* What was held back, and no white space or semicolon. */
	if (mode >= SQLKEY_SLASH)
		h += mode;
	else if (last == ' ' || last == ';')
		group &= ~sqlkey_up(0xff, (s->prev - 1) & 7);
	if (group) {
		h = (h ^ group) * SQLKEY_MULTIPLIER;
		h ^= h >> 32;
	}
	h *= SQLKEY_MULTIPLIER;
	h ^= h >> 29;
	return h ? h : 1;
}

#endif
