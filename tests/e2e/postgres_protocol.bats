#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL connections as such, over TCP, a Unix socket and TLS: how long they took to open, why they failed, which are
# in use, what was cancelled, and statements of a mebibyte. pg_stat_activity and the server's log are the referees.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

WIRES="tcp socket tls"
CHECK=$BATS_TEST_DIRNAME/../tools/protocol_check.py

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	PG_SETTINGS="log_connections = on" pg_start
	pg_sql postgres "CREATE ROLE secret LOGIN PASSWORD 'right'; CREATE ROLE crowd LOGIN CONNECTION LIMIT 0"
	sed -i -e '1i local all secret scram-sha-256' -e '1i host all secret 127.0.0.1/32 scram-sha-256' \
		"$E2E/pg/data/pg_hba.conf"
	pg_sql postgres "SELECT pg_reload_conf()" >/dev/null
	local backend wire
	for backend in $E2E_BACKENDS; do
		for wire in $WIRES; do
			pg_sql postgres "CREATE DATABASE ${wire}_$backend OWNER shop"
		done
		pg_begin "$backend"
		sonde_start "$backend" "$backend" --record "$E2E/$backend.rec"
		e2e_wait 30 probed "$backend"
		for wire in $WIRES; do
			connections "$wire" "$backend"
		done
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

# The first of all to use an OpenSSL may be faster than its probes. Each driver brings one of its own.
probed() { # BACKEND
	local driver
	for driver in psycopg2 psycopg; do
		"$E2E_PYTHON" -c "import $driver, sys; $driver.connect(sys.argv[1]).cursor().execute('SELECT 1 AS by_$driver')" \
			"$(url tls postgres)"
		grep "by_$driver" "$E2E/sonde-$1.out" | grep -vq '"sonde.source":"libpq"' || return 1
	done
}

url() { # WIRE DATABASE
	case $1 in
	tcp) echo "postgresql://shop@127.0.0.1:$PGPORT/$2?sslmode=disable" ;;
	socket) echo "postgresql://shop@/$2?host=$PGHOST&port=$PGPORT" ;;
	tls) echo "postgresql://shop@127.0.0.1:$PGPORT/$2?sslmode=require" ;;
	esac
}

# connections WIRE BACKEND: runs the client, and asks the server when all stand as they shall.
connections() {
	local name=$1_$2 dir=$E2E/$1_$2.dir port=$PGPORT
	mkdir "$dir"
	[ "$1" = tcp ] || port=0 # the relay is a client of its own, and the server's end would tell for it
	e2e_start "client-$name" env OTEL_SERVICE_NAME="$name.$E2E_ID" "$E2E_PYTHON" \
		"$BATS_TEST_DIRNAME/app/postgres_protocol.py" "$(url "$1" "$name")" "$port" "$dir"
	e2e_wait 30 test -e "$dir/held"
	activity "$name" "$dir/activity"
	# Sonde tells what stands within a second, and the metrics go out every second.
	e2e_wait 10 pools "$2" "$name" "$dir/activity" || pools "$2" "$name" "$dir/activity" >&2 || true
	pools "$2" "$name" "$dir/activity" >"$dir/pools" || true
	touch "$dir/go"
	e2e_wait 60 e2e_ended "client-$name"
	[ "$(cat "$E2E/client-$name.rc")" = 0 ] || cat "$E2E/client-$name.log" >&2
	activity "$name" "$dir/activity.end"
	e2e_wait 10 pools "$2" "$name" "$dir/activity.end" || true
	pools "$2" "$name" "$dir/activity.end" >"$dir/pools.end" || true
}

activity() { # DATABASE FILE
	pg_sql postgres "SELECT state, count(*) FROM pg_stat_activity WHERE datname = '$1' GROUP BY state" >"$2"
}

pools() { # BACKEND DATABASE ACTIVITY
	"$E2E_PYTHON" "$CHECK" pools --otlp "$E2E/otlp-$1" --service "$2" --database "$2" --activity "$3"
}

each() { # FUNCTION: with WIRE BACKEND
	local backend wire
	for backend in $E2E_BACKENDS; do
		for wire in $WIRES; do
			echo "# $wire on $backend"
			"$1" "$wire" "$backend"
		done
	done
}

held() {
	cat "$E2E/$1_$2.dir/activity" "$E2E/$1_$2.dir/pools"
	[ "$(grep -c '^ok ' "$E2E/$1_$2.dir/pools")" = 2 ]
	[ "$(wc -l <"$E2E/$1_$2.dir/activity")" = 4 ]
	run ! grep WRONG "$E2E/$1_$2.dir/pools"
}

left() {
	cat "$E2E/$1_$2.dir/pools.end"
	run ! grep WRONG "$E2E/$1_$2.dir/pools.end"
}

opened() {
	local phases=auth,tcp
	[ "$1" != socket ] || phases=auth
	[ "$1" != tls ] || phases=auth,tcp,tls
	"$E2E_PYTHON" "$CHECK" connects --otlp "$E2E/otlp-$2" --service "$1_$2" --database "$1_$2" \
		--facts "$E2E/$1_$2.dir/facts.json" --log "$E2E/$2.pglog" --phases $phases
}

said() {
	"$E2E_PYTHON" "$CHECK" statements --otlp "$E2E/otlp-$2" --service "$1_$2" --database "$1_$2" \
		--facts "$E2E/$1_$2.dir/facts.json"
}

@test "connections in use and idle are those of pg_stat_activity" { each held; }

@test "connections that are closed are not counted any more" { each left; }

@test "connections opened, how long and why not, are those of the server's log" { each opened; }

@test "a cancelled statement, large texts, and the first row are told on the statements" { each said; }

@test "the secret that cancels a statement, and passwords, are nowhere" {
	local backend
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$CHECK" secret --otlp "$E2E/otlp-$backend" --service tcp --database tcp \
			--facts "$E2E/tcp_$backend.dir/facts.json" --recording "$E2E/$backend.rec"
		run ! grep -rqE "wrong|secret|crowd" "$E2E/otlp-$backend" "$E2E/sonde-$backend.out"
	done
}
