/** What belongs to one pod's wire on both sides, from its lease: names, routes, neighbours. */
import { hash, randomFillSync } from 'node:crypto';
import { VETH_PREFIX } from '../constants.ts';
import { familyOf, hostCidr } from '../ip.ts';
import type { Neighbour, Route } from '../platform/linux/types.ts';
import type { Cidr, Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import type { Lease } from './lease.ts';

/** Fits IFNAMSIZ: two characters and eleven of a hash. */
export const linkName = (containerId: string, ifname: string): string =>
  VETH_PREFIX + hash('sha256', `${containerId}:${ifname}`, 'hex').slice(0, 11);

/** Filled anew when it is used up: each call to the generator costs as much as a kilobyte. */
const dice = Buffer.alloc(1_000);
let used = dice.length;

/** Locally administered, so that no vendor's can be met; explicit, so that udev has no reason to choose another. */
export function randomMac(): string {
  if (used === dice.length) randomFillSync(dice);
  used = used === dice.length ? 5 : used + 5;
  return `02:${(dice.toString('hex', used - 5, used).match(/../g) ?? []).join(':')}`;
}

export const gatewayFor = (ip: Ip, gateways: readonly Ip[]): Ip => {
  const gateway = gateways.find(g => familyOf(g) === familyOf(ip));
  if (gateway === undefined) throw new CniError(CODES.broken, `the node has no gateway for ${ip}`);
  return gateway;
};

/** The node's route to a pod, by the pod's own veth, from the node's gateway address. */
export const podRoutes = (lease: Lease, gateways: readonly Ip[]): readonly Route[] =>
  lease.ips.map(ip => ({
    dst: hostCidr(ip),
    kind: 'unicast',
    link: lease.link,
    src: gatewayFor(ip, gateways),
  }));

export const podNeighbours = (lease: Lease): readonly Neighbour[] =>
  lease.ips.map(ip => ({ link: lease.link, ip, mac: lease.podMac }));

/** The default route of a family. */
export const ANY: Readonly<Record<4 | 6, Cidr>> = { 4: '0.0.0.0/0' as Cidr, 6: '::/0' as Cidr };
