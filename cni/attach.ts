/**
 * One pod's wire in the kernel: made, taken away, mended. It is made by one program that the
 * binary works off: both ends are born by one message, with indexes that we choose, so that all
 * that follows is written before anything is answered.
 */
import { randomInt } from 'node:crypto';
import { getSystemErrorName } from 'node:util';
import { BRIDGE, BRIDGE_MAC, NFT_TABLE } from '../constants.ts';
import { familyOf, hostCidr } from '../ip.ts';
import { addAddress } from '../platform/linux/addr.ts';
import { isExists, isNotFound, LinuxError } from '../platform/linux/errors.ts';
import type { Gathering } from '../platform/linux/gather.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { changeLink, createVeth, openPort } from '../platform/linux/link.ts';
import { replaceNeighbour } from '../platform/linux/neigh.ts';
import { addRoute, replaceRoute } from '../platform/linux/route.ts';
import type { Rtnl } from '../platform/linux/rtnl.ts';
import { isRunning, untilLocal, untilRunning } from '../platform/linux/running.ts';
import type { ElementChange } from '../platform/linux/types.ts';
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

const vanished = (name: string): CniError =>
  new CniError(CODES.io, `link ${name} vanished while it was being wired`);

/** A pod that has a default route by another interface keeps it: the first one wins. */
const offerRoute = (rt: Rtnl, index: number, dst: Cidr, via: Ip): Promise<readonly Cidr[]> =>
  addRoute(rt, { dst, kind: 'unicast', via, onlink: true }, index).then(
    () => [dst],
    error => {
      if (isExists(error)) return [];
      throw error;
    },
  );

async function podSysctl({ sysctl }: Gathering, path: string, value: string): Promise<void> {
  const errno = await sysctl(path, value);
  // A pod without IPv6 has no such key, and does not need it.
  if (errno < 0 && getSystemErrorName(errno) !== 'ENOENT')
    throw new CniError(CODES.io, `cannot write ${path}=${value} in the pod: ${getSystemErrorName(errno)}`);
}

/** All of the pod's side; the routes it has got. */
async function wirePodSide(
  to: Gathering,
  lease: Lease,
  gateways: readonly Ip[],
  index: number,
): Promise<readonly Cidr[]> {
  const before = Promise.all([
    podSysctl(to, `ipv6/conf/${lease.ifname}/accept_ra`, '0'),
    // Its link-local address would be tentative for two seconds.
    podSysctl(to, `ipv6/conf/${lease.ifname}/accept_dad`, '0'),
    // ServiceLB of k3s forwards inside its pods.
    podSysctl(to, 'ipv4/ip_forward', '1'),
    changeLink(to.pod, index, { up: true }),
    ...lease.ips.flatMap(ip => [
      addAddress(to.pod, index, hostCidr(ip)),
      replaceNeighbour(to.pod, index, gatewayFor(ip, gateways), BRIDGE_MAC),
    ]),
  ]);
  const routes = lease.ips.map(ip => offerRoute(to.pod, index, ANY[familyOf(ip)], gatewayFor(ip, gateways)));
  const [got] = await Promise.all([Promise.all(routes), before]);
  return got.flat();
}

/** What leads to the pod. The kernel works one socket's messages off in order: the port is up before them. */
const leadToPod = (rt: Rtnl, lease: Lease, gateways: readonly Ip[], index: number): Promise<unknown> =>
  Promise.all([
    ...podNeighbours(lease).map(n => replaceNeighbour(rt, index, n.ip, n.mac)),
    ...podRoutes(lease, gateways).map(route => replaceRoute(rt, route, index)),
  ]);

/** A port takes no part in IPv6 of its own. */
async function refuseAdverts({ sysctls }: LinuxKernel, link: string): Promise<void> {
  const key = `ipv6/conf/${link}/accept_ra`;
  const value = await sysctls.read(key);
  if (value !== undefined && value !== '0') await sysctls.write(key, '0');
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

/** Above what the kernel gives by itself, one after the other from 1, and below its limit. */
const chosenIndex = (): number => randomInt(1 << 20, 1 << 30);

/** Indexes of bridges that pods were plugged into: asking for it each time is a turn of its own. */
const bridges = new WeakMap<LinuxKernel, number>();

type Wish = {
  readonly kernel: LinuxKernel;
  readonly pod: PodSide;
  readonly lease: Lease;
  readonly gateways: readonly Ip[];
};

/** All that a pod has in the kernel, in one program of the binary's; the routes that the pod has got. */
async function plug({ kernel, pod, lease, gateways }: Wish, bridge: number): Promise<readonly Cidr[]> {
  const to = kernel.gather();
  const [inside, outside] = [chosenIndex(), chosenIndex()];
  const made = createVeth(to.host, {
    name: lease.link,
    mac: lease.hostMac,
    mtu: lease.mtu,
    index: outside,
    peerIndex: inside,
    master: bridge,
    peerName: lease.ifname,
    peerMac: lease.podMac,
    peerNetnsFd: pod.podFd,
  });
  to.barrier();
  const work = [
    // Before the port is open: what passes it is looked up there.
    to.elements('bridge', NFT_TABLE, podElements(lease, 'add')),
    openPort(to.host, outside),
    leadToPod(to.host, lease, gateways, outside),
  ] as const;
  const routes = wirePodSide(to, lease, gateways, inside);
  const running = [isRunning(to.host, outside), isRunning(to.pod, inside)] as const;
  const there = lease.ips.filter(ip => familyOf(ip) === 6).map(ip => untilLocal(to, ip));
  const ran = pod.run(to);
  // The first refusal is the reason for the others.
  const [, , got, hostRuns, podRuns] = await together(ran, made, routes, ...running, ...work, ...there);
  // Kernels before 6.8 leave it to a worker.
  if (!(hostRuns && podRuns)) await together(untilRunning(kernel.rt, outside), untilRunning(pod.rt, inside));
  return got;
}

const TRIES = 4;

/** Again where an index was taken, or where the bridge is another one by now. */
async function plugSurely(wish: Wish, tries = TRIES): Promise<readonly Cidr[]> {
  const known = bridges.get(wish.kernel);
  const bridge = known ?? (await bridgeIndex(wish.kernel));
  bridges.set(wish.kernel, bridge);
  try {
    return await plug(wish, bridge);
  } catch (error) {
    const code = error instanceof LinuxError ? error.code : '';
    if (code === 'EEXIST') throw exists(wish.lease);
    const stale = known !== undefined && code === 'EINVAL';
    if (stale) bridges.delete(wish.kernel);
    if (tries === 1 || !(stale || code === 'EBUSY')) throw error;
    return plugSurely(wish, tries - 1);
  }
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
  const routes = await Promise.race([plugSurely({ kernel, pod, lease, gateways }), pod.lost]);
  await refuseAdverts(kernel, lease.link);
  return routes;
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
export async function restoreHostSide(
  kernel: LinuxKernel,
  lease: Lease,
  gateways: readonly Ip[],
): Promise<void> {
  const [link, bridge] = await Promise.all([kernel.links.get(lease.link), bridgeIndex(kernel)]);
  if (link === undefined) throw vanished(lease.link);
  await Promise.all([
    changeLink(kernel.rt, link.index, { master: bridge, up: true, isolated: true }),
    leadToPod(kernel.rt, lease, gateways, link.index),
    refuseAdverts(kernel, lease.link),
  ]);
}
