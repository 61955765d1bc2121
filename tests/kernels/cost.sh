#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# cost.sh: what a traced call costs in guest instructions, for each kernel and backend, into tests/kernels/cost.tsv and the
# table of docs/kernels.md; root. KERNELS names some only. Its other form runs in the guest:
# cost.sh --inside TOOLS BACKEND..., prints "BACKEND instructions-per-request" a line, "none" before and after all others.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
requests=10000 calls=4

inside() {
	local tools=$1 backend sonde
	shift
	sleep 30 # idle time is skipped; the kernel settles
	echo "none $("$tools/cost" $requests)"
	for backend in "$@"; do
		OTEL_TRACES_SAMPLER=always_off "$tools/sonde" run --backend "$backend" --format json >/dev/null 2>/run/tmp/log &
		sonde=$!
		until grep -q ^ready /run/tmp/log || ! kill -0 $sonde 2>/dev/null; do
			sleep 0.1
		done
		if kill -0 $sonde 2>/dev/null; then
			sleep 10
			echo "$backend $("$tools/cost" $requests)"
			kill -INT $sonde
		fi
		wait $sonde
	done
	sleep 10
	echo "none $("$tools/cost" $requests)"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
	exit
fi

out=build/tests/kernel-cost
rm -rf "$out"
mkdir -p "$out"
tests/kernels/tools.sh "$PWD/$out/tools" || exit 1
for name in ${KERNELS:-5.10 6.1 6.12 newest}; do
	kernel=$(tests/kernels/fetch.sh "$name") || exit 1
	tests/kernels/guest.sh -i -t 900 -s "$kernel" "$kernel" tests/kernels/cost.sh --inside "$PWD/$out/tools" \
		tp_btf fentry kprobe syscall >"$out/$name" || exit 1
	cat "$out/$name"
done
{
	echo "# kernel, backend, instructions more for each call, instructions for a request; made by: make kernel-cost"
	for name in 5.10 6.1 6.12 newest; do
		if [ -e "$out/$name" ]; then
			# The lower of both "none" stands for it: the rest is what was still settling.
			awk -v name="$name" -v calls=$calls -v OFS='\t' '
				$1 == "none" { none = none && none < $2 ? none : $2; next }
				{ order[++n] = $1; of[$1] = $2 }
				END {
					printf "%s\tnone\t0\t%.0f\n", name, none
					for (i = 1; i <= n; i++)
						printf "%s\t%s\t%.0f\t%.0f\n", name, order[i], (of[order[i]] - none) / calls, of[order[i]]
				}' "$out/$name"
		else
			grep "^$name"$'\t' tests/kernels/cost.tsv
		fi
	done
} >"$out/cost.tsv"
cp "$out/cost.tsv" tests/kernels/cost.tsv
python3 tests/kernels/tables.py docs --update
