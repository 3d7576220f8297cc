/**
 * One pod's wire in the kernel: made, taken away, mended. Both ends are born by one
 * message; what follows in the pod is sent without waiting, and its kernel works it off in order.
 */
import { BRIDGE, BRIDGE_MAC, NFT_TABLE } from '../constants.ts';
import { familyOf, hostCidr } from '../ip.ts';
import { addAddress } from '../platform/linux/addr.ts';
import { isExists, isNotFound } from '../platform/linux/errors.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { changeLink, createVeth, linksOn } from '../platform/linux/link.ts';
import { replaceNeighbour } from '../platform/linux/neigh.ts';
import { addRoute, replaceRoute } from '../platform/linux/route.ts';
import { untilLocal, untilRunning } from '../platform/linux/running.ts';
import type { ElementChange, Link } from '../platform/linux/types.ts';
import type { Cidr, Ip } from '../types.ts';
import { podElements } from './antispoof.ts';
import { CniError, CODES } from './errors.ts';
import type { Lease } from './lease.ts';
import { ANY, gatewayFor, podNeighbours, podRoutes } from './plumb.ts';
import type { PodSide } from './session.ts';

const exists = (lease: Lease): CniError =>
  new CniError(
    CODES.exists,
    `interface ${lease.ifname} is already in the pod, or its host end ${lease.link} on the node`,
    'ADD was called twice without DEL between them',
  );

async function plugVeth(pod: PodSide, lease: Lease): Promise<void> {
  try {
    await createVeth(pod.rt, {
      name: lease.ifname,
      mac: lease.podMac,
      mtu: lease.mtu,
      peerName: lease.link,
      peerMac: lease.hostMac,
      peerNetnsFd: pod.hostFd,
    });
  } catch (error) {
    throw isExists(error) ? exists(lease) : error;
  }
}

const vanished = (name: string): CniError =>
  new CniError(CODES.io, `link ${name} vanished while it was being wired`);

async function must(link: Promise<Link | undefined>, name: string): Promise<number> {
  const found = await link;
  if (found === undefined) throw vanished(name);
  return found.index;
}

/** A pod that has a default route by another interface keeps it: the first one wins. */
const offerRoute = (pod: PodSide, index: number, dst: Cidr, via: Ip): Promise<readonly Cidr[]> =>
  addRoute(pod.rt, { dst, kind: 'unicast', via, onlink: true }, index).then(
    () => [dst],
    error => {
      if (isExists(error)) return [];
      throw error;
    },
  );

type PodWire = { readonly index: number; readonly routes: readonly Cidr[] };

/** All of the pod's side, each message on its way before the answer to the one before; the routes it has got. */
async function wirePodSide(
  pod: PodSide,
  lease: Lease,
  gateways: readonly Ip[],
  index: number,
): Promise<PodWire> {
  const before = Promise.all([
    pod.sysctl(`ipv6/conf/${lease.ifname}/accept_ra`, '0'),
    // Its link-local address would be tentative for two seconds.
    pod.sysctl(`ipv6/conf/${lease.ifname}/accept_dad`, '0'),
    // ServiceLB of k3s forwards inside its pods.
    pod.sysctl('ipv4/ip_forward', '1'),
    changeLink(pod.rt, index, { up: true }),
    ...lease.ips.flatMap(ip => [
      addAddress(pod.rt, index, hostCidr(ip)),
      replaceNeighbour(pod.rt, index, gatewayFor(ip, gateways), BRIDGE_MAC),
    ]),
  ]);
  const routes = lease.ips.map(ip => offerRoute(pod, index, ANY[familyOf(ip)], gatewayFor(ip, gateways)));
  const [got] = await Promise.all([Promise.all(routes), before]);
  return { index, routes: got.flat() };
}

/** The node's side: a port of the bridge, alone among its kind, with a route and a neighbour of its own. */
async function wireHostSide(
  kernel: LinuxKernel,
  lease: Lease,
  gateways: readonly Ip[],
  bridge: number,
): Promise<number> {
  const index = await must(kernel.links.get(lease.link), lease.link);
  // The kernel works one socket's messages off in order: a port that is up before its neighbours and routes.
  await Promise.all([
    changeLink(kernel.rt, index, { master: bridge, up: true, isolated: true }),
    ...podNeighbours(lease).map(n => replaceNeighbour(kernel.rt, index, n.ip, n.mac)),
    ...podRoutes(lease, gateways).map(route => replaceRoute(kernel.rt, route, index)),
    kernel.sysctls.read(`ipv6/conf/${lease.link}/accept_ra`).then(async value => {
      if (value !== undefined && value !== '0')
        await kernel.sysctls.write(`ipv6/conf/${lease.link}/accept_ra`, '0');
    }),
  ]);
  return index;
}

const bridgeIndex = async (kernel: LinuxKernel): Promise<number> => {
  const bridge = await kernel.links.get(BRIDGE);
  if (bridge === undefined)
    throw new CniError(
      CODES.tryLater,
      `the bridge ${BRIDGE} is not there yet`,
      'the agent is making it; try again',
    );
  return bridge.index;
};

/** Nothing is under way any more when this rejects, so that it can be undone. */
async function together<const T extends readonly Promise<unknown>[]>(
  ...work: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/**
 * Makes the wire; resolves to the default routes that the pod has by it. On rejection something may be half made: call `detach`; but not where the error
 * is CODES.exists, since then nothing was made and the links are another's.
 */
export async function attach(
  kernel: LinuxKernel,
  pod: PodSide,
  lease: Lease,
  gateways: readonly Ip[],
): Promise<readonly Cidr[]> {
  // Asked with the creation, not after it: the pod's kernel works one socket's messages off in order.
  const [, made, bridge] = await together(
    plugVeth(pod, lease),
    linksOn(pod.rt).get(lease.ifname),
    bridgeIndex(kernel),
  );
  if (made === undefined) throw vanished(lease.ifname);
  const [inside, outside] = await together(
    wirePodSide(pod, lease, gateways, made.index),
    wireHostSide(kernel, lease, gateways, bridge),
    kernel.nft.elements('bridge', NFT_TABLE, podElements(lease, 'add')),
  );
  const running = Promise.all([
    untilRunning(pod.rt, inside.index),
    untilRunning(kernel.rt, outside),
    ...lease.ips.filter(ip => familyOf(ip) === 6).map(ip => untilLocal(pod.rt, ip)),
  ]);
  await Promise.race([running, pod.lost]);
  return inside.routes;
}

/** Elements one by one where it must be: that one is missing must not keep the others. */
export async function dropElements(kernel: LinuxKernel, changes: readonly ElementChange[]): Promise<void> {
  try {
    await kernel.nft.elements('bridge', NFT_TABLE, changes);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    for (const change of changes)
      await kernel.nft.elements('bridge', NFT_TABLE, [change]).catch(e => {
        if (!isNotFound(e)) throw e;
      });
  }
}

/** Takes the wire away. What is gone already is no error. */
export async function detach(kernel: LinuxKernel, lease: Lease): Promise<void> {
  await dropElements(kernel, podElements(lease, 'delete'));
  await kernel.links.remove(lease.link).catch(error => {
    if (!isNotFound(error)) throw error;
  });
}

/** Mends the node's side of a living pod. */
export const restoreHostSide = async (
  kernel: LinuxKernel,
  lease: Lease,
  gateways: readonly Ip[],
): Promise<void> => {
  await wireHostSide(kernel, lease, gateways, await bridgeIndex(kernel));
};
