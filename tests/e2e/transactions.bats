#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Transactions and returned rows. What an application did and for how long is known; pg_stat_database is the referee for
# how transactions ended, pg_stat_statements for rows; MariaDB's status counters likewise.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=15
DRIVERS="psycopg2 psycopg text pipeline"

setup_file() {
	e2e_missing root venv postgres mariadb openssl && return 0
	e2e_begin
	# The server's own transactions would count, too.
	PG_SETTINGS="autovacuum = off"
	pg_start
	mysql_start
	pg_sql postgres "CREATE DATABASE transactions OWNER shop"
	pg_sql transactions "SET ROLE shop; CREATE TABLE things (a int PRIMARY KEY, b text); CREATE TABLE log (t text);
		INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i"
	mysql_user t_mysql
	mysql_sql t_mysql "CREATE TABLE things (a int PRIMARY KEY, b text); INSERT INTO things VALUES (1, 'a'), (2, 'b'), (9, 'c')"
	local backend
	for backend in $E2E_BACKENDS; do
		one_backend "$backend" "$backend"
	done
	# What is counted does not depend on spans.
	export SONDE_ENV=OTEL_TRACES_SAMPLER=always_off
	one_backend unsampled "${E2E_BACKENDS%% *}"
	unset SONDE_ENV
}

one_backend() { # NAME BACKEND
	local name
	for name in nothing $DRIVERS tls; do
		pg_sql postgres "DROP DATABASE IF EXISTS t_$name" 2>/dev/null
		pg_sql postgres "CREATE DATABASE t_$name TEMPLATE transactions OWNER shop"
	done
	pg_begin "$1"
	sonde_start "$1" "$2"
	for name in nothing $DRIVERS; do
		judged "$1" "$name" "$name" "$(url "$name" disable)"
	done
	judged "$1" tls psycopg "$(url tls require)"
	mysql_sql performance_schema "FLUSH STATUS" # of this session; the global ones are subtracted
	mysql_counters >"$E2E/$1.mysql.before"
	OTEL_SERVICE_NAME=t_mysql.$E2E_ID "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/transactions.py" mysql \
		"127.0.0.1/$MYSQL_PORT/t_mysql/$MYSQL_PASSWORD" $ROUNDS >"$E2E/$1.mysql.did"
	mysql_counters >"$E2E/$1.mysql.after"
	sonde_stop "$1"
	pg_end "$1"
}

url() { echo "postgresql://shop@127.0.0.1:$PGPORT/t_$1?sslmode=$2"; }

# Commits and rollbacks of a database. Backends tell of them when they end.
counters() {
	e2e_wait 10 no_backend "$1"
	pg_sql postgres "SELECT pg_stat_clear_snapshot(); SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = '$1'" | tail -1
}
no_backend() { [ "$(pg_sql postgres "SELECT count(*) FROM pg_stat_activity WHERE datname = '$1'")" = 0 ]; }
mysql_counters() {
	mysql_sql information_schema "SELECT VARIABLE_NAME, VARIABLE_VALUE FROM GLOBAL_STATUS WHERE VARIABLE_NAME IN ('COM_COMMIT', 'COM_ROLLBACK')"
}

judged() { # RUN DATABASE DRIVER URL
	counters "t_$2" >"$E2E/$1.$2.before"
	OTEL_SERVICE_NAME=t_$2.$E2E_ID "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/transactions.py" "$3" "$4" $ROUNDS >"$E2E/$1.$2.did" 2>"$E2E/$1.$2.log" || {
		tail -5 "$E2E/$1.$2.log" >&2
		return 1
	}
	counters "t_$2" >"$E2E/$1.$2.after"
}

setup() { e2e_need root venv postgres mariadb openssl; }

teardown_file() { e2e_end; }

# grew RUN DATABASE COLUMN
grew() { echo $(($(cut -d'|' -f"$3" "$E2E/$1.$2.after") - $(cut -d'|' -f"$3" "$E2E/$1.$2.before"))); }

# agrees RUN DATABASE [OPTION...]
agrees() {
	local run=$1 name=$2 commits rollbacks rows
	shift 2
	commits=$(($(grew "$run" "$name" 1) - $(grew "$run" nothing 1)))
	rollbacks=$(grew "$run" "$name" 2)
	rows=$("$E2E_PYTHON" -c 'import json, sys
print(sum(c["rows"] for c in map(json.loads, open(sys.argv[1])) if c["database"] == sys.argv[2]
	and (c["query"].split()[0] in ("SELECT", "FETCH") or "RETURNING" in c["query"])))' "$E2E/$run.counts" "t_$name")
	[ "$rollbacks" -gt 0 ]
	"$E2E_PYTHON" "$E2E_TOOLS/transactions_check.py" --otlp "$E2E/otlp-$run" --service "t_$name" --did "$E2E/$run.$name.did" \
		--namespace "t_$name" --commits "$commits" --rollbacks "$rollbacks" --rows "$rows" "$@"
}

@test "statements one by one: commit, rollback, failure, savepoint, idle, closed inside (psycopg2)" {
	for backend in $E2E_BACKENDS; do agrees "$backend" psycopg2; done
}

@test "the same with prepared statements (psycopg)" {
	for backend in $E2E_BACKENDS; do agrees "$backend" psycopg; done
}

@test "the same over TLS, told by libpq's calls" {
	for backend in $E2E_BACKENDS; do agrees "$backend" tls; done
}

@test "whole transactions, and parts of them, in one text; COMMIT AND CHAIN" {
	for backend in $E2E_BACKENDS; do agrees "$backend" text; done
}

@test "transactions inside of a pipeline" {
	for backend in $E2E_BACKENDS; do agrees "$backend" pipeline; done
}

@test "without any span the metrics are the same" {
	for name in psycopg2 psycopg tls; do agrees unsampled "$name" --without-spans; done
}

@test "MariaDB: commit, rollback, idle, closed inside, rows" {
	for run in $E2E_BACKENDS; do
		paste "$E2E/$run.mysql.before" "$E2E/$run.mysql.after"
		commits=$(awk '/COMMIT/ { n = $2 - n } END { print n }' "$E2E/$run.mysql.before" "$E2E/$run.mysql.after")
		"$E2E_PYTHON" "$E2E_TOOLS/transactions_check.py" --otlp "$E2E/otlp-$run" --service t_mysql --did "$E2E/$run.mysql.did" \
			--namespace t_mysql --system mariadb --commits "$commits"
	done
}
