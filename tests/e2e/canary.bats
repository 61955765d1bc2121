#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# 10,000 secrets in literals, parameters, COPY data, passwords, comments and what the server says of them, through psycopg2
# and psycopg 3 to a real PostgreSQL, in clear text and over TLS: none may be in anything that Sonde puts out.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

SECRETS=10000

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	local backend sslmode format
	pg_sql postgres "CREATE DATABASE canary OWNER shop"
	pg_sql canary "SET ROLE shop; CREATE TABLE kept (t text, n bigint); CREATE TABLE once (t text PRIMARY KEY)"
	for backend in $E2E_BACKENDS; do
		format=json
		[ "$backend" = syscall ] && format=text
		install -m 644 /dev/null "$E2E/$backend.rec" # one that is there already
		SONDE_ENV="OTEL_LOG_LEVEL=debug" sonde_start "$backend" "$backend" --format $format --record "$E2E/$backend.rec"
		for sslmode in disable require; do
			env PGHOST=127.0.0.1 PGUSER=shop PGDATABASE=canary PGSSLMODE=$sslmode OTEL_SERVICE_NAME="canary_$sslmode.$E2E_ID" \
				"$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" $((SECRETS / 2)) "$E2E/$backend.$sslmode.secrets" >&2
		done
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

outputs() { # BACKEND
	printf '%s\n' "$E2E/sonde-$1.out" "$E2E/sonde-$1.log" "$E2E/otlp-$1"/*.bin
}

silent() {
	local backend sslmode files
	for backend in $E2E_BACKENDS; do
		mapfile -t files < <(outputs "$backend")
		for sslmode in disable require; do
			echo "# $sslmode on $backend"
			"$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" --find "$E2E/$backend.$sslmode.secrets" "${files[@]}"
		done
	done
}

# The statements are there, with the word that is in each of them where no value is.
seen() {
	local backend
	for backend in $E2E_BACKENDS; do
		grep -q shown "$E2E/sonde-$backend.out"
		[ "$(cat "$E2E/otlp-$backend"/*-traces.bin | grep -ao shown | wc -l)" -gt 500 ]
		grep -qa db.client.operation.duration "$E2E/otlp-$backend"/*-metrics.bin
		[ "$(cat "$E2E/$backend".*.secrets | sort -u | wc -l)" -ge $SECRETS ]
	done
}

# A secret that does come out is found: in text, hexadecimal, base64, and as a number's bytes.
found() {
	local out=$E2E/planted secrets=$E2E/planted.secrets
	printf 'BCDFGHJKLMNPQRST\n123456789012345678' >"$secrets"
	local planted
	for planted in 'xHJKLMNPQRST' '4243444647484a4b' 'J4QkNERkdISktMTU5QUVJTVA==' 'n=456789012345678'; do
		echo "x $planted x" >"$out"
		run "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" --find "$secrets" "$out"
		[ "$status" = 1 ] || { echo "not found: $planted" && return 1; }
	done
	echo "nothing of the kind 123 BCD" >"$out"
	"$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" --find "$secrets" "$out"
}

@test "a secret that comes out would be found" { found; }
@test "the statements with the secrets come out" { seen; }
@test "none of the secrets comes out: console, OTLP traces and metrics, Sonde's own log" { silent; }
@test "a recording has no password, is its owner's alone, and what comes of it has no secret" { canary_recorded; }
