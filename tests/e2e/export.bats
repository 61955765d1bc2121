#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What leaves Sonde: bytes that Google's protobuf reads, a trace that Jaeger shows, the caller's context, and nothing of
# Sonde's own traffic.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

TRACE=0af7651916cd43dd8448eb211c80319c
CONTEXT=00-$TRACE-b7ad6b7169203331-01

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start export psycopg2 tls gthread SHOP_DB_PERSISTENT=1 SHOP_ALIASES=0
	shop_ready export
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl curl jq; }

@test "everything sent decodes with Google's protobuf and follows the rules of OTLP" {
	local backend
	for backend in $E2E_BACKENDS; do
		sonde_start "bytes-$backend" "$backend"
		load "bytes-$backend" "$(shop_url export)" --requests 200 --keep-alive --mix orders=3,write=1,zero=1,unique=1,head=1,missing=1
		sonde_stop "bytes-$backend"
		"$E2E_PYTHON" "$E2E_TOOLS/otlp_check.py" "$E2E/otlp-bytes-$backend"
	done
}

@test "traceparent of the caller is the parent, of the request and so of its statements" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		sonde_start "parent-$backend" "$backend"
		load "parent-$backend" "$(shop_url export)" --requests 50 --mix orders=1 --traceparent "$CONTEXT"
		sonde_stop "parent-$backend"
		e2e_check traceparent --otlp "$E2E/otlp-parent-$backend" --service export --traceparent "$CONTEXT"
		e2e_check parents --otlp "$E2E/otlp-parent-$backend" --service export --least 150 --aliases 0
	done
}

@test "the export to a receiver on the same host is never observed: no loop" {
	local backend pids
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		sonde_start "loop-$backend" "$backend"
		pids="$(e2e_pid "sonde-loop-$backend") $(sonde_worker "loop-$backend")"
		load "loop-$backend" "$(shop_url export)" --requests 50 --seconds 5 --rate 10 --mix orders=1
		sonde_stop "loop-$backend"
		# shellcheck disable=SC2086 # two numbers
		e2e_check silence --otlp "$E2E/otlp-loop-$backend" --service export --receiver "receiver-loop-$backend" \
			--port "$(cat "$E2E/receiver-loop-$backend.port")" --pids $pids
	done
}

@test "a client whose local port is also that of Sonde's export is observed" {
	local backend port
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		sonde_start "port-$backend" "$backend"
		load "port-first-$backend" "$(shop_url export)" --requests 20 --conns 1 --keep-alive --mix plain=1
		receiver_connected() {
			port=$(ss -Htnp state established dst "127.0.0.1:$(cat "$E2E/receiver-port-$backend.port")" |
				grep "pid=$(sonde_worker "port-$backend")," | awk '{ print $3; exit }' | sed 's/.*://')
			[ "$port" ]
		}
		e2e_wait 15 receiver_connected
		load "port-$backend" "$(shop_url export)" --requests 30 --conns 1 --keep-alive --first 100 --from-port "$port" \
			--mix plain=1
		sonde_stop "port-$backend"
		cat "$E2E/port-first-$backend.jsonl" >>"$E2E/port-$backend.jsonl"
		e2e_check counts --otlp "$E2E/otlp-port-$backend" --service export --client "$E2E/port-$backend.jsonl"
	done
}

shown() { jaeger_trace "$TRACE" >"$E2E/trace.json"; }

@test "Jaeger shows the request with its SQL below it" {
	jaeger_need
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		jaeger_start
		SONDE_ENV="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:$JAEGER_OTLP_HTTP_PORT/v1/traces" \
			sonde_start "jaeger-$backend" "$backend"
		load "jaeger-$backend" "$(shop_url export)" --requests 1 --first 7 --conns 1 --mix orders=1 --traceparent "$CONTEXT"
		sonde_stop "jaeger-$backend"
		jaeger_get "$JAEGER_QUERY_PORT" /api/v3/services | jq -e --arg name "export.$E2E_ID" '.services | index($name)'
		e2e_wait 10 shown
		jq -e '[.result.resourceSpans[].scopeSpans[].spans[]] as $all
			| def attribute($k): (.attributes // [])[] | select(.key == $k) | .value.stringValue;
			($all | map(select(.kind == 2 and attribute("url.path") == "/orders/r7/"))) as $requests
			| ($requests | length == 1)
			and ($all | map(select(.kind == 3 and .parentSpanId == $requests[0].spanId
				and (attribute("db.query.text") | test("AS \"?r7\"?"))))
				| length == 4)' "$E2E/trace.json"
		e2e_stop jaeger
	done
}
