/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of sql_read that stand alone. */
#ifndef SONDE_SQL_SANITISE_H
#define SONDE_SQL_SANITISE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/lexer.h"
#include "util/buf.h"

/* FNV-1a, 64 bits. */
#define SQL_HASH_START 0xcbf29ce484222325ULL
#define SQL_HASH_PRIME 0x00000100000001b3ULL

/*
 * Lists whose items repeat: IN (?, ?, ?), ARRAY[?, ?], VALUES (?, ?), (?, ?). An item that equals the first one and
 * holds a literal or parameter is taken back. One list at a time; a subquery gives up the list it is in.
 */
struct sql_fold {
	enum {
		FOLD_NONE,
		FOLD_NEXT, /* behind IN, ARRAY or VALUES */
		FOLD_LIST,
		FOLD_ROW,
		FOLD_BEHIND_ROW,
		FOLD_BEHIND_COMMA, /* between rows */
	} state;
	enum sql_keyword opener;
	unsigned depth;	      /* of parentheses and brackets in the list or row */
	uint64_t item, first; /* hash of the item so far, and of the first one */
	bool have_first;
	bool value, parameter; /* the item holds a literal or parameter; a numbered parameter */
	bool first_parameter;
	bool empty;	/* nothing of the item yet */
	size_t text_at; /* before the comma in front of the item */
	uint64_t hash_at;
};

struct sql_writer {
	struct buf *text;
	size_t limit; /* no more text from so many bytes on; the hash goes on */
	bool full;
	bool gap; /* a comment was left out */
	uint64_t hash;
	bool hashed;	/* anything at all */
	bool separator; /* a semicolon waits for another statement */
	bool begun;	/* the statement has a word */
	enum {
		NAMES_SHOWN,
		NAMES_HIDDEN,
		NAMES_HIDDEN_UNTIL
	} names; /* those that drivers make up; UNTIL CURSOR or AS */
	struct sql_fold fold;
};

/* Any token but SQL_END. ends: it is the semicolon that ends a statement. */
void sql_write(struct sql_writer *w, enum sql_token token, struct bytes text, enum sql_keyword keyword, bool ends);

/* Around the writing of a token that is neither space nor comment. */
void sql_fold_before(struct sql_writer *w, char symbol, enum sql_keyword keyword);
void sql_fold_after(struct sql_writer *w, enum sql_token token, char symbol, enum sql_keyword keyword);

/* The traceparent in a sqlcommenter comment (given with its delimiters); false if there is no valid one. */
bool sql_commenter_traceparent(struct bytes comment, char ret[static 56]);

#endif
