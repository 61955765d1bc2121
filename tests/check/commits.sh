#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# commits.sh [FILE]: subjects are "area: lowercase imperative", at most 72 characters. Looks at the commits that can still
# be reworded: those that no remote has. FILE: subjects to check, one a line, instead of them. Without a history (a
# tarball) there is nothing to check.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0

subjects() {
	if [ $# = 1 ]; then
		cat "$1"
	else
		git log --no-merges --format=%s HEAD --not --remotes
	fi
}

if [ $# = 0 ] && ! git rev-parse --git-dir >/dev/null 2>&1; then
	echo "not a git repository"
	exit 77
fi
while IFS= read -r subject; do
	if [ ${#subject} -gt 72 ]; then
		echo "longer than 72 characters: $subject"
		status=1
	elif ! [[ $subject =~ ^[a-z0-9_./,\ -]+:\ [^A-Z\ ]|^Revert\ \" ]]; then
		echo "not \"area: lowercase imperative\": $subject"
		status=1
	fi
done < <(subjects "$@")
exit $status
