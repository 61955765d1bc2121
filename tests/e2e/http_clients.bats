#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# HTTP clients of other languages, unmodified: kept connections, bodies of all kinds, redirects, interim answers, answers
# that end in the middle, time-outs; plain and HTTPS. What their server was asked is the referee. Those that are not
# installed are skipped by name.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

HTTP=$BATS_TEST_DIRNAME/app/http

setup_file() {
	e2e_missing root venv openssl && return 0
	e2e_begin
	openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=localhost -keyout "$E2E/key" -out "$E2E/cert" 2>/dev/null
	origin_start plain
	origin_start tls "$E2E/cert" "$E2E/key"
	command -v go >/dev/null && (cd "$E2E" && HOME=${HOME:-/root} go build -o "$E2E/clients-go" "$HTTP/clients.go")
	command -v javac >/dev/null && javac -d "$E2E" "$HTTP/Clients.java"
	local backend client running
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		running=()
		for client in urllib node-http node-fetch curl php-curl php-stream ruby go java-new java-old; do
			client_run "$backend" "$client" 3>&- &
			running+=($!)
		done
		OTEL_SERVICE_NAME="odd.$E2E_ID" "$E2E_PYTHON" "$HTTP/odd_client.py" "$(cat "$E2E/plain.port")" "$backend" >"$E2E/odd-$backend.json"
		wait "${running[@]}"
		sonde_stop "$backend"
	done
}

origin_start() { # NAME [CERTIFICATE KEY]
	local name=$1 port
	shift
	port=$(e2e_port)
	echo "$port" >"$E2E/$name.port"
	OTEL_SERVICE_NAME="$name.$E2E_ID" e2e_start "$name" "$E2E_PYTHON" "$HTTP/origin.py" "$port" "$E2E/$name.jsonl" "$@"
	e2e_wait 10 e2e_listens "$port"
}

# client_command CLIENT: the words of its command in $COMMAND; false where it is not installed.
client_command() {
	case $1 in
	urllib) COMMAND=("$E2E_PYTHON" "$HTTP/clients.py" urllib) ;;
	node-*) command -v node >/dev/null && COMMAND=(node "$HTTP/clients.js" "${1#node-}") ;;
	curl) command -v curl >/dev/null && COMMAND=(bash "$HTTP/clients.sh" curl) ;;
	php-curl) php -r 'exit(function_exists("curl_init") ? 0 : 1);' 2>/dev/null && COMMAND=(php "$HTTP/clients.php" curl) ;;
	php-stream) command -v php >/dev/null && COMMAND=(php "$HTTP/clients.php" stream) ;;
	ruby) command -v ruby >/dev/null && COMMAND=(ruby "$HTTP/clients.rb" net) ;;
	go) [ -x "$E2E/clients-go" ] && COMMAND=("$E2E/clients-go" net) ;;
	java-*) [ -e "$E2E/Clients.class" ] && COMMAND=(java -XX:TieredStopAtLevel=1 -cp "$E2E" Clients "${1#java-}") ;;
	esac
}

client_run() { # BACKEND CLIENT
	local COMMAND name=$1-$2
	client_command "$2" || return 0
	OTEL_SERVICE_NAME="$name.$E2E_ID" timeout 60 "${COMMAND[@]}" "http://127.0.0.1:$(cat "$E2E/plain.port")" "$name" >"$E2E/$name.log" 2>&1 || true
	OTEL_SERVICE_NAME="$name-tls.$E2E_ID" timeout 60 "${COMMAND[@]}" "https://127.0.0.1:$(cat "$E2E/tls.port")" "$name-tls" >"$E2E/$name-tls.log" 2>&1 || true
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv openssl; }

# check CLIENT [OPTION]: --opaque where its TLS is its own, plain where it refuses the certificate
check() {
	local COMMAND backend
	client_command "$1" || skip "needs $1"
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$E2E_TOOLS/http_clients_check.py" --spans "$E2E/otlp-$backend" --log "$E2E/plain.jsonl" --server plain "$backend-$1"
		[ "${2:-}" != plain ] || continue
		"$E2E_PYTHON" "$E2E_TOOLS/http_clients_check.py" --spans "$E2E/otlp-$backend" --log "$E2E/tls.jsonl" --server tls \
			"$backend-$1-tls" ${2+"$2" "$backend-$1-tls"}
	done
}

@test "Python's http.client, by urllib" { check urllib; }
@test "node's http" { check node-http; }
@test "node's fetch" { check node-fetch; }
@test "curl" { check curl; }
@test "PHP's curl" { check php-curl; }
@test "PHP's streams" { check php-stream; }
@test "Ruby's net/http" { check ruby; }
@test "Go's net/http, its TLS by the server's end" { check go --opaque; }
@test "Java's HttpClient" { check java-new plain; }
@test "Java's HttpURLConnection" { check java-old plain; }

@test "odd traffic: each request once at both ends, and nothing of what is none" {
	local backend
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$E2E_TOOLS/http_odd_check.py" "$E2E/otlp-$backend" "$E2E/odd-$backend.json" "$E2E/plain.jsonl"
	done
}
