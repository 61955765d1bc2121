#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# host.sh: for a host that refuses BPF: the tests that need it, as far as they are worth it at the speed of emulation, in one
# guest with Debian 13's kernel; prints their TAP. Root is not needed. SONDE_VENV: the Python environment.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
files=(tests/bpf/backends.bats tests/e2e/errors.bats)
flavour=cloud
[ "$(tests/kernels/guest.sh -k)" = virtiofs ] || flavour=full
kernel=$(tests/kernels/fetch.sh 6.12 $flavour) || exit 1
# shellcheck disable=SC2016 # for the guest
exec tests/kernels/guest.sh -t 1150 -s "$kernel" -s "$SONDE_VENV" "$kernel" env SONDE_VENV="$SONDE_VENV" SONDE_NO_JAEGER=1 \
	E2E_BACKENDS=tp_btf E2E_PATIENCE=6 SONDE="$PWD/build/sonde" \
	sh -c 'for file; do bats --formatter tap --timing "$file"; done; exit 0' sh "${files[@]}"
