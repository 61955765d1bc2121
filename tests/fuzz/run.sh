#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh: lets libFuzzer work on every target (make fuzz). New inputs go to build/fuzz/corpus/NAME, what was found to
# build/fuzz/found/NAME-*: make that input a file of tests/fuzz/corpus/NAME when it is fixed.
#   FUZZ_SECONDS=60  time for each target      FUZZ_RUNS=N  inputs instead      FUZZ_ONLY=NAME  one target
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

limit=(-max_total_time="${FUZZ_SECONDS:-60}")
[ -z "${FUZZ_RUNS:-}" ] || limit=(-runs="$FUZZ_RUNS")
status=0
mkdir -p build/fuzz/found
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	short=${name#fuzz_}
	if [ ! -e "$source" ] || [ "${FUZZ_ONLY:-$short}" != "$short" ]; then
		continue
	fi
	mkdir -p "build/fuzz/corpus/$short" "tests/fuzz/corpus/$short"
	options=("${limit[@]}" -print_final_stats=1 -verbosity=0 -timeout=10 -rss_limit_mb=2048 -close_fd_mask=1)
	[ ! -e "tests/fuzz/$short.dict" ] || options+=(-dict="tests/fuzz/$short.dict")
	log=build/fuzz/$short.log
	if "build/fuzz/$name" "${options[@]}" -artifact_prefix="build/fuzz/found/$short-" \
		"build/fuzz/corpus/$short" "tests/fuzz/corpus/$short" >"$log" 2>&1; then
		printf 'fuzz      %-20s %s inputs, nothing found\n' "$short" \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
	else
		printf 'fuzz      %-20s FOUND\n' "$short"
		tail -n 60 "$log" | sed 's/^/    /'
		status=1
	fi
done
exit $status
