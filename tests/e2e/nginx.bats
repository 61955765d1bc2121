#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# nginx before gunicorn: both are observed, every request once at each, joined into one trace.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

MIX=orders=4,write=1,plain=2,head=1

setup_file() {
	e2e_missing root venv postgres openssl nginx && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start behind_tcp psycopg2 tls gthread SHOP_DB_PERSISTENT=1
	SHOP_BIND=unix:$E2E/behind.sock shop_start behind_unix psycopg3 tcp sync
	shop_ready behind_tcp
	e2e_wait 30 test -S "$E2E/behind.sock"
	e2e_wait 30 shop_booted behind_unix 3
	# Older than Sonde, nginx is named after its executable: what it writes as its title hides its environment.
	nginx_start front_tcp "$(shop_url behind_tcp)" 8
	local backend name
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		nginx_start front_unix "unix:$E2E/behind.sock"
		for name in tcp unix; do
			# One after the other, then some at a time.
			load "$backend-$name-one" "$(shop_url "front_$name")" --requests 100 --keep-alive --conns 1 --mix "$MIX"
			load "$backend-$name-some" "$(shop_url "front_$name")" --requests 200 --keep-alive --conns 3 --first 1001 --mix "$MIX"
		done
		sonde_stop "$backend"
		pg_end "$backend"
		e2e_stop front_unix
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl nginx; }

front() { # TRANSPORT SERVICE JOINED
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		e2e_check front --otlp "$E2E/otlp-$backend" --front "$2" --service "behind_$1" \
			--client "$E2E/$backend-$1-one.jsonl" "$E2E/$backend-$1-some.jsonl" --least "$3"
		e2e_check statements --otlp "$E2E/otlp-$backend" --service "behind_$1" --counts "$E2E/$backend.counts" --database "behind_$1"
		e2e_check parents --otlp "$E2E/otlp-$backend" --service "behind_$1" --least 500
	done
}

@test "nginx before gunicorn on TCP with kept connections: one span each, one trace" { front tcp nginx 100; }
@test "nginx before gunicorn on a Unix socket: one span each, one trace" { front unix front_unix 100; }
