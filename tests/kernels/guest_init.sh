#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# The first process of a guest: makes the host's file systems, read-only below an overlay, the root.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
kind=$(cat /kind)
options=ro
[ "$kind" = virtiofs ] || options=ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000

for module in virtio_pci virtio_console overlay; do
	modprobe $module
done
if [ "$kind" = virtiofs ]; then
	modprobe virtiofs
else
	modprobe 9pnet_virtio
	modprobe 9p
fi

mount -t tmpfs -o size=75% upper /upper
while read -r tag at; do
	mkdir -p "/lower/$tag" "/upper/$tag/up" "/upper/$tag/work"
	mount -t "$kind" -o "$options" "$tag" "/lower/$tag" || poweroff -f
	mount -t overlay -o "lowerdir=/lower/$tag,upperdir=/upper/$tag/up,workdir=/upper/$tag/work" "$tag" "/root$at" || poweroff -f
done </shares

for dir in proc sys dev; do
	mount --move /$dir /root/$dir
done
mount -t tmpfs -o mode=755 run /root/run
mkdir /root/run/guest
cp /bin/busybox /start /command /root/run/guest
exec switch_root /root /run/guest/busybox sh /run/guest/start
