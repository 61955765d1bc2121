#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch.sh SERIES [FLAVOUR]: has the newest Debian kernel of a series (5.10, 6.1, 6.12, or "newest") unpacked in the
# cache and prints its folder, which holds vmlinuz, version, release, and lib/modules with what a guest needs to find its
# root. FLAVOUR is cloud (the default: smaller, but without 9p) or full.
#
# Packages come by apt, with lists and a cache of its own: nothing is installed, and the host's sources are only read.
set -euo pipefail
export LC_ALL=C

series=${1:?SERIES} flavour=${2:-cloud}
suites="bullseye bookworm trixie sid" # the releases whose kernels are 5.10, 6.1, 6.12 and the newest
cache=${SONDE_CACHE:-$HOME/.cache/sonde}/kernels
apt=$cache/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
days=7 # lists older than this are asked for again
work=

fail() {
	echo "kernel $series: $*" >&2
	exit 1
}

# The folder of a series has one kernel, so the cache does not grow as versions move.
have() {
	local dir
	for dir in "$cache/$series-$flavour"/*/complete; do
		[ -e "$dir" ] && dirname "$dir"
	done | sort -V | tail -n 1
}

# Where this host gets Debian from, and its security updates: "main URI" and "security URI".
mirrors() {
	apt-get indextargets --format "\$(CODENAME) \$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' | sort -u | awk '
		$1 ~ /-security$/ { security = $2 }
		$1 !~ /-/ { main = $2 }
		END { if (main) print "main", main; if (security) print "security", security }'
}

private_apt() {
	local suite kind uri
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status" # nothing is installed
	cat >"$apt/apt.conf" <<-END
		Dir::State "$apt";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt";
		Dir::Cache::archives "$apt/archives";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Acquire::Languages "none";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Acquire::GzipIndexes "true";
		Acquire::Retries "2";
		APT::Sandbox::User "";
	END
	mirrors >"$work/mirrors"
	[ -s "$work/mirrors" ] || fail "this host's apt has no Debian archive to get kernels from (apt-get update?)"
	while read -r kind uri; do
		for suite in $suites; do
			case $kind,$suite in
			main,*) echo "deb [arch=amd64 signed-by=$keyring] $uri $suite main" ;;
			security,sid) ;;
			security,*) echo "deb [arch=amd64 signed-by=$keyring] $uri $suite-security main" ;;
			esac
		done
	done <"$work/mirrors" >"$work/sources.list"
	export APT_CONFIG=$apt/apt.conf
	if ! cmp -s "$work/sources.list" "$apt/sources.list" || [ -z "$(find "$apt/updated" -mtime "-$days" 2>/dev/null)" ]; then
		cp "$work/sources.list" "$apt/sources.list"
		update
	fi
}

# An image for containers may have turned these caches off, and reads 60 MB of lists each time.
with_cache() {
	local command=$1
	shift
	"$command" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin "$@"
}

# One suite that is gone, as old ones go some day, must not take the others with it.
update() {
	with_cache apt-get -q update >"$work/update.log" 2>&1 || tail -n 3 "$work/update.log" >&2
	touch "$apt/updated"
}

# The newest version of the metapackage in this series.
newest_version() {
	local meta=$1
	with_cache apt-cache madison "$meta" | awk -F' *[|] *' -v series="$series" '
		series == "newest" || index($2, series ".") == 1 { print $2 }' | sort -V | tail -n 1
}

# depends PACKAGE=VERSION REGEX: what it depends on that matches
depends() {
	with_cache apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p' | tr ',' '\n' | sed -E 's/^ *([^ ]+).*/\1/' | grep -E "$2" || :
}

# The packages that hold the kernel itself: one up to 6.12, later one for the image and one for the modules.
kernel_packages() {
	local meta=$1 version=$2 image
	image=$(depends "$meta=$version" '^linux-image-[0-9]' | head -n 1)
	[ -n "$image" ] || return 1
	echo "$image"
	depends "$image" '^linux-(binary|modules)-[0-9]'
}

download() {
	local packages
	packages=$(kernel_packages "$1" "$2") || return 1
	# shellcheck disable=SC2086 # a list of names
	(cd "$work" && with_cache apt-get -q download $packages) >"$work/download.log" 2>&1
}

unpack() { # INTO: only what boots
	local deb into=$1
	for deb in "$work"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" --wildcards --transform 's,^\./usr/lib/,./lib/,' \
			'*/vmlinuz*' '*/lib/modules/*/modules.*' '*/kernel/drivers/virtio/*' '*/kernel/drivers/char/virtio*' \
			'*/kernel/fs/fuse/*' '*/kernel/fs/overlayfs/*' '*/kernel/fs/netfs/*' '*/kernel/fs/fscache/*' \
			'*/kernel/fs/9p/*' '*/kernel/net/9p/*' 2>/dev/null || : # no package has all of them
	done
	[ -n "$(find "$work/lib/modules" -name 'virtio*' -print -quit 2>/dev/null)" ] || fail "no modules in $(ls "$work")"
	find "$work/lib/modules" -name '*.ko.xz' -exec unxz '{}' +
	mkdir -p "$into"
	find "$work" -path "$into" -prune -o -name 'vmlinuz*' -type f -exec cp '{}' "$into/vmlinuz" \;
	[ -s "$into/vmlinuz" ] || fail "no kernel image in $(ls "$work")"
	cp -r "$work/lib" "$into/lib"
	rm -f "$into"/lib/modules/*/vmlinuz
	basename "$into" >"$into/version"
	ls "$into/lib/modules" >"$into/release"
	busybox depmod -b "$into" "$(cat "$into/release")"
	touch "$into/complete"
}

fetch() {
	local meta=linux-image-amd64 version
	[ "$flavour" = full ] || meta=linux-image-$flavour-amd64
	# Asked not long ago: no newer one will be there.
	[ -z "$(find "$cache/$series-$flavour/asked" -mtime "-$days" 2>/dev/null)" ] || return 0
	private_apt
	version=$(newest_version "$meta")
	[ -n "$version" ] || fail "no $meta of this series in the archive"
	if [ -e "$cache/$series-$flavour/$version/complete" ]; then
		touch "$cache/$series-$flavour/asked"
		return
	fi
	echo "kernel $series: fetching $version ($flavour)" >&2
	# The archive may have moved on since the lists were read.
	if ! download "$meta" "$version"; then
		update
		version=$(newest_version "$meta")
		download "$meta" "$version" || fail "cannot be downloaded: $(tail -n 1 "$work/download.log")"
	fi
	unpack "$work/$version"
	rm -rf "${cache:?}/$series-$flavour"
	mkdir -p "$cache/$series-$flavour"
	mv "$work/$version" "$cache/$series-$flavour/$version"
	touch "$cache/$series-$flavour/asked"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# What is there serves when there is no way to the archive.
(fetch) || [ -n "$(have)" ] || exit 1
have
