#!/bin/busybox sh
# First program of the guest: the machine's own files below, a throw-away layer above, then guest.sh in there.
say() { echo "weft: $*" >/dev/console; }

# shellcheck disable=SC2046
load() { for file in $(cat "/$1"); do insmod "/modules/$file" || say "module $file did not load"; done; }

/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /lower /upper /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
say 'loading modules'
load for-root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose rootfs /lower || say 'no 9p root'
mount -t tmpfs -o size=80% tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work,xino=off overlay /root || say 'no overlay'
load for-tests
say 'switching to the machine'"'"'s files'
mount -t tmpfs -o mode=755 tmpfs /root/run
cp /guest.sh /job.env /job.sh /root/run/
umount /sys
umount /proc
mount --move /dev /root/dev
exec switch_root /root /bin/sh /run/guest.sh
