#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Drivers whose libpq speaks TLS, so that only libpq's own functions tell: pipelines, COPY, texts of several statements.
# pg_stat_statements is the referee for calls and rows, the server's log for failures.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=20
PYTHON_DRIVERS="psycopg2 psycopg psycopg_pipeline psycopg_failing psycopg_copy psycopg2_copy"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	local backend name
	pg_sql postgres "CREATE DATABASE tls OWNER shop"
	pg_sql tls "SET ROLE shop; CREATE TABLE things (a int PRIMARY KEY, b text); CREATE TABLE log (t text);
		INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i"
	for name in $PYTHON_DRIVERS first psql pgbench_prepared pgbench_pipeline; do
		pg_sql postgres "CREATE DATABASE l_$name TEMPLATE tls OWNER shop"
	done
	scripts
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		# The first of all to use a libpq may be faster than its probes.
		for name in psycopg psycopg2; do
			named first "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/postgres_drivers.py" $name "$(url first)" $ROUNDS
		done
		named first "$PG_BIN/pgbench" -n -c 1 -t $ROUNDS -f "$E2E/bench.sql" "$(url first)"
		for name in $PYTHON_DRIVERS; do
			named "$name" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/postgres_drivers.py" "$name" "$(url "$name")" $ROUNDS
		done
		for name in prepared pipeline; do
			named "pgbench_$name" "$PG_BIN/pgbench" -n -M prepared -c 2 -t $ROUNDS -f "$E2E/$name.sql" \
				"$(url "pgbench_$name")"
		done
		named psql "$PG_BIN/psql" -Xq -f "$E2E/psql.sql" "$(url psql)"
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

named() { # NAME COMMAND...
	local name=$1
	shift
	OTEL_SERVICE_NAME=l_$name.$E2E_ID "$@" >"$E2E/l_$name.log" 2>&1 || {
		tail -5 "$E2E/l_$name.log" >&2
		return 1
	}
}

url() { echo "postgresql://shop@127.0.0.1:$PGPORT/l_$1?sslmode=require"; }

scripts() {
	cat >"$E2E/bench.sql" <<-'SQL'
		\set n random(1, 50)
		SELECT a, b FROM things WHERE a < :n;
		UPDATE things SET b = 'bench' WHERE a = :n;
		INSERT INTO log (t) VALUES ('bench');
	SQL
	cp "$E2E/bench.sql" "$E2E/prepared.sql"
	{
		sed -n 1p "$E2E/bench.sql"
		echo '\startpipeline'
		sed 1d "$E2E/bench.sql"
		printf '%s\n' '\endpipeline'
	} >"$E2E/pipeline.sql"
	cat >"$E2E/psql.sql" <<-'SQL'
		SELECT 1 AS one \; UPDATE things SET b = 'several; statements' WHERE a < 4 \; SELECT a FROM things WHERE a < 6;
		SELECT 2 AS two \; SELECT 1 / 0 \; SELECT 3 AS never;
		COPY log (t) FROM STDIN;
		one
		two
		\.
		COPY things TO STDOUT;
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
			errors+=("$state=$(pg_errors "$backend" "l_$1" $state)")
		done
		e2e_check statements --otlp "$E2E/otlp-$backend" --service "l_$1" --counts "$E2E/$backend.counts" --database "l_$1" \
			--errors "${errors[@]}" || rc=1
	done
	return $rc
}

@test "pgbench over TLS: prepared statements" { same pgbench_prepared; }
@test "pgbench over TLS: a pipeline" { same pgbench_pipeline; }
@test "psql over TLS: several statements in a text, COPY" { same psql; }
@test "psycopg2 over TLS: statements, named cursors, failures" { same psycopg2; }
@test "psycopg2 over TLS: COPY in and out" { same psycopg2_copy; }
@test "psycopg 3 over TLS: parameters, named cursors, failures" { same psycopg; }
@test "psycopg 3 over TLS: pipeline mode" { same psycopg_pipeline; }
@test "psycopg 3 over TLS: failures in the middle of a pipeline" { same psycopg_failing; }
@test "psycopg 3 over TLS: COPY in and out" { same psycopg_copy; }
