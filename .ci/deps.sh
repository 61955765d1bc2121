#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh LABEL PACKAGE...: install the Debian packages that are missing, and say so in one line.
set -eu
label=$1
shift

if ! command -v dpkg-query >/dev/null; then
	echo "error: no dpkg here, so packages cannot be checked. Install these yourself: $*" >&2
	exit 1
fi

missing=
for p in "$@"; do
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
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of package names
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "error: apt-get could not install:$missing (its last lines are above)" >&2
	exit 1
fi
