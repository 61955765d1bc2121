# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Clients that count for themselves (tests/tools/e2e_load.py); what they did is in $E2E/NAME.jsonl.

load() { # NAME ADDRESS [OPTION...]: runs to its end
	local name=$1 to=$2
	shift 2
	"$E2E_PYTHON" "$E2E_TOOLS/e2e_load.py" --to "$to" --out "$E2E/$name.jsonl" "$@"
}

load_start() { # NAME ADDRESS [OPTION...]: in the background; load_wait NAME
	local name=$1 to=$2
	shift 2
	e2e_start "load-$name" "$E2E_PYTHON" "$E2E_TOOLS/e2e_load.py" --to "$to" --out "$E2E/$name.jsonl" "$@"
}

load_wait() { # NAME [SECONDS]
	e2e_wait "${2:-120}" e2e_ended "load-$1" && [ "$(cat "$E2E/load-$1.rc")" = 0 ] && return 0
	cat "$E2E/load-$1.log" >&2
	return 1
}
