/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpq_client CONNINFO ROUNDS [calls|streams|cold]: every way in which a program asks libpq, each once a round;
 * "calls" leaves out COPY and pipelines, "streams" everything else. "cold" sends one statement whose text is on a page
 * of the executable that was never touched. One connection; no statement is sent that pg_stat_statements does not
 * count, or counts twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

static PGconn *conn;
/* Far from anything else that is read only: a fault brings in its neighbours too. */
static const struct {
	char before[1 << 17], text[1 << 17];
} cold __attribute__((aligned(1 << 16))) = { .text = "SELECT 1 AS cold" };

/* The text on the heap, as programs have it that make their statements. */
static PGresult *query(const char *sql)
{
	char *text = strdup(sql);
	PGresult *r = text ? PQexec(conn, text) : NULL;

	free(text);
	return r;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static void expect(PGresult *r, ExecStatusType status, const char *what)
{
	if (PQresultStatus(r) != status)
		die(what);
	PQclear(r);
}

static void simple(void)
{
	expect(query("SELECT n, 'a literal' AS simple FROM generate_series(1, 7) n"), PGRES_TUPLES_OK, "PQexec");
	expect(query("BEGIN"), PGRES_COMMAND_OK, "BEGIN");
	expect(query("INSERT INTO c_client SELECT n, 'x' FROM generate_series(1, 5) n"), PGRES_COMMAND_OK, "INSERT");
	expect(query("UPDATE c_client SET t = 'y' WHERE n > 2"), PGRES_COMMAND_OK, "UPDATE");
	expect(query("DELETE FROM c_client WHERE n = 1 RETURNING n"), PGRES_TUPLES_OK, "DELETE");
	expect(query("ROLLBACK"), PGRES_COMMAND_OK, "ROLLBACK");
	expect(query("SELECT 1 / (n - 1) AS failing FROM generate_series(1, 3) n"), PGRES_FATAL_ERROR, "22012");
	expect(query("INSERT INTO c_client VALUES (0, 'there')"), PGRES_FATAL_ERROR, "23505");
}

static void extended(void)
{
	const char *values[2] = { "3", "text" };

	expect(PQexecParams(conn, "SELECT $1::int AS params, $2::text", 2, NULL, values, NULL, NULL, 0),
	       PGRES_TUPLES_OK, "PQexecParams");
	for (int i = 0; i < 3; i++)
		expect(PQexecPrepared(conn, "by_number", 1, values, NULL, NULL, 1), PGRES_TUPLES_OK, "PQexecPrepared");
}

static void asynchronous(void)
{
	const char *values[1] = { "2" };
	PGresult *r;

	if (!PQsendQuery(conn, "SELECT n AS row_by_row FROM generate_series(1, 20) n") || !PQsetSingleRowMode(conn))
		die("PQsendQuery");
	while ((r = PQgetResult(conn)))
		PQclear(r);
	if (!PQsendQueryPrepared(conn, "by_number", 1, values, NULL, NULL, 0))
		die("PQsendQueryPrepared");
	while ((r = PQgetResult(conn)))
		PQclear(r);
}

static void copy(void)
{
	static const char line[] = "7\tcopied\n8\tcopied\n";
	char *buffer;

	expect(query("BEGIN"), PGRES_COMMAND_OK, "BEGIN");
	expect(query("COPY c_client FROM STDIN"), PGRES_COPY_IN, "COPY in");
	if (PQputCopyData(conn, line, sizeof(line) - 1) != 1 || PQputCopyEnd(conn, NULL) != 1)
		die("PQputCopyData");
	expect(PQgetResult(conn), PGRES_COMMAND_OK, "COPY in");
	while (PQgetResult(conn))
		;
	expect(query("COPY c_client TO STDOUT"), PGRES_COPY_OUT, "COPY out");
	while (PQgetCopyData(conn, &buffer, 0) > 0)
		PQfreemem(buffer);
	expect(PQgetResult(conn), PGRES_COMMAND_OK, "COPY out");
	while (PQgetResult(conn))
		;
	expect(query("ROLLBACK"), PGRES_COMMAND_OK, "ROLLBACK");
}

static void pipeline(void)
{
	const char *values[1] = { "4" };
	PGresult *r;
	int syncs = 0;

	if (!PQenterPipelineMode(conn))
		die("PQenterPipelineMode");
	for (int i = 0; i < 10; i++)
		if (!PQsendQueryParams(conn, "SELECT n AS piped FROM generate_series(1, $1::int) n", 1, NULL, values,
				       NULL, NULL, 0))
			die("PQsendQueryParams");
	if (!PQsendQueryPrepared(conn, "by_number", 1, values, NULL, NULL, 0) || !PQpipelineSync(conn))
		die("PQpipelineSync");
	while (!syncs) {
		while ((r = PQgetResult(conn))) {
			syncs += PQresultStatus(r) == PGRES_PIPELINE_SYNC;
			PQclear(r);
			if (syncs)
				break;
		}
	}
	if (!PQexitPipelineMode(conn))
		die("PQexitPipelineMode");
}

int main(int argc, char **argv)
{
	int rounds = argc >= 3 ? atoi(argv[2]) : 0;
	const char *what = argc > 3 ? argv[3] : "";

	if (rounds <= 0) {
		fprintf(stderr, "usage: libpq_client CONNINFO ROUNDS [calls|streams|cold]\n");
		return 2;
	}
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
		die("PQconnectdb");
	if (!strcmp(what, "cold")) {
		expect(PQexec(conn, cold.text), PGRES_TUPLES_OK, "cold");
		PQfinish(conn);
		return 0;
	}
	expect(query("CREATE TEMP TABLE c_client (n int PRIMARY KEY, t text)"), PGRES_COMMAND_OK, "CREATE");
	expect(query("INSERT INTO c_client VALUES (0, 'there')"), PGRES_COMMAND_OK, "INSERT");
	expect(PQprepare(conn, "by_number", "SELECT $1::int AS prepared", 1, NULL), PGRES_COMMAND_OK, "PQprepare");
	for (int i = 0; i < rounds; i++) {
		if (strcmp(what, "streams")) {
			simple();
			extended();
			asynchronous();
		}
		if (strcmp(what, "calls")) {
			copy();
			pipeline();
		}
	}
	PQfinish(conn);
	return 0;
}
