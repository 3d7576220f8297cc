/**
 * What the binary is asked to do for one pod's wire, as messages that nobody has sent yet: the links,
 * and all that follows. Both ends are born by one message, with indexes that we choose, so that
 * everything is written before anything is answered.
 */
import { randomInt } from 'node:crypto';
import { getSystemErrorName } from 'node:util';
import { BRIDGE_MAC } from '../constants.ts';
import { familyOf } from '../ip.ts';
import { addHostAddress } from '../platform/linux/addr.ts';
import { isExists } from '../platform/linux/errors.ts';
import type { Gathering } from '../platform/linux/gather.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { changeLink, createVeth, openPort } from '../platform/linux/link.ts';
import { replaceNeighbour } from '../platform/linux/neigh.ts';
import { addRoute, replaceRoute } from '../platform/linux/route.ts';
import type { Rtnl } from '../platform/linux/rtnl.ts';
import { lookRunning, untilLocal } from '../platform/linux/running.ts';
import type { Cidr, Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import type { Lease } from './lease.ts';
import { ANY, gatewayFor, podNeighbours, podRoutes } from './plumb.ts';
import { encodeProgram } from './wire.ts';

/** What must be known of a wire before anything else of its pod is. */
export type Ends = Pick<Lease, 'link' | 'ifname' | 'mtu' | 'hostMac' | 'podMac'>;

/** Both ends of a wire; down at first. */
export type Links = {
  readonly to: Gathering;
  /** Whether they are made is known when what follows was worked off as well. */
  readonly made: Promise<void>;
  readonly inside: number;
  readonly outside: number;
};

/** All but the links. */
export type Wiring = {
  readonly to: Gathering;
  /** What the binary gets: all that is done while the host's end is down, and what opens it. */
  readonly frames: readonly [Buffer, Buffer];
  /** Default routes that the pod has got by it. */
  readonly routes: Promise<readonly Cidr[]>;
  /** Whether the host's end and the pod's carry packets. */
  readonly running: readonly [Promise<boolean>, Promise<boolean>];
  readonly others: readonly Promise<unknown>[];
};

/** A pod that has a default route by another interface keeps it: the first one wins. */
const offerRoute = (rt: Rtnl, index: number, dst: Cidr, via: Ip): Promise<readonly Cidr[]> =>
  addRoute(rt, { dst, kind: 'unicast', via, onlink: true }, index).then(
    () => [dst],
    error => {
      if (isExists(error)) return [];
      throw error;
    },
  );

async function setting(write: Gathering['sysctl'], path: string, value: string): Promise<void> {
  const errno = await write(path, value);
  // Without IPv6 there is no such key, and no need for it.
  if (errno < 0 && getSystemErrorName(errno) !== 'ENOENT')
    throw new CniError(CODES.io, `cannot write ${path}=${value} for the pod: ${getSystemErrorName(errno)}`);
}

/** All of the pod's side; the routes it has got. */
async function wirePodSide(
  to: Gathering,
  lease: Lease,
  gateways: readonly Ip[],
  index: number,
): Promise<readonly Cidr[]> {
  const before = Promise.all([
    setting(to.sysctl, acceptRa(lease.ifname), '0'),
    // Its link-local address would be tentative for two seconds.
    setting(to.sysctl, `ipv6/conf/${lease.ifname}/accept_dad`, '0'),
    // ServiceLB of k3s forwards inside its pods.
    setting(to.sysctl, 'ipv4/ip_forward', '1'),
    changeLink(to.pod, index, { up: true }),
    ...lease.ips.flatMap(ip => [
      addHostAddress(to.pod, index, ip),
      replaceNeighbour(to.pod, index, gatewayFor(ip, gateways), BRIDGE_MAC),
    ]),
  ]);
  const routes = lease.ips.map(ip => offerRoute(to.pod, index, ANY[familyOf(ip)], gatewayFor(ip, gateways)));
  const [got] = await Promise.all([Promise.all(routes), before]);
  return got.flat();
}

/** What leads to the pod. The kernel works one socket's messages off in order: the port is up before them. */
export const leadToPod = (rt: Rtnl, lease: Lease, gateways: readonly Ip[], index: number): Promise<unknown> =>
  Promise.all([
    ...podNeighbours(lease).map(n => replaceNeighbour(rt, index, n.ip, n.mac)),
    ...podRoutes(lease, gateways).map(route => replaceRoute(rt, route, index)),
  ]);

export const acceptRa = (link: string): string => `ipv6/conf/${link}/accept_ra`;

/** A port takes no part in IPv6 of its own; what new links get by themselves is for links of others. */
const keepOutOfIpv6 = ({ hostSysctl }: Gathering, link: string): Promise<unknown> =>
  Promise.all([
    setting(hostSysctl, acceptRa(link), '0'),
    // Nobody needs its link-local address, for which the kernel would look at its neighbours and hold its lock.
    setting(hostSysctl, `ipv6/conf/${link}/addr_gen_mode`, '1'),
  ]);

/** Above what the kernel gives by itself, one after the other from 1, and below its limit. */
const chosenIndex = (): number => randomInt(1 << 20, 1 << 30);

/** Nothing follows where they are refused. */
export function composeLinks(kernel: LinuxKernel, podFd: number, ends: Ends, bridge: number): Links {
  const to = kernel.gather();
  const [inside, outside] = [chosenIndex(), chosenIndex()];
  const made = createVeth(to.host, {
    name: ends.link,
    mac: ends.hostMac,
    mtu: ends.mtu,
    index: outside,
    peerIndex: inside,
    master: bridge,
    peerName: ends.ifname,
    peerMac: ends.podMac,
    peerNetnsFd: podFd,
  });
  // They may be given up before anybody waits.
  made.catch(() => {});
  to.barrier();
  return { to, made, inside, outside };
}

export function composeWiring(
  kernel: LinuxKernel,
  lease: Lease,
  gateways: readonly Ip[],
  { inside, outside }: Links,
): Wiring {
  const to = kernel.gather();
  const shut = keepOutOfIpv6(to, lease.link);
  const routes = wirePodSide(to, lease, gateways, inside);
  const first = encodeProgram(to.take(), 'b');
  const open = [openPort(to.host, outside), leadToPod(to.host, lease, gateways, outside)];
  const running = [
    lookRunning(to.hostLook, outside, lease.link),
    lookRunning(to.podLook, inside, lease.ifname),
  ] as const;
  const there = lease.ips.filter(ip => familyOf(ip) === 6).map(ip => untilLocal(to, ip));
  const others = [shut, ...open, ...there];
  const wiring: Wiring = { to, frames: [first, encodeProgram(to.take())], routes, running, others };
  // It may be given up before anybody waits.
  for (const answer of answersOf(wiring)) answer.catch(() => {});
  return wiring;
}

/** All that is answered of it. */
export const answersOf = ({ routes, running, others }: Wiring): readonly Promise<unknown>[] => [
  routes,
  ...running,
  ...others,
];
