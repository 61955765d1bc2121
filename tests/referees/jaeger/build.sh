#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh           build the Jaeger that the end-to-end tests ask, unless it is cached; prints its path
# build.sh --cached  prints its path when it is cached, else says why not on standard error and exits 1
#
# Jaeger v2.13.0, which is module version v1.76.0: the newest that the Go module proxy serves. From source, because no
# package holds a binary; go.mod and go.sum pin every byte. About 12 minutes of CPU and 4 GB of scratch space, once; a
# change of go.mod or go.sum builds it anew. Needs no root: without a Go of at least 1.25 it unpacks Debian's Go 1.19
# into the scratch directory and lets it fetch, and check, the toolchain module.
set -euo pipefail

TOOLCHAIN=1.25.4
here=$(cd "$(dirname "$0")" && pwd)
hash=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
dir=${SONDE_CACHE:-$HOME/.cache/sonde}/referees/$hash
jaeger=$dir/jaeger
# shellcheck source=tests/referees/go.bash
. "$here/../go.bash"

fail() {
	echo "$*" >&2
	exit 1
}

build() {
	local free
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/sonde-jaeger.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	free=$(df --output=avail -k "$scratch" | tail -n 1)
	[ "$free" -gt $((6 * 1024 * 1024)) ] || fail "building Jaeger needs 6 GiB of scratch space in ${TMPDIR:-/tmp}"
	go_ready "$scratch" "$TOOLCHAIN"
	cp "$here/go.mod" "$here/go.sum" "$scratch/"
	(cd "$scratch" && nice -n 10 go build -mod=readonly -trimpath \
		-ldflags '-s -w -X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0' \
		-o "$scratch/jaeger" github.com/jaegertracing/jaeger/cmd/jaeger) >&2 || fail "Jaeger did not build (see above)"
	install -m755 "$scratch/jaeger" "$jaeger.new"
	mv "$jaeger.new" "$jaeger"
}

if [ "${1:-}" = --cached ]; then
	[ -x "$jaeger" ] || fail "Jaeger is not built yet: tests/referees/jaeger/build.sh builds it (12 minutes, once)"
elif [ ! -x "$jaeger" ]; then
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ -x "$jaeger" ] || build # somebody else may have built it while we waited
fi
echo "$jaeger"
