#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# layers.sh [ROOT]: which folder of user/ may include which, as an allow-list. Everybody may include include/ and itself.
# So a parser cannot reach a connection, an exporter cannot know a protocol, and the privileged keeper cannot call a parser.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

declare -A allowed=(
	[util]=""
	[model]="util"
	[config]="util"
	[channel]="util"
	[keeper]="util config channel"
	[source]="util"
	[decode]="util"
	[target]="util model"
	[conn]="util decode"
	[proto]="model util/bytes.h"
	[sql]="util"
	[session]="util model conn proto sql decode"
	[export]="util model"
	[worker]="util model config channel source decode target conn proto sql session export"
	[cli]="util config keeper"
)
status=0

complain() {
	echo "$1"
	status=1
}

permitted() { # STAGE INCLUDED
	local word
	for word in $1 ${allowed[$1]-}; do
		if [ "$word" = "$2" ] || [ "$word" = "${2%%/*}" ]; then
			return 0
		fi
	done
	return 1
}

while IFS=: read -r file line text; do
	stage=${file#user/}
	stage=${stage%%/*}
	included=${text#*\"}
	included=${included%%\"*}
	[[ $included == */* ]] || continue
	if [[ $included == bpf/* || $included == ../* ]]; then
		complain "$file:$line: user space must not include $included"
	elif [ ! -d "user/${included%%/*}" ] || [[ $file =~ ^user/(main|wiring)\.c$ ]]; then
		continue # include/ or generated; and these two join keeper and worker
	elif [ -z "${allowed[$stage]+known}" ]; then
		complain "$file:$line: the folder user/$stage has no row in tests/check/layers.sh"
	elif ! permitted "$stage" "$included"; then
		complain "$file:$line: $stage must not include $included (it may see: ${allowed[$stage]:-only itself})"
	fi
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.[ch]' user)

while IFS=: read -r file line _; do
	complain "$file:$line: bpf/core holds functions; programs (SEC) belong to bpf/attach"
done < <(grep -rnE '^[[:space:]]*SEC\("' --include='*.[ch]' bpf/core 2>/dev/null |
	grep -vE 'SEC\("(\.maps|license|version|\.rodata|\.data|\.bss)') || :

while IFS=: read -r file line _; do
	complain "$file:$line: the kernel side and include/ must not include user/"
done < <(grep -rnE '#[[:space:]]*include[[:space:]]*"([^"]*/)?user/' --include='*.[ch]' bpf include 2>/dev/null)
exit $status
