#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# drivers.sh           install the database drivers of tests/e2e/drivers.bats that are not Python's, unless they are cached;
#                      prints their folder: node/ (with node_modules), go/workload, java/ (class and jar)
# drivers.sh --cached  prints the folder when it is cached, else says why not on standard error and exits 1
#
# As their users install them: npm with a lock file, Go modules with go.sum, Maven with a pom. Kept by the hash of all of it.
set -euo pipefail

TOOLCHAIN=1.25.4
here=$(cd "$(dirname "$0")" && pwd)
source=$here/../e2e/drivers
hash=$(cat "$source"/node/package* "$source"/go/* "$source"/java/* "$0" | sha256sum | cut -c1-16)
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/$hash
# shellcheck source=tests/referees/go.bash
. "$here/go.bash"

fail() {
	echo "$*" >&2
	exit 1
}

build_node() {
	mkdir -p "$dir/node"
	cp "$source"/node/package* "$dir/node/"
	npm ci --prefix "$dir/node" --cache "$scratch/npm" --ignore-scripts --no-audit --no-fund --silent >&2 ||
		fail "npm could not install the packages of tests/e2e/drivers/node/package-lock.json (see above)"
}

build_go() {
	mkdir -p "$dir/go"
	go_ready "$scratch" "$TOOLCHAIN"
	(cd "$source/go" && go build -mod=readonly -trimpath -o "$dir/go/workload" .) >&2 ||
		fail "tests/e2e/drivers/go did not build (see above)"
}

build_java() {
	mkdir -p "$dir/java" "$scratch/java"
	cp "$source/java/pom.xml" "$scratch/java/"
	mvn -q -B -f "$scratch/java/pom.xml" -Dmaven.repo.local="$scratch/m2" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DincludeScope=compile -DexcludeTransitive=true -Dmdep.stripVersion=true -DoutputDirectory="$dir/java" >&2 ||
		fail "Maven could not fetch the driver of tests/e2e/drivers/java/pom.xml (see above)"
	javac -d "$dir/java" "$source/java/Workload.java" >&2 || fail "tests/e2e/drivers/java did not build (see above)"
}

build() {
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/sonde-drivers.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	rm -rf "$dir/node" "$dir/go" "$dir/java"
	build_node
	build_java
	build_go
	touch "$dir/complete"
}

if [ "${1:-}" = --cached ]; then
	[ -e "$dir/complete" ] || fail "the database drivers are not installed yet: tests/referees/drivers.sh installs them"
elif [ ! -e "$dir/complete" ]; then
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ -e "$dir/complete" ] || build
fi
echo "$dir"
