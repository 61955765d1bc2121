#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# stack.sh [OBJECT]: what the programs of the BPF object take of the verifier's limits for calls and stack.
set -euo pipefail
object=${1:-$(dirname "$0")/../../build/bpf/sonde.linked.o}
[ -e "$object" ] || { echo "no $object: make all builds it"; exit 1; }
python3 "$(dirname "$0")/stack.py" "$object"
