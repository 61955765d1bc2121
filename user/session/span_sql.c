/* SPDX-License-Identifier: Apache-2.0 */
/* Client spans and metrics of SQL databases: semantic conventions, docs/db/database-spans.md, postgresql.md, mysql.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "frame/postgres.h"
#include "session/assembly.h"

#define POSTGRES_PORT 5432
#define MYSQL_PORT 3306

enum sql_dialect sql_dialect_of(enum proto_id proto)
{
	return proto == PROTO_MYSQL ? SQL_MYSQL : SQL_POSTGRESQL;
}

struct bytes sql_system_name(const struct finished *f)
{
	if (f->op->proto != PROTO_MYSQL)
		return BYTES_LITERAL("postgresql");
	return f->conn && f->conn->mariadb ? BYTES_LITERAL("mariadb") : BYTES_LITERAL("mysql");
}

static void set_server(struct assembly *a, struct attrs *to, const struct finished *f)
{
	const struct conn *c = f->conn, *told = f->peer;
	struct bytes address = { 0 };
	char buf[64];
	uint16_t port = 0;

	if (c && c->tuple.family == AF_UNIX && c->path) {
		address = bytes_str(c->path);
	} else if (told && told->host && told->host[0] != '/') {
		address = bytes_str(told->host);
		port = told->host_port;
	}
	if (c && c->tuple.family != AF_UNIX) {
		if (!address.n)
			address = conn_address(c, true, buf);
		port = c->tuple.remote_port;
	}
	if (!address.n && told && told->host) /* the directory of a Unix socket that was not seen */
		address = bytes_str(told->host);
	attrs_str(to, ATTR_SERVER_ADDRESS, address, a->cfg.attribute_length_max);
	if (address.n && port && port != (f->op->proto == PROTO_MYSQL ? MYSQL_PORT : POSTGRES_PORT))
		attrs_int(to, ATTR_SERVER_PORT, port);
}

static void set_namespace(struct attrs *to, const struct finished *f)
{
	const char *database = f->peer && f->peer->database ? f->peer->database : f->conn ? f->conn->database : NULL;

	attrs_str(to, ATTR_DB_NAMESPACE, bytes_str(database), 0);
}

/* SQLSTATE of the failure; empty when it did not fail or the code is not known. buf: SQL_CODE_MAX bytes. */
static struct bytes sqlstate_of(const struct finished *f, char *buf)
{
	if (f->op->sqlstate.n)
		return f->op->sqlstate;
	if (!f->status || f->status > 36u * 36 * 36 * 36 * 36)
		return (struct bytes){ 0 };
	pg_sqlstate_unpack(f->status, buf);
	return bytes_of(buf, 5);
}

/* MySQL: the number of the error. */
static struct bytes number_of(const struct finished *f, char *buf)
{
	unsigned number = f->op->error_number ? f->op->error_number : f->status;

	if (!number || number >= 0xffff)
		return (struct bytes){ 0 };
	return bytes_of(buf, (size_t)snprintf(buf, SQL_CODE_MAX, "%u", number));
}

static struct bytes code_of(const struct finished *f, char *buf)
{
	return f->op->proto == PROTO_MYSQL ? number_of(f, buf) : sqlstate_of(f, buf);
}

struct bytes sql_error_type(const struct finished *f, char *buf)
{
	struct bytes state = code_of(f, buf);

	if (state.n)
		return state;
	if (f->flags & EXCHANGE_FAILED || f->op->severity.n || f->op->error_number)
		return BYTES_LITERAL("_OTHER"); /* an error whose code was not seen */
	return finished_cut(f);
}

static struct bytes set_status(struct attrs *to, const struct finished *f, char *buf)
{
	attrs_str(to, ATTR_DB_RESPONSE_STATUS_CODE, code_of(f, buf), 0);
	return sql_error_type(f, buf);
}

void sql_describe_server(struct assembly *a, struct attrs *to, const struct finished *f)
{
	set_namespace(to, f);
	set_server(a, to, f);
}

/* NULL when there is no text. */
static const struct sql *read_text(struct assembly *a, const struct finished *f)
{
	const struct sql *sql;

	if (!f->statement.n)
		return NULL;
	sql = sql_cache_read(&a->sql, sql_dialect_of(f->op->proto), f->statement, f->statement_cut,
			     a->cfg.query_text_max);
	return sql->text.failed || sql->summary.failed ? NULL : sql;
}

/* Does the command tag say that rows were changed? */
static bool tag_changes(const struct operation *op)
{
	static const struct bytes verbs[] = { BYTES_LITERAL("INSERT"), BYTES_LITERAL("UPDATE"), BYTES_LITERAL("DELETE"),
					      BYTES_LITERAL("MERGE") };
	struct bytes verb = bytes_head(op->command_tag, bytes_find(op->command_tag, ' '));

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (bytes_eq(verb, verbs[i]))
			return true;
	return bytes_eq(verb, BYTES_LITERAL("COPY")) && !op->rows_returned;
}

static void set_rows(struct attrs *to, const struct operation *op)
{
	if (!op->rows_known || op->rows > INT64_MAX)
		return;
	if (op->rows_returned)
		attrs_int(to, ATTR_DB_RESPONSE_RETURNED_ROWS, (int64_t)op->rows);
	if (op->completed <= 1 && (tag_changes(op) || (op->proto == PROTO_MYSQL && !op->rows_returned)))
		attrs_int(to, ATTR_SONDE_DB_ROWS_AFFECTED, (int64_t)op->rows);
}

void sql_describe(struct assembly *a, struct span *s, const struct finished *f, struct bytes *ret_traceparent)
{
	const struct sql *sql = read_text(a, f);
	char buf[SQL_CODE_MAX];

	s->kind = SPAN_CLIENT;
	span_name(s, sql && sql->summary.n ? buf_bytes(&sql->summary) : sql_system_name(f));
	*ret_traceparent = bytes_str(sql ? sql->traceparent : NULL);
	attrs_str(&s->attrs, ATTR_DB_SYSTEM_NAME, sql_system_name(f), 0);
	set_namespace(&s->attrs, f);
	if (sql) {
		attrs_str(&s->attrs, ATTR_DB_QUERY_SUMMARY, buf_bytes(&sql->summary), 0);
		attrs_str(&s->attrs, ATTR_DB_QUERY_TEXT, buf_bytes(&sql->text), a->cfg.attribute_length_max);
	}
	set_server(a, &s->attrs, f);
	set_rows(&s->attrs, f->op);
	if (f->op->copy_known && f->op->copy_bytes <= INT64_MAX)
		attrs_int(&s->attrs, ATTR_SONDE_DB_COPY_BYTES, (int64_t)f->op->copy_bytes);
	if (f->flags & EXCHANGE_CANCEL_ASKED)
		attrs_bool(&s->attrs, ATTR_SONDE_DB_CANCEL_REQUESTED, true);
	if (f->source == SOURCE_LIBPQ)
		attrs_str(&s->attrs, ATTR_SONDE_SOURCE, BYTES_LITERAL("libpq"), 0);
	if (f->transaction)
		transaction_describe(&s->attrs, f->transaction);
	span_error(s, set_status(&s->attrs, f, buf));
}

void sql_metric(struct assembly *a, struct attrs *to, const struct finished *f)
{
	const struct sql *sql = read_text(a, f);
	char buf[SQL_CODE_MAX];

	attrs_str(to, ATTR_DB_SYSTEM_NAME, sql_system_name(f), 0);
	set_namespace(to, f);
	if (sql)
		attrs_str(to, ATTR_DB_QUERY_SUMMARY, buf_bytes(&sql->summary), 0);
	set_server(a, to, f);
	attrs_str(to, ATTR_ERROR_TYPE, set_status(to, f, buf), 0);
}

void sql_transaction_metric(struct assembly *a, struct attrs *to, const struct finished *f, uint32_t outcome)
{
	attrs_str(to, ATTR_DB_SYSTEM_NAME, sql_system_name(f), 0);
	set_namespace(to, f);
	set_server(a, to, f);
	attrs_str(to, ATTR_SONDE_DB_TRANSACTION_OUTCOME, transaction_outcome_name(outcome), 0);
}

void sql_find_statement(struct assembly *a, struct conn *c, struct finished *f)
{
	f->statement = f->op->statement;
	f->statement_cut = f->op->statement_cut;
	if (!f->statement.n && f->op->statement_name.p && c)
		statements_find(&c->statements, conn_table_store(a->conns), f->op->statement_name, &f->statement,
				&f->statement_cut);
}

void sql_count_unknown(struct assembly *a, const struct conn *c, const struct finished *f)
{
	if (!f->statement.n && f->op->statement_name.p)
		ledger_add(a->ledger, c && c->opened ? USER_text_unknown_lost : USER_text_unknown_older, 1);
}

bool sql_pick_statement(struct finished *f)
{
	struct bytes rest = f->statement, one;

	if (!f->op->simple)
		return true;
	for (unsigned i = 0; i <= f->op->statement_index; i++) {
		if (!sql_next_statement(sql_dialect_of(f->op->proto), &rest, &one)) {
			f->statement = (struct bytes){ 0 };
			return false;
		}
	}
	f->statement_cut = f->statement_cut && !rest.n;
	f->statement = one;
	return true;
}

bool sql_calls(struct assembly *a, const struct finished *f)
{
	const struct sql *sql = read_text(a, f);

	return sql && sql->summary.n >= 4 && strncasecmp(sql->summary.p, "call", 4) == 0;
}

struct learner {
	struct assembly *a;
	struct conn *c;
};

static void learn(void *context, const struct prepared *p)
{
	struct learner *l = context;

	if (p->close)
		statements_forget(&l->c->statements, conn_table_store(l->a->conns), p->name);
	else
		statements_learn(&l->c->statements, conn_table_store(l->a->conns), p->name, p->text, p->cut);
}

/*
 * SQL changes the same names as Parse and Close. A name that PREPARE gives is inside another statement's text: rather
 * than to read that, all names are forgotten. DEALLOCATE needs nothing: a name is not used again before it is given
 * again.
 */
void sql_learn_tag(struct conn *c, struct bytes tag)
{
	if (bytes_eq(tag, BYTES_LITERAL("DISCARD ALL")) || bytes_eq(tag, BYTES_LITERAL("DEALLOCATE ALL")) ||
	    bytes_eq(tag, BYTES_LITERAL("PREPARE")))
		statements_clear(&c->statements);
}

void sql_learn_conn(struct conn *c, const struct operation *op)
{
	if (op->forgets_prepared)
		statements_clear(&c->statements);
	if (op->forgets_database) {
		free(c->database);
		c->database = NULL;
	}
	if (op->database.n)
		conn_set_string(&c->database, op->database);
	if (op->application.n)
		conn_set_string(&c->application, op->application);
	if (op->server_version.n && memmem(op->server_version.p, op->server_version.n, "MariaDB", strlen("MariaDB")))
		c->mariadb = true;
}

void sql_learn(struct assembly *a, struct conn *c, const struct proto *proto, const struct exchange_bytes *in,
	       const struct operation *op)
{
	struct learner l = { a, c };

	if (proto->prepared && !op->prepare_failed)
		proto->prepared(in, learn, &l);
	sql_learn_tag(c, op->command_tag);
}
