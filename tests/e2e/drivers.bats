#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Database drivers as their users install them, each on plain TCP, TLS and a Unix socket. pg_stat_statements is the referee
# for the calls, rows and time of every statement, the server's log for failures, tshark for the messages on the wire.
# docs/sql-drivers.md holds the result, and must say what was seen: SONDE_WRITE_DOCS=1 writes it. ONLY_DRIVERS="asyncpg pdo"
# runs only these (the others then fail).

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=6

setup_file() {
	e2e_missing root venv postgres openssl node java php tshark && return 0
	e2e_begin
	DRIVERS_HOME=$(drivers_home) || return 0
	export DRIVERS_HOME
	PG_SETTINGS="pg_stat_statements.track_planning = on
		log_min_duration_statement = 0" pg_start
	local backend driver transport
	pg_sql postgres "CREATE DATABASE matrix OWNER shop"
	{ echo "SET ROLE shop;" && cat "$BATS_TEST_DIRNAME/drivers/sql/schema.sql"; } | "$PG_BIN/psql" -Xq -d matrix
	for driver in $DRIVERS; do
		for transport in $TRANSPORTS; do
			pg_sql postgres "CREATE DATABASE ${driver}_$transport TEMPLATE matrix OWNER shop"
		done
	done
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		: >"$E2E/$backend.failed"
		for transport in $TRANSPORTS; do
			[ "$transport" = tcp ] && capture_start "$backend" "$PGPORT"
			for driver in ${ONLY_DRIVERS:-$DRIVERS}; do
				driver_can "$driver" "$transport" || continue
				driver_run "$driver" "$transport" $ROUNDS 2>>"$E2E/$backend.failed" || true
			done
			[ "$transport" = tcp ] && capture_stop "$backend"
		done
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

# When its last packet is in the file: dumpcap writes them in blocks.
capture_stop() {
	PGSSLMODE=disable "$PG_BIN/psql" -Xq -h 127.0.0.1 -c "SELECT 'the capture ends'" postgres >/dev/null
	e2e_wait 15 grep -q "the capture ends" "$E2E/$1.pcapng"
	e2e_stop "capture-$1" INT
}

teardown_file() { e2e_end; }
setup() {
	e2e_need root venv postgres openssl node java php tshark
	[ -n "${DRIVERS_HOME:-}" ] || skip "needs the drivers: $(drivers_home 2>&1 | tail -n 1)"
}

matrix() { "$E2E_PYTHON" "$E2E_TOOLS/drivers_check.py" "$@" --dir "$E2E" --backends "$E2E_BACKENDS" --port "$PGPORT"; }

@test "every driver did its work" { all_worked; }

@test "pgbench -M simple" { matrix cells pgbench_simple; }
@test "pgbench -M extended" { matrix cells pgbench_extended; }
@test "pgbench -M extended: transactions" { matrix cells pgbench_transaction; }
@test "pgbench -M prepared" { matrix cells pgbench_prepared; }
@test "pgbench -M prepared in a pipeline" { matrix cells pgbench_pipeline; }
@test "psql" { matrix cells psql; }
@test "psycopg2" { matrix cells psycopg2; }
@test "psycopg 3" { matrix cells psycopg; }
@test "psycopg 3: server-side cursors" { matrix cells psycopg_cursor; }
@test "psycopg 3: pipeline mode" { matrix cells psycopg_pipeline; }
@test "psycopg 3: COPY" { matrix cells psycopg_copy; }
@test "asyncpg" { matrix cells asyncpg; }
@test "SQLAlchemy" { matrix cells sqlalchemy; }
@test "Django" { matrix cells django; }
@test "node: pg" { matrix cells node; }
@test "Go: pgx" { matrix cells pgx; }
@test "Go: lib/pq" { matrix cells pq; }
@test "JDBC" { matrix cells jdbc; }
@test "PHP: PDO" { matrix cells pdo; }
@test "tshark finds as many statements, rows and failures on the wire" { matrix wire; }
@test "docs/sql-drivers.md says what was seen" {
	matrix table "$E2E_ROOT/docs/sql-drivers.md" ${SONDE_WRITE_DOCS:+--write}
}
