/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.query.summary: the operations and targets of the text, in its order, as written (OpenTelemetry semantic
 * conventions 1.45, "Generating a summary of the query"). At most 255 characters; it ends before the first part that
 * does not fit. One pass over the tokens; what is deeper than SUMMARY_LEVELS parentheses is left out.
 *
 * Choices where the conventions give none: CREATE, ALTER and DROP end with the name of what they act on; names of
 * cursors, savepoints and prepared statements are left out where drivers make them up (DECLARE, FETCH, SAVEPOINT,
 * PREPARE ...); a SELECT behind UNION, EXCEPT or INTERSECT adds its targets only.
 */
#ifndef SONDE_SQL_SUMMARY_H
#define SONDE_SQL_SUMMARY_H

#include "sql/lexer.h"
#include "util/buf.h"

#define SUMMARY_LEVELS 32
#define SUMMARY_CHARS 255

/* Between one pair of parentheses. */
struct summary_level {
	enum sql_keyword operation; /* the last one here */
	bool list;		    /* in a list of targets: a comma is followed by one */
	bool target;		    /* the next word is a target */
	unsigned brackets;	    /* open square ones: an array's commas are no list's */
};

struct summary {
	struct buf *out;
	size_t chars;
	bool full;
	/* About the statement. */
	enum {
		SUMMARY_START,
		SUMMARY_QUERY,
		SUMMARY_OBJECT,
		SUMMARY_NAME,
		SUMMARY_NAMES,
		SUMMARY_WORD,
		SUMMARY_DONE
	} stage;
	enum sql_keyword first;
	unsigned waited;  /* words since CREATE that were no kind of object */
	bool nests;	  /* WITH or EXPLAIN: an operation may follow a parenthesis */
	bool joins_query; /* behind UNION and its like */
	struct summary_level level[SUMMARY_LEVELS];
	unsigned depth;
	/* The token before. */
	enum sql_keyword before;
	char before_symbol; /* 0 if it was none */
	bool any_before;
	/* The name being read: where it starts in out, and whether it still goes on. */
	enum { NAME_NONE, NAME_PART, NAME_DOT } name;
	size_t name_start, name_chars;
};

/* token: neither space nor comment. ends: it is the semicolon that ends a statement. */
void summary_token(struct summary *s, enum sql_token token, struct bytes text, enum sql_keyword keyword, bool ends);
/* No more tokens. cut: nor is the text whole: a name at its very end may go on, and is left out. */
void summary_end(struct summary *s, bool cut);

#endif
