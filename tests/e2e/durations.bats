#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Durations run from the first byte of a request to the last byte of its answer. The load generator times the same
# requests, the application times the same statement, and pg_sleep() takes the time it is told to.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

EXPONENTIAL=OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start slow_tls psycopg2 tls gthread SHOP_DB_PERSISTENT=1 SHOP_ALIASES=0
	shop_start slow_tcp psycopg3 tcp gthread SHOP_DB_PERSISTENT=1 SHOP_ALIASES=0
	shop_ready slow_tls
	shop_ready slow_tcp
	local backend name
	for backend in $E2E_BACKENDS; do
		SONDE_ENV=$EXPONENTIAL sonde_start "$backend" "$backend"
		# One after the other, one connection each: what is measured is the answer, not the queue for a CPU.
		for name in slow_tls slow_tcp; do
			load "$backend-$name" "$(shop_url "$name")" --requests 150 --conns 1 --keep-alive --bodies \
				--mix stream=1,sleep=2,orders=17
		done
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

durations() { # CHECK SERVICE
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		e2e_check "$1" --otlp "$E2E/otlp-$backend" --service "$2" --client "$E2E/$backend-$2.jsonl" --tolerance-ms 20
	done
}

@test "requests last until the last byte, and the histogram's median is the client's" {
	durations durations slow_tls
	durations durations slow_tcp
}

@test "statements over TLS last until their last row" { durations waits slow_tls; }
@test "statements in the clear last until their last row" { durations waits slow_tcp; }
