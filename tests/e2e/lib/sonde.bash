# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sonde itself, with a receiver of its own for what it exports.

# Every test runs on each of these.
E2E_BACKENDS=${E2E_BACKENDS:-tp_btf syscall}
export E2E_BACKENDS

receiver_start() { # NAME: keeps what it gets in $E2E/otlp-NAME, its port in $E2E/receiver-NAME.port
	mkdir -p "$E2E/otlp-$1"
	e2e_start "receiver-$1" env OTEL_SERVICE_NAME="receiver-$1.$E2E_ID" "$E2E_PYTHON" -u "$E2E_TOOLS/otlp_receiver.py" --dir "$E2E/otlp-$1" --port 0
	e2e_wait 10 grep -qE '[0-9]+' "$E2E/receiver-$1.log"
	grep -oE '[0-9]+' "$E2E/receiver-$1.log" | head -1 >"$E2E/receiver-$1.port"
}

# sonde_start NAME BACKEND [OPTION...]: returns when it observes. $SONDE_ENV: more variables. JSON in $E2E/sonde-NAME.out.
sonde_start() {
	local name=$1 backend=$2
	shift 2
	receiver_start "$name"
	# shellcheck disable=SC2086 # SONDE_ENV is a list
	E2E_SPLIT=1 e2e_start "sonde-$name" env OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$(cat "$E2E/receiver-$name.port")" \
		OTEL_METRIC_EXPORT_INTERVAL=1000 OTEL_BSP_SCHEDULE_DELAY=200 ${SONDE_ENV:-} \
		"$SONDE" run --backend "$backend" --format json --duration 900 "$@"
	e2e_wait 90 sonde_is_ready "$name" && e2e_running "sonde-$name" && return 0
	sonde_log "$name"
	return 1
}

# With lines for people it says so among them.
sonde_is_ready() { e2e_ended "sonde-$1" || grep -qw ready "$E2E/sonde-$1.log" "$E2E/sonde-$1.out"; }
sonde_log() { tail -20 "$E2E/sonde-$1.log" >&2; }
sonde_worker() { pgrep -P "$(e2e_pid "sonde-$1")" | head -1; }

# Stops it as Ctrl-C does; it must flush, say what it saw and exit with 0.
sonde_stop() {
	e2e_stop "sonde-$1" INT 60 && [ "$(cat "$E2E/sonde-$1.rc")" = 0 ] && e2e_stop "receiver-$1" && return 0
	echo "sonde exited with $(cat "$E2E/sonde-$1.rc")" >&2
	sonde_log "$1"
	return 1
}

# Of a matrix of drivers: none is in the list of those that failed by themselves.
all_worked() {
	local backend rc=0
	for backend in $E2E_BACKENDS; do
		[ ! -s "$E2E/$backend.failed" ] || { cat "$E2E/$backend.failed" && rc=1; }
	done
	return $rc
}
