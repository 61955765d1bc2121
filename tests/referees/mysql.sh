#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# mysql.sh node|go           build the client of that language (tests/referees/mysql), unless it is cached; prints its folder
# mysql.sh --cached node|go  prints its folder when it is cached, else says why not on standard error and exits 1
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)/mysql
cached=
[ "${1:-}" != --cached ] || { cached=1 && shift; }
what=$1
files() { (cd "$here" && case $what in node) cat package-lock.json client.js ;; go) cat go.sum main.go ;; esac) }
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/mysql-$what-$(files | sha256sum | cut -c1-16)

build() {
	local new
	new=$(mktemp -d "$dir.XXXXXX")
	cp "$here"/* "$new"
	case $what in
	node) (cd "$new" && npm ci --no-audit --no-fund --ignore-scripts) >&2 ;;
	go) (cd "$new" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o client .) >&2 ;;
	esac || {
		rm -rf "$new"
		echo "the $what client of tests/referees/mysql could not be built (see above)" >&2
		exit 1
	}
	mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
}

if [ ! -d "$dir" ]; then
	[ ! "$cached" ] || { echo "not built yet: tests/referees/mysql.sh $what builds it" >&2 && exit 1; }
	command -v "$([ "$what" = node ] && echo npm || echo go)" >/dev/null || { echo "$what is not installed" >&2 && exit 1; }
	mkdir -p "${dir%/*}"
	build
fi
echo "$dir"
