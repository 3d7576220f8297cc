#!/bin/sh
# What flannel's CNI plugin does, whose module no proxy serves: reads what flanneld wrote, and calls `bridge` with it.
set -eu
state=/var/lib/cni/flannel

if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}'
  exit
fi
if [ "$CNI_COMMAND" = DEL ]; then
  # A pod of which nothing is kept has nothing that could be removed.
  [ -e "$state/$CNI_CONTAINERID" ] || exit 0
  "${0%/*}/bridge" < "$state/$CNI_CONTAINERID"
  rm "$state/$CNI_CONTAINERID"
  exit
fi
[ "$CNI_COMMAND" = ADD ] || exit 0
if [ ! -e /run/flannel/subnet.env ]; then
  echo '{"cniVersion":"1.0.0","code":11,"msg":"/run/flannel/subnet.env: no such file: is flanneld running?"}'
  exit 1
fi
. /run/flannel/subnet.env
mkdir -p "$state"
# flanneld writes the first address of each subnet; host-local wants the subnet's own.
cat > "$state/$CNI_CONTAINERID" <<CONF
{
  "cniVersion": "1.0.0", "name": "cbr0", "type": "bridge", "bridge": "cni0", "mtu": $FLANNEL_MTU, "ipMasq": false,
  "hairpinMode": true, "forceAddress": true, "isDefaultGateway": true,
  "ipam": {
    "type": "host-local",
    "ranges": [[{ "subnet": "${FLANNEL_SUBNET%.*}.0/24" }], [{ "subnet": "${FLANNEL_IPV6_SUBNET%1/64}/64" }]],
    "routes": [{ "dst": "$FLANNEL_NETWORK" }, { "dst": "$FLANNEL_IPV6_NETWORK" }]
  }
}
CONF
exec "${0%/*}/bridge" < "$state/$CNI_CONTAINERID"
