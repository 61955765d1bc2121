# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh: runs one command or one TAP producer, keeps each result, prints the report.
# A result is a line in $results: status TAB milliseconds TAB group TAB name TAB reason.

: "${out:?folder for logs}" "${results:?file for results}" "${command_timeout:?seconds}"

now_ms() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# record STATUS MS GROUP NAME [REASON]
record() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4//$'\t'/ }" "${5:-}" >>"$results"
}

# progress GROUP NAME TEXT
progress() {
	printf '%-9s %-34s %s\n' "$1" "$2" "$3"
}

# show_log FILE: what a failed test said, indented, its end when it is long
show_log() {
	local lines
	lines=$(wc -l <"$1")
	[ "$lines" -le 200 ] || echo "    ... ($lines lines, the last 200; all of them: $1)"
	tail -n 200 "$1" | sed 's/^/    /'
}

# limited SECONDS LOG COMMAND...: output to LOG. timeout(1) has a process group of its own, which Ctrl-C does not reach.
limited() {
	local seconds=$1 log=$2 pid status
	shift 2
	timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	wait "$pid"
	status=$?
	trap 'exit 130' INT TERM
	return $status
}

# run_command GROUP NAME COMMAND...: one test. Exit status 77 is a skip, its last line of output the reason.
run_command() {
	local group=$1 name=$2 log=$out/$1-${2//[^A-Za-z0-9_.-]/_}.log start status ms
	shift 2
	start=$(now_ms)
	limited "$command_timeout" "$log" "$@"
	status=$?
	ms=$(($(now_ms) - start))
	case $status in
	0)
		record pass "$ms" "$group" "$name"
		progress "$group" "$name" ok
		;;
	77)
		record skip "$ms" "$group" "$name" "$(tail -n 1 "$log")"
		progress "$group" "$name" skipped
		;;
	*)
		record fail "$ms" "$group" "$name" "exit status $status"
		progress "$group" "$name" "FAILED (exit status $status)"
		show_log "$log"
		;;
	esac
}

# start_tap NAME SECONDS COMMAND...: runs a TAP producer and keeps its output and status for finish_tap.
start_tap() {
	local log=$out/$1.tap start status seconds=$2
	start=$(now_ms)
	shift 2
	limited "$seconds" "$log" "$@"
	status=$?
	echo "$status $(($(now_ms) - start)) $seconds" >"$log.status"
}

# TAP to results: "status ms name reason" separated by tabs, and last the number of tests that were planned and seen.
# cmocka says "not ok 3 # SKIP name", bats "ok 3 name in 12ms # skip reason".
parse_tap() {
	awk '
	BEGIN { OFS = "\t" }
	/^1\.\.[0-9]+/ { planned += substr($0, 4) + 0 }
	/^(not )?ok [0-9]+/ {
		seen++
		status = /^not/ ? "fail" : "pass"; name = $0; reason = ""; ms = 0
		gsub(/\t/, " ", name)
		sub(/^(not )?ok [0-9]+ ?(- )?/, "", name)
		if (match(name, /# ?[Ss][Kk][Ii][Pp]( |$)/)) {
			status = "skip"
			reason = substr(name, RSTART + RLENGTH)
			name = substr(name, 1, RSTART - 1)
			if (name == "") { name = reason; reason = "the test says no more" }
		}
		if (match(name, / in [0-9]+ms *$/)) {
			ms = substr(name, RSTART + 4) + 0
			name = substr(name, 1, RSTART - 1)
		}
		print status, ms, name, reason
	}
	END { print "total", planned + 0, seen + 0, "" }' "$1"
}

# finish_tap GROUP NAME: counts what start_tap ran. A crash, a timeout or no test at all is a failure.
finish_tap() {
	local group=$1 name=$2 log=$out/$2.tap status ms seconds verdict took test reason
	local passed=0 failed=0 skipped=0
	read -r status ms seconds <"$log.status"
	while IFS=$'\t' read -r verdict took test reason; do
		case $verdict in
		pass) passed=$((passed + 1)) ;;
		skip) skipped=$((skipped + 1)) ;;
		fail) failed=$((failed + 1)) ;;
		total)
			reason=
			if [ "$status" = 124 ] || [ "$status" = 137 ]; then
				reason="ended after $seconds s: $((took - test)) tests did not report"
			elif [ "$took" -gt "$test" ]; then
				reason="$((took - test)) of $took tests did not report: exit status $status"
			elif [ "$test" = 0 ]; then
				reason="ran no test: exit status $status"
			elif [ "$status" != 0 ] && [ $failed = 0 ]; then
				reason="exit status $status although no test failed"
			fi
			[ -n "$reason" ] || continue
			failed=$((failed + 1))
			verdict=fail took=0 test="(the whole file)"
			;;
		esac
		record "$verdict" "$took" "$group" "$name: $test" "$reason"
	done < <(parse_tap "$log")
	record time "$ms" "$group" "$name"
	progress "$group" "$name" "$passed passed$([ $failed = 0 ] || echo ", $failed FAILED")$(
		[ $skipped = 0 ] || echo ", $skipped skipped")"
	[ $failed = 0 ] || show_log "$log"
}

# require_results GROUP: a group that ran nothing has not passed.
require_results() {
	grep -q "^[a-z]*"$'\t'"[0-9]*"$'\t'"$1"$'\t' "$results" || record fail 0 "$1" "(the whole group)" "ran no test"
}

count() {
	grep -c "^$1"$'\t' "$results"
}

report() {
	local failed
	failed=$(count fail)
	echo
	awk -F'\t' '$1 == "skip" { printf "skipped   %s: %s (%s)\n", $3, $4, $5 }' "$results"
	awk -F'\t' '$1 == "fail" { printf "failed    %s: %s%s\n", $3, $4, $5 == "" ? "" : " (" $5 ")" }' "$results"
	sort -t $'\t' -k2,2nr "$results" | awk -F'\t' '$2 >= 1000 && n++ < 8 { printf "slow      %5.1f s  %s: %s\n", $2 / 1000, $3, $4 }'
	echo "$(count pass) passed, $failed failed, $(count skip) skipped" | tee "$out/summary"
	[ "$failed" = 0 ] && [ "$(count pass)" != 0 ]
}
