#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Services that have several requests open on one thread: asyncio with asyncpg, whose connections stream, and with
# psycopg over TLS, which libpq or OpenSSL tell of.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres && return 0
	e2e_begin
	pg_start
	pg_sql postgres "CREATE DATABASE asyncpg OWNER shop"
	pg_sql postgres "CREATE DATABASE psycopg OWNER shop"
	local backend port driver
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		pg_begin "$backend"
		for driver in asyncpg psycopg; do
			port=$(e2e_port)
			PGHOST=127.0.0.1 PGUSER=shop PGDATABASE=$driver OTEL_SERVICE_NAME="$driver.$E2E_ID" \
				e2e_start "$driver-$backend" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/asyncio_service.py" "$port" $driver
			e2e_wait 20 e2e_listens "$port"
			load "together-$driver-$backend" "127.0.0.1:$port" --requests 160 --conns 8 --mix orders=3,plain=1 --keep-alive
			load "alone-$driver-$backend" "127.0.0.1:$port" --requests 40 --conns 1 --first 1000 --mix orders=3,plain=1
			e2e_stop "$driver-$backend"
		done
		pg_end "$backend"
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres; }

# check DRIVER
check() {
	local backend
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$E2E_TOOLS/services_check.py" --spans "$E2E/otlp-$backend" --counts "$E2E/$backend.counts" --linked 0.9 \
			--service "$1" --alone "$E2E/alone-$1-$backend.jsonl" --together "$E2E/together-$1-$backend.jsonl"
	done
}

@test "asyncio and asyncpg: all is counted, and no statement is below another's request" { check asyncpg; }
@test "asyncio and psycopg over TLS: all is counted, and no statement is below another's request" { check psycopg; }
