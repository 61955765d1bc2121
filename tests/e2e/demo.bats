#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The demo, as a newcomer meets it: one command shows traces, Ctrl-C ends all of it and leaves nothing behind.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

setup() {
	e2e_need root venv postgres openssl
	e2e_begin
}

teardown() { e2e_end; }

shows() { grep -qE -- "$1" "$E2E/demo.out"; }

processes_of() { pgrep -f -- "$1" | grep -vx "$$" || true; }

@test "the demo shows the N+1 and the slow statement, and Ctrl-C leaves nothing behind" {
	local dir
	E2E_SPLIT=1 DEMO_RATE=30 e2e_start demo "$E2E_ROOT/demo/demo.sh"
	e2e_wait 240 e2e_shows_or_ends ready # packages are installed first, where they are missing
	e2e_wait 60 shows 'shop +GET /orders/[0-9]+/ +200'
	e2e_wait 60 shows 'SELECT "stock" +×10 \(N\+1\)'
	e2e_wait 60 shows 'shop +GET /report/ +200'
	dir=$(grep -oE '/tmp/sonde-demo\.\w+' "$E2E/demo.out" | head -1)
	[ -d "$dir" ]
	[ -n "$(processes_of "$dir")" ]
	e2e_stop demo INT 60
	[ "$(cat "$E2E/demo.rc")" = 0 ]
	shows '^observed .*services?$'
	shows '^spans +[0-9,]+ seen = .* \+ (0 dropped|[0-9,]+ dropped \(not selected [0-9,]+\))$'
	[ ! -e "$dir" ]
	[ -z "$(processes_of "$dir")" ]
}

e2e_shows_or_ends() { e2e_ended demo || shows "^$1 " || grep -q "^$1 " "$E2E/demo.log"; }
