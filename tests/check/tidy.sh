#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tidy.sh [--deep] [FILE...]: clang-tidy with the checks of .clang-tidy on user/, where the generated headers must have
# been built. The path-sensitive analyzer takes 20 times as long as all other checks together: only with --deep.
set -euo pipefail
cd "$(dirname "$0")/../.."
checks=(--checks=-clang-analyzer-*)
if [ "${1:-}" = --deep ]; then
	checks=()
	shift
fi
files=("$@")
[ $# -gt 0 ] || mapfile -t -d '' files < <(find user -name '*.c' -print0)
printf '%s\0' "${files[@]}" >build/tidy.files
# clang-tidy counts suppressed warnings of system headers on standard error: only findings are of interest.
# shellcheck disable=SC2016 # the inner shell expands it
xargs -0 -n 4 -P "$(nproc)" sh -c 'flags=$1 && shift && clang-tidy --quiet $flags "$@" -- -Iinclude -Iuser -Ibuild/gen \
	-D_GNU_SOURCE -DSONDE_VERSION=\"0\" -std=gnu11 2>/dev/null' sh "${checks[*]}" <build/tidy.files
