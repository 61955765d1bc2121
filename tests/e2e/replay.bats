#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A recording gives the same spans again, without the kernel and without privileges.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	shop_template
	shop_start recorded psycopg2 tls gthread SHOP_DB_PERSISTENT=1
	shop_ready recorded
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

@test "replaying a recording gives the same spans below the same parents" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# on $backend"
		sonde_start "run-$backend" "$backend" --record "$E2E/$backend.rec"
		load "run-$backend" "$(shop_url recorded)" --requests 200 --keep-alive --mix orders=3,write=1,zero=1,plain=1
		sonde_stop "run-$backend"
		e2e_check counts --otlp "$E2E/otlp-run-$backend" --service recorded --client "$E2E/run-$backend.jsonl"
		install -m755 "$SONDE" "$E2E/sonde"
		receiver_start "again-$backend"
		chmod 644 "$E2E/$backend.rec"
		E2E_SPLIT=1 e2e_start "replay-$backend" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs -- \
			env OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$(cat "$E2E/receiver-again-$backend.port")" \
			"$E2E/sonde" replay --format json "$E2E/$backend.rec"
		e2e_wait 60 e2e_ended "replay-$backend"
		cat "$E2E/replay-$backend.log"
		[ "$(cat "$E2E/replay-$backend.rc")" = 0 ]
		e2e_stop "receiver-again-$backend"
		e2e_check replay --otlp "$E2E/otlp-again-$backend" --other "$E2E/otlp-run-$backend" --service recorded
	done
}

@test "a replay loses nothing to its own speed" {
	sonde_start fast tp_btf --record "$E2E/fast.rec"
	"$PG_BIN/pgbench" -i -q postgres >"$E2E/pgbench.log" 2>&1
	OTEL_SERVICE_NAME=fast.$E2E_ID "$PG_BIN/pgbench" -n -S -c 2 -t 10000 postgres >>"$E2E/pgbench.log" 2>&1
	sonde_stop fast
	receiver_start again
	E2E_SPLIT=1 e2e_start replay-fast env OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$(cat "$E2E/receiver-again.port")" \
		OTEL_BSP_MAX_QUEUE_SIZE=1024 "$SONDE" replay --format json "$E2E/fast.rec"
	e2e_wait 120 e2e_ended replay-fast
	e2e_stop receiver-again
	cat "$E2E/replay-fast.log"; tail -1 "$E2E/replay-fast.out" | cut -c1-600; tail -1 "$E2E/replay-fast.out" | jq -e '.summary.spans | .seen >= 20000 and .exported == .seen - (.dropped | add // 0)
		and (.dropped.queue_full // 0) == 0'
}
