/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two texts have in common that differ in the values of plain literals only, so that one reading serves both:
 * clients that put values into the text themselves (psycopg2, mysqlclient) never send the same text twice. Pure.
 */
#ifndef SONDE_SQL_SHAPE_H
#define SONDE_SQL_SHAPE_H

#include "sql/sql.h"

/*
 * Writes the text with 0 for each plain number and '' for each plain string to out, which has room for text.n bytes,
 * and returns how many those are. The result is SQL of which sql_read() says what it says of the text itself. 0: the
 * text holds something (comment, backslash, dollar quote, prefixed or unterminated literal) in which only a lexer knows
 * where literals end, or nothing at all.
 */
size_t sql_shape(enum sql_dialect dialect, struct bytes text, char *out);

#endif
