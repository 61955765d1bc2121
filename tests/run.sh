#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh STEP...: runs steps of the tests in order and ends with "N passed, N failed, N skipped".
#
#   test-deps  install what the tests need; start the builds of Jaeger and the database drivers in the background
#   build      build the product
#   static     checks of the source: each counts as one test
#   lint       of these only shellcheck and clang-tidy, with its slow analyzer
#   unit       tests/unit under ASan and UBSan, tests/{proto,replay}/*.bats, the fuzz corpora; no root
#   bpf        tests/bpf/*.bats: needs root
#   e2e        tests/e2e/*.bats: needs root; finds Jaeger in $SONDE_JAEGER and a Python venv in $SONDE_VENV, or the
#              reason why there is none in $SONDE_JAEGER_WHY, $SONDE_VENV_WHY; database drivers likewise, $SONDE_DRIVERS
#   kernels    boots Debian's kernels in QEMU, two at a time, and runs tests/kernels in each; root
#
# SONDE_NO_JAEGER=1 does not build Jaeger. ONLY=REGEX runs the unit, bpf and e2e files that match, kernels for "kernels".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

export out=$PWD/build/tests
results=$out/results
command_timeout=900
file_timeout=${SONDE_TEST_TIMEOUT:-900}
jaeger_pid=
drivers_pid=
export SONDE_ROOT=$PWD

rm -rf "$out"
mkdir -p "$out"
: >"$results"
# shellcheck source=tests/run_report.sh
. tests/run_report.sh

# The builds go on in sessions of their own, so they must not outlive us.
stop_jaeger() {
	[ -z "$jaeger_pid" ] || kill -- "-$jaeger_pid" 2>/dev/null
}
stop_drivers() {
	[ -z "$drivers_pid" ] || kill -- "-$drivers_pid" 2>/dev/null
}
trap 'stop_jaeger; stop_drivers' EXIT
trap 'exit 130' INT TERM

start_jaeger() {
	[ -z "${SONDE_NO_JAEGER:-}${SONDE_JAEGER:-}$jaeger_pid" ] || return 0
	tests/referees/jaeger/build.sh --cached >"$out/jaeger" 2>/dev/null && return 0
	progress jaeger building "in the background, once, about 12 minutes ($out/jaeger.log)"
	setsid nice -n 10 tests/referees/jaeger/build.sh >"$out/jaeger" 2>"$out/jaeger.log" &
	jaeger_pid=$!
}

# Sets SONDE_JAEGER, or SONDE_JAEGER_WHY not.
await_jaeger() {
	[ -z "${SONDE_JAEGER:-}" ] || return 0
	export SONDE_JAEGER='' SONDE_JAEGER_WHY=''
	if [ -n "${SONDE_NO_JAEGER:-}" ]; then
		SONDE_JAEGER_WHY="SONDE_NO_JAEGER is set"
		return
	fi
	start_jaeger
	if [ -n "$jaeger_pid" ]; then
		progress jaeger waiting "for its build"
		local left=2400
		while kill -0 "$jaeger_pid" 2>/dev/null && [ $left -gt 0 ]; do
			sleep 1
			left=$((left - 1))
		done
		stop_jaeger
		wait "$jaeger_pid" || SONDE_JAEGER_WHY="Jaeger could not be built: $(tail -n 1 "$out/jaeger.log")"
		jaeger_pid=
	fi
	[ -n "$SONDE_JAEGER_WHY" ] || SONDE_JAEGER=$(tail -n 1 "$out/jaeger")
}

start_drivers() {
	[ -z "${SONDE_DRIVERS:-}$drivers_pid" ] || return 0
	tests/referees/drivers.sh --cached >"$out/drivers" 2>/dev/null && return 0
	progress drivers installing "in the background, once, about a minute ($out/drivers.log)"
	setsid nice -n 5 tests/referees/drivers.sh >"$out/drivers" 2>"$out/drivers.log" &
	drivers_pid=$!
}

# Sets SONDE_DRIVERS, or SONDE_DRIVERS_WHY not. Waiting takes as long as npm, Maven and Go allow each other.
await_drivers() {
	[ -z "${SONDE_DRIVERS:-}" ] || return 0
	export SONDE_DRIVERS='' SONDE_DRIVERS_WHY=''
	start_drivers
	if [ -n "$drivers_pid" ]; then
		progress drivers waiting "for their installation"
		timeout 900 tail --pid="$drivers_pid" -f /dev/null
		stop_drivers
		wait "$drivers_pid" || SONDE_DRIVERS_WHY="the database drivers could not be installed: $(tail -n 1 "$out/drivers.log")"
		drivers_pid=
	fi
	[ -n "$SONDE_DRIVERS_WHY" ] || SONDE_DRIVERS=$(tail -n 1 "$out/drivers")
}

await_venv() {
	[ -z "${SONDE_VENV:-}" ] || return 0
	export SONDE_VENV SONDE_VENV_WHY=''
	if ! SONDE_VENV=$(tests/referees/venv.sh 2>"$out/venv.log"); then
		SONDE_VENV=
		SONDE_VENV_WHY="no Python packages: $(tail -n 1 "$out/venv.log")"
	fi
}

step_test_deps() {
	run_command test-deps packages make --no-print-directory test-deps
	start_drivers
	start_jaeger
}

step_build() {
	run_command build build/sonde make --no-print-directory all
}

step_lint() {
	run_command static shellcheck tests/check/shell.sh
	run_command static clang-tidy tests/check/tidy.sh "$@"
}

step_static() {
	local check
	make -s all >/dev/null 2>&1 # the documentation is checked against what the binary says; a failure shows there
	for check in selftest format licence layers size stack docs commits; do
		run_command static "$check" "tests/check/$check.sh"
	done
	step_lint
	require_results static
}

selected() {
	[[ $1 =~ ${ONLY:-.} ]]
}

run_unit_binaries() {
	local source name names=()
	export CMOCKA_MESSAGE_OUTPUT=TAP
	for source in tests/unit/test_*.c; do
		selected "$source" || continue
		names+=("$(basename "$source" .c)")
	done
	export -f start_tap limited now_ms
	printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I '{}' bash -c "start_tap '{}' 120 'build/unit/{}'"
	for name in "${names[@]}"; do
		finish_tap unit "$name"
	done
}

replay_corpora() {
	local source name
	for source in tests/fuzz/fuzz_*.c; do
		if [ ! -e "$source" ] || ! selected "$source"; then
			continue
		fi
		name=$(basename "$source" .c)
		run_command unit "$name corpus" "build/fuzz/replay/$name" "tests/fuzz/corpus/${name#fuzz_}"
	done
}

step_unit() {
	export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
	run_command unit "unit tests compile" make --no-print-directory -k unit-bins
	run_unit_binaries
	run_bats unit tests/proto/*.bats tests/replay/*.bats
	replay_corpora
	require_results unit
}

# run_bats GROUP FILE...
run_bats() {
	local group=$1 file name
	shift
	for file in "$@"; do
		if [ ! -e "$file" ] || ! selected "$file"; then
			continue
		fi
		name=$(basename "$file")
		start_tap "$name" "$file_timeout" bats --formatter tap --timing "$file"
		finish_tap "$group" "$name"
	done
}

# as_root GROUP FILE...: bats files that are nothing without root
as_root() {
	local group=$1 file
	shift
	if [ "$(id -u)" != 0 ]; then
		for file in "$@"; do
			record skip 0 "$group" "$(basename "$file")" "needs root"
		done
	else
		run_bats "$group" "$@"
	fi
	require_results "$group"
}

# Why this host lets nobody observe, in $refused; false when it does.
host_refuses_bpf() {
	[ -x build/sonde ] || return 1
	refused=$(build/sonde check 2>&1) && return 1
	refused=$(tail -n 1 <<<"$refused" | sed -E 's/^do first +//')
}

# skip_all GROUP REASON FILE...
skip_all() {
	local group=$1 reason=$2 file
	shift 2
	for file in "$@"; do
		record skip 0 "$group" "$(basename "$file")" "$reason"
	done
	progress "$group" "all files" "skipped: $reason"
}

step_bpf() {
	if host_refuses_bpf; then
		skip_all bpf "in a guest: this host refuses BPF ($refused)" tests/bpf/*.bats
		return
	fi
	as_root bpf tests/bpf/*.bats
}

# Where the host refuses BPF, a guest runs what proves the same path.
step_e2e() {
	local rest
	await_venv
	if host_refuses_bpf; then
		mapfile -t rest < <(printf '%s\n' tests/e2e/*.bats | grep -v /cli.bats)
		run_bats e2e tests/e2e/cli.bats # asks for nothing that is refused
		skip_all e2e "in a guest, as far as it has them: this host refuses BPF ($refused)" "${rest[@]}"
		progress e2e "a guest instead" "booting"
		start_tap guest 1200 tests/kernels/host.sh
		finish_tap e2e guest
		return
	fi
	if [ "$(id -u)" = 0 ]; then
		! selected tests/e2e/drivers.bats || await_drivers
		await_jaeger
	fi
	as_root e2e tests/e2e/*.bats
}

# Two guests at a time, the slowest first. KERNELS names some only. UPDATE=1 writes the tables anew.
step_kernels() {
	local name names start
	selected tests/kernels || return 0
	read -ra names <<<"${KERNELS:-newest 6.12 6.1 5.10 confidentiality}"
	if [ "$(id -u)" != 0 ]; then
		skip_all kernels "needs root" "${names[@]}"
		return
	fi
	await_venv
	export SONDE_KERNEL_TOOLS=$out/kernel-tools
	run_command kernels "tools for the guests" tests/kernels/tools.sh "$SONDE_KERNEL_TOOLS"
	start=$(now_ms)
	export SONDE_KERNELS_END=$(($(date +%s) + 1500))
	export -f start_tap limited now_ms progress
	printf '%s\n' "${names[@]}" | xargs -P 2 -I '{}' bash -c \
		"progress kernels '{}' booting; start_tap 'kernel-{}' 1700 tests/kernels/one.sh '{}'; progress kernels '{}' done"
	for name in "${names[@]}"; do
		finish_tap kernels "kernel-$name"
	done
	run_command kernels "verifier budget" python3 tests/kernels/tables.py verifier ${UPDATE:+--update}
	run_command kernels "docs/kernels.md" python3 tests/kernels/tables.py docs ${UPDATE:+--update}
	progress kernels "all guests" "$((($(now_ms) - start) / 1000)) s"
	require_results kernels
}

for step in "$@"; do
	case $step in
	test-deps | build | static | unit | bpf | e2e | kernels) "step_${step//-/_}" ;;
	lint) step_lint --deep ;;
	*)
		echo "error: no step '$step'; see the top of tests/run.sh" >&2
		exit 2
		;;
	esac
done
report
