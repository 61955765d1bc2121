#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Every system call that moves bytes of a stream socket, on IPv4, IPv6 and Unix sockets. io_uring has none of its own, so
# backend syscall does not see it.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup_file() {
	e2e_missing root venv && return 0
	e2e_begin
	gcc -std=gnu11 -Wall -Wextra -Werror -O1 -o "$E2E/socket_calls" "$E2E_TOOLS/socket_calls.c" -luring
	local backend
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		OTEL_SERVICE_NAME="calls.$E2E_ID" "$E2E/socket_calls" 10 >"$E2E/$backend.made"
		sonde_stop "$backend"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv; }

@test "each request is seen once at both ends, whichever call moves its bytes" {
	local backend but=()
	for backend in $E2E_BACKENDS; do
		[ "$backend" != syscall ] || but=(--but uring_)
		"$E2E_PYTHON" "$E2E_TOOLS/calls_check.py" --otlp "$E2E/otlp-$backend" --made "$E2E/$backend.made" "${but[@]}"
	done
}
