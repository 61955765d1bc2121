#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tidy.sh [FILE...]: clang-tidy with the checks of .clang-tidy on user/; the generated headers must have been built.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || mapfile -t -d '' files < <(find user -name '*.c' -print0)
# clang-tidy counts suppressed warnings of system headers on standard error: only findings are of interest.
printf '%s\0' "${files[@]:-$@}" | xargs -0 -n 4 -P "$(nproc)" sh -c 'clang-tidy --quiet "$@" -- -Iinclude -Iuser -Ibuild/gen \
	-D_GNU_SOURCE -DSONDE_VERSION=\"0\" -std=gnu11 2>/dev/null' sh
