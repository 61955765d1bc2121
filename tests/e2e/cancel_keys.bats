#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# CancelRequests with keys of any length that the protocol allows name the statement that they are for; a key is in nothing
# that Sonde keeps.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv && return 0
	e2e_begin
	local backend
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend" --record "$E2E/$backend.rec"
		OTEL_SERVICE_NAME=keys.$E2E_ID timeout 60 "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/postgres_keys.py" "$(e2e_port)" "$E2E/$backend.keys" >&2
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv; }

@test "statements are cancelled by keys of 4, 32 and 256 bytes" {
	local backend
	for backend in $E2E_BACKENDS; do
		echo "# $backend"
		grep '"keys\.' "$E2E/sonde-$backend.out" | grep pg_sleep | tee /dev/stderr | jq -es 'length == 3 and all(.attributes
			["sonde.db.cancel_requested"] == true and .attributes["db.response.status_code"] == "57014")'
	done
}

@test "no key is in a recording" {
	local backend
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" - "$E2E/$backend.keys" "$E2E/$backend.rec" <<-'PY'
			import pathlib, sys
			keys, record = pathlib.Path(sys.argv[1]).read_text().split(), pathlib.Path(sys.argv[2]).read_bytes()
			assert len(keys) == 3 and b"pg_sleep" in record
			assert not [k for k in keys if bytes.fromhex(k)[:4] in record or bytes.fromhex(k)[-4:] in record]
		PY
	done
}
