#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# HTTP/1.1 as few libraries speak it: requests that do not wait for answers, in one send and in many, cut anywhere; heads and
# answers that trickle; odd methods and line ends. What the client on raw sockets asked and got is the referee, at both
# ends, in spans and in histograms. Servers that are not installed are skipped by name.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

HTTP=$BATS_TEST_DIRNAME/app/http

setup_file() {
	e2e_missing root venv && return 0
	e2e_begin
	local backend server
	server_start raw "$E2E_PYTHON" "$HTTP/pipelines.py" serve PORT
	server_start gunicorn "$E2E_PYTHON" -m gunicorn --chdir "$HTTP" --worker-tmp-dir /dev/shm pipelines_wsgi:application --bind 127.0.0.1:PORT
	command -v node >/dev/null && server_start node node "$HTTP/pipelines_server.js" PORT
	command -v go >/dev/null && (cd "$E2E" && HOME=${HOME:-/root} go build -o "$E2E/go-server" "$HTTP/pipelines_server.go") &&
		server_start go "$E2E/go-server" PORT
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		# What nginx writes as its title hides its environment, and so its name, from a Sonde that starts later.
		command -v nginx >/dev/null && OTEL_SERVICE_NAME="own_nginx.$E2E_ID" nginx_static own_nginx
		for server in raw:all own_nginx:real node:real go:real gunicorn:alone; do
			ask "$backend" "${server%:*}" "${server#*:}"
		done
		e2e_stop own_nginx
		sonde_stop "$backend"
	done
}

server_start() { # NAME COMMAND...: with PORT where its port is to be
	local name=$1 port
	shift
	port=$(e2e_port)
	echo "$port" >"$E2E/$name.port"
	OTEL_SERVICE_NAME="$name.$E2E_ID" e2e_start "$name" "${@//PORT/$port}"
	e2e_wait 20 e2e_listens "$port"
}

ask() { # BACKEND SERVER WHAT
	[ -e "$E2E/$2.port" ] || return 0
	OTEL_SERVICE_NAME="asks-$2.$E2E_ID" timeout 120 "$E2E_PYTHON" "$HTTP/pipelines.py" ask "$(cat "$E2E/$2.port")" "$1" "$3" >"$E2E/$1-$2.json"
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv; }

check() { # SERVER
	local backend
	[ -e "$E2E/$1.port" ] || skip "needs $1"
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		"$E2E_PYTHON" "$E2E_TOOLS/http_pipelines_check.py" "$E2E/otlp-$backend" "$E2E/$backend-$1.json" "$1" "asks-$1"
	done
}

@test "raw sockets: every request once at either end" { check raw; }
@test "nginx" { check own_nginx; }
@test "node's http" { check node; }
@test "Go's net/http" { check go; }
@test "gunicorn's sync workers, a request a connection" { check gunicorn; }

# Each body is 8000 bytes, of which 1024 at the most are in the record of the exchange.
uploads() { # PORT
	"$E2E_PYTHON" - "$1" <<-'END'
		import socket, sys
		body = b"x" * 2000 + b"DEEP-IN-THE-BODY" + b"x" * 5984
		plain = b"Content-Length: %d\r\n\r\n" % len(body), body
		chunked = b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
		long = b"X-Long: " + b"y" * 1500 + b"LONG-HEAD" + b"\r\n" + plain[0], b"x" * len(body)
		def answered(s):
		    got = b""
		    while b"\r\n\r\n" not in got:
		        got += s.recv(4096)
		for fields, content in plain, chunked, long:
		    for at_once in 1, 0:
		        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
		            for i in range(10):
		                head = b"POST /empty/up%d HTTP/1.1\r\nHost: h\r\n" % i + fields
		                for part in [head + content] if at_once else [head, content]:
		                    s.sendall(part)
		                answered(s)
	END
}

@test "what is sent up is told by its head: its body does not go through the ring" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		sonde_start "up-$backend" "$backend" --record "$E2E/up-$backend.rec"
		OTEL_SERVICE_NAME=uploads.$E2E_ID uploads "$(cat "$E2E/raw.port")"
		sonde_stop "up-$backend"
		[ "$(jq -r .service "$E2E/sonde-up-$backend.out" | grep -c -e "^raw.$E2E_ID$" -e "^uploads.$E2E_ID$")" = 120 ] # 60 at either end
		grep -a -q LONG-HEAD "$E2E/up-$backend.rec"
		run ! grep -a -q DEEP-IN-THE-BODY "$E2E/up-$backend.rec"
	done
}
