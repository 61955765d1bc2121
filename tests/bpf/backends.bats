#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Every way to see sockets, alone: it loads, attaches, sees each request once, and leaves nothing in the kernel. The
# referee is the access log of a server that knows nothing of Sonde.

setup_file() {
	SONDE=${SONDE:-$BATS_TEST_DIRNAME/../../build/sonde}
	export SONDE
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -x "$SONDE" ] || skip "needs $SONDE: run make"
	"$SONDE" check >"$BATS_FILE_TMPDIR/check" 2>&1 || {
		cat "$BATS_FILE_TMPDIR/check"
		return 1
	}
}

setup() {
	unset "${!OTEL_@}" NO_COLOR
	cd "$BATS_TEST_TMPDIR" || return 1
	echo hello >a.txt
	PYTHONUNBUFFERED=1 python3 -m http.server --bind 127.0.0.1 --protocol HTTP/1.1 0 >server.out 2>access.log 3>&- &
	server=$!
	wait_for 20 grep -q 'port [0-9]' server.out
	port=$(grep -oE 'port [0-9]+' server.out | cut -d ' ' -f 2)
}

teardown() {
	local pid
	for pid in $server ${sonde:-}; do
		kill -KILL "$pid" 2>/dev/null || continue
		wait "$pid" || :
	done
}

wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1 * ${E2E_PATIENCE:-1}))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "waited in vain for: $*"
			return 1
		fi
		sleep 0.05
	done
}

ready_or_gone() { grep -q '^ready' sonde.err || ! kill -0 "$sonde" 2>/dev/null; }
gone() { ! kill -0 "$1" 2>/dev/null; }

# The columns of sonde check: "sockets     tp_btf    yes   ...", the name of the group only in its first line.
has_backend() { [ "$1" = auto ] || grep -qE "^(sockets)? +$1 +yes" "$BATS_FILE_TMPDIR/check"; }

# What this kernel cannot give ends at once, with the reason that sonde check tells.
is_refused() { # BACKEND
	local why status=0
	why=$(sed -nE "s/^(sockets)? +$1 +no *//p" "$BATS_FILE_TMPDIR/check")
	[ -n "$why" ]
	"$SONDE" run --backend "$1" --duration 5 >refused.out 2>&1 || status=$?
	cat refused.out
	[ $status = 3 ]
	grep -qF "cannot observe sockets by backend $1: $why" refused.out
}

observe() { # BACKEND [OPTION...]
	env --default-signal=INT "$SONDE" run --backend "$@" --format json --duration 120 >spans.json 2>sonde.err 3>&- &
	sonde=$!
	wait_for 60 ready_or_gone
	grep '^ready' sonde.err || {
		cat sonde.err
		return 1
	}
}

stop() {
	kill -INT "$sonde"
	wait_for 30 gone "$sonde"
	local status=0
	wait "$sonde" || status=$?
	sonde=
	[ $status = 0 ] || {
		echo "exit status $status"
		cat sonde.err
		return 1
	}
}

# "200 /a.txt" for each request, from the server's log: 127.0.0.1 - - [date] "GET /a.txt?1 HTTP/1.1" 200 -
from_log() { sed -nE 's/.*"GET ([^? ]+)[^"]*" ([0-9]+) .*/\2 \1/p' access.log | sort; }

# The same from the spans of one side.
from_spans() { # server|client
	jq -r --arg kind "$1" --argjson port "$port" 'select(.kind == $kind and .attributes["server.port"] == $port)
		| .attributes | "\(.["http.response.status_code"]) \(.["url.path"] // (.["url.full"] | sub("^http://[^/]*"; "") | sub("[?].*"; "")))"' \
		spans.json | sort
}

# 40 requests on one connection, 20 on one each, 10 that fail, and 8 connections at once.
traffic() {
	local pids=() pid
	curl -sf -o /dev/null "http://127.0.0.1:$port/a.txt?[1-40]"
	for _ in $(seq 20); do
		curl -sf -o /dev/null "http://127.0.0.1:$port/a.txt"
	done
	curl -s -o /dev/null "http://127.0.0.1:$port/nothing?[1-10]"
	for _ in $(seq 8); do
		curl -sf -o /dev/null "http://127.0.0.1:$port/a.txt?[1-10]" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}

sees_every_request() { # BACKEND
	if ! has_backend "$1"; then
		is_refused "$1"
		return
	fi
	observe "$1"
	traffic
	stop
	[ "$(from_log | wc -l)" = 150 ]
	diff <(from_log) <(from_spans server)
	diff <(from_log) <(from_spans client)
}

# Ids of the programs, maps and links that a process holds, as "prog_id 12".
kernel_objects() { # PID
	cat "/proc/$1/fdinfo/"* 2>/dev/null | sed -nE 's/^((prog|map|link)_id):\s*([0-9]+)$/\1 \3/p' | sort -u
}

still_there() { # FILE: how many of these objects the kernel still has
	local kind id n=0
	while read -r kind id; do
		bpftool "${kind%_id}" show id "$id" >/dev/null 2>&1 && n=$((n + 1))
	done <"$1"
	echo $n
}

none_left() { [ "$(still_there objects)" = 0 ]; }

@test "tp_btf sees every request once, or says why not" { sees_every_request tp_btf; }
@test "fentry sees every request once, or says why not" { sees_every_request fentry; }
@test "kprobe sees every request once, or says why not" { sees_every_request kprobe; }
@test "syscall sees every request once" { sees_every_request syscall; }

@test "auto takes a backend that works" { sees_every_request auto; }

@test "a recording holds what was seen" {
	observe auto --record events.rec
	traffic
	stop
	mv spans.json live.json
	"$SONDE" replay events.rec --format json >spans.json
	diff <(from_log) <(from_spans server)
}

@test "nothing stays in the kernel after Ctrl-C" {
	observe auto
	kernel_objects "$sonde" >objects
	[ "$(grep -c prog_id objects)" -gt 3 ]
	[ "$(still_there objects)" = "$(wc -l <objects)" ]
	stop
	wait_for 30 none_left
}

@test "nothing stays in the kernel when the keeper is killed" {
	observe auto
	worker=$(pgrep -P "$sonde" | head -n 1)
	kernel_objects "$sonde" >objects
	kill -KILL "$sonde"
	wait "$sonde" || :
	sonde=
	wait_for 30 gone "$worker"
	wait_for 30 none_left
}
