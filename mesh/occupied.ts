/** Another pod network at work on this node: beside ours its pods would be cut off, so ours waits for its end. Pure. */
import { BRIDGE, WG_LINK } from '../constants.ts';
import { containsIp, textOrder } from '../ip.ts';
import type { Address } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import type { MeshPlan } from './types.ts';

/** How many of its links are named. */
const NAMED = 3;

/**
 * In words for people, behind "this Node" or "it"; undefined where there is none, or where ours is at work already. Every
 * pod network that lives by podCIDRs gives a link an address of this node's: flannel `cni0` and `flannel.1`, for instance.
 */
export function occupiedBy(
  { self, clusterCidrs }: Pick<MeshPlan, 'self' | 'clusterCidrs'>,
  addresses: readonly Address[],
): string | undefined {
  // As long as nobody knows which of the cluster's networks are this node's, any may be.
  const networks = self.podCidrs.length > 0 ? self.podCidrs : clusterCidrs;
  const inside = addresses
    .map(({ link, address }) => ({ link, ip: address.split('/')[0] as Ip }))
    .filter(({ ip }) => networks.some(cidr => containsIp(cidr, ip)));
  if (inside.some(({ link }) => link === BRIDGE)) return undefined;
  const theirs = inside
    .filter(({ link }) => link !== WG_LINK)
    .map(({ link, ip }) => `${link} ${ip}`)
    .sort(textOrder);
  if (theirs.length === 0) return undefined;
  const named = theirs.slice(0, NAMED).join(', ') + (theirs.length > NAMED ? ', …' : '');
  return `has another pod network at work, whose links hold addresses of its pod networks (${named}); weft touches nothing on it and waits, since both at once would cut its pods off. Switch the other one off, then drain this node and restart it (docs/install.md)`;
}
