/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sanitise.h"

#include "sql/clean.h"
#include "sql/sql.h"
#include "sql/summary.h"

/* Folding takes text back, so a little more than is asked for is written first. */
#define TEXT_SLACK 1024

/* Clean text, that is. */
static void add_clean(struct sql_writer *w, struct bytes text)
{
	if (w->full)
		return;
	buf_add(w->text, bytes_head(text, w->limit - w->text->n));
	w->full = w->text->n >= w->limit || w->text->failed;
}

static uint64_t hash_bytes(uint64_t hash, struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) * SQL_HASH_PRIME;
	return hash;
}

static void add_hash(struct sql_writer *w, struct bytes text)
{
	w->hash = hash_bytes(w->hash, text);
	if (w->fold.state != FOLD_NONE)
		w->fold.item = hash_bytes(w->fold.item, text);
}

/* Any text; hashed, into the list's item and, if it counts for the fingerprint as it is, there too. */
static void add_any(struct sql_writer *w, struct bytes text, bool hashed, bool in_item)
{
	char c[SQL_CHAR_MAX];

	while (text.n) {
		size_t run = sql_clean_run(text);
		struct bytes part = bytes_head(text, run);

		if (run)
			text = bytes_tail(text, run);
		else
			part = bytes_of(c, sql_clean_char(&text, c));
		add_clean(w, part);
		if (hashed)
			w->hash = hash_bytes(w->hash, part);
		if (in_item && w->fold.state != FOLD_NONE)
			w->fold.item = hash_bytes(w->fold.item, part);
	}
}

/* Savepoints, cursors and the like carry names that drivers count up. */
static void track_names(struct sql_writer *w, enum sql_token token, enum sql_keyword keyword)
{
	if (token != SQL_WORD)
		return;
	if (w->begun) {
		if (w->names == NAMES_HIDDEN_UNTIL && (keyword == KW_CURSOR || keyword == KW_AS))
			w->names = NAMES_SHOWN;
		return;
	}
	w->begun = true;
	switch (keyword) {
	case KW_SAVEPOINT:
	case KW_RELEASE:
	case KW_ROLLBACK:
	case KW_FETCH:
	case KW_MOVE:
	case KW_CLOSE:
	case KW_DEALLOCATE:
		w->names = NAMES_HIDDEN;
		return;
	case KW_DECLARE:
	case KW_PREPARE:
		w->names = NAMES_HIDDEN_UNTIL;
		return;
	default:
		return;
	}
}

static bool hidden_name(const struct sql_writer *w, enum sql_token token, struct bytes text)
{
	if (w->names == NAMES_SHOWN || token != SQL_WORD)
		return w->names != NAMES_SHOWN && token == SQL_QUOTED;
	for (size_t i = 0; i < text.n; i++)
		if (sql_is_digit((unsigned char)text.p[i]))
			return true;
	return false;
}

/*
 * Tokens that a comment kept apart must not become one, nor begin a comment. Nor must two dashes, which in MySQL begin
 * one when a space, that of a comment left out, comes to follow them.
 */
static void keep_apart(struct sql_writer *w, enum sql_token token, char symbol)
{
	char last = w->text->n ? w->text->p[w->text->n - 1] : ' ';

	if ((w->gap && token != SQL_SPACE && !sql_is_space((unsigned char)last)) || (symbol == '-' && last == '-'))
		add_clean(w, BYTES_LITERAL(" "));
	w->gap = false;
}

static void statement_end(struct sql_writer *w)
{
	w->separator = w->hashed;
	w->begun = false;
	w->names = NAMES_SHOWN;
	w->fold.state = FOLD_NONE;
}

/* A token and what it is for the fingerprint: itself, or a question mark for what differs from call to call; then a
 * space. */
static void add_token(struct sql_writer *w, enum sql_token token, struct bytes text)
{
	bool value = token == SQL_LITERAL || token == SQL_BROKEN_LITERAL;

	if (w->separator)
		add_hash(w, BYTES_LITERAL("; "));
	w->separator = false;
	w->hashed = true;
	if (value) {
		add_clean(w, BYTES_LITERAL("?"));
		add_hash(w, BYTES_LITERAL("?"));
	} else if (token == SQL_PARAMETER) {
		add_any(w, text, false, false);
		add_hash(w, BYTES_LITERAL("?"));
	} else if (hidden_name(w, token, text)) {
		add_any(w, text, false, true);
		w->hash = hash_bytes(w->hash, BYTES_LITERAL("?"));
	} else {
		add_any(w, text, true, true);
	}
	add_hash(w, BYTES_LITERAL(" "));
}

void sql_write(struct sql_writer *w, enum sql_token token, struct bytes text, enum sql_keyword keyword, bool ends)
{
	char symbol = token == SQL_SYMBOL ? *text.p : '\0';

	if (token == SQL_COMMENT || token == SQL_MARK) {
		w->gap = true;
		return;
	}
	if (token == SQL_BROKEN)
		return;
	keep_apart(w, token, symbol);
	if (token == SQL_SPACE) {
		if (w->text->n)
			add_any(w, text, false, false);
		return;
	}
	track_names(w, token, keyword);
	sql_fold_before(w, symbol, keyword);
	if (ends) {
		add_clean(w, text);
		statement_end(w);
	} else {
		add_token(w, token, text);
	}
	sql_fold_after(w, token, symbol, keyword);
}

static void finish_text(struct buf *text, size_t max_chars)
{
	if (!text->p)
		return;
	if (text->n > max_chars)
		text->n = sql_chars_length(buf_bytes(text), max_chars);
	while (text->n && sql_is_space((unsigned char)text->p[text->n - 1]))
		text->n--;
	text->p[text->n] = '\0';
}

static void start(struct sql *ret, struct sql_writer *w, struct summary *s, size_t max_chars)
{
	buf_reset(&ret->text);
	buf_reset(&ret->summary);
	ret->fingerprint = 0;
	ret->unsure = false;
	ret->traceparent[0] = '\0';
	ret->statements = 0;
	*s = (struct summary){ .out = &ret->summary };
	*w = (struct sql_writer){ .text = &ret->text, .hash = SQL_HASH_START };
	if (__builtin_mul_overflow(max_chars, SQL_CHAR_MAX, &w->limit) ||
	    __builtin_add_overflow(w->limit, TEXT_SLACK, &w->limit))
		w->limit = SIZE_MAX;
}

void sql_read(struct sql *ret, enum sql_dialect dialect, struct bytes text, bool cut, size_t max_chars)
{
	size_t certain = sql_certain(dialect, text, cut);
	struct bytes tok, comment = { 0 };
	struct sql_writer w;
	struct sql_lexer l;
	struct summary s;
	enum sql_token t;
	bool filled = false;

	start(ret, &w, &s, max_chars);
	ret->unsure = certain < text.n;
	sql_lexer_init(&l, dialect, bytes_head(text, certain));
	while ((t = sql_lex(&l, &tok)) != SQL_END) {
		if (t == SQL_COMMENT)
			comment = tok;
		else if (t != SQL_SPACE && !l.ends)
			comment = (struct bytes){ 0 };
		ret->unsure |= t == SQL_BROKEN || t == SQL_BROKEN_LITERAL;
		sql_write(&w, t, tok, l.keyword, l.ends);
		if (sql_says_nothing(t))
			continue;
		ret->statements += !l.ends && !filled;
		filled = !l.ends;
		if (t != SQL_BROKEN)
			summary_token(&s, t, tok, l.keyword, l.ends);
	}
	summary_end(&s, cut || ret->unsure);
	finish_text(&ret->text, max_chars);
	ret->fingerprint = w.hashed && w.hash == 0 ? 1 : w.hashed ? w.hash : 0;
	if (comment.n && !ret->unsure)
		sql_commenter_traceparent(comment, ret->traceparent);
}

void sql_free(struct sql *s)
{
	buf_free(&s->text);
	buf_free(&s->summary);
	*s = (struct sql){ 0 };
}
