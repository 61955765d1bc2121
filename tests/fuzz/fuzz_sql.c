/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as SQL. The first byte chooses dialect, wholeness and how much text to keep. Properties:
 * - the tokens put together are the text (but for COPY data, which no token holds);
 * - the sanitised text is valid UTF-8, within its limit, holds no literal and no comment, and stays as it is when it is
 *   sanitised again, summary and fingerprint too;
 * - statements come in order, are as many as sql_read counts, and between them is nothing that sql_read would show;
 * - a text and its shape read the same;
 * - the kernel's key does not depend on how the text is cut into blocks.
 * Each reads the text anew. With libFuzzer an input is held against one of the last four, by its bytes, which is three
 * times as many inputs in the same time; a file that is replayed, against all.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame/sqlkey.h"
#include "frame/sqlsame.h"
#include "sql/clean.h"
#include "sql/lexer.h"
#include "sql/shape.h"
#include "sql/sql.h"
#include "sql/summary.h"

#define ALL_TEXT (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

extern const int fuzz_replays __attribute__((weak)); /* of main.c: this is not libFuzzer */

enum property { AGAIN, SHAPE, STATEMENTS, KEY, PROPERTIES };

#define require(holds)                                                  \
	do {                                                            \
		if (!(holds)) {                                         \
			fprintf(stderr, "does not hold: %s\n", #holds); \
			abort();                                        \
		}                                                       \
	} while (0)

static void check_tokens(enum sql_dialect dialect, struct bytes text)
{
	struct sql_lexer l;
	struct bytes tok;
	size_t at = 0;

	sql_lexer_init(&l, dialect, text);
	while (sql_lex(&l, &tok) != SQL_END) {
		require(tok.n > 0 && tok.p == text.p + at);
		at += tok.n;
	}
	require(at == text.n || l.over);
	require(sql_certain(dialect, text, false) <= text.n && sql_certain(dialect, text, true) <= text.n);
}

static void check_utf8(struct bytes text)
{
	while (text.n) {
		struct bytes before = text;
		char c[SQL_CHAR_MAX];
		size_t n = sql_clean_char(&text, c);

		require(n == before.n - text.n && memcmp(c, before.p, n) == 0);
	}
}

static void check_harmless(enum sql_dialect dialect, struct bytes text)
{
	struct sql_lexer l;
	struct bytes tok;
	enum sql_token t;

	sql_lexer_init(&l, dialect, text);
	while ((t = sql_lex(&l, &tok)) != SQL_END)
		require(t == SQL_SPACE || t == SQL_WORD || t == SQL_QUOTED || t == SQL_PARAMETER || t == SQL_SYMBOL);
}

/* Does it hold a MySQL conditional comment? Its semicolons end no statement until its marks are gone. */
static bool conditional(enum sql_dialect dialect, struct bytes text)
{
	struct sql_lexer l;
	struct bytes tok;
	enum sql_token t;

	sql_lexer_init(&l, dialect, text);
	while ((t = sql_lex(&l, &tok)) != SQL_END)
		if (t == SQL_MARK)
			return true;
	return false;
}

static void check_again(enum sql_dialect dialect, struct bytes text, const struct sql *s)
{
	struct sql again = { 0 };

	sql_read(&again, dialect, buf_bytes(&s->text), false, ALL_TEXT);
	require(bytes_eq(buf_bytes(&again.text), buf_bytes(&s->text)));
	require(!again.unsure && !again.traceparent[0]);
	if (!conditional(dialect, text)) {
		require(again.fingerprint == s->fingerprint);
		if (!s->unsure)
			require(again.statements == s->statements &&
				bytes_eq(buf_bytes(&again.summary), buf_bytes(&s->summary)));
	}
	sql_free(&again);
}

static void check_statements(enum sql_dialect dialect, struct bytes text, const struct sql *s)
{
	struct bytes rest = text, one, gap;
	struct sql part = { 0 };
	const char *at = text.p;
	unsigned count = 0;

	while (sql_next_statement(dialect, &rest, &one)) {
		require(one.n > 0 && one.p >= at && one.p + one.n <= text.p + text.n);
		gap = bytes_of(at, (size_t)(one.p - at));
		at = one.p + one.n;
		require(rest.p >= at && rest.p + rest.n == text.p + text.n);
		count++;
		if (one.n < text.n) {
			sql_read(&part, dialect, one, false, ALL_TEXT);
			require(part.statements > 0 || part.unsure);
		}
		if (gap.n && dialect == SQL_POSTGRESQL) { /* MySQL: part of a conditional comment */
			sql_read(&part, dialect, gap, false, ALL_TEXT);
			require(part.statements == 0);
		}
	}
	sql_free(&part);
	if (bytes_find(text, '\\') == text.n)
		require(count == s->statements);
}

static void check_shape(enum sql_dialect dialect, struct bytes text, const struct sql *s)
{
	char *out = malloc(text.n), *out2 = malloc(text.n);
	struct sql of_shape = { 0 };
	size_t n;

	require(text.n == 0 || (out && out2));
	n = text.n ? sql_shape(dialect, text, out) : 0;
	require(n <= text.n);
	if (n) {
		sql_read(&of_shape, dialect, bytes_of(out, n), false, ALL_TEXT);
		require(bytes_eq(buf_bytes(&of_shape.text), buf_bytes(&s->text)));
		require(bytes_eq(buf_bytes(&of_shape.summary), buf_bytes(&s->summary)));
		require(of_shape.fingerprint == s->fingerprint && of_shape.statements == s->statements);
		require(of_shape.unsure == s->unsure && !s->traceparent[0]);
		require(sql_shape(dialect, bytes_of(out, n), out2) == n && memcmp(out, out2, n) == 0);
	}
	sql_free(&of_shape);
	free(out);
	free(out2);
}

static __u64 key(enum sql_dialect dialect, struct bytes text, size_t step)
{
	struct sqlkey k;

	sqlkey_init(&k);
	for (size_t at = 0; at < text.n; at += step) {
		char block[16] = { 0 };
		size_t n = text.n - at < step ? text.n - at : step;

		memcpy(block, text.p + at, n);
		if (dialect == SQL_MYSQL)
			sqlkey_block_mysql(&k, block, (__u32)n);
		else
			sqlkey_block(&k, block, (__u32)n);
	}
	return sqlkey_final(&k);
}

/* The text with other digits, where these are said not to matter: it has the same key. None with bytes from 0x80 on is
 * kept. */
static void check_same(enum sql_dialect dialect, struct bytes text)
{
	char *other, word[8];
	__u64 open = 0, kept;
	size_t part;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] & 0x80)
			return;
	other = calloc(1, text.n + 8);
	require(other);
	for (size_t at = 0; at < text.n; at += 8) {
		memset(word, 0, sizeof(word));
		part = text.n - at < 8 ? text.n - at : 8;
		memcpy(word, text.p + at, part);
		kept = sqlsame_kept(frame_load64(word), &open);
		require(!sqlsame_differs(frame_load64(word), kept));
		for (size_t k = 0; k < part; k++)
			other[at + k] = (kept >> k * 8 & 0xff) == 0xff ? (char)('0' + (word[k] * 7 + (char)at + 3) % 10)
								       : word[k];
	}
	require(key(dialect, text, 16) == key(dialect, bytes_of(other, text.n), 16));
	free(other);
}

static bool held_against(struct bytes text, enum property which)
{
	unsigned sum = 0;

	if (&fuzz_replays)
		return true;
	for (size_t i = 0; i < text.n; i++)
		sum = sum * 31 + (unsigned char)text.p[i];
	return (sum ^ sum >> 16) % PROPERTIES == which;
}

static void check_limit(enum sql_dialect dialect, struct bytes text, bool cut, size_t chars)
{
	static struct sql s;

	sql_read(&s, dialect, text, cut, chars);
	check_utf8(buf_bytes(&s.text));
	require(sql_chars_length(buf_bytes(&s.text), chars) == s.text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct sql s; /* used again and again, as its user does */
	enum sql_dialect dialect;
	struct bytes text;

	if (n == 0)
		return 0;
	dialect = data[0] & 1 ? SQL_MYSQL : SQL_POSTGRESQL;
	text = bytes_of(data + 1, n - 1);
	check_tokens(dialect, text);
	sql_read(&s, dialect, text, data[0] & 2, ALL_TEXT);
	check_utf8(buf_bytes(&s.text));
	check_utf8(buf_bytes(&s.summary));
	require(sql_chars_length(buf_bytes(&s.summary), SUMMARY_CHARS) == s.summary.n);
	require(s.traceparent[0] == '\0' || strlen(s.traceparent) == 55);
	check_harmless(dialect, buf_bytes(&s.text));
	if (held_against(text, AGAIN) && !(data[0] & 2))
		check_again(dialect, text, &s);
	if (held_against(text, SHAPE) && !(data[0] & 2))
		check_shape(dialect, text, &s);
	if (held_against(text, STATEMENTS))
		check_statements(dialect, text, &s);
	if (held_against(text, KEY)) {
		check_limit(dialect, text, data[0] & 2, data[0] >> 2);
		require(key(dialect, text, 16) == key(dialect, text, 1));
		check_same(dialect, text);
	}
	return 0;
}
