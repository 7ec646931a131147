#!/bin/busybox sh
# shellcheck shell=dash
# The guest's first process: drivers, network, the disk, then the agent on it.
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
set -e
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t securityfs securityfs /sys/kernel/security
while read -r module; do
	$busybox insmod "/modules/$module"
done </modules/order
$busybox ifconfig lo 127.0.0.1
$busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
$busybox route add default gw 10.0.2.2

# As a distribution mounts them: see /dev/shm and /run of a Debian host. noatime,
# so that reading the disk is not writing it.
$busybox mount -t ext4 -o rw,noatime /dev/vda /disk
$busybox mount --move /dev /disk/dev
$busybox mount --move /proc /disk/proc
$busybox mount --move /sys /disk/sys
$busybox mkdir /disk/dev/shm
$busybox mount -t tmpfs -o rw,nosuid,nodev tmpfs /disk/dev/shm
$busybox mount -t tmpfs -o rw,nosuid,nodev,noexec,mode=755 tmpfs /disk/run
$busybox cp /agent /hosts /ca.pem /disk/run/
$busybox mount --bind /disk/run/hosts /disk/etc/hosts
$busybox mount --bind /disk/run/ca.pem /disk/etc/ssl/certs/ca-certificates.crt
# The first process stays as it is: it takes in what the agent left running.
exec $busybox switch_root /disk /bin/busybox sh -c '/bin/busybox sh /run/agent; /bin/busybox poweroff -f'
