/* SPDX-License-Identifier: Apache-2.0 */
/* Texts whose meaning rests on a setting of the server that they do not show: does a backslash in '...' escape? */
#include "sql/lexer.h"

static bool quote_char(char c)
{
	return c == '\'' || c == '"' || c == '$';
}

enum sense { SENSE_MADE, SENSE_OPEN, SENSE_NONE };

/*
 * Lexes on to a place that the rule about backslashes does not explain: a stray backslash or, where a literal rested on
 * the rule before, a string with a word right before or behind it; or to a literal that does not end.
 */
static enum sense lex_on(struct sql_lexer *l)
{
	struct bytes tok;
	enum sql_token t, before = SQL_SPACE;
	bool string = false;

	while ((t = sql_lex(l, &tok)) != SQL_END) {
		bool null = l->dialect == SQL_MYSQL && l->at < l->text.n && l->text.p[l->at] == 'N'; /* \N */
		bool begins = (t == SQL_LITERAL || t == SQL_BROKEN_LITERAL) && quote_char(*tok.p);

		if (t == SQL_SYMBOL && l->symbol == '\\' && !null)
			return SENSE_NONE;
		if (l->unsure_at && ((string && (begins || t == SQL_WORD || t == SQL_QUOTED || t == SQL_PARAMETER)) ||
				     (before == SQL_WORD && begins)))
			return SENSE_NONE;
		if (t == SQL_BROKEN || t == SQL_BROKEN_LITERAL)
			return SENSE_OPEN;
		string = t == SQL_LITERAL && quote_char(tok.p[tok.n - 1]);
		before = t;
	}
	return SENSE_MADE;
}

/* Does the text, which may end anywhere, make no sense by the rule that is not the default? */
static bool other_rule_contradicted(enum sql_dialect dialect, struct bytes text)
{
	struct sql_lexer l;

	sql_lexer_init(&l, dialect, text);
	l.flipped = true;
	return lex_on(&l) == SENSE_NONE;
}

size_t sql_certain(enum sql_dialect dialect, struct bytes text, bool cut)
{
	struct sql_lexer l;

	if (bytes_find(text, '\\') == text.n)
		return text.n;
	sql_lexer_init(&l, dialect, text);
	while (lex_on(&l) != SENSE_MADE)
		if (l.unsure_at)
			return l.unsure_at;
	return cut && l.unsure_at && !other_rule_contradicted(dialect, text) ? l.unsure_at : text.n;
}

/* How far to look for a contradiction: a bound, so that many statements do not cost the square of their length. */
#define LOOK_AHEAD 512

bool sql_rule_proven(enum sql_dialect dialect, struct bytes text, size_t n)
{
	struct sql_lexer l;

	sql_lexer_init(&l, dialect, bytes_head(text, n));
	return lex_on(&l) == SENSE_MADE && other_rule_contradicted(dialect, bytes_head(text, 4 * n + LOOK_AHEAD));
}
