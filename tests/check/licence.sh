#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# licence.sh: every source file names its licence in one of its first three lines; what is loaded into the kernel, and
# what it shares, allows GPL-2.0.
set -eu
root=${1:-$(dirname "$0")/../..}
cd "$root"
status=0

sources() {
	find "$@" -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.sh' -o -name '*.bats' -o -name '*.bash' -o -name '*.py' \)
}

# without TEXT ROOT...: the sources without TEXT in their first three lines
without() {
	text=$1
	shift
	# shellcheck disable=SC2016 # awk expands it
	sources "$@" | xargs awk -v text="$text" '
		FNR == 1 { if (file != "" && !found) print file; file = FILENAME; found = 0 }
		FNR <= 3 && $0 ~ text { found = 1 }
		END { if (file != "" && !found) print file }'
}

for file in $(without 'SPDX-License-Identifier: ' bpf include user tests demo deploy .ci); do
	echo "$file: no SPDX-License-Identifier in its first three lines"
	status=1
done
for file in $(without 'SPDX-License-Identifier: .*GPL-2' bpf include); do
	echo "$file: is compiled into BPF, so its licence must allow GPL-2.0: Apache-2.0 OR GPL-2.0-only"
	status=1
done
exit $status
