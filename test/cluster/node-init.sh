#!/bin/sh
# Makes a node out of new mount, uts, ipc, cgroup and pid namespaces, and ends as the node's pid 1.
# usage: node-init.sh DATA_FOLDER NODE_NAME PAUSE_PROGRAM
set -eu
data=$1
name=$2
pause=$3

mount -t proc proc /proc
mount -t sysfs sysfs /sys

# Every hierarchy anew, seen from our cgroup namespace: each node has its own /kubepods.
if grep -q '^[1-9][0-9]*:.' /proc/self/cgroup; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    [ -n "$controllers" ] || continue
    folder=/sys/fs/cgroup/${controllers#name=}
    mkdir -p "$folder"
    case $controllers in
      name=*) mount -t cgroup -o "none,$controllers" cgroup "$folder" ;;
      *) mount -t cgroup -o "$controllers" cgroup "$folder" ;;
    esac
  done < /proc/self/cgroup
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  echo $$ > /sys/fs/cgroup/init/cgroup.procs
fi

# The kubelet sets these for the whole machine; here it finds the values it wants and the machine keeps its own.
pretend() {
  [ -e "/proc/sys/$1" ] || return 0
  mkdir -p "$data/sysctl"
  file=$data/sysctl/$(echo "$1" | tr / .)
  echo "$2" > "$file"
  mount --bind "$file" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000

echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount -t tmpfs -o mode=1777 tmpfs /tmp
for folder in etc opt var/lib var/log; do
  layers=$data/overlay/$folder
  mkdir -p "$layers/upper" "$layers/work"
  mount -t overlay -o "lowerdir=/$folder,upperdir=$layers/upper,workdir=$layers/work" overlay "/$folder"
done
# overlayfs cannot have an overlay as its upper layer, and containerd's snapshots are overlays.
for folder in containerd kubelet; do
  mkdir -p "$data/$folder" "/var/lib/$folder"
  mount --bind "$data/$folder" "/var/lib/$folder"
done
# What the machine has of these is not the node's. What the node itself put there stays over its reboots.
[ -e "$data/installed" ] || rm -rf /etc/cni /opt/cni /var/lib/cni /var/lib/weft
mkdir -p /etc/cni/net.d /opt/cni/bin

hostname "$name"
echo "$name" > /etc/hostname
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$name" > /etc/hosts
# A file of its own, even where the machine has a link to a resolver's.
rm -f /etc/resolv.conf
echo '# a test node has no name server' > /etc/resolv.conf
if [ ! -e "$data/installed" ]; then
  rm -f /etc/machine-id
  tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
fi
: > "$data/installed"

# Volumes and namespaces that a pod mounts must be seen by the kubelet and the other way round.
mount --make-rshared /

: > "$data/ready"
exec "$pause"
