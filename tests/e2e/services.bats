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
	services_observed asyncpg psycopg
}

one_service() { # DRIVER BACKEND
	local port
	port=$(e2e_port)
	PGHOST=127.0.0.1 PGUSER=shop PGDATABASE=$1 OTEL_SERVICE_NAME="$1.$E2E_ID" \
		e2e_start "$1-$2" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/asyncio_service.py" "$port" "$1"
	e2e_wait 20 e2e_listens "$port"
	services_asked "$1" "$2" "127.0.0.1:$port" 160 8
	e2e_stop "$1-$2"
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres; }

@test "asyncio and asyncpg: all is counted, and no statement is below another's request" { services_check asyncpg 0.9; }
@test "asyncio and psycopg over TLS: all is counted, and no statement is below another's request" { services_check psycopg 0.9; }
