#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# mysql.sh node|go|java           build the clients of that language (tests/referees/mysql), unless they are cached; prints
#                                 their folder
# mysql.sh --cached node|go|java  prints their folder when they are cached, else says why not on standard error and exits 1
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)/mysql
cached=
[ "${1:-}" != --cached ] || { cached=1 && shift; }
what=$1
files() {
	(cd "$here" && case $what in
	node) cat package-lock.json client.js workload.js ;;
	go) cat go.sum main.go workload/main.go ;;
	java) cat java/* ;;
	esac)
}
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/mysql-$what-$(files | sha256sum | cut -c1-16)

build() {
	local new
	new=$(mktemp -d "$dir.XXXXXX")
	cp -r "$here"/* "$new"
	case $what in
	node) (cd "$new" && npm ci --no-audit --no-fund --ignore-scripts) >&2 ;;
	go) (cd "$new" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o client . &&
		GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o workload/workload ./workload) >&2 ;;
	java) (cd "$new/java" && mvn -q -B -Dmaven.repo.local="$new/m2" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DincludeScope=compile -DexcludeTransitive=true -Dmdep.stripVersion=true -DoutputDirectory="$new/java" &&
		javac -d . MysqlWorkload.java && rm -rf "$new/m2") >&2 ;;
	esac || {
		rm -rf "$new"
		echo "the $what client of tests/referees/mysql could not be built (see above)" >&2
		exit 1
	}
	mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
}

if [ ! -d "$dir" ]; then
	[ ! "$cached" ] || { echo "not built yet: tests/referees/mysql.sh $what builds it" >&2 && exit 1; }
	declare -A tools=([node]=npm [go]=go [java]=mvn)
	command -v "${tools[$what]}" >/dev/null || { echo "${tools[$what]} is not installed" >&2 && exit 1; }
	mkdir -p "${dir%/*}"
	build
fi
echo "$dir"
