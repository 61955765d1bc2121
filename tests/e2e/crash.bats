#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The worker may crash or be killed: the services notice nothing, it is back within a second, what died with it is
# counted, and the histograms are exact all the same.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start crash psycopg2 tls gthread SHOP_DB_PERSISTENT=1
	shop_ready crash
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

new_worker() {
	local now
	now=$(sonde_worker "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

dies() { # SIGNAL
	local backend name worker at
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		name=$1-$backend
		pg_begin "$name"
		sonde_start "$name" "$backend"
		worker=$(sonde_worker "$name")
		load_start "$name" "$(shop_url crash)" --requests 100000 --seconds 6 --conns 4 --keep-alive --mix orders=3,plain=2 --rate 300
		sleep 2
		at=$(date +%s%N)
		kill -"$1" "$worker"
		e2e_wait 1 new_worker "$name" "$worker"
		load_wait "$name"
		sonde_stop "$name"
		pg_end "$name"
		e2e_check counts --otlp "$E2E/otlp-$name" --service crash --client "$E2E/$name.jsonl" --histogram-only
		e2e_check statements --otlp "$E2E/otlp-$name" --service crash --counts "$E2E/$name.counts" --database crash --histogram-only
		e2e_check gap --otlp "$E2E/otlp-$name" --service crash --client "$E2E/$name.jsonl" --at "$at" --within 1
		e2e_check ledger --otlp "$E2E/otlp-$name" --summary "$E2E/sonde-$name.out" --crashed
	done
}

@test "a worker that crashes is back within a second; services unaffected, loss counted, histograms exact" { dies SEGV; }
@test "a worker that is killed is back within a second; services unaffected, loss counted, histograms exact" { dies KILL; }
