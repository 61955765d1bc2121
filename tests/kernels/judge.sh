#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# judge.sh FOLDER NAME BACKEND...: compares what inside.sh brought home from a guest with what the clients and PostgreSQL
# counted there, and prints TAP. Beside it, in FOLDER: cells, "name TAB backend TAB column TAB value TAB reason" a line
# (what the table in docs/kernels.md is made of), and a log of each comparison.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
folder=$1 name=$2
shift 2
export E2E_ID=guest
python=${SONDE_VENV:?}/bin/python
n=0

# verdict STATUS NAME [LOG]: one test; what a failed one said follows as comments
verdict() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $name: $2"
	else
		echo "not ok $n - $name: $2"
		[ -z "${3:-}" ] || tail -n 30 "$3" | sed 's/^/# /'
	fi
}

cell() { # BACKEND COLUMN VALUE [REASON]
	printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$1" "$2" "$3" "${4:-}" >>"$folder/cells"
}

check() { "$python" tests/tools/e2e_check.py "$@"; }

failed() { # BACKEND DATABASE SQLSTATE: how often PostgreSQL logged it
	echo "$3=$(grep -c "^$2 $3 ERROR" "$folder/$1/pglog")"
}

exact_web() { # BACKEND SERVICE CHECKS
	check "$3" --otlp "$folder/$1/otlp" --service "$2" --client "$folder/$1/$1-$2.jsonl" --counts "$folder/$1/counts" \
		--database "$2" --aliases 0 --least 50 --errors "$(failed "$1" "$2" 22012)"
}

exact_client() { # BACKEND SERVICE
	check statements --otlp "$folder/$1/otlp" --service "$2" --counts "$folder/$1/counts" --database "$2" \
		--errors "$(failed "$1" "$2" 22012)" "$(failed "$1" "$2" 23505)"
}

http() { exact_web "$1" web_tcp counts && exact_web "$1" web_unix counts && exact_web "$1" web_tls counts; }
tcp() { exact_web "$1" web_tcp statements,parents && exact_client "$1" c_tcp; }
unix() { exact_web "$1" web_unix statements,parents && exact_client "$1" c_unix; }
tls() { exact_web "$1" web_tls statements,parents && exact_client "$1" c_tls; }
calls() { # BACKEND
	local but=()
	[ "$1" != syscall ] || but=(--but uring_) # it has no system call of its own
	"$python" tests/tools/calls_check.py --otlp "$folder/$1/otlp" --made "$folder/$1/made" "${but[@]}"
}

# Calls that Sonde itself says to have lost this way. What is not said is a failure.
skipped() { # BACKEND
	jq '.summary.kernel.hooks_skipped // 0' "$folder/$1/out" 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'
}

# The newest kernel skips calls when it is emulated (docs/kernels.md, "Preemption"), the only one known to do so: how much is
# missing then says something of the host, and nothing of Sonde.
skips() { # BACKEND
	[ "$name" = newest ] && [ "$(skipped "$1")" != 0 ]
}

unproven() { # NAME REASON
	n=$((n + 1))
	echo "ok $n - $name: $1 # skip $2"
}

# Of all that was compared at least half was seen: where a kernel skips calls, this is left to be proven.
mostly() { # LOG
	sed -nE 's/^FAIL .*: ([0-9]+), expected ([0-9]+)$/\1 \2/p' "$1" | awk '2 * $1 < $2 { few = 1 } END { exit few }'
}

judge_column() { # BACKEND COLUMN NAME
	local log=$folder/$1/$2.log status=0
	"$2" "$1" >"$log" 2>&1 || status=1
	if [ $status = 0 ]; then
		cell "$1" "$2" yes
		verdict 0 "$1: $3"
	elif skips "$1"; then
		cell "$1" "$2" no "the kernel skipped $(skipped "$1") calls, which are counted ([preemption](#preemption))"
		if mostly "$log"; then
			verdict 0 "$1: $3, but for $(skipped "$1") calls that the kernel skipped and Sonde counted"
		else
			unproven "$1: $3" "the kernel skipped $(skipped "$1") calls, which Sonde counted"
		fi
	else
		cell "$1" "$2" no "see the failed test"
		verdict 1 "$1: $3" "$log"
	fi
}

# What `sonde run --backend` said, without what every such message has.
reason() { # BACKEND
	sed -nE "s/^error: cannot observe sockets by backend [a-z_]+: //p" "$folder/$1/log" | head -n 1
}

refused() { # BACKEND
	local why loads=no
	why=$(reason "$1")
	[ -n "$why" ]
	verdict $? "$1: refused with exit status 3 and the reason: $why" "$folder/$1/log"
	[[ $why != *"cannot be attached"* ]] || loads=yes
	cell "$1" loads $loads "$why"
	cell "$1" attaches no "$why"
}

judge_backend() { # BACKEND
	local backend=$1 status drops=()
	status=$(cat "$folder/$backend/rc" 2>/dev/null || echo none)
	if [ "$status" = 3 ] && [ ! -e "$folder/$backend/traffic.rc" ]; then
		refused "$backend"
		return
	fi
	[ "$status" = 0 ] && [ -e "$folder/$backend/traffic.rc" ]
	verdict $? "$backend: observes, and ends with exit status 0 (it was $status)" "$folder/$backend/log"
	[ -e "$folder/$backend/traffic.rc" ] || return
	cell "$backend" loads yes
	cell "$backend" attaches yes
	cell "$backend" start "$(sed -nE 's/^ready +after ([0-9.]+ s).*/\1/p' "$folder/$backend/log")"
	cell "$backend" programs "$(numfmt --to=iec-i --suffix=B --format=%.0f "$(cat "$folder/$backend/program_bytes")" | sed 's/\([KMG]i\)B/ \1B/')"
	verdict "$(cat "$folder/$backend/traffic.rc")" "$backend: the clients did what they wanted" "$folder/$backend/traffic.log"
	judge_column "$backend" http "requests are counted exactly"
	judge_column "$backend" tcp "statements over TCP are counted exactly, below their requests"
	judge_column "$backend" unix "statements over a Unix socket are counted exactly, below their requests"
	judge_column "$backend" tls "statements over TLS, from libpq, are counted exactly, below their requests"
	judge_column "$backend" calls "requests by every call of stream sockets, io_uring among them, are counted exactly"
	[ "$(skipped "$backend")" != 0 ] || drops=(--drops none)
	check ledger --otlp "$folder/$backend/otlp" --summary "$folder/$backend/out" "${drops[@]}" >"$folder/$backend/ledger.log" 2>&1
	status=$?
	if [ $status != 0 ] && skips "$backend"; then
		unproven "$backend: seen = exported + dropped" "the kernel skipped $(skipped "$backend") calls, which Sonde counted"
		return
	fi
	verdict $status "$backend: seen = exported + dropped, and nothing is dropped without a reason" "$folder/$backend/ledger.log"
}

# refusal FOLDER NAME CHECK-REGEX RUN-REGEX: `sonde check` and `sonde run` say why, and end with 3
refusal() {
	local at=$folder/$1 status=0 what
	{
		for what in check run; do
			echo "# sonde $what: $(cat "$at/$what.rc")"
			cat "$at/$what.out" "$at/$what.err"
			[ "$(cat "$at/$what.rc")" = 3 ] || status=1
		done
		tail -n 1 "$at/check.out" | grep -qE "^do first +.*$3" || status=1
		grep -qE "^error: .*$4" "$at/run.err" || status=1
		[ "$(wc -l <"$at/run.err")" -le 2 ] || status=1
	} >"$at/said" 2>&1
	verdict $status "$2: exit status 3, why, and what to do" "$at/said"
}

judge_check() {
	local wanted=3 backend
	for backend in "$@"; do
		[ -e "$folder/$backend/traffic.rc" ] && wanted=0
	done
	[ "$(cat "$folder/check/rc")" = "$wanted" ] && grep -qE '^(you lose|do first) ' "$folder/check/text"
	verdict $? "sonde check ends with $wanted and says what is lost" "$folder/check/text"
	cell all memory "$(sed -nE 's/^memory +([0-9.]+ [KMG]iB) .*/\1/p' "$folder/check/text")"
	cell all lose "$(sed -nE '/^you lose/,/^memory/ s/^(you lose)? +//p' "$folder/check/text" | paste -sd ';' | sed 's/;/; /g')"
}

judge_dmesg() {
	grep -E 'WARNING:|BUG:|Oops|general protection|Call Trace|UBSAN|KASAN|stall detected|tainted' "$folder/dmesg" >"$folder/dmesg.bad"
	[ ! -s "$folder/dmesg.bad" ] && [ -s "$folder/dmesg" ]
	verdict $? "the kernel's log has no WARN, BUG or stall" "$folder/dmesg.bad"
}

: >"$folder/cells"
if [ -d "$folder/lockdown" ]; then
	refusal lockdown "in lockdown=confidentiality" "lockdown is 'confidentiality'" "lockdown is 'confidentiality'"
	judge_dmesg
	echo "1..$n"
	exit
fi
judge_check "$@"
for backend in "$@"; do
	judge_backend "$backend"
done
refusal no_btf "without BTF" BTF BTF
refusal no_bpf "where bpf() is refused by seccomp" "BPF" "BPF|not permitted"
refusal no_caps "as root without capabilities" "CAP_BPF" "CAP_BPF"
refusal nobody "as a user without privileges" "root" "root"
judge_dmesg
echo "1..$n"
