/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the tokens of SQL text start and end. Sources: PostgreSQL 15 manual, chapter 4.1 "Lexical Structure" (its edge
 * cases: string continuation, operators cut by comments, nested comments); MySQL 8.0 manual, chapter 9 "Language
 * Structure".
 *
 * The tokens put together are the text. Linear time: no byte is looked at more than a fixed number of times.
 *
 * Whether a backslash in '...' escapes is a setting of the server (standard_conforming_strings, NO_BACKSLASH_ESCAPES)
 * that the text does not show. The default is assumed; sql_certain() finds out whether the text contradicts it.
 */
#ifndef SONDE_SQL_LEXER_H
#define SONDE_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "sql/sql.h"
#include "util/bytes.h"

enum sql_token {
	SQL_END,
	SQL_SPACE,	    /* white space and control characters */
	SQL_COMMENT,	    /* without the end of its line */
	SQL_MARK,	    /* MySQL: where a conditional comment starts or ends; what is between is SQL */
	SQL_WORD,	    /* keyword or identifier */
	SQL_QUOTED,	    /* quoted identifier */
	SQL_LITERAL,	    /* with its prefix or sign; PostgreSQL: with its continuation on other lines */
	SQL_PARAMETER,	    /* $1 */
	SQL_SYMBOL,	    /* one character of an operator or punctuation */
	SQL_BROKEN_LITERAL, /* did not end; all that is left */
	SQL_BROKEN,	    /* a comment or quoted identifier did not end; all that is left */
};

enum sql_keyword {
	KW_NONE,
#define SQL_KEYWORD(word, flags) KW_##word,
#include "sql/keywords.def"
#undef SQL_KEYWORD
	KW_COUNT
};

#define SQL_OBJECT 1u
#define SQL_COMMAND 2u

unsigned sql_keyword_flags(enum sql_keyword k);

/* What a statement needs to know about itself to find its end. */
struct sql_statement {
	enum sql_keyword first;
	unsigned words;	 /* keywords and identifiers so far, saturating */
	unsigned parens; /* open ones */
	unsigned blocks; /* open BEGIN and CASE of a routine's body */
	bool routine;	 /* CREATE FUNCTION, PROCEDURE, TRIGGER, EVENT */
	bool ending;	 /* the word before was END in a body */
	bool from, data; /* COPY ... FROM seen; FROM STDIN seen */
	bool filled;	 /* it has a token */
};

struct sql_lexer {
	struct bytes text;
	size_t at;
	enum sql_dialect dialect;
	/* About the last token. */
	enum sql_token last;
	enum sql_keyword keyword; /* of a word; a word behind a period has none */
	bool ends;		  /* it is the semicolon that ends a statement */
	/* Inside. */
	char symbol;	      /* the last token's, if a symbol */
	bool dotted;	      /* last is a period right behind a name */
	bool after_is;	      /* IS or IS NOT precede: TRUE and FALSE are no literals there */
	unsigned conditional; /* open conditional comments */
	bool flipped;	      /* take the backslash rule that is not the default */
	size_t unsure_at;     /* end of the first literal that would end elsewhere by the other rule, 0 if none */
	bool over;	      /* what follows is COPY data */
	struct sql_statement statement;
};

void sql_lexer_init(struct sql_lexer *l, enum sql_dialect dialect, struct bytes text);
/* The next token; ret is empty at the end. */
enum sql_token sql_lex(struct sql_lexer *l, struct bytes *ret);

/*
 * How much of the text, from its start, leaves no doubt about where a backslash lets a literal end: all, or up to the
 * end of the first such literal if the text does not make sense by the default rule; of text that is cut, if it does by
 * the other.
 */
size_t sql_certain(enum sql_dialect dialect, struct bytes text, bool cut);

/* Does the text, whose first n bytes are a statement, make sense by the default rule but not by the other? */
bool sql_rule_proven(enum sql_dialect dialect, struct bytes text, size_t n);

/* Follows the statement through a token that is neither space nor comment; true if it is the semicolon that ends it. */
bool sql_statement_track(struct sql_statement *s, enum sql_token token, struct bytes text, enum sql_keyword keyword);

/* PostgreSQL: where the quote that opens the continuation of a string literal is, behind at; 0 if there is none. */
size_t sql_continuation(struct bytes text, size_t at);

static inline bool sql_is_space(unsigned char c)
{
	return c <= ' ' || c == 0x7f;
}

static inline bool sql_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* May be in an identifier, but for $, which depends. */
static inline bool sql_is_ident(unsigned char c)
{
	return sql_is_digit(c) || (c | 0x20u) - 'a' < 26 || c == '_' || c >= 0x80;
}

/* SQL_SPACE, SQL_COMMENT and SQL_MARK say nothing. */
static inline bool sql_says_nothing(enum sql_token t)
{
	return t == SQL_SPACE || t == SQL_COMMENT || t == SQL_MARK;
}

#endif
