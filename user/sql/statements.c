/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/lexer.h"

/* A routine's kind comes within so many words of CREATE or ALTER: OR REPLACE DEFINER = a @ b SQL SECURITY ... */
#define ROUTINE_WORDS 12

static bool closes_by_name(enum sql_keyword k)
{
	return k == KW_IF || k == KW_LOOP || k == KW_WHILE || k == KW_REPEAT;
}

/*
 * The body of a routine holds semicolons: BEGIN and CASE open, END closes, but for END IF and its like, whose openings
 * are not counted.
 */
static void track_body(struct sql_statement *s, enum sql_keyword k)
{
	bool ended = s->ending;

	s->ending = k == KW_END;
	if (ended && !closes_by_name(k) && s->blocks)
		s->blocks--;
	if (k == KW_BEGIN || (k == KW_CASE && !ended && s->blocks))
		s->blocks++;
}

static void track_word(struct sql_statement *s, enum sql_keyword k)
{
	if (s->words == 0)
		s->first = k;
	if (s->words < ROUTINE_WORDS + 1)
		s->words++;
	if ((s->first == KW_CREATE || s->first == KW_ALTER) && s->words <= ROUTINE_WORDS && !s->parens &&
	    (k == KW_FUNCTION || k == KW_PROCEDURE || k == KW_TRIGGER || k == KW_EVENT))
		s->routine = true;
	if (s->first == KW_COPY && !s->parens) {
		s->data |= s->from && k == KW_STDIN;
		s->from = k == KW_FROM;
	}
}

bool sql_statement_track(struct sql_statement *s, enum sql_token token, struct bytes text, enum sql_keyword keyword)
{
	char c = token == SQL_SYMBOL ? *text.p : '\0';

	if (token == SQL_WORD)
		track_word(s, keyword);
	if (s->routine)
		track_body(s, keyword);
	if (c == '(')
		s->parens++;
	else if (c == ')' && s->parens)
		s->parens--;
	else if (c == ';' && !s->parens && !s->blocks)
		return true;
	s->filled = true;
	return false;
}

size_t sql_continuation(struct bytes text, size_t at)
{
	bool newline = false;

	for (; at < text.n; at++) {
		char c = text.p[at];

		if (c == '\n' || c == '\r') {
			newline = true;
		} else if (c == '-' && at + 1 < text.n && text.p[at + 1] == '-') {
			while (at + 1 < text.n && text.p[at + 1] != '\n' && text.p[at + 1] != '\r')
				at++;
		} else if (c != ' ' && c != '\t' && c != '\f' && c != '\v') {
			return c == '\'' && newline ? at : 0;
		}
	}
	return 0;
}

bool sql_next_statement(enum sql_dialect dialect, struct bytes *rest, struct bytes *ret)
{
	struct sql_lexer l;
	struct bytes tok;
	enum sql_token t;
	size_t start = 0, end = 0;
	bool begun = false, filled = false, doubt = false;

	sql_lexer_init(&l, dialect, *rest);
	while ((t = sql_lex(&l, &tok)) != SQL_END) {
		/*
		 * Where a backslash leaves the end of a literal in doubt, a semicolon behind it may be inside: the rest
		 * stays together, for sql_read to cut where the doubt starts.
		 */
		if (l.ends && filled && !doubt && l.unsure_at)
			doubt = !sql_rule_proven(dialect, *rest, l.at);
		if (l.ends && filled && !doubt)
			break;
		if (l.ends && !filled) {
			begun = false;
			continue;
		}
		if (t == SQL_SPACE || (t == SQL_COMMENT && !begun))
			continue;
		if (!begun)
			start = (size_t)(tok.p - rest->p);
		begun = true;
		filled |= !sql_says_nothing(t);
		end = l.at;
	}
	if (!filled)
		return false;
	*ret = bytes_of(rest->p + start, end - start);
	*rest = bytes_tail(*rest, l.over ? rest->n : l.at);
	return true;
}
