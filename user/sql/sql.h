/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL text made safe and short. Pure: no allocation but in the caller's buffers, linear time in the text's length.
 *
 * sanitise: every literal becomes `?` (OpenTelemetry semantic conventions 1.45, "Sanitization of db.query.text");
 * comments go, but a trailing sqlcommenter comment is read for its traceparent. Identifiers stay as written. When the
 * lexer is not sure where a literal ends (unterminated quote, cut text) what follows is dropped: doubt fails closed.
 * summary: operations and targets in query order, at most 255 characters, never cut inside a token (db.query.summary).
 * fingerprint: FNV-1a, 64 bits, of the text's tokens, each followed by one space; stable across releases. Tokens are as
 * in the sanitised text (one for each character that is no word and no identifier; a literal is ?), with these changes:
 * parameters are ? too; items of IN, ARRAY[] and VALUES lists that equal the first one are left out; of semicolons only
 * those between statements stay, one each; names of savepoints, cursors and prepared statements that hold a digit or
 * are quoted are ? in SAVEPOINT, RELEASE, ROLLBACK, FETCH, MOVE, CLOSE, DEALLOCATE, DECLARE (up to CURSOR) and PREPARE
 * (up to AS). 0 if there is no token.
 */
#ifndef SONDE_SQL_SQL_H
#define SONDE_SQL_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/bytes.h"

enum sql_dialect { SQL_POSTGRESQL, SQL_MYSQL };

struct sql {
	struct buf text;    /* sanitised */
	struct buf summary; /* empty when there is none */
	uint64_t fingerprint;
	bool unsure;	      /* a literal did not end: the text was cut there */
	char traceparent[56]; /* from sqlcommenter, NUL-terminated, empty = none */
	unsigned statements;  /* how many statements the text holds, empty ones not counted */
};

/*
 * Replaces what ret held (its buffers are kept and reused); zeroed is a valid start. cut: the text is not whole.
 * max_chars: how much of the sanitised text to keep, in characters; all the rest is of the whole text.
 */
void sql_read(struct sql *ret, enum sql_dialect dialect, struct bytes text, bool cut, size_t max_chars);
void sql_free(struct sql *s);

/*
 * The statements of a simple query, one by one: *rest starts as the whole text; false when there are no more.
 * Semicolons in literals, comments and dollar quotes do not split. Empty statements are skipped.
 */
bool sql_next_statement(enum sql_dialect dialect, struct bytes *rest, struct bytes *ret);

#endif
