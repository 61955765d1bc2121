# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# go_ready SCRATCH VERSION: a Go of at least that version in PATH, whose modules and caches are in SCRATCH. Needs no root:
# Debian 12 has Go 1.19, which is too old for what we build, but can download a newer toolchain as a module, checked
# against the checksum database.

go_is_new_enough() { # VERSION
	local version
	version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
	[ "$(printf '%s\n' "go$1" "$version" | sort -V | head -n 1)" = "go$1" ]
}

# Module zips carry no permissions, so the tools must be made executable.
go_bootstrap() { # SCRATCH VERSION
	local arch root toolchain scratch=$1
	arch=$(dpkg --print-architecture)
	mkdir "$scratch/deb" "$scratch/debian" "$scratch/empty"
	(cd "$scratch/deb" && apt-get download -q golang-1.19-go golang-1.19-src) >&2 ||
		fail "no Go $2 or newer, and apt-get cannot download golang-1.19-go to fetch it with"
	for deb in "$scratch"/deb/*.deb; do
		dpkg -x "$deb" "$scratch/debian"
	done
	root=$scratch/debian/usr/lib/go-1.19
	echo 'module empty' >"$scratch/empty/go.mod"
	(cd "$scratch/empty" && GOROOT=$root "$root/bin/go" mod download "golang.org/toolchain@v0.0.1-go$2.linux-$arch") >&2 ||
		fail "the Go module proxy does not give out Go $2"
	toolchain=$GOMODCACHE/golang.org/toolchain@v0.0.1-go$2.linux-$arch
	chmod +x "$toolchain"/bin/* "$toolchain"/pkg/tool/*/*
	export PATH=$toolchain/bin:$PATH
}

go_ready() { # SCRATCH VERSION
	export GOMODCACHE=$1/mod GOCACHE=$1/cache GOPATH=$1/path GOFLAGS=-modcacherw GOTMPDIR=$1
	unset GOROOT
	go_is_new_enough "$2" || go_bootstrap "$1" "$2"
	export GOTOOLCHAIN=local
}
