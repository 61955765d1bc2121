#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Django under gunicorn with PostgreSQL, in every combination of driver, transport and kind of worker, on every backend.
# One run per backend serves all: twelve services that are older than Sonde (workers, kept HTTP connections, kept database
# connections), some of which get new workers in the middle, and one of 5,000 requests that is newer. The clients count
# requests, pg_stat_statements counts statements and rows; Sonde must have the same numbers, exactly.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

MIX=orders=6,write=2,sleep=1,unique=1,zero=1,boom=1,plain=2,head=1,missing=1
FULL=orders=60,write=10,plain=24,head=2,missing=2,unique=1,zero=1

cells() {
	local driver transport worker
	for driver in psycopg2 psycopg3; do
		for transport in tls tcp unix; do
			for worker in sync gthread; do echo "$driver $transport $worker"; done
		done
	done
}

cell_load() { # BACKEND NAME WORKER: connections are made and used before Sonde starts, then wait
	local keep=
	[ "$3" = gthread ] && keep=--keep-alive
	# shellcheck disable=SC2086
	load_start "$1-$2" "$(shop_url "$2")" --requests 240 --conns 2 --mix "$MIX" --warm 4 --gate "$E2E/$1.go" \
		--ready "$E2E/$1-$2.warm" $keep
}

run_backend() { # BACKEND: what is then in $E2E/otlp-BACKEND and the other files is judged by the tests below
	local backend=$1 driver transport worker name full=full_$1
	while read -r driver transport worker; do cell_load "$backend" "${driver}_${transport}_$worker" "$worker"; done < <(cells)
	while read -r driver transport worker; do
		e2e_wait 60 test -e "$E2E/$backend-${driver}_${transport}_$worker.warm"
	done < <(cells)
	pg_begin "$backend"
	sonde_start "$backend" "$backend" --config "$E2E/room.yaml"
	shop_start "$full" psycopg2 tls gthread SHOP_DB_PERSISTENT=1
	shop_ready "$full"
	load_start "$full" "$(shop_url "$full")" --requests 5000 --conns 4 --mix "$FULL" --keep-alive
	touch "$E2E/$backend.go"
	# New workers while requests are on their way.
	for name in psycopg2_tls_sync psycopg3_tls_gthread psycopg3_tcp_sync psycopg2_unix_gthread "$full"; do
		kill -HUP "$(e2e_pid "$name")"
	done
	load_wait "$full" 300
	while read -r driver transport worker; do load_wait "$backend-${driver}_${transport}_$worker"; done < <(cells)
	sonde_stop "$backend"
	pg_end "$backend"
	e2e_stop "$full"
}

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	local driver transport worker backend name
	# Every request of the matrix has identifiers of its own, and so statements of its own; and the machine may be so busy
	# with it that the worker waits for a CPU. drops.bats is about less room.
	printf 'ring_buffer: 64MiB\nlimits:\n  histogram_keys: 16384\n' >"$E2E/room.yaml"
	while read -r driver transport worker; do
		name=${driver}_${transport}_$worker
		# Django's own default, a connection per request, with one kind of worker; kept ones with the other.
		shop_start "$name" "$driver" "$transport" "$worker" SHOP_ALIASES=0 SHOP_DB_PERSISTENT="$([ "$worker" = gthread ] && echo 1)"
	done < <(cells)
	while read -r driver transport worker; do shop_ready "${driver}_${transport}_$worker"; done < <(cells)
	for backend in $E2E_BACKENDS; do run_backend "$backend"; done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

exact() { # BACKEND SERVICE CLIENT ALIASES: everything that can be counted
	e2e_check counts,statements,parents --otlp "$E2E/otlp-$1" --service "$2" --client "$E2E/$3.jsonl" \
		--counts "$E2E/$1.counts" --database "$2" --least 100 --aliases "$4" \
		--errors "23505=$(pg_errors "$1" "$2" 23505)" "22012=$(pg_errors "$1" "$2" 22012)"
}

cell() { # DRIVER TRANSPORT WORKER
	local backend name=$1_$2_$3
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		exact "$backend" "$name" "$backend-$name" 0
	done
}

@test "5,000 requests on kept connections to new workers over TLS are counted exactly" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		exact "$backend" "full_$backend" "full_$backend" 20
	done
}

@test "psycopg2, TLS, sync workers: requests, statements, rows and parents are exact" { cell psycopg2 tls sync; }
@test "psycopg2, TLS, gthread workers: requests, statements, rows and parents are exact" { cell psycopg2 tls gthread; }
@test "psycopg2, TCP, sync workers: requests, statements, rows and parents are exact" { cell psycopg2 tcp sync; }
@test "psycopg2, TCP, gthread workers: requests, statements, rows and parents are exact" { cell psycopg2 tcp gthread; }
@test "psycopg2, Unix socket, sync workers: requests, statements, rows and parents are exact" { cell psycopg2 unix sync; }
@test "psycopg2, Unix socket, gthread workers: requests, statements, rows and parents are exact" { cell psycopg2 unix gthread; }
@test "psycopg 3, TLS, sync workers: requests, statements, rows and parents are exact" { cell psycopg3 tls sync; }
@test "psycopg 3, TLS, gthread workers: requests, statements, rows and parents are exact" { cell psycopg3 tls gthread; }
@test "psycopg 3, TCP, sync workers: requests, statements, rows and parents are exact" { cell psycopg3 tcp sync; }
@test "psycopg 3, TCP, gthread workers: requests, statements, rows and parents are exact" { cell psycopg3 tcp gthread; }
@test "psycopg 3, Unix socket, sync workers: requests, statements, rows and parents are exact" { cell psycopg3 unix sync; }
@test "psycopg 3, Unix socket, gthread workers: requests, statements, rows and parents are exact" { cell psycopg3 unix gthread; }

@test "with room for everything nothing is dropped, and seen = exported + dropped" {
	local backend
	for backend in $E2E_BACKENDS; do
		e2e_check ledger --otlp "$E2E/otlp-$backend" --summary "$E2E/sonde-$backend.out" --drops none
	done
}
