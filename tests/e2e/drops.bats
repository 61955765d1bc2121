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
	printf 'limits:\n  histogram_keys: 64\n' >"$E2E/keys.yaml"
	echo "ring_buffer: 256KiB" >"$E2E/tiny.yaml" # the least that Sonde takes
	echo "ring_buffer: 2MiB" >"$E2E/small.yaml"
	printf 'traces:\n  spans_per_second: 20\n' >"$E2E/budget.yaml"
	printf 'traces:\n  sampler: always_off\n' >"$E2E/off.yaml"
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

# Under load, and the worker does nothing for at least two seconds and 600 requests.
stopped_worker() { # NAME BACKEND [OPTION...]
	local name=$1 worker began
	pg_begin "$name"
	sonde_start "$@"
	worker=$(sonde_worker "$name")
	load_start "$name" "$(shop_url drops)" --requests 900 --conns 4 --keep-alive --mix orders=3,plain=2 --rate 400
	e2e_wait 60 answered_more 100
	kill -STOP "$worker"
	began=$SECONDS
	e2e_wait 60 answered_more 700
	while [ $((SECONDS - began)) -lt 3 ]; do sleep 0.1; done
	kill -CONT "$worker"
	load_wait "$name"
	[ "$(sonde_worker "$name")" = "$worker" ]
	sonde_stop "$name"
	pg_end "$name"
	: >"$E2E/drops.access"
}

answered_more() { [ "$(wc -l <"$E2E/drops.access")" -ge "$1" ]; }

judge() { # NAME DROPS
	e2e_check ledger --otlp "$E2E/otlp-$1" --summary "$E2E/sonde-$1.out" --drops "$2"
	e2e_check counts --otlp "$E2E/otlp-$1" --service drops --client "$E2E/$1.jsonl" --histogram-only
	e2e_check statements --otlp "$E2E/otlp-$1" --service drops --counts "$E2E/$1.counts" --database drops --histogram-only
}

@test "a small ring drops spans while the worker is stopped for two seconds, all counted; histograms stay exact" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		stopped_worker "tiny-$backend" "$backend" --config "$E2E/tiny.yaml"
		judge "tiny-$backend" ring_full
	done
}

@test "what a pipeline asks is counted though spans have filled the ring" {
	local backend name worker
	pg_sql postgres "CREATE DATABASE pipe OWNER shop"
	printf '%s\n' '\startpipeline' 'SELECT 1 AS one;' 'SELECT n FROM generate_series(1, 3) n;' '\endpipeline' >"$E2E/pipeline.sql"
	for backend in $E2E_BACKENDS; do
		name=pipe-$backend
		echo "# on $backend"
		pg_begin "$name"
		sonde_start "$name" "$backend" --config "$E2E/small.yaml"
		worker=$(sonde_worker "$name")
		kill -STOP "$worker"
		load "$name" "$(shop_url drops)" --requests 700 --conns 4 --keep-alive --mix orders=3,plain=2
		OTEL_SERVICE_NAME=pipe.$E2E_ID "$PG_BIN/pgbench" -n -M extended -f "$E2E/pipeline.sql" -t 20 \
			"host=127.0.0.1 sslmode=disable user=shop dbname=pipe"
		kill -CONT "$worker"
		sonde_stop "$name"
		pg_end "$name"
		: >"$E2E/drops.access"
		judge "$name" ring_full
		e2e_check statements --otlp "$E2E/otlp-$name" --service pipe --counts "$E2E/$name.counts" --database pipe
	done
}

@test "the default ring loses nothing while the worker is stopped for two seconds" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		stopped_worker "stop-$backend" "$backend"
		judge "stop-$backend" none
		e2e_check counts --otlp "$E2E/otlp-stop-$backend" --service drops --client "$E2E/stop-$backend.jsonl"
		e2e_check parents --otlp "$E2E/otlp-stop-$backend" --service drops --least 1000
	done
}

@test "operations beyond the limit are counted together; the sum stays exact" {
	local backend
	shop_start keys psycopg3 tcp gthread SHOP_DB_PERSISTENT=1 SHOP_ALIASES=0
	shop_ready keys
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		pg_begin "keys-$backend"
		sonde_start "keys-$backend" "$backend" --config "$E2E/keys.yaml"
		load "keys-$backend" "$(shop_url keys)" --requests 200 --conns 2 --keep-alive --mix orders=3,plain=1
		sonde_stop "keys-$backend"
		pg_end "keys-$backend"
		e2e_check overflow --otlp "$E2E/otlp-keys-$backend" --service keys --counts "$E2E/keys-$backend.counts" --database keys \
			--client "$E2E/keys-$backend.jsonl"
	done
	e2e_stop keys
}

# Under load with a limit to spans: NAME BACKEND [OPTION...]
limited() {
	local name=$1
	pg_begin "$name"
	sonde_start "$@"
	load "$name" "$(shop_url drops)" --requests 600 --conns 4 --keep-alive --mix orders=3,plain=2,boom=1
	sonde_stop "$name"
	pg_end "$name"
}

@test "spans beyond the budget are counted, errors go on, no child is without its parent; histograms stay exact" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		limited "budget-$backend" "$backend" --config "$E2E/budget.yaml"
		judge "budget-$backend" over_budget
		e2e_check parents --otlp "$E2E/otlp-budget-$backend" --service drops --least 20
		e2e_check errors --otlp "$E2E/otlp-budget-$backend" --service drops --client "$E2E/budget-$backend.jsonl"
	done
}

@test "what pipelines ask beyond the budget is counted; the histogram stays exact" {
	local backend
	pg_sql postgres "CREATE DATABASE pipes OWNER shop"
	printf '%s\n' '\startpipeline' 'SELECT 1 AS one;' 'SELECT n FROM generate_series(1, 3) n;' '\endpipeline' >"$E2E/pipes.sql"
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		pg_begin "pipes-$backend"
		sonde_start "pipes-$backend" "$backend" --config "$E2E/budget.yaml"
		OTEL_SERVICE_NAME=pipes.$E2E_ID "$PG_BIN/pgbench" -n -M prepared -c 2 -f "$E2E/pipes.sql" -t 1500 \
			"host=127.0.0.1 sslmode=disable user=shop dbname=pipes"
		sonde_stop "pipes-$backend"
		pg_end "pipes-$backend"
		e2e_check ledger --otlp "$E2E/otlp-pipes-$backend" --summary "$E2E/sonde-pipes-$backend.out" --drops stream_over_budget
		e2e_check statements --otlp "$E2E/otlp-pipes-$backend" --service pipes --counts "$E2E/pipes-$backend.counts" \
			--database pipes --histogram-only
	done
}

@test "with the sampler always_off no span is made, and histograms stay exact" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		limited "off-$backend" "$backend" --config "$E2E/off.yaml"
		judge "off-$backend" not_wanted
	done
}
