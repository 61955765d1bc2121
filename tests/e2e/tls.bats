#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# TLS, read where programs call OpenSSL: servers and clients of HTTP, a proxy, programs that move the ciphertext
# themselves; and a database client whose own TLS nobody can read, by the server's end. What clients and PostgreSQL count
# is the referee.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

MIX=orders=4,write=1,plain=2,head=1
NEEDS="root venv postgres openssl nginx node go"

setup_file() {
	# shellcheck disable=SC2086 # a list
	e2e_missing $NEEDS && return 0
	e2e_begin
	pg_start
	shop_template
	certificate="$E2E/tls.crt" key="$E2E/tls.key"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$key" -out "$certificate" 2>"$E2E/openssl.log"
	(cd "$BATS_TEST_DIRNAME/app/go_tls" && go build -o "$E2E/go_tls" .)
	for name in go_client held older; do
		pg_sql postgres "CREATE DATABASE $name OWNER shop"
		pg_sql $name "SET ROLE shop; CREATE TABLE things (id serial PRIMARY KEY, name text)"
	done
	# gunicorn: TLS towards its clients and towards its database, from one libssl or two
	GUNICORN_CMD_ARGS="--certfile $certificate --keyfile $key" shop_start secure psycopg3 tls gthread SHOP_DB_PERSISTENT=1
	shop_start behind psycopg2 tcp gthread
	shop_ready secure
	shop_ready behind
	service node node "$BATS_TEST_DIRNAME/app/tls_node.js"
	service aio "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/tls_asyncio.py"
	NGINX_TLS="ssl_certificate $certificate; ssl_certificate_key $key;" nginx_start front "$(shop_url behind)" 8
	local backend
	for backend in $E2E_BACKENDS; do
		older_start
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		# Newer than Sonde, for the text of what was prepared before is not known.
		go_start go_client
		for name in secure node aio front; do
			https "$backend" "$name"
		done
		load "$backend-go_client" "$(shop_url go_client)" --requests 120 --conns 1 --mix orders=3,write=1,prepared=1,missing=1
		e2e_stop go_client
		load "$backend-older" "$(shop_url older)" --requests 60 --conns 1 --mix orders=3,write=1
		e2e_stop older
		[ "$backend" != syscall ] || held
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

service() { # NAME COMMAND...
	local name=$1
	shift
	e2e_port >"$E2E/$name.port"
	e2e_start "$name" env OTEL_SERVICE_NAME="$name.$E2E_ID" "$@" "$(cat "$E2E/$name.port")" "$key" "$certificate"
	e2e_wait 20 e2e_listens "$(cat "$E2E/$name.port")"
}

go_start() { # NAME [held]
	e2e_port >"$E2E/go_client.port"
	e2e_start go_client env OTEL_SERVICE_NAME="$1.$E2E_ID" "$E2E/go_tls" "127.0.0.1:$(cat "$E2E/go_client.port")" \
		"postgresql://shop@127.0.0.1:$PGPORT/$1?sslmode=require" "${@:2}"
	e2e_wait 20 e2e_listens "$(cat "$E2E/go_client.port")"
}

# With connections to its database that it keeps.
older_start() {
	e2e_port >"$E2E/older.port"
	e2e_start older env OTEL_SERVICE_NAME="older.$E2E_ID" "$E2E/go_tls" "127.0.0.1:$(cat "$E2E/older.port")" \
		"postgresql://shop@127.0.0.1:$PGPORT/older?sslmode=require"
	e2e_wait 20 e2e_listens "$(cat "$E2E/older.port")"
	load older-warm "$(shop_url older)" --requests 20 --conns 4 --mix orders=1
}

held() {
	go_start held held
	load syscall-held "$(shop_url go_client)" --requests 40 --conns 1 --mix plain=1
	e2e_stop go_client
}

# One after the other on kept connections, some at a time, and a connection for each.
https() { # BACKEND SERVICE
	local to mix=$MIX
	to=$(shop_url "$2")
	case $2 in node | aio) mix=orders=4,write=1,missing=1,head=1 ;; esac
	OTEL_SERVICE_NAME=load_$2.$E2E_ID load "$1-$2-kept" "$to" --tls --requests 100 --conns 3 --keep-alive --mix "$mix"
	OTEL_SERVICE_NAME=load_$2.$E2E_ID load "$1-$2-new" "$to" --tls --requests 60 --conns 3 --first 1001 --mix "$mix"
}

teardown_file() { e2e_end; }
# shellcheck disable=SC2086 # a list
setup() { e2e_need $NEEDS; }

each() { # COMMAND [ARGUMENT...]: on each backend
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		"$1" "$backend" "${@:2}"
	done
}

# The server has read and answered each statement before the client's own call is seen to end. Other backends see the end
# of each message of a call, which nothing holds up.
held_client() { # BACKEND
	[ "$1" = syscall ] || return 0
	e2e_check counts --otlp "$E2E/otlp-$1" --service held --client "$E2E/$1-held.jsonl"
	e2e_check statements --otlp "$E2E/otlp-$1" --service held --counts "$E2E/$1.counts" --database held
	e2e_check parents --otlp "$E2E/otlp-$1" --service held --least 40
}

at_both_ends() { # BACKEND SERVICE
	local client=("$E2E/$1-$2-kept.jsonl" "$E2E/$1-$2-new.jsonl")
	e2e_check counts --otlp "$E2E/otlp-$1" --service "$2" --client "${client[@]}"
	e2e_check https --otlp "$E2E/otlp-$1" --service "load_$2" --client "${client[@]}"
}

gunicorn() { # BACKEND
	at_both_ends "$1" secure
	e2e_check statements --otlp "$E2E/otlp-$1" --service secure --counts "$E2E/$1.counts" --database secure
	e2e_check parents --otlp "$E2E/otlp-$1" --service secure --least 300
}

behind_nginx() { # BACKEND
	local client=("$E2E/$1-front-kept.jsonl" "$E2E/$1-front-new.jsonl")
	e2e_check front --otlp "$E2E/otlp-$1" --front nginx --service behind --client "${client[@]}" --least 0
	e2e_check https --otlp "$E2E/otlp-$1" --service load_front --client "${client[@]}"
}

go_client() { # BACKEND
	e2e_check counts --otlp "$E2E/otlp-$1" --service go_client --client "$E2E/$1-go_client.jsonl"
	e2e_check statements --otlp "$E2E/otlp-$1" --service go_client --counts "$E2E/$1.counts" --database go_client \
		--errors "22012=$(pg_errors "$1" go_client 22012)"
	# Goroutines change threads while they wait: now and then one has no parent then, but never a wrong one.
	e2e_check linked --otlp "$E2E/otlp-$1" --service go_client --least 150
	e2e_check events --otlp "$E2E/otlp-$1" --reason tls_read_at_peer --least 1
}

older() { # BACKEND
	e2e_check counts --otlp "$E2E/otlp-$1" --service older --client "$E2E/$1-older.jsonl"
	e2e_check statements --otlp "$E2E/otlp-$1" --service older --counts "$E2E/$1.counts" --database older
	e2e_check linked --otlp "$E2E/otlp-$1" --service older --least 90
}

@test "gunicorn over TLS, psycopg over TLS: each request and statement once" { each gunicorn; }
@test "nginx ends the TLS of a service behind it" { each behind_nginx; }
@test "node: ciphertext moved by the program, OpenSSL often inside of its executable" { each at_both_ends node; }
@test "asyncio: ciphertext moved by the program" { each at_both_ends aio; }
@test "Go: statements over its own TLS, told by the server's end" { each go_client; }
@test "Go: statements over TLS on connections that are older than Sonde" { each older; }
@test "Go: a statement that was answered before its sender's call ended has its parent" { each held_client; }
