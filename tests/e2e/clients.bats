#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Database clients that are no web services: a C program that uses libpq in every way there is, and Django with statements
# prepared on the server. PostgreSQL's own counters are the referee.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=40

setup_file() {
	e2e_missing root venv postgres openssl gcc && return 0
	e2e_begin
	pg_start
	shop_template
	gcc -Wall -Wextra -O1 -I/usr/include/postgresql -o "$E2E/libpq_client" "$BATS_TEST_DIRNAME/app/libpq_client.c" -lpq
	pg_sql postgres "CREATE DATABASE c_tls OWNER shop"
	pg_sql postgres "CREATE DATABASE c_tcp OWNER shop"
	pg_sql postgres "CREATE DATABASE c_unix OWNER shop"
	pg_sql postgres "CREATE DATABASE c_first OWNER shop"
	pg_sql postgres "CREATE DATABASE c_streams OWNER shop"
	pg_sql postgres "CREATE DATABASE c_cold OWNER shop"
	shop_start prepared_tls psycopg3 tls sync SHOP_DB_PREPARED=1
	shop_ready prepared_tls
	local backend
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		# The first of all to use this libpq; it may be faster than its probes. Those after it may not.
		client first "host=127.0.0.1 sslmode=require"
		# Newer than Sonde, for the text of what was prepared before is not known.
		shop_start "prepared_$backend" psycopg3 tcp gthread SHOP_DB_PREPARED=1 SHOP_DB_PERSISTENT=1
		shop_ready "prepared_$backend"
		client tls "host=127.0.0.1 sslmode=require" calls
		client cold "host=127.0.0.1 sslmode=require" cold
		client streams "host=127.0.0.1 sslmode=require" streams
		client tcp "host=127.0.0.1 sslmode=disable"
		client unix "host=$PGHOST"
		load "$backend-prepared_tls" "$(shop_url prepared_tls)" --requests 150 --mix orders=4,write=1,zero=1
		load "$backend-prepared_$backend" "$(shop_url "prepared_$backend")" --requests 150 --keep-alive \
			--mix orders=4,write=1,zero=1
		sonde_stop "$backend"
		pg_end "$backend"
		e2e_stop "prepared_$backend"
	done
}

client() { # NAME CONNINFO [PART]
	OTEL_SERVICE_NAME=c_$1.$E2E_ID "$E2E/libpq_client" "$2 port=$PGPORT user=shop dbname=c_$1" "$ROUNDS" ${3+"$3"}
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl gcc; }

counted() { # BACKEND SERVICE, which is the name of its database too
	e2e_check statements --otlp "$E2E/otlp-$1" --service "$2" --counts "$E2E/$1.counts" --database "$2" \
		--errors "23505=$(pg_errors "$1" "$2" 23505)" "22012=$(pg_errors "$1" "$2" 22012)"
}

each() { # COMMAND [SERVICE]: on each backend
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		"$1" "$backend" "${2:-prepared_$backend}"
	done
}

django() { # BACKEND SERVICE
	counted "$@"
	e2e_check counts --otlp "$E2E/otlp-$1" --service "$2" --client "$E2E/$1-$2.jsonl"
	e2e_check parents --otlp "$E2E/otlp-$1" --service "$2" --least 300
}

@test "a C program: PQexec, parameters, prepared and single rows, over TLS" { each counted c_tls; }
@test "a C program: text on a page that nobody touched before, over TLS" { each counted c_cold; }
@test "a C program: COPY and pipelines, over TLS" { each counted c_streams; }
@test "a C program: PQexec, parameters, prepared, single rows, COPY and pipelines, over TCP" { each counted c_tcp; }
@test "a C program: PQexec, parameters, prepared, single rows, COPY and pipelines, on a Unix socket" { each counted c_unix; }
@test "Django with statements prepared on the server, over TLS" { each django prepared_tls; }
@test "Django with statements prepared on the server, over TCP" { each django; }
