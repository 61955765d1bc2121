/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 10,000 statements with secrets in every place where PostgreSQL and MySQL take a value, also for servers whose setting
 * about backslashes is not the default: no six bytes of a secret may come out, whole, cut anywhere, or statement by
 * statement.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

#define STATEMENTS 10000
#define PIECE 6

/* How the server reads a backslash in '...'. */
enum rule { RULE_DEFAULT, RULE_OTHER };

struct maker {
	enum sql_dialect dialect;
	enum rule rule;
	char text[16384];
	size_t n;
	char secrets[64][32];
	unsigned count;
	unsigned depth;
};

static uint64_t seed = 77;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

static void add(struct maker *m, const char *s)
{
	size_t n = strlen(s);

	assert_true(m->n + n < sizeof(m->text));
	memcpy(m->text + m->n, s, n + 1);
	m->n += n;
}

/* Capitals and digits, which no other part of the statements has in a row. */
static const char *secret(struct maker *m, const char *alphabet)
{
	char *s;
	unsigned n = 10 + pick(16);

	assert_true(m->count < 64);
	s = m->secrets[m->count++];
	for (unsigned i = 0; i < n; i++)
		s[i] = alphabet[pick((unsigned)strlen(alphabet))];
	s[n] = '\0';
	return s;
}

#define ANY "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DIGITS "123456789"
#define HEX "ABCDEF0123456789"

/* What may confuse, but does not end a literal that opens so; quote is how its quote is written inside, or NULL. */
static void noise(struct maker *m, const char *open, const char *quote)
{
	static const char *const kinds[] = { " ",  ", ", ";",  "?",  ") ", "; ", "--",
					     "/*", "*/", "$$", "\"", "`",  "#",	 "\n" };
	/* By the other rule only some servers read it so, and only text that is plain otherwise tells. */
	unsigned n = m->rule == RULE_OTHER ? 6 : 14;

	for (unsigned i = pick(4); i > 0; i--) {
		const char *kind = pick(3) == 0 && quote ? quote : kinds[pick(n)];

		if (kind == quote || !strstr(open, kind))
			add(m, kind);
	}
}

static void quoted(struct maker *m, const char *open, const char *close, const char *quote)
{
	add(m, open);
	noise(m, open, quote);
	add(m, secret(m, ANY));
	noise(m, open, quote);
	if (pick(4) == 0)
		add(m, secret(m, ANY));
	add(m, close);
}

static void plain_string(struct maker *m)
{
	bool escapes = (m->dialect == SQL_MYSQL) != (m->rule == RULE_OTHER);

	if (escapes)
		quoted(m, "'", pick(8) ? "'" : "\\\\'", pick(2) ? "\\'" : "''");
	else
		quoted(m, "'", pick(4) ? "'" : "\\'", "''");
}

static void postgresql_literal(struct maker *m)
{
	switch (pick(9)) {
	case 0:
		quoted(m, pick(2) ? "E'" : "e'", "'", pick(2) ? "\\'" : "''");
		break;
	case 1:
		quoted(m, "$$", "$$", "'");
		break;
	case 2:
		quoted(m, "$tag$", "$tag$", "'$t$");
		break;
	case 3:
		quoted(m, "U&'", "' UESCAPE '!'", "''");
		break;
	case 4:
		quoted(m, "E'x'\n  '", "'", "\\'");
		break;
	case 5:
		quoted(m, "N'", "'", "''");
		break;
	default:
		plain_string(m);
	}
}

static void mysql_literal(struct maker *m)
{
	bool escapes = m->rule == RULE_DEFAULT;

	switch (pick(6)) {
	case 0:
		quoted(m, "\"", "\"", escapes ? "\\\"" : "\"\"");
		break;
	case 1:
		quoted(m, "_utf8'", "'", escapes ? "\\'" : "''");
		break;
	case 2:
		quoted(m, "N'", "'", "''");
		break;
	default:
		plain_string(m);
	}
}

static void number(struct maker *m)
{
	static const char *const forms[][3] = {
		{ "", DIGITS, "" },   { "-", DIGITS, "" },    { "+", DIGITS, ".5" }, { ".", DIGITS, "" },
		{ "1.", DIGITS, "" }, { "", DIGITS, "e-10" }, { "0x", HEX, "" },     { "x'", HEX, "'" },
		{ "X'", HEX, "'" },   { "b'", "01", "'" },    { "1e", DIGITS, "" },
	};
	unsigned i = pick(11);

	add(m, forms[i][0]);
	add(m, secret(m, forms[i][1]));
	add(m, forms[i][2]);
}

static void comment(struct maker *m)
{
	if (m->rule == RULE_OTHER)
		return;
	if (pick(2)) {
		add(m, " /* ");
		add(m, secret(m, ANY));
		add(m, " ' */ ");
	} else {
		add(m, m->dialect == SQL_MYSQL && pick(2) ? " # ' " : " -- \" ");
		add(m, secret(m, ANY));
		add(m, "\n");
	}
}

static void expression(struct maker *m);

static void list(struct maker *m)
{
	add(m, "(");
	for (unsigned i = pick(4);; i--) {
		expression(m);
		if (i == 0)
			break;
		add(m, pick(2) ? ", " : ",");
	}
	add(m, ")");
}

static void literal(struct maker *m)
{
	if (m->count > 48)
		add(m, "a");
	else if (pick(4) == 0)
		number(m);
	else if (m->dialect == SQL_MYSQL)
		mysql_literal(m);
	else
		postgresql_literal(m);
}

static void expression(struct maker *m)
{
	if (++m->depth > 4) {
		literal(m);
	} else {
		switch (pick(8)) {
		case 0:
			add(m, "coalesce");
			list(m);
			break;
		case 1:
			add(m, "(select a from t where b = ");
			expression(m);
			add(m, ")");
			break;
		case 2:
			add(m, "a in ");
			list(m);
			break;
		case 3:
			add(m, m->dialect == SQL_MYSQL ? "date " : "interval ");
			literal(m);
			break;
		case 4:
			add(m, "case when ");
			expression(m);
			add(m, " then ");
			expression(m);
			add(m, " end");
			break;
		default:
			literal(m);
			if (m->dialect == SQL_POSTGRESQL && pick(2))
				add(m, "::text");
		}
	}
	m->depth--;
	if (pick(10) == 0)
		comment(m);
}

static void statement(struct maker *m)
{
	switch (pick(8)) {
	case 0:
		add(m, "insert into t (a, b) values ");
		list(m);
		add(m, ", ");
		list(m);
		break;
	case 1:
		add(m, "update t set a = ");
		expression(m);
		add(m, " where b like ");
		expression(m);
		break;
	case 2:
		add(m, m->dialect == SQL_MYSQL ? "create user u identified by " : "alter role u password ");
		literal(m);
		break;
	case 3:
		add(m, "call p");
		list(m);
		break;
	case 4:
		add(m, "delete from t where a between ");
		expression(m);
		add(m, " and ");
		expression(m);
		break;
	case 5:
		add(m, "set x = ");
		literal(m);
		break;
	default:
		add(m, "select a, ");
		expression(m);
		add(m, " as c from t join s on s.a = ");
		expression(m);
		add(m, " order by 1");
	}
}

static void make(struct maker *m)
{
	m->n = m->count = m->depth = 0;
	statement(m);
	if (pick(3) == 0) {
		add(m, "; ");
		statement(m);
	}
	if (m->dialect == SQL_POSTGRESQL && m->rule == RULE_DEFAULT && pick(10) == 0) {
		add(m, "; copy t from stdin;\n");
		add(m, secret(m, ANY));
		add(m, "\t\\N\n\\.\n");
	}
}

static void check_out(const struct maker *m, const struct buf *out)
{
	for (unsigned i = 0; i < m->count; i++) {
		size_t n = strlen(m->secrets[i]);

		for (size_t at = 0; at + PIECE <= n; at++)
			if (out->n && memmem(out->p, out->n, m->secrets[i] + at, PIECE))
				fail_msg("%s in \"%.*s\" from: %.*s", m->secrets[i], (int)out->n, out->p, (int)m->n,
					 m->text);
	}
}

static void check(const struct maker *m, struct sql *s, struct bytes text, bool cut)
{
	struct bytes rest = text, one;

	sql_read(s, m->dialect, text, cut, pick(2) ? 20000 : pick(200));
	check_out(m, &s->text);
	check_out(m, &s->summary);
	while (sql_next_statement(m->dialect, &rest, &one)) {
		sql_read(s, m->dialect, one, cut, 20000);
		check_out(m, &s->text);
		check_out(m, &s->summary);
	}
}

static void run(enum sql_dialect dialect, enum rule rule)
{
	struct maker *m = calloc(1, sizeof(*m));
	struct sql s = { 0 };
	unsigned sure = 0;

	assert_non_null(m);
	m->dialect = dialect;
	m->rule = rule;
	for (unsigned i = 0; i < STATEMENTS / 4; i++) {
		make(m);
		check(m, &s, bytes_of(m->text, m->n), false);
		sql_read(&s, dialect, bytes_of(m->text, m->n), false, 20000);
		sure += !s.unsure;
		/* By the default rule all of it is read, and nothing is in doubt. */
		if (rule == RULE_DEFAULT && s.unsure)
			fail_msg("unsure of: %s", m->text);
		check(m, &s, bytes_of(m->text, pick((unsigned)m->n + 1)), true);
	}
	assert_true(sure > STATEMENTS / 4 / 10);
	sql_free(&s);
	free(m);
}

static void test_postgresql(void **state)
{
	(void)state;
	run(SQL_POSTGRESQL, RULE_DEFAULT);
}

static void test_postgresql_escapes(void **state)
{
	(void)state;
	run(SQL_POSTGRESQL, RULE_OTHER);
}

static void test_mysql(void **state)
{
	(void)state;
	run(SQL_MYSQL, RULE_DEFAULT);
}

static void test_mysql_no_escapes(void **state)
{
	(void)state;
	run(SQL_MYSQL, RULE_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgresql),
		cmocka_unit_test(test_postgresql_escapes),
		cmocka_unit_test(test_mysql),
		cmocka_unit_test(test_mysql_no_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
