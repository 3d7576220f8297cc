/** What is wrong with a pod's wire, in words, on the node's side and inside the pod. */
import { BRIDGE, VETH_PREFIX } from '../constants.ts';
import { familyOf, hostCidr, networkOf } from '../ip.ts';
import { addressesOn } from '../platform/linux/addr.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { linksOn } from '../platform/linux/link.ts';
import { indexesOn } from '../platform/linux/names.ts';
import { routesOn } from '../platform/linux/route.ts';
import type { Link, Neighbour, Route } from '../platform/linux/types.ts';
import type { Cidr, Ip } from '../types.ts';
import type { Lease } from './lease.ts';
import { ANY, podNeighbours, podRoutes } from './plumb.ts';
import type { PodSide } from './session.ts';
import { MAC_CURE } from './strangers.ts';

export type HostView = {
  readonly links: ReadonlyMap<string, Link>;
  /** Routes by pods' links: as they are, and as their keys. */
  readonly podRoutes: readonly Route[];
  readonly routes: ReadonlySet<string>;
  readonly neighbours: ReadonlySet<string>;
};

const routeKey = (route: Route): string => `${route.link} ${route.dst} ${route.src}`;
const neighbourKey = (n: Neighbour): string => `${n.link} ${n.ip} ${n.mac}`;

/** The node's side of all pods, read once. */
export async function viewHost(kernel: LinuxKernel): Promise<HostView> {
  const [links, routes, neighbours] = await Promise.all([
    kernel.links.list(),
    kernel.routes.ours(),
    kernel.neighbours.permanent(),
  ]);
  const podRoutes = routes.filter(route => route.link?.startsWith(VETH_PREFIX));
  return {
    links: new Map(links.map(link => [link.name, link])),
    podRoutes,
    routes: new Set(podRoutes.map(routeKey)),
    neighbours: new Set(neighbours.map(neighbourKey)),
  };
}

/** Addresses that lead to a pod's link of which no lease knows, with that link. */
export function orphanAddresses(view: HostView, leases: readonly Lease[]): ReadonlyMap<Ip, string> {
  const known = new Set(leases.map(lease => lease.link));
  return new Map(
    view.podRoutes.flatMap(({ dst, link = '' }) =>
      known.has(link) ? [] : [[networkOf(dst), link] as const],
    ),
  );
}

/** What is wrong with the node's side of a pod, in words. */
export function hostFaults(view: HostView, lease: Lease, gateways: readonly Ip[]): readonly string[] {
  const link = view.links.get(lease.link);
  if (link === undefined) return [`host link ${lease.link} is missing`];
  const bridge = view.links.get(BRIDGE)?.index;
  return [
    ...(link.up ? [] : [`host link ${lease.link} is down`]),
    ...(link.master === bridge ? [] : [`host link ${lease.link} is no port of ${BRIDGE}`]),
    ...(link.isolated === true ? [] : [`host link ${lease.link} is not isolated`]),
    ...podRoutes(lease, gateways)
      .filter(r => !view.routes.has(routeKey(r)))
      .map(r => `the node's route to ${r.dst} is missing`),
    ...podNeighbours(lease)
      .filter(n => !view.neighbours.has(neighbourKey(n)))
      .map(n => `the node's neighbour entry of ${n.ip} is missing`),
  ];
}

/** Default routes by the pod's interface that the runtime's record has and the pod has not. */
async function routeFaults(
  pod: PodSide,
  lease: Lease,
  recorded: readonly Cidr[],
): Promise<readonly string[]> {
  const routes = await routesOn(pod.rt, indexesOn(linksOn(pod.rt))).defaults();
  const there = routes.filter(route => route.link === lease.ifname).map(route => route.dst);
  return [...new Set(lease.ips.map(ip => ANY[familyOf(ip)]))]
    .filter(dst => recorded.includes(dst) && !there.includes(dst))
    .map(dst => `the route ${dst} by ${lease.ifname} is missing in the pod`);
}

/**
 * What is wrong inside the pod, whose routes by the runtime's record are `recorded`. A later
 * plugin may have added to it, or taken a default route to itself.
 */
export async function podFaults(
  pod: PodSide,
  lease: Lease,
  recorded: readonly Cidr[],
): Promise<readonly string[]> {
  const link = await linksOn(pod.rt).get(lease.ifname);
  if (link === undefined) return [`interface ${lease.ifname} is missing in the pod`];
  const addresses = (await addressesOn(pod.rt, indexesOn(linksOn(pod.rt))).list(lease.ifname)).map(
    a => a.address,
  );
  const wanted: readonly string[] = lease.ips.map(hostCidr);
  return [
    ...(link.up ? [] : [`interface ${lease.ifname} is down in the pod`]),
    ...(link.mac === lease.podMac
      ? []
      : [
          `interface ${lease.ifname} has the MAC ${link.mac}, and not ${lease.podMac}, so that what it sends is dropped; ${MAC_CURE}`,
        ]),
    ...wanted.filter(a => !addresses.includes(a)).map(a => `address ${a} is missing in the pod`),
    ...(await routeFaults(pod, lease, recorded)),
  ];
}
