#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# format.sh: every C file is as clang-format would write it (make fmt does).
set -eu
root=${1:-$(dirname "$0")/../..}
cd "$root"
find bpf include user tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror --ferror-limit=3
