#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# docs.sh [ROOT [HELP]]: whatever a user can set or see is in README.md or docs/*.md: every option of sonde --help, every
# metric, protocol, exporter and reason for a loss. HELP: a file with the help text, instead of running build/sonde.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
status=0
text=$(cat README.md docs/*.md)

# documented KIND NAME...: as a word of its own, so that --queue is not found in --queue-size
documented() {
	local kind=$1 name n=0
	shift
	for name in "$@"; do
		n=$((n + 1))
		if ! grep -qE -- "(^|[^A-Za-z0-9_.-])${name//./\\.}([^A-Za-z0-9_-]|$)" <<<"$text"; then
			echo "$kind $name is in neither README.md nor docs/"
			status=1
		fi
	done
	if [ $n = 0 ]; then
		echo "no $kind was found at all: this check has lost its source"
		status=1
	fi
}

# rows MACRO FILE: first argument of each row of a .def list
rows() {
	grep -oE "^($1)\([A-Za-z0-9_]+" "$2" | sed 's/.*(//'
}

if [ $# -ge 2 ]; then
	help=$(cat "$2")
else
	[ -x build/sonde ] || {
		echo "build/sonde is not there: run make"
		exit 1
	}
	help=$(build/sonde --help)
fi
mapfile -t options < <(grep -oE -- '--[a-z][a-z0-9-]+' <<<"$help" | sort -u)
mapfile -t metrics < <(grep -oE '^METRIC\([A-Z0-9_]+, *"[^"]+"' user/model/metrics.def | sed 's/.*"\(.*\)"/\1/')
mapfile -t protocols < <(rows PROTO user/proto/protocols.def)
mapfile -t exporters < <(rows EXPORTER user/export/exporters.def)
mapfile -t reasons < <(rows 'KERNEL_DROP|USER_DROP' include/drops.def)
documented option "${options[@]}"
documented metric "${metrics[@]}"
documented protocol "${protocols[@]}"
documented exporter "${exporters[@]}"
documented "drop reason" "${reasons[@]}"
exit $status
