#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libpq.sh: fetches the wheels of libpq.txt, unless they are cached, and prints what is in them, one a line: version of libpq,
# where it is from, the library. Nothing of them is installed or run.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hash=$(sha256sum <"$here/libpq.txt" | cut -c1-16)
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/libpq-$hash

fetch() { # PACKAGE VERSION PYTHON
	local into=$dir/$1-$2
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --platform manylinux2014_x86_64 \
		--python-version "$3" --dest "$dir/wheels" "$1==$2" >&2
	mkdir -p "$into"
	python3 -m zipfile -e "$dir/wheels/$(tr - _ <<<"$1")-$2-"*.whl "$into"
}

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
grep -v '^#' "$here/libpq.txt" | while read -r package version python; do
	[ -e "$dir/complete" ] || fetch "$package" "$version" "$python"
done
touch "$dir/complete"
for library in "$dir"/*/*.libs/libpq-*.so.5.*; do
	version=${library##*.so.5.}
	from=${library#"$dir"/}
	echo "${version%%.*} ${from%%/*} $library"
done
