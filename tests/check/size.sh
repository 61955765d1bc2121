#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# size.sh [ROOT]: files over 600 lines and functions over 60 fail, files over 400 are named. A longer function needs a
# comment directly above it that says why it is long (the word "long" or "length" is looked for). Relies on clang-format:
# a function's braces stand in the first column.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
status=0

while read -r lines file; do
	if [ "$lines" -gt 600 ]; then
		echo "$file: $lines lines, more than 600: split it"
		status=1
	elif [ "$lines" -gt 400 ]; then
		echo "warning: $file: $lines lines, more than 400"
	fi
done < <(find bpf include user tests demo deploy .ci Makefile -type f \
	\( -name '*.[ch]' -o -name '*.sh' -o -name '*.bash' -o -name '*.py' -o -name '*.bats' -o -name run -o -name Makefile \) \
	-print0 2>/dev/null | xargs -0 wc -l | grep -v ' total$')

# shellcheck disable=SC2016 # awk, not shell
find bpf include user tests -name '*.[ch]' -print0 | xargs -0 -n 50 awk '
	FNR == 1 { comment = ""; in_comment = 0; name = "" }
	/^(\/\*| \*|\/\/)/ && !start { if (/^\/[*\/]/) comment = ""; comment = comment $0; next }
	/^[A-Za-z_].*\(/ && !start { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
	/^\{/ { start = FNR; next }
	/^\}/ && start {
		if (FNR - start - 1 > 60 && tolower(comment) !~ /(^|[^a-z])(long|length)([^a-z]|$)/) {
			printf "%s:%d: %s() has %d lines, more than 60: split it, or say above it why it is long\n",
				FILENAME, start, name, FNR - start - 1
			bad = 1
		}
		start = 0; comment = ""
	}
	/^$/ && !start { comment = "" }
	END { exit bad }' || status=1
exit $status
