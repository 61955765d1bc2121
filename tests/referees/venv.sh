#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# venv.sh           build the Python environment of the tests (python.txt), unless it is cached; prints its folder
# venv.sh --cached  prints its folder when it is cached, else says why not on standard error and exits 1
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hash=$( (cat "$here/python.txt" && python3 --version) | sha256sum | cut -c1-16)
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/$hash

fail() {
	echo "$*" >&2
	exit 1
}

build() {
	# A virtual environment cannot be moved, so it is built in place and counts only when it is marked complete.
	rm -rf "$dir/venv"
	{
		python3 -m venv "$dir/venv" &&
			"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --only-binary :all: \
				-r "$here/python.txt"
	} >&2 || fail "the packages of tests/referees/python.txt could not be installed (see above)"
	touch "$dir/complete"
}

if [ "${1:-}" = --cached ]; then
	[ -e "$dir/complete" ] || fail "the Python packages are not installed yet: tests/referees/venv.sh installs them"
elif [ ! -e "$dir/complete" ]; then
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ -e "$dir/complete" ] || build
fi
echo "$dir/venv"
