# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Starting, waiting for and stopping things. Everything lives in $E2E (a directory in /tmp); every process is known by a
# name, has $E2E/NAME.pid, NAME.log and, when it ended, NAME.rc, and is ended by e2e_end. Nothing here sleeps for a fixed time.

E2E_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
E2E_TOOLS=$E2E_ROOT/tests/tools
SONDE=${SONDE:-$E2E_ROOT/build/sonde}
export E2E_ROOT E2E_TOOLS SONDE PYTHONDONTWRITEBYTECODE=1

# Says what of the named things is missing; false when nothing is.
e2e_missing() {
	local what
	for what in "$@"; do
		case $what in
		venv) [ -z "${SONDE_VENV_WHY:-}" ] || { echo "Python packages: $SONDE_VENV_WHY" && return 0; } ;;
		sonde) [ -x "$SONDE" ] || { echo "$SONDE" && return 0; } ;;
		root) [ "$(id -u)" = 0 ] || { echo "root" && return 0; } ;;
		mariadb) [ -x "$MARIADBD" ] || { echo "mariadb-server" && return 0; } ;;
		postgres) [ -x "$PG_BIN/postgres" ] || { echo "postgresql-15" && return 0; } ;;
		*) command -v "$what" >/dev/null || { echo "$what" && return 0; } ;;
		esac
	done
	return 1
}

# Skips the test when something is missing; a skip names its reason.
e2e_need() {
	local what
	what=$(e2e_missing "$@") && skip "needs $what"
	return 0
}

e2e_begin() {
	E2E=$(mktemp -d "${TMPDIR:-/tmp}/sonde-e2e.XXXXXX")
	chmod 755 "$E2E"
	: >"$E2E/started"
	E2E_PYTHON=${E2E_PYTHON:-${SONDE_VENV:-$("$E2E_ROOT/tests/referees/venv.sh")}/bin/python}
	# Services are named NAME.$E2E_ID, so that other runs on this host are told apart; e2e_otlp.py takes it off again.
	E2E_ID=${E2E##*.}
	export E2E E2E_PYTHON E2E_ID
}

# e2e_start NAME COMMAND...: in the background, output in $E2E/NAME.log (NAME.out when stdout is to be kept apart).
e2e_start() {
	local name=$1
	shift
	rm -f "$E2E/$name.rc" "$E2E/$name.pid"
	(
		set +e
		exec 3>&- 4>&- 5>&- </dev/null
		# The shell makes its background processes ignore SIGINT; these must not.
		if [ "${E2E_SPLIT:-}" ]; then
			env --default-signal=INT,QUIT "$@" >"$E2E/$name.out" 2>"$E2E/$name.log" &
		else
			env --default-signal=INT,QUIT "$@" >"$E2E/$name.log" 2>&1 &
		fi
		echo $! >"$E2E/$name.pid.new"
		mv "$E2E/$name.pid.new" "$E2E/$name.pid"
		wait $!
		echo $? >"$E2E/$name.rc"
	) >/dev/null 2>&1 3>&- &
	echo "$name" >>"$E2E/started"
	e2e_wait 5 test -s "$E2E/$name.pid"
}

e2e_pid() { cat "$E2E/$1.pid"; }
e2e_running() { [ -s "$E2E/$1.pid" ] && [ ! -e "$E2E/$1.rc" ]; }
e2e_ended() { [ -e "$E2E/$1.rc" ]; }

# e2e_wait SECONDS COMMAND...: until the command succeeds; says what it waited for when it never does. E2E_PATIENCE: so
# many times the seconds, where the processor is emulated.
e2e_wait() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${E2E_PATIENCE:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "${EPOCHREALTIME/./}" -gt "$deadline" ]; then
			echo "waited in vain for: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# e2e_stop NAME [SIGNAL [SECONDS]]: ends it and waits; its exit status is in $E2E/NAME.rc.
e2e_stop() {
	local name=$1 signal=${2:-TERM} seconds=${3:-15}
	[ -s "$E2E/$name.pid" ] || return 0
	e2e_running "$name" && kill -"$signal" "$(e2e_pid "$name")" 2>/dev/null
	e2e_wait "$seconds" e2e_ended "$name" && return 0
	kill -KILL "$(e2e_pid "$name")" 2>/dev/null
	e2e_wait 5 e2e_ended "$name"
	return 1
}

# Ends everything in reverse order. With E2E_KEEP=1 the directory stays.
e2e_end() {
	[ -n "${E2E:-}" ] && [ -d "$E2E" ] || return 0
	local name
	for name in $(tac "$E2E/started"); do
		e2e_running "$name" || continue
		kill -CONT "$(e2e_pid "$name")" 2>/dev/null
		case $name in
		mysql*) e2e_stop "$name" TERM 30 ;;
		pg*) e2e_stop "$name" INT ;;
		*) e2e_stop "$name" TERM 10 ;;
		esac || true
	done
	if [ "${E2E_KEEP:-}" ]; then
		echo "# kept: $E2E" >&2
	else
		rm -rf "$E2E"
	fi
}

e2e_port() { "$E2E_PYTHON" -SEc 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
e2e_listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
e2e_logged() { grep -q -- "$2" "$E2E/$1.log"; }

# Runs a check of tests/tools/e2e_check.py; it prints what it compared.
e2e_check() { "$E2E_PYTHON" "$E2E_TOOLS/e2e_check.py" "$@"; }

# capture_start NAME PORT: what passes between clients and a server, for tshark, in $E2E/NAME.pcapng
capture_start() {
	e2e_start "capture-$1" dumpcap -q -i lo -s 0 -B 64 -f "tcp port $2" -w "$E2E/$1.pcapng"
	e2e_wait 15 e2e_logged "capture-$1" "File:"
}
