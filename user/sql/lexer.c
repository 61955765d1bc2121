/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/lexer.h"

static unsigned char peek(const struct sql_lexer *l, size_t at)
{
	return at < l->text.n ? (unsigned char)l->text.p[at] : 0;
}

static bool ident_at(const struct sql_lexer *l, size_t at)
{
	return at < l->text.n && sql_is_ident((unsigned char)l->text.p[at]);
}

static bool digit_at(const struct sql_lexer *l, size_t at)
{
	return sql_is_digit(peek(l, at));
}

static enum sql_token end_at(struct sql_lexer *l, size_t at, enum sql_token token)
{
	l->at = at;
	return token;
}

static enum sql_token broken(struct sql_lexer *l, enum sql_token token)
{
	return end_at(l, l->text.n, token);
}

/*
 * Behind the quote that closes; at is behind the one that opens. 0 if there is none. escapes: a backslash takes the
 * next byte with it. *unsure is set if that rule, or the opposite one, would have ended it elsewhere.
 */
static size_t quote_end(const struct sql_lexer *l, size_t at, char quote, bool escapes, bool *unsure)
{
	bool odd = false; /* an odd number of backslashes precedes */

	for (; at < l->text.n; at++) {
		char c = l->text.p[at];

		if (c == '\\') {
			odd = !odd;
			continue;
		}
		if (c == quote && escapes && odd) {
			/* Had it ended here, then not before a letter. */
			*unsure |= !ident_at(l, at + 1);
		} else if (c == quote) {
			*unsure |= odd;
			if (peek(l, at + 1) != (unsigned char)quote)
				return at + 1;
			at++;
		}
		odd = false;
	}
	return 0;
}

/* A string literal whose opening quote is at the given place. definite: its rule about backslashes is no setting. */
static enum sql_token string(struct sql_lexer *l, size_t open, bool escapes, bool definite)
{
	char quote = l->text.p[open];
	bool unsure = false;
	size_t end;

	escapes ^= l->flipped && !definite;
	for (;;) {
		end = quote_end(l, open + 1, quote, escapes, &unsure);
		if (!end)
			return broken(l, SQL_BROKEN_LITERAL);
		open = l->dialect == SQL_POSTGRESQL ? sql_continuation(l->text, end) : 0;
		if (!open)
			break;
	}
	if (unsure && !definite && !l->unsure_at)
		l->unsure_at = end;
	return end_at(l, end, SQL_LITERAL);
}

static enum sql_token quoted(struct sql_lexer *l, size_t open)
{
	bool unsure = false;
	size_t end = quote_end(l, open + 1, l->text.p[open], false, &unsure);

	return end ? end_at(l, end, SQL_QUOTED) : broken(l, SQL_BROKEN);
}

static enum sql_token line_comment(struct sql_lexer *l)
{
	size_t at = l->at;

	while (at < l->text.n && l->text.p[at] != '\n' && (l->dialect == SQL_MYSQL || l->text.p[at] != '\r'))
		at++;
	return end_at(l, at, SQL_COMMENT);
}

static enum sql_token block_comment(struct sql_lexer *l)
{
	size_t at = l->at + 2, depth = 1;

	for (; at + 1 < l->text.n; at++) {
		if (l->text.p[at] == '*' && l->text.p[at + 1] == '/') {
			at++;
			if (--depth == 0)
				return end_at(l, at + 1, SQL_COMMENT);
		} else if (l->dialect == SQL_POSTGRESQL && l->text.p[at] == '/' && l->text.p[at + 1] == '*') {
			at++;
			depth++;
		}
	}
	return broken(l, SQL_BROKEN);
}

/* MySQL's conditional comment or MariaDB's, up to the end of its version number. 0 if it is not one. */
static size_t mark_end(const struct sql_lexer *l)
{
	size_t at = l->at + 2, digits;

	if (l->dialect != SQL_MYSQL)
		return 0;
	at += peek(l, at) == 'M';
	if (peek(l, at) != '!')
		return 0;
	at++;
	for (digits = 0; digits < 6 && digit_at(l, at); digits++)
		at++;
	return at;
}

/* A comment of any kind at this place; SQL_END if there is none. */
static enum sql_token comment(struct sql_lexer *l)
{
	unsigned char c = peek(l, l->at), next = peek(l, l->at + 1);
	size_t end;

	if (c == '-' && next == '-' &&
	    (l->dialect == SQL_POSTGRESQL || (l->at + 2 < l->text.n && sql_is_space(peek(l, l->at + 2)))))
		return line_comment(l);
	if (c == '#' && l->dialect == SQL_MYSQL)
		return line_comment(l);
	if (c == '*' && next == '/' && l->conditional) {
		l->conditional--;
		return end_at(l, l->at + 2, SQL_MARK);
	}
	if (c != '/' || next != '*')
		return SQL_END;
	end = mark_end(l);
	if (!end)
		return block_comment(l);
	l->conditional++;
	return end_at(l, end, SQL_MARK);
}

/*
 * Digits, and all that hangs on to them: better one literal too long than the rest of one shown. MySQL's identifiers
 * may begin with digits; they are told from numbers by letters that no number has.
 */
static enum sql_token number(struct sql_lexer *l, size_t at)
{
	size_t start = at, e = 0; /* the first letter */
	bool hex = peek(l, at) == '0' && (peek(l, at + 1) | 0x20) == 'x', name = l->dialect == SQL_MYSQL && at == l->at;
	bool letters = false;

	for (; at < l->text.n; at++) {
		unsigned char c = peek(l, at), before = at > start ? (unsigned char)(peek(l, at - 1) | 0x20) : 0;

		if (sql_is_digit(c) || c == '_')
			continue;
		if (c == '.' && name && letters) {
			break;
		} else if (c == '.' && peek(l, at + 1) != '.') {
			name = false;
		} else if ((c == '+' || c == '-') && before == 'e' && !hex && digit_at(l, at + 1)) {
			name = false;
		} else if (sql_is_ident(c) || (c == '$' && l->dialect == SQL_MYSQL)) {
			/* 1e5 and 0x1f and 0b1: not names, nor what begins like them. */
			if ((c | 0x20) == 'e' && !letters && digit_at(l, at + 1))
				name = false;
			if (((c | 0x20) == 'x' || (c | 0x20) == 'b') && at == start + 1 && peek(l, start) == '0')
				name = false;
			if (!letters)
				e = at;
			letters = true;
		} else {
			break;
		}
	}
	/* Digits and one e: the exponent may be what is cut off. */
	name = name && letters && !(e == at - 1 && (peek(l, e) | 0x20) == 'e');
	return end_at(l, at, name ? SQL_WORD : SQL_LITERAL);
}

/* A sign belongs to the number behind it unless it stands right behind an operand. */
static bool sign_at(const struct sql_lexer *l)
{
	if (l->last == SQL_WORD || l->last == SQL_QUOTED || l->last == SQL_PARAMETER ||
	    (l->last == SQL_SYMBOL && (l->symbol == ')' || l->symbol == ']')))
		return false;
	return digit_at(l, l->at + 1) || (peek(l, l->at + 1) == '.' && digit_at(l, l->at + 2));
}

static enum sql_token symbol(struct sql_lexer *l)
{
	l->symbol = l->text.p[l->at];
	return end_at(l, l->at + 1, SQL_SYMBOL);
}

/* $1, or $tag$ ... $tag$, or just a dollar. */
static enum sql_token dollar(struct sql_lexer *l)
{
	size_t at = l->at + 1, body, tag;

	if (digit_at(l, at)) {
		while (digit_at(l, at))
			at++;
		return end_at(l, at, SQL_PARAMETER);
	}
	while (ident_at(l, at))
		at++;
	if (peek(l, at) != '$')
		return symbol(l);
	tag = at - l->at; /* with one of its dollars */
	for (body = at + 1; body < l->text.n; body++) {
		size_t same = 0;

		if (l->text.p[body] != '$')
			continue;
		while (same <= tag && peek(l, body + same) == (unsigned char)l->text.p[l->at + same] &&
		       body + same < l->text.n)
			same++;
		if (same > tag)
			return end_at(l, body + tag + 1, SQL_LITERAL);
		/* What matched holds no dollar but its first, so that nothing is compared twice. */
		body += same - 1;
	}
	return broken(l, SQL_BROKEN_LITERAL);
}

/* E'', B'', X'', N'', U&'', U&"", _utf8'': the place of the quote, 0 if this is another word. */
static size_t prefix_quote(const struct sql_lexer *l)
{
	unsigned char c = peek(l, l->at) | 0x20, next = peek(l, l->at + 1), third = peek(l, l->at + 2);

	if ((c == 'b' || c == 'x' || c == 'n' || (c == 'e' && l->dialect == SQL_POSTGRESQL)) && next == '\'')
		return l->at + 1;
	if (c == 'u' && next == '&' && l->dialect == SQL_POSTGRESQL && (third == '\'' || third == '"'))
		return l->at + 2;
	return 0;
}

static enum sql_token word(struct sql_lexer *l)
{
	size_t at = l->at, open = prefix_quote(l);
	bool mysql = l->dialect == SQL_MYSQL;

	if (open && l->text.p[open] == '"')
		return quoted(l, open);
	if (open) {
		bool e = (peek(l, l->at) | 0x20) == 'e', n = (peek(l, l->at) | 0x20) == 'n';

		return string(l, open, mysql || e, !n && !mysql);
	}
	while (ident_at(l, at) || peek(l, at) == '$')
		at++;
	if (mysql && peek(l, l->at) == '_' && (peek(l, at) == '\'' || peek(l, at) == '"'))
		return string(l, at, true, false);
	return end_at(l, at, SQL_WORD);
}

static enum sql_token scan(struct sql_lexer *l)
{
	unsigned char c = peek(l, l->at);
	bool mysql = l->dialect == SQL_MYSQL;
	size_t at = l->at;
	enum sql_token t;

	if (sql_is_space(c)) {
		while (at < l->text.n && sql_is_space(peek(l, at)))
			at++;
		return end_at(l, at, SQL_SPACE);
	}
	if (sql_is_digit(c)) {
		if (!mysql || !l->dotted)
			return number(l, at);
		while (ident_at(l, at) || peek(l, at) == '$')
			at++;
		return end_at(l, at, SQL_WORD);
	}
	if (sql_is_ident(c) || (c == '$' && mysql))
		return word(l);
	t = comment(l);
	if (t != SQL_END)
		return t;
	if (c == '\'' || (c == '"' && mysql))
		return string(l, at, mysql, false);
	if (c == '"' || (c == '`' && mysql))
		return quoted(l, at);
	if (c == '$')
		return dollar(l);
	if ((c == '-' || c == '+') && sign_at(l))
		return number(l, at + 1);
	if (c == '.' && digit_at(l, at + 1) && l->last != SQL_WORD && l->last != SQL_QUOTED &&
	    !(l->last == SQL_SYMBOL && l->symbol == '.'))
		return number(l, at);
	return symbol(l);
}

void sql_lexer_init(struct sql_lexer *l, enum sql_dialect dialect, struct bytes text)
{
	*l = (struct sql_lexer){ .text = text, .dialect = dialect, .last = SQL_SPACE };
}

struct keyword {
	const char *name;
	unsigned flags;
};

static const struct keyword keywords[KW_COUNT] = {
#define SQL_KEYWORD(word, flags) [KW_##word] = { #word, flags },
#include "sql/keywords.def"
#undef SQL_KEYWORD
};

unsigned sql_keyword_flags(enum sql_keyword k)
{
	return keywords[k].flags;
}

static enum sql_keyword find_keyword(struct bytes w)
{
	char upper[16];
	size_t low = 1, high = KW_COUNT;

	if (w.n < 2 || w.n >= sizeof(upper))
		return KW_NONE;
	for (size_t i = 0; i < w.n; i++)
		upper[i] = w.p[i] >= 'a' && w.p[i] <= 'z' ? (char)(w.p[i] - 32) : w.p[i];
	upper[w.n] = '\0';
	while (low < high) {
		size_t middle = (low + high) / 2;
		const char *name = keywords[middle].name;
		int c = upper[0] - name[0];

		if (c == 0)
			c = strcmp(upper + 1, name + 1);
		if (c == 0)
			return (enum sql_keyword)middle;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return KW_NONE;
}

enum sql_token sql_lex(struct sql_lexer *l, struct bytes *ret)
{
	size_t start = l->at;
	bool dotted = l->dotted;
	enum sql_token t;

	l->ends = false;
	l->keyword = KW_NONE;
	if (l->over || l->at >= l->text.n) {
		*ret = (struct bytes){ 0 };
		return SQL_END;
	}
	t = scan(l);
	*ret = bytes_of(l->text.p + start, l->at - start);
	if (t == SQL_WORD && !dotted)
		l->keyword = find_keyword(*ret);
	if ((l->keyword == KW_TRUE || l->keyword == KW_FALSE) && !l->after_is) {
		l->keyword = KW_NONE;
		t = SQL_LITERAL;
	}
	l->dotted = t == SQL_SYMBOL && l->symbol == '.' && (l->last == SQL_WORD || l->last == SQL_QUOTED);
	l->last = t;
	if (sql_says_nothing(t))
		return t;
	l->after_is = l->keyword == KW_IS || (l->keyword == KW_NOT && l->after_is);
	/* A semicolon in a conditional comment: what is behind the comment would not stand alone. */
	l->ends = sql_statement_track(&l->statement, t, *ret, l->keyword) && !l->conditional;
	if (l->ends) {
		l->over = l->statement.data && l->dialect == SQL_POSTGRESQL;
		l->statement = (struct sql_statement){ 0 };
	}
	return t;
}
