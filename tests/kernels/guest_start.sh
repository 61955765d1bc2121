# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# On the guest's root: what a running system has, then the command. The host's own programs are not needed for this part.
bb=/run/guest/busybox
$bb mount -t tracefs tracefs /sys/kernel/tracing
$bb mount -t debugfs debugfs /sys/kernel/debug
$bb mount -t securityfs securityfs /sys/kernel/security
$bb mount -t bpf bpf /sys/fs/bpf
$bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
$bb mkdir -p /dev/pts /dev/shm /run/lock
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs -o mode=1777 shm /dev/shm
$bb mkdir -m 1777 /run/tmp
$bb ln -sf /proc/self/fd /dev/fd
$bb hostname guest
$bb ip link set lo up
$bb mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
	$bb ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$($bb cat "$port/name")"
done
echo up >/dev/virtio-ports/status
$bb sh /run/guest/command </dev/null >/dev/virtio-ports/output 2>&1
echo "exit $?" >/dev/virtio-ports/status
$bb poweroff -f
