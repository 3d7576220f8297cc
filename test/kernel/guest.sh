# Runs as process 1 on the machine's files: settles the guest, runs the job, says its status, ends the machine.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
for n in 0:in 1:out 2:err; do ln -s "fd/${n%:*}" "/dev/std${n#*:}"; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
. /run/job.env
hostname kernel
ip link set lo up
release=$(uname -r)
mkdir -p /lib/modules
[ -e "/lib/modules/$release" ] || ln -s "$WEFT_GUEST_MODULES/$release" /lib/modules/

port() { for p in /sys/class/virtio-ports/*; do [ "$(cat "$p/name")" = "$1" ] && echo "/dev/${p##*/}"; done; }

status=$(port status)
echo started >"$status"
setsid sh /run/job.sh >"$(port output)" 2>&1 </dev/null
echo "exit $?" >"$status"
echo b >/proc/sysrq-trigger
