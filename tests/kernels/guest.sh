#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guest.sh [OPTION...] KERNEL-FOLDER COMMAND [ARGUMENT...]: runs one command under a kernel that fetch.sh unpacked, in QEMU without
# KVM, on this host's file systems: read-only, below an overlay in the guest's memory. The command runs as root in the
# same folder, without any network but loopback. Its output is ours and so is its exit status.
#
#   -m MEM      memory (2G)              -c N      processors (2)
#   -t SECONDS  for all of it (600)      -b SECONDS  until the command must have started (150)
#   -a WORDS    for the kernel's command line
#   -o FOLDER   console (what the kernel said) and data (what the command wrote to /dev/virtio-ports/data) go there
#   -s PATH     a folder whose file system the guest needs too (those of / and of this folder are there); repeatable
#   -k          only say how files would be shared, virtiofs or 9p
#   -i          count instructions: one processor, and the time stamp counter is the number of guest instructions
#
# 124: it took too long. 125: the guest died; the end of its console is on standard error. A guest that dies before the
# command has begun is started once more, and says so.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
memory=2G processors=2 seconds=600 boot_seconds=150 append='' counting='' into='' only_kind='' paths=(/ "$PWD")
qemu=${QEMU:-qemu-system-x86_64}
while getopts m:c:t:b:a:o:s:ki option; do
	case $option in
	m) memory=$OPTARG ;;
	c) processors=$OPTARG ;;
	t) seconds=$OPTARG ;;
	b) boot_seconds=$OPTARG ;;
	a) append=$OPTARG ;;
	o) into=$OPTARG ;;
	s) paths+=("$OPTARG") ;;
	k) only_kind=1 ;;
	i) counting=1 ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ -z "$only_kind" ]; then
	kernel=${1:?KERNEL-FOLDER}
	shift
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/sonde-guest.XXXXXX")
running=()

end_all() {
	[ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null
	running=()
}
trap 'end_all; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

fail() {
	echo "guest: $*" >&2
	exit 125
}

# --- the file systems of the host that the guest sees: "TAG MOUNT-POINT" a line in $work/shares, the root first

list_shares() {
	local path n=0
	for path in "${paths[@]}"; do
		stat -c %m "$path"
	done | awk '!seen[$0]++' | while read -r path; do
		echo "share$((n++)) $path"
	done >"$work/shares"
}

find_virtiofsd() {
	PATH=$PATH:/usr/libexec:/usr/lib/qemu command -v virtiofsd
}

# virtiofs needs root and mounts of its own; 9p, which the cloud kernels lack, needs nothing. SONDE_GUEST_9P=1 takes it.
share_kind() {
	if [ -z "${SONDE_GUEST_9P:-}" ] && [ "$(id -u)" = 0 ] && [ -n "$(find_virtiofsd)" ] && unshare --mount true 2>/dev/null; then
		echo virtiofs
	else
		echo 9p
	fi
}

# In a mount namespace of its own, so that what is shared can be made read-only here as well.
start_virtiofsd() { # TAG MOUNT-POINT
	local tag=$1 arguments
	mkdir -p "$work/$tag"
	arguments=(-o "source=$work/$tag" -o cache=always)
	"$(find_virtiofsd)" --help 2>&1 | grep -q -- --shared-dir && arguments=(--shared-dir "$work/$tag" --cache always)
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -c 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && shift 2 && exec "$@"' sh "$2" "$work/$tag" \
		"$(find_virtiofsd)" --socket-path="$work/$tag.sock" "${arguments[@]}" >"$work/$tag.log" 2>&1 &
	running+=($!)
	for _ in $(seq 200); do
		[ -S "$work/$tag.sock" ] && return
		sleep 0.05
	done
	fail "virtiofsd does not start: $(tail -n 1 "$work/$tag.log")"
}

devices=()
add_shares() {
	local tag at
	while read -r tag at; do
		if [ "$kind" = virtiofs ]; then
			start_virtiofsd "$tag" "$at"
			devices+=(-chardev "socket,id=$tag,path=$work/$tag.sock" -device "vhost-user-fs-pci,chardev=$tag,tag=$tag")
		else
			devices+=(-fsdev "local,id=$tag,path=$at,security_model=none,readonly=on,multidevs=remap"
				-device "virtio-9p-pci,fsdev=$tag,mount_tag=$tag")
		fi
	done <"$work/shares"
	[ "$kind" = 9p ] || devices+=(-object "memory-backend-memfd,id=memory,size=$memory,share=on" -numa "node,memdev=memory")
}

# --- what the guest starts with

make_initrd() {
	local tree=$work/initrd release
	release=$(cat "$kernel/release")
	mkdir -p "$tree"/{bin,dev,proc,sys,lower,upper,root,lib/modules}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	cp -r "$kernel/lib/modules/$release" "$tree/lib/modules/"
	install -m 755 "$here/guest_init.sh" "$tree/init"
	cp "$here/guest_start.sh" "$tree/start"
	cp "$work/shares" "$tree/shares"
	echo "$kind" >"$tree/kind"
	{
		printf 'cd %q || exit 1\nexec env -i HOME=/root TERM=dumb LANG=C.UTF-8 TMPDIR=/run/tmp PATH=%q' "$PWD" "$PATH"
		printf ' %q' "$@"
		echo
	} >"$tree/command"
	(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$work/initrd.gz"
}

# QEMU 7.2 leaves wrong flags behind cmpxchg16b, and its parallel processors run stale code while the kernel patches
# itself, which every probe makes it do. 10 has neither; between them nobody has tried.
processor_options() {
	local threads=single model=max,cx16=off
	if [ "$("$qemu" --version | sed -nE 's/.*version ([0-9]+).*/\1/p')" -ge 10 ]; then
		threads=multi model=max
	fi
	if [ -n "$counting" ]; then
		echo -accel tcg,thread=single -cpu "$model" -smp 1 -icount shift=0,sleep=off -seed 1 -rtc base=2026-01-01,clock=vm
	else
		echo -accel "tcg,thread=$threads" -cpu "$model" -smp "$processors"
	fi
}

# One try. The guest says "up" when the command begins and "exit N" when it has ended.
boot() {
	local guest start limit words="console=ttyS0 panic=-1 oops=panic loglevel=4 mitigations=off watchdog_thresh=60"
	words+=" rcupdate.rcu_cpu_stall_timeout=120 $append"
	[ -z "$counting" ] || words+=" nokaslr norandmaps"
	: >"$work/status"
	: >"$work/output"
	: >"$work/data"
	devices=()
	add_shares
	# shellcheck disable=SC2046 # words
	"$qemu" -M q35 $(processor_options) -m "$memory" -nodefaults -display none -no-reboot \
		-kernel "$kernel/vmlinuz" -initrd "$work/initrd.gz" -append "$words" \
		-chardev "file,id=console,path=$work/console" -serial chardev:console -device virtio-serial-pci \
		-chardev "file,id=output,path=$work/output" -device virtserialport,chardev=output,name=output \
		-chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,name=status \
		-chardev "file,id=data,path=$work/data" -device virtserialport,chardev=data,name=data \
		"${devices[@]}" </dev/null >"$work/qemu.log" 2>&1 &
	guest=$!
	running+=("$guest")
	tail -c +1 -s 0.2 -f --pid=$guest "$work/output" &
	tail=$!
	start=$SECONDS limit=$boot_seconds
	while kill -0 $guest 2>/dev/null; do
		[ -s "$work/status" ] && limit=$seconds
		if [ $((SECONDS - start)) -ge "$limit" ]; then
			timed_out=1
			kill $guest 2>/dev/null
			break
		fi
		sleep 0.1
	done
	wait $guest 2>/dev/null
	wait $tail 2>/dev/null
	end_all
	wait 2>/dev/null
}

keep() {
	[ -n "$into" ] || return
	mkdir -p "$into"
	cp "$work/console" "$work/data" "$into/" 2>/dev/null
}

kind=$(share_kind)
if [ -n "$only_kind" ]; then
	echo "$kind"
	exit
fi
list_shares
make_initrd "$@"
timed_out=
boot
if [ ! -s "$work/status" ]; then
	echo "guest: it died before its command began; once more. Its last words:" >&2
	tail -qn 5 "$work/qemu.log" "$work/console" >&2
	timed_out=
	boot
fi
keep
status=$(sed -n 's/^exit //p' "$work/status")
[ -n "$status" ] && exit "$status"
tail -qn 60 "$work"/share*.log "$work/qemu.log" "$work/console" >&2 2>/dev/null
if [ -n "$timed_out" ]; then
	echo "guest: not done after $seconds s ($(wc -l <"$work/status") of 2 signs of life)" >&2
	exit 124
fi
exit 125
