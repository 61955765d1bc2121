#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Drivers over plain TCP, each in every way it has of sending statements. pg_stat_statements is the referee for calls and
# rows, the server's log for failures.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=20
PYTHON_DRIVERS="psycopg2 psycopg psycopg_pipeline psycopg_copy sqlalchemy"
BENCHES="simple extended prepared"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	local backend name
	pg_sql postgres "CREATE DATABASE matrix OWNER shop"
	pg_sql matrix "SET ROLE shop; CREATE TABLE things (a int PRIMARY KEY, b text); CREATE TABLE log (t text);
		INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i"
	for name in $PYTHON_DRIVERS psql pgbench_simple pgbench_extended pgbench_prepared pgbench_pipeline; do
		pg_sql postgres "CREATE DATABASE m_$name TEMPLATE matrix OWNER shop"
	done
	scripts
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		for name in $PYTHON_DRIVERS; do
			named "$name" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/postgres_drivers.py" "$name" "$(url "$name")" $ROUNDS
		done
		for name in $BENCHES; do
			named "pgbench_$name" "$PG_BIN/pgbench" -n -M "$name" -c 2 -t $ROUNDS -f "$E2E/bench.sql" "$(url "pgbench_$name")"
		done
		named pgbench_pipeline "$PG_BIN/pgbench" -n -M prepared -c 2 -t $ROUNDS -f "$E2E/pipeline.sql" "$(url pgbench_pipeline)"
		named psql "$PG_BIN/psql" -Xq -f "$E2E/psql.sql" "$(url psql)"
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

named() { # NAME COMMAND...
	local name=$1
	shift
	OTEL_SERVICE_NAME=m_$name.$E2E_ID "$@" >"$E2E/m_$name.log" 2>&1 || {
		tail -5 "$E2E/m_$name.log" >&2
		return 1
	}
}

url() { echo "postgresql://shop@127.0.0.1:$PGPORT/m_$1?sslmode=disable"; }

scripts() {
	cat >"$E2E/bench.sql" <<-'SQL'
		\set n random(1, 50)
		SELECT a, b FROM things WHERE a < :n;
		UPDATE things SET b = 'bench' WHERE a = :n;
		INSERT INTO log (t) VALUES ('bench');
	SQL
	cat >"$E2E/pipeline.sql" <<-'SQL'
		\set n random(1, 50)
		\startpipeline
		SELECT a, b FROM things WHERE a < :n;
		UPDATE things SET b = 'bench' WHERE a = :n;
		INSERT INTO log (t) VALUES ('bench');
		\endpipeline
	SQL
	cat >"$E2E/psql.sql" <<-'SQL'
		BEGIN;
		DECLARE c CURSOR FOR SELECT a FROM things ORDER BY a;
		FETCH 10 FROM c;
		FETCH ALL FROM c;
		CLOSE c;
		COMMIT;
		INSERT INTO log (t) VALUES ('a'), ('b; c') RETURNING t;
		COPY log (t) FROM STDIN;
		one
		two
		\.
		COPY things TO STDOUT;
		SELECT 1 / 0;
		INSERT INTO things (a) VALUES (1);
		DELETE FROM log;
	SQL
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

same() { # NAME
	local backend state errors rc=0
	for backend in $E2E_BACKENDS; do
		echo "# $1 on $backend"
		errors=()
		for state in 22012 23505; do
			errors+=("$state=$(pg_errors "$backend" "m_$1" $state)")
		done
		e2e_check statements --otlp "$E2E/otlp-$backend" --service "m_$1" --counts "$E2E/$backend.counts" --database "m_$1" \
			--errors "${errors[@]}" || rc=1
	done
	return $rc
}

@test "pgbench: simple queries" { same pgbench_simple; }
@test "pgbench: extended queries" { same pgbench_extended; }
@test "pgbench: prepared statements" { same pgbench_prepared; }
@test "pgbench: prepared statements in a pipeline" { same pgbench_pipeline; }
@test "psql: cursors, COPY, failures" { same psql; }
@test "psycopg2: many rows in one INSERT, named cursors, failures" { same psycopg2; }
@test "psycopg 3: parameters, named cursors, failures" { same psycopg; }
@test "psycopg 3: pipeline mode" { same psycopg_pipeline; }
@test "psycopg 3: COPY in and out" { same psycopg_copy; }
@test "SQLAlchemy on psycopg 3" { same sqlalchemy; }
