#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# one.sh NAME: boots one kernel of the matrix, runs inside.sh there and prints as TAP what judge.sh says of it. NAME is a series
# of fetch.sh, or "confidentiality". What the guest brought home is in build/tests/kernels/NAME.
#
# SONDE_VENV: the Python environment. SONDE_KERNEL_TOOLS: the folder that tools.sh made. BACKENDS: those to try.
# SONDE_KERNELS_END: when all guests must be done, in seconds since 1970.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
name=${1:?NAME}
folder=build/tests/kernels/$name
log=$folder/guest.log
read -ra backends <<<"${BACKENDS:-tp_btf fentry kprobe syscall}"
series=$name
words=
case $name in
confidentiality) series=6.12 words=lockdown=confidentiality backends=() ;;
preempt) series=6.12 words=preempt=full ;;
esac

rm -rf "$folder"
mkdir -p "$folder"
seconds=1500
[ -z "${SONDE_KERNELS_END:-}" ] || seconds=$((SONDE_KERNELS_END - $(date +%s)))
if [ $seconds -lt 60 ]; then # says nothing of Sonde, only of this machine
	echo "1..1"
	echo "ok 1 - $name: the matrix of this kernel # skip the 25 minutes for all guests are over"
	exit
fi
flavour=cloud
tests/kernels/guest.sh -k | grep -q virtiofs || flavour=full
if ! kernel=$(tests/kernels/fetch.sh "$series" $flavour 2>"$folder/fetch.log"); then
	echo "1..1"
	echo "ok 1 - $name: the matrix of this kernel # skip $(tail -n 1 "$folder/fetch.log")"
	exit
fi
cp "$kernel/version" "$folder/version"

start=$SECONDS
tests/kernels/guest.sh -t $seconds -a "$words" -o "$folder" -s "$kernel" -s "$SONDE_VENV" -s "$SONDE_KERNEL_TOOLS" "$kernel" \
	env SONDE_VENV="$SONDE_VENV" tests/kernels/inside.sh "$SONDE_KERNEL_TOOLS" "${backends[@]}" >"$log" 2>&1
status=$?
echo $((SECONDS - start)) >"$folder/seconds"
sed 's/^/# /' "$log"
if [ $status = 124 ]; then
	echo "1..1"
	echo "ok 1 - $name: the matrix of this kernel # skip emulated, it takes more than its $seconds s of the 25 minutes for all guests"
	exit
fi
if [ $status != 0 ] || ! tar -xf "$folder/data" -C "$folder"; then
	echo "1..1"
	echo "not ok 1 - $name: the guest ended with status $status"
	exit 1
fi
rm -f "$folder/data"
tests/kernels/judge.sh "$folder" "$name" "${backends[@]}"
