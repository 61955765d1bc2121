#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Large results on connections that do not speak in turns: one statement alone, several in a text, pipelines, portals,
# COPY, errors in the middle. Their rows stay in the kernel and are exact nevertheless; pg_stat_statements is the referee.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	local backend
	for backend in $E2E_BACKENDS; do
		pg_sql postgres "CREATE DATABASE large_$backend OWNER shop"
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		OTEL_SERVICE_NAME=large.$E2E_ID "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/large_results.py" \
			"postgresql://shop@127.0.0.1:$PGPORT/large_$backend?sslmode=disable" >"$E2E/$backend.did"
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

@test "large results of PostgreSQL have their rows and errors, however they came" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# $backend"
		"$E2E_PYTHON" "$E2E_TOOLS/large_check.py" --otlp "$E2E/otlp-$backend" --service large --did "$E2E/$backend.did" \
			--counts "$E2E/$backend.counts" --database "large_$backend"
	done
}
