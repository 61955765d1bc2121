#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh: lets libFuzzer work on every target (make fuzz). New inputs go to build/fuzz/corpus/NAME, what was found to
# build/fuzz/found/NAME-*: make that input a file of tests/fuzz/corpus/NAME when it is fixed.
# Nine of ten inputs of the lexer and of the wire parsers are short: they take as long as they are, and what is done with
# them hangs on few tokens and few messages.
#   FUZZ_SECONDS=60  time for each target      FUZZ_RUNS=N  inputs instead      FUZZ_ONLY=NAME  one target
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

declare -A short_inputs=([sql]=256 [proto_mysql]=256 [proto_postgres]=256)

# limit TENTHS: of what was asked for.
limit() {
	if [ -n "${FUZZ_RUNS:-}" ]; then
		echo "-runs=$((FUZZ_RUNS * $1 / 10))"
	else
		echo "-max_total_time=$(((${FUZZ_SECONDS:-60} * $1 + 9) / 10))"
	fi
}

# run_target NAME OPTION...
run_target() {
	"build/fuzz/fuzz_$1" "${@:2}" -artifact_prefix="build/fuzz/found/$1-" "build/fuzz/corpus/$1" "tests/fuzz/corpus/$1"
}

run_parts() { # NAME OPTION...
	local length=${short_inputs[$1]-}
	if [ -z "$length" ]; then
		run_target "$@" "$(limit 10)"
	else
		run_target "$@" "$(limit 9)" -max_len="$length" && run_target "$@" "$(limit 1)" -max_len=4096
	fi
}

status=0
mkdir -p build/fuzz/found
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	short=${name#fuzz_}
	if [ ! -e "$source" ] || [ "${FUZZ_ONLY:-$short}" != "$short" ]; then
		continue
	fi
	mkdir -p "build/fuzz/corpus/$short" "tests/fuzz/corpus/$short"
	options=(-print_final_stats=1 -verbosity=0 -timeout=10 -rss_limit_mb=2048 -close_fd_mask=1)
	[ ! -e "tests/fuzz/$short.dict" ] || options+=(-dict="tests/fuzz/$short.dict")
	log=build/fuzz/$short.log
	if run_parts "$short" "${options[@]}" >"$log" 2>&1; then
		printf 'fuzz      %-20s %s inputs, nothing found\n' "$short" \
			"$(awk '/^stat::number_of_executed_units:/ { n += $2 } END { print n }' "$log")"
	else
		printf 'fuzz      %-20s FOUND\n' "$short"
		tail -n 60 "$log" | sed 's/^/    /'
		status=1
	fi
done
exit $status
