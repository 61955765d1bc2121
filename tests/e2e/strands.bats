#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Services whose runtime gives threads to requests in turn: each statement is below the request that it ran for, however
# many are open, and work of no request below none.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres go && return 0
	e2e_begin
	(cd "$BATS_TEST_DIRNAME/app/go_service" && go build -o "$E2E/go_service" .)
	pg_start
	pg_sql postgres "CREATE DATABASE go_pq OWNER shop"
	pg_sql postgres "CREATE DATABASE go_pgx OWNER shop"
	local backend port driver
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		pg_begin "$backend"
		for driver in pq pgx; do
			port=$(e2e_port)
			OTEL_SERVICE_NAME="go_$driver.$E2E_ID" e2e_start "go_$driver-$backend" "$E2E/go_service" "127.0.0.1:$port" $driver \
				"postgres://shop@127.0.0.1:$PGPORT/go_$driver?sslmode=disable"
			e2e_wait 20 e2e_listens "$port"
			load "together-go_$driver-$backend" "127.0.0.1:$port" --requests 320 --conns 16 --mix orders=3,plain=1 --keep-alive
			load "alone-go_$driver-$backend" "127.0.0.1:$port" --requests 40 --conns 1 --first 1000 --mix orders=3,plain=1
			e2e_stop "go_$driver-$backend"
		done
		pg_end "$backend"
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres go; }

# check SERVICE
check() {
	local backend
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$E2E_TOOLS/services_check.py" --spans "$E2E/otlp-$backend" --counts "$E2E/$backend.counts" --linked 0.9 \
			--service "$1" --alone "$E2E/alone-$1-$backend.jsonl" --together "$E2E/together-$1-$backend.jsonl"
	done
}

@test "net/http and lib/pq, 16 requests at a time on 4 connections: statements are below their requests" { check go_pq; }
@test "net/http and pgx, 16 requests at a time on 4 connections: statements are below their requests" { check go_pgx; }
