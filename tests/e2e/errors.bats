#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What fails: statements with their SQLSTATE, requests with a status of 500 and above, clients that leave.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

# By psycopg, from the wire and from OpenSSL; what libpq itself tells of it: libpq_versions.bats.
PREPARES="
import sys, psycopg
conn = psycopg.connect('host=127.0.0.1 user=postgres dbname=errors_prepare sslmode=' + sys.argv[1], autocommit=True)
for i in range(20):
    try:
        conn.execute('SELECT 1 AS prepared' if i % 4 else 'SELECT no_such_column', prepare=True)
    except psycopg.Error:
        pass
"

# A client whose buffer ends anywhere in the answer, as sqlx's does: the first COUNT bytes come by themselves. Asked in turn
# by Query, and by Parse alone.
PIECES="
import os, socket, struct, sys

def message(kind, body):
    return kind + struct.pack('!I', 4 + len(body)) + body

def answer(first):
    got = s.recv(first)
    while got[-6:-1] != b'Z\\0\\0\\0\\5':
        got += s.recv(4096)

s = socket.create_connection(('127.0.0.1', int(os.environ['PGPORT'])))
s.sendall(message(b'', struct.pack('!I', 3 << 16) + b'user\\0postgres\\0database\\0errors_pieces\\0\\0'))
answer(4096)
text = b'SELECT no_such_column\\0'
for first in range(1, int(sys.argv[1])):
    s.sendall(message(b'Q', text) if first % 2 else message(b'P', b'\\0' + text + struct.pack('!H', 0)) + message(b'S', b''))
    answer(first)
    s.sendall(message(b'Q', b'SELECT 1 AS fine\\0'))
    answer(4096)
"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start errors_tls psycopg2 tls sync
	shop_start errors_unix psycopg3 unix gthread SHOP_DB_PERSISTENT=1
	shop_ready errors_tls
	shop_ready errors_unix
	local backend ssl
	pg_sql postgres "CREATE DATABASE errors_prepare" >/dev/null
	pg_sql postgres "CREATE DATABASE errors_pieces" >/dev/null
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		load "$backend-errors_tls" "$(shop_url errors_tls)" --requests 160 --mix zero=2,unique=2,boom=2,plain=1,missing=1
		load "$backend-errors_unix" "$(shop_url errors_unix)" --requests 160 --keep-alive --mix zero=2,unique=2,boom=2,big=2 \
			--abort big
		for ssl in disable require; do
			OTEL_SERVICE_NAME=errors_prepare.$E2E_ID "$E2E_PYTHON" -c "$PREPARES" "$ssl" >"$E2E/$backend.prepared" 2>&1
		done
		OTEL_SERVICE_NAME=errors_pieces.$E2E_ID "$E2E_PYTHON" -c "$PIECES" 131 >"$E2E/$backend.pieces" 2>&1
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

each() { # SERVICE COMMAND...: on each backend
	local backend service=$1
	shift
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		"$@" "$backend" "$service"
	done
}

failed_statements() {
	local n23505 n22012
	n23505=$(pg_errors "$1" "$2" 23505)
	n22012=$(pg_errors "$1" "$2" 22012)
	[ "$n23505" -gt 10 ]
	[ "$n22012" -gt 10 ]
	e2e_check statements --otlp "$E2E/otlp-$1" --service "$2" --counts "$E2E/$1.counts" --database "$2" \
		--errors "23505=$n23505" "22012=$n22012"
}

failed_prepares() { # 5 over plain TCP, 5 over TLS
	[ "$(pg_errors "$1" "$2" 42703)" = 10 ]
	e2e_check statements --otlp "$E2E/otlp-$1" --service "$2" --counts "$E2E/$1.counts" --database "$2" --errors 42703=10
}

failed_in_pieces() {
	cat "$E2E/$1.pieces"
	[ "$(pg_errors "$1" "$2" 42703)" = 130 ]
	e2e_check statements --otlp "$E2E/otlp-$1" --service "$2" --counts "$E2E/$1.counts" --database "$2" --errors 42703=130
}

failed_requests() { e2e_check errors --otlp "$E2E/otlp-$1" --service "$2" --client "$E2E/$1-$2.jsonl"; }

@test "failed statements carry their SQLSTATE, as often as the server logged it, over TLS" { each errors_tls failed_statements; }
@test "failed statements carry their SQLSTATE, on a Unix socket" { each errors_unix failed_statements; }
@test "a statement that cannot be prepared is a failed one, and is counted" { each errors_prepare failed_prepares; }
@test "an error whose answer a client reads in pieces keeps its SQLSTATE" { each errors_pieces failed_in_pieces; }
@test "a status of 500 is an error with error.type, a status of 404 or 409 is none" { each errors_tls failed_requests; }
@test "a client that leaves in the middle of an answer is reported once, as an error" { each errors_unix failed_requests; }
