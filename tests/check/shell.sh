#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shell.sh: shellcheck on every script; bats files too.
set -euo pipefail
cd "$(dirname "$0")/../.."
{
	find tests demo deploy .ci -type f \( -name '*.sh' -o -name '*.bash' -o -name '*.bats' \) -print0 2>/dev/null || :
	printf '.ci/run\0'
} | xargs -0 -n 8 -P "$(nproc)" shellcheck -x
