/** Plan → the node's own links, addresses and sysctls. Pure. */
import { BRIDGE, BRIDGE_MAC, WG_LINK } from '../constants.ts';
import { familyOf, hostCidr } from '../ip.ts';
import type { Address, LinkChange } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import type { MeshPlan } from './types.ts';

export type LinkPlan = { readonly name: string; readonly state: LinkChange };

/** The bridge keeps its MTU for life: lowering it under living pods would drop their frames without a word. */
export const nodeLinks = (plan: MeshPlan): readonly LinkPlan[] => [
  { name: BRIDGE, state: { mac: BRIDGE_MAC, up: true } },
  { name: WG_LINK, state: { mtu: plan.settings.mtu, up: true } },
];

/**
 * Gateways on both: on the bridge, so that it answers pods' neighbour solicitations; on the
 * tunnel, so that the routes' source exists while the bridge has no port and no carrier.
 */
export const nodeAddresses = (plan: MeshPlan): readonly Address[] =>
  [BRIDGE, WG_LINK].flatMap(link =>
    plan.self.gateways.map((ip: Ip) => ({ link, address: hostCidr(ip) as string })),
  );

export type SysctlPlan = { readonly key: string; readonly value: string };

const V4: readonly SysctlPlan[] = [
  { key: 'ipv4/ip_forward', value: '1' },
  // The kernel takes the stricter of `all` and the link, and 2 is above 1: loose here, whatever `all` says.
  { key: `ipv4/conf/${BRIDGE}/rp_filter`, value: '2' },
  { key: `ipv4/conf/${WG_LINK}/rp_filter`, value: '2' },
];

export const FORWARDING6 = 'ipv6/conf/all/forwarding';

const V6: readonly SysctlPlan[] = [
  { key: FORWARDING6, value: '1' },
  { key: `ipv6/conf/${BRIDGE}/accept_ra`, value: '0' },
  { key: `ipv6/conf/${BRIDGE}/accept_dad`, value: '0' },
];

/** In the order in which they must be written; before the IPv6 ones others' accept_ra. */
export const nodeSysctls = (plan: MeshPlan): readonly SysctlPlan[] => {
  const has = (family: 4 | 6) => plan.self.gateways.some(gateway => familyOf(gateway) === family);
  return [...(has(4) ? V4 : []), ...(has(6) ? V6 : [])];
};
