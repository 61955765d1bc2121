#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh LABEL PACKAGE...: install the Debian packages that are missing, and say so in one line.
# COMMAND:PACKAGE is wanted only where there is no such command: it may have come another way, and then refuses Debian's.
set -eu
label=$1
shift

if ! command -v dpkg-query >/dev/null; then
	echo "error: no dpkg here, so packages cannot be checked. Install these yourself: $*" >&2
	exit 1
fi

missing=
for p in "$@"; do
	case $p in
	*:*)
		! command -v "${p%%:*}" >/dev/null || continue
		p=${p#*:}
		;;
	esac
	case $(dpkg-query -W -f='${Status}' "$p" 2>/dev/null || :) in
	*" ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done

if [ -z "$missing" ]; then
	printf '%-9s %s %s %s … already installed\n' "$label" "$1" "$2" "$3"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "error: not installed:$missing. Run: sudo make $label" >&2
	exit 1
fi
printf '%-9s installing%s\n' "$label" "$missing"

work=$(mktemp -d)
cluster=/etc/postgresql-common/createcluster.conf
policy=/usr/sbin/policy-rc.d

restore() {
	[ ! -e "$work/made-policy" ] || rm -f "$policy"
	[ ! -e "$work/cluster" ] || cp -p "$work/cluster" "$cluster"
	rm -rf "$work"
}
trap restore EXIT
trap 'exit 130' INT TERM

install_packages() {
	apt-get install -q -y --no-install-recommends "$@" >>"$work/log" 2>&1
}

# Tests bring their own servers: what Debian starts on installation (nginx on port 80, a PostgreSQL cluster) is not wanted.
keep_services_quiet() {
	if [ ! -e "$policy" ]; then
		touch "$work/made-policy"
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	case " $missing " in
	*" postgresql "*)
		install_packages postgresql-common || return 0 # the real installation below says what is wrong
		cp -p "$cluster" "$work/cluster"
		sed -i '/^[# ]*create_main_cluster/d' "$cluster"
		echo 'create_main_cluster = false' >>"$cluster"
		;;
	esac
}

export DEBIAN_FRONTEND=noninteractive
apt-get update -q >"$work/log" 2>&1 || : # a stale list may do
keep_services_quiet
# shellcheck disable=SC2086 # a list of package names
if ! install_packages $missing; then
	tail -n 20 "$work/log" >&2
	echo "error: apt-get could not install:$missing (its last lines are above)" >&2
	exit 1
fi
