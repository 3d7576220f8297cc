/** What other CNI plugins left on this node, in words that say what to do. Pure. */
import { CONFLIST } from '../cni/install.ts';
import { BRIDGE, VETH_PREFIX, WG_LINK } from '../constants.ts';
import { containsIp, parseIp } from '../ip.ts';
import type { Address } from '../platform/linux/types.ts';
import type { Cidr } from '../types.ts';

const ours = (link: string): boolean => link === BRIDGE || link === WG_LINK || link.startsWith(VETH_PREFIX);

/** Links of others that have an address of this node's podCIDRs, such as flannel's cni0. */
export const leftoverLinks = (addresses: readonly Address[], podCidrs: readonly Cidr[]): readonly string[] =>
  addresses
    .filter(({ link }) => !ours(link))
    .flatMap(({ link, address }) => {
      const ip = parseIp(address.split('/')[0] ?? '');
      const cidr = podCidrs.find(one => ip.ok && containsIp(one, ip.value));
      return cidr === undefined
        ? []
        : [
            `link ${link} has ${address}, which is in this node's podCIDR ${cidr}: another CNI plugin left it; once its pods are gone, remove it: ip link delete ${link}`,
          ];
    });

/** `earlier`: names of configurations that come before ours in `dir`; the runtime uses the first one only. */
export const leftoverConfigs = (dir: string, earlier: readonly string[]): readonly string[] =>
  earlier.length === 0
    ? []
    : [
        `the container runtime uses ${dir}/${earlier[0]} and not weft's ${CONFLIST}, which comes after it: remove ${earlier.join(', ')}, unless it is meant`,
      ];
