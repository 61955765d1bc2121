#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# canary.bats for MySQL: 10,000 secrets in literals, values of the binary protocol, long data, a file that is loaded,
# passwords, comments and what the server says of them, in clear text and over TLS: none may be in anything that Sonde puts
# out.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

SECRETS=10000

setup_file() {
	e2e_missing root venv mariadb openssl && return 0
	e2e_begin
	local backend tls format certificate=$E2E/my.crt
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$E2E/my.key" -out "$certificate" 2>"$E2E/openssl.log"
	chmod 644 "$E2E/my.key"
	MYSQL_SETTINGS="--ssl-cert=$certificate --ssl-key=$E2E/my.key" mysql_start
	mysql_user canary
	mysql_sql canary "CREATE TABLE kept (t longtext, n bigint); CREATE TABLE once (t varchar(100) PRIMARY KEY)"
	mysql_sql canary "DELIMITER |
		CREATE PROCEDURE shown(x text) BEGIN SELECT x; SELECT 2; END|"
	for backend in $E2E_BACKENDS; do
		format=json
		[ "$backend" = syscall ] && format=text
		SONDE_ENV="OTEL_LOG_LEVEL=debug" sonde_start "$backend" "$backend" --format $format --record "$E2E/$backend.rec"
		for tls in clear tls; do
			env MYSQL_CERTIFICATE="$([ $tls = clear ] || echo "$certificate")" OTEL_SERVICE_NAME="canary_$tls.$E2E_ID" \
				"$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/mysql_canaries.py" 127.0.0.1 "$MYSQL_PORT" canary "$MYSQL_PASSWORD" \
				$((SECRETS / 2)) "$E2E/$backend.$tls.secrets" >&2
		done
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv mariadb openssl; }

silent() {
	local backend tls
	for backend in $E2E_BACKENDS; do
		for tls in clear tls; do
			echo "# $tls on $backend"
			PGSSLMODE='' "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" --find "$E2E/$backend.$tls.secrets" \
				"$E2E/sonde-$backend.out" "$E2E/sonde-$backend.log" "$E2E/otlp-$backend"/*.bin
		done
	done
}

# The statements are there, with the word that is in each of them where no value is.
seen() {
	local backend tls
	for backend in $E2E_BACKENDS; do
		grep -q shown "$E2E/sonde-$backend.out"
		[ "$(cat "$E2E/otlp-$backend"/*-traces.bin | grep -ao shown | wc -l)" -gt 500 ]
		[ "$(cat "$E2E/otlp-$backend"/*-traces.bin | grep -ao "INSERT INTO kept (t, n) VALUES (?, ?)" | wc -l)" -gt 50 ]
		[ "$(cat "$E2E/otlp-$backend"/*-traces.bin | grep -ao "LOAD DATA LOCAL INFILE ?" | wc -l)" -gt 20 ]
		[ "$(cat "$E2E/$backend".*.secrets | sort -u | wc -l)" -ge $SECRETS ]
	done
}

@test "the statements with the secrets come out" { seen; }
@test "none of the secrets comes out: console, OTLP traces and metrics, Sonde's own log" { silent; }
@test "a recording has no password, is its owner's alone, and what comes of it has no secret" { canary_recorded; }
