#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# sonde replay on a hand-made recording: what it prints, for programs and for people, and what it says of files that are none.
# No root, no BPF.

bats_require_minimum_version 1.5.0

setup_file() {
	export ROOT SONDE
	ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	SONDE=${SONDE:-$ROOT/build/sonde}
	cd "$ROOT" || return
	[ -x "$SONDE" ] || make -s all
	"${CC:-cc}" -D_GNU_SOURCE -std=gnu11 -Iinclude -Iuser -o "$BATS_FILE_TMPDIR/make_recording" \
		tests/tools/make_recording.c user/source/record.c user/util/*.c
	"$BATS_FILE_TMPDIR/make_recording" "$BATS_FILE_TMPDIR/shop.rec"
}

setup() {
	unset "${!OTEL_@}"
	REC=$BATS_FILE_TMPDIR/shop.rec
}

# Random ids become names: a parent that was seen is called by its name. What a build or a machine decides is left out.
normal() {
	jq -cs 'map(select(has("name"))) as $spans | ($spans | map({(.span_id): .name}) | add) as $names |
		($spans[] | del(.span_id, .resource["host.arch"], .resource["telemetry.sdk.version"]) |
			.parent_span_id = ($names[.parent_span_id] // .parent_span_id)),
		(.[-1].summary | {routes, statements, calls, spans})'
}

@test "JSON is what the golden file says" {
	"$SONDE" replay --format json "$REC" | normal >"$BATS_TEST_TMPDIR/out"
	diff -u "$BATS_TEST_DIRNAME/shop.json" "$BATS_TEST_TMPDIR/out"
}

@test "the lines for people hold the request, its statements and no literal" {
	TZ=UTC run -0 "$SONDE" replay "$REC"
	[[ $output == *"GET /orders/42"*"200"*"16.0 ms"*"2 SQL 6.00 ms"* ]]
	[[ $output == *"SELECT orders"*"3 rows"* ]]
	[[ $output == *"23505 unique_violation"* ]]
	[[ $output == *"3 seen = 3 shown + 0 dropped"* ]]
	[[ $output != *geheim* && $output != *ann@example.com* && $output != *secret* ]]
}

@test "a backend that was not there is named at the end, not only counted" {
	OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 OTEL_BSP_SCHEDULE_DELAY=60000 run --separate-stderr "$SONDE" replay --format json "$REC"
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"cannot reach http://127.0.0.1:9/v1/traces"* ]]
	jq -es '.[-1].summary.spans | .exported == 0 and .dropped.shutdown == .seen' <<<"$output"
}

@test "a file that is no recording is named as such" {
	run -2 --separate-stderr "$SONDE" replay /etc/passwd
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"not a recording"* && $output == "" ]]
}

@test "a recording that is cut off gives what came before, says where, and fails" {
	head -c 4000 "$REC" >"$BATS_TEST_TMPDIR/cut.rec"
	run -1 --separate-stderr "$SONDE" replay --format json "$BATS_TEST_TMPDIR/cut.rec"
	[[ $stderr == *"cut off at byte "* ]]
	[[ $output == *'"name":"SELECT orders"'* ]]
}

@test "a recording of another version is not guessed at" {
	cp "$REC" "$BATS_TEST_TMPDIR/later.rec"
	printf '\x09' | dd of="$BATS_TEST_TMPDIR/later.rec" bs=1 seek=8 conv=notrunc status=none
	run -2 --separate-stderr "$SONDE" replay "$BATS_TEST_TMPDIR/later.rec"
	[[ $stderr == *"another version"* ]]
}

