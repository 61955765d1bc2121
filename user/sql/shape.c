/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/shape.h"

#include <string.h>

enum char_class {
	PLAIN, /* this and the next are most of a text, and stay as they are */
	WORD,  /* of an identifier, or of a number that is not plain */
	DIGIT,
	QUOTE,
	NAME,	 /* what is between two of them is kept */
	COMMENT, /* with another behind it, perhaps */
	DOUBT
};

static const unsigned char classes[256] = {
	['0' ... '9'] = DIGIT, ['A' ... 'Z'] = WORD, ['a' ... 'z'] = WORD,   ['_'] = WORD,
	['.'] = WORD,	       ['@'] = WORD,	     [0x80 ... 0xff] = WORD, ['\''] = QUOTE,
	['"'] = NAME,	       ['`'] = NAME,	     ['-'] = COMMENT,	     ['/'] = COMMENT,
	['#'] = DOUBT,	       ['\\'] = DOUBT,	     ['$'] = DOUBT,	     ['\0'] = DOUBT,
};

static enum char_class class_at(struct bytes text, size_t at)
{
	return at < text.n ? (enum char_class)classes[(unsigned char)text.p[at]] : PLAIN;
}

/* Behind the quote that closes, a doubled one does not. 0: there is none, or it is not certain. */
static size_t quote_end(struct bytes text, size_t open)
{
	const char quote = text.p[open];

	for (size_t at = open + 1; at < text.n; at++) {
		if (text.p[at] == '\\' || text.p[at] == '\0')
			return 0;
		if (text.p[at] != quote)
			continue;
		if (at + 1 == text.n || text.p[at + 1] != quote)
			return at + 1;
		at++;
	}
	return 0;
}

/* Behind the number that begins there; it is plain unless the answer is followed by more of a word. */
static size_t number_end(struct bytes text, size_t at)
{
	while (class_at(text, at) == DIGIT)
		at++;
	if (at + 1 < text.n && text.p[at] == '.' && class_at(text, at + 1) == DIGIT)
		for (at++; class_at(text, at) == DIGIT;)
			at++;
	return at;
}

/* Digits that are part of a word, or of a parameter, stay as they are. */
static size_t number(struct bytes text, size_t at, char *out, size_t *n)
{
	size_t end = number_end(text, at);
	enum char_class before = at ? class_at(text, at - 1) : PLAIN, behind = class_at(text, end);

	if (before != WORD && behind != WORD && behind != QUOTE) {
		out[(*n)++] = '0';
		return end;
	}
	memcpy(out + *n, text.p + at, end - at);
	*n += end - at;
	return end;
}

static size_t string(struct bytes text, size_t at, char *out, size_t *n)
{
	enum char_class before = at ? class_at(text, at - 1) : PLAIN;
	size_t end = quote_end(text, at);

	if (!end || before == WORD || before == DIGIT || (at && text.p[at - 1] == '&'))
		return 0; /* it may have a prefix, which says what ends it */
	memcpy(out + *n, "''", 2);
	*n += 2;
	return end;
}

/* The next piece goes to out; behind it, or 0. */
static size_t step(enum sql_dialect dialect, struct bytes text, size_t at, char *out, size_t *n)
{
	enum char_class c = class_at(text, at);
	size_t end = at + 1;

	if (c == DIGIT)
		return number(text, at, out, n);
	if (c == QUOTE)
		return string(text, at, out, n);
	if (c == DOUBT ||
	    (c == COMMENT && (text.p[at] == '-' ? class_at(text, end) == COMMENT : end < text.n && text.p[end] == '*')))
		return 0;
	if (c == NAME)
		end = text.p[at] == '`' && dialect != SQL_MYSQL ? 0 : quote_end(text, at);
	if (end) {
		memcpy(out + *n, text.p + at, end - at);
		*n += end - at;
	}
	return end;
}

/* What stays as it is, from at on: copied to out; behind it. */
static size_t plain_run(struct bytes text, size_t at, char *out)
{
	size_t end = at;

	while (end < text.n && classes[(unsigned char)text.p[end]] <= WORD)
		end++;
	if (end > at)
		memcpy(out, text.p + at, end - at);
	return end;
}

size_t sql_shape(enum sql_dialect dialect, struct bytes text, char *out)
{
	size_t n = 0, at = 0, end;

	for (;;) {
		end = plain_run(text, at, out + n);
		n += end - at;
		if (end >= text.n)
			return n;
		at = step(dialect, text, end, out, &n);
		if (!at)
			return 0;
	}
}
