#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# When spans cannot be kept they are counted, by reason, and the histograms stay exact: they are filled in the kernel.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start drops psycopg2 tls gthread SHOP_DB_PERSISTENT=1
	shop_ready drops
	echo "ring_buffer: 4096" >"$E2E/tiny.yaml"
	echo "ring_buffer: 65536" >"$E2E/small.yaml"
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

judge() { # NAME DROPS
	e2e_check ledger --otlp "$E2E/otlp-$1" --summary "$E2E/sonde-$1.out" --drops "$2"
	e2e_check counts --otlp "$E2E/otlp-$1" --service drops --client "$E2E/$1.jsonl" --histogram-only
	e2e_check statements --otlp "$E2E/otlp-$1" --service drops --counts "$E2E/$1.counts" --database drops --histogram-only
}

@test "a ring buffer of 4 KiB under load drops spans and counts them; histograms stay exact" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		pg_reset
		sonde_start "tiny-$backend" "$backend" --config "$E2E/tiny.yaml"
		load "tiny-$backend" "$(shop_url drops)" --requests 1000 --conns 4 --keep-alive --mix orders=3,plain=2
		sonde_stop "tiny-$backend"
		pg_counts >"$E2E/tiny-$backend.counts"
		judge "tiny-$backend" ring_full
	done
}

stopped_worker() { # NAME BACKEND [OPTION...]: the worker does nothing for two seconds under load
	local name=$1 worker
	pg_reset
	sonde_start "$@"
	worker=$(sonde_worker "$name")
	load_start "$name" "$(shop_url drops)" --requests 100000 --seconds 4 --conns 4 --keep-alive --mix orders=3,plain=2
	sleep 1
	kill -STOP "$worker"
	sleep 2
	kill -CONT "$worker"
	load_wait "$name"
	[ "$(sonde_worker "$name")" = "$worker" ]
	sonde_stop "$name"
	pg_counts >"$E2E/$name.counts"
}

@test "a worker that is stopped for two seconds loses spans in a small ring, all counted; histograms stay exact" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		stopped_worker "small-$backend" "$backend" --config "$E2E/small.yaml"
		judge "small-$backend" ring_full
	done
}

@test "a worker that is stopped for two seconds loses nothing in the default ring" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		stopped_worker "stop-$backend" "$backend"
		judge "stop-$backend" none
		e2e_check counts --otlp "$E2E/otlp-stop-$backend" --service drops --client "$E2E/stop-$backend.jsonl"
	done
}
