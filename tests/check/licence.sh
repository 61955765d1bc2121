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

for file in $(sources bpf include user tests demo deploy .ci 2>/dev/null); do
	if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: '; then
		echo "$file: no SPDX-License-Identifier in its first three lines"
		status=1
	fi
done
for file in $(sources bpf include); do
	if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: .*GPL-2\.0'; then
		echo "$file: is compiled into BPF, so its licence must allow GPL-2.0: Apache-2.0 OR GPL-2.0-only"
		status=1
	fi
done
exit $status
