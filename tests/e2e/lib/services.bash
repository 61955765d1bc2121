# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Services that a client asks several requests at a time, then one, each with a database of its name in PostgreSQL. What they
# say and how they are compared: tests/tools/services_check.py.

# services_observed NAME...: under each backend, one after the other. The test file has one_service NAME BACKEND, which starts one,
# asks it by services_asked, and stops it.
services_observed() {
	local backend name
	for name in "$@"; do
		pg_sql postgres "CREATE DATABASE $name OWNER shop"
	done
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		pg_begin "$backend"
		for name in "$@"; do
			one_service "$name" "$backend"
		done
		pg_end "$backend"
		sonde_stop "$backend"
	done
}

services_asked() { # NAME BACKEND ADDRESS REQUESTS CONNECTIONS [OPTION...]
	load "together-$1-$2" "$3" --requests "$4" --conns "$5" --mix orders=3,plain=1 --keep-alive "${@:6}"
	load "alone-$1-$2" "$3" --requests 40 --conns 1 --first 1000 --mix orders=3,plain=1
}

# services_check NAME PART [SERVER [OPTION...]]: so large a part of what was asked together is below its request, and nothing below another;
# SERVER: the service whose requests they are, up to the backend's name, when it is another.
services_check() {
	local backend
	for backend in $E2E_BACKENDS; do
		if "$E2E_PYTHON" "$E2E_TOOLS/services_check.py" --spans "$E2E/otlp-$backend" --counts "$E2E/$backend.counts" --linked "$2" \
			--service "$1" ${3:+--server "$3-$backend"} "${@:4}" --alone "$E2E/alone-$1-$backend.jsonl" \
			--together "$E2E/together-$1-$backend.jsonl"; then
			continue
		fi
		tail -1 "$E2E/sonde-$backend.out" # what was dropped, and why
		return 1
	done
}
