/** Links by rtnetlink: RTM_*LINK with `struct ifinfomsg` and IFLA_* attributes (linux/if_link.h). */
import {
  attr,
  macFromBytes,
  macToBytes,
  nest,
  parseAttrs,
  readText,
  readU32,
  text,
  u8,
  u32,
} from './attrs.ts';
import { isNotFound, LinuxError } from './errors.ts';
import { FLAG, RTM, type Rtnl } from './rtnl.ts';
import type { Link, LinkChange, LinkKind, LinkSpec, Links } from './types.ts';

const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  master: 10,
  linkinfo: 18,
  netNsFd: 28,
  extMask: 29,
  txQueues: 31,
  rxQueues: 32,
} as const;
const INFO = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;
const BRPORT_ISOLATED = 33;
const BR = { mcastSnooping: 23 } as const;
const VETH_PEER = 1;
const IFF_UP = 1;
/** RTEXT_FILTER_SKIP_STATS: counters are most of a link's bytes, and nobody here reads them. */
const SKIP_STATS = 8;

const KINDS: readonly LinkKind[] = ['bridge', 'wireguard', 'veth', 'tun', 'dummy'];

/** struct ifinfomsg. */
function head(index: number, flags = 0, change = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

/** One RTM_NEWLINK as a link. */
export function parseLink(message: Buffer): Link {
  const attrs = parseAttrs(message.subarray(16));
  const info = parseAttrs(attrs.get(IFLA.linkinfo) ?? Buffer.alloc(0));
  const kind = readText(info.get(INFO.kind)) as LinkKind;
  const port = parseAttrs(info.get(INFO.slaveData) ?? Buffer.alloc(0)).get(BRPORT_ISOLATED);
  const mac = attrs.get(IFLA.address);
  return {
    index: message.readInt32LE(4),
    name: readText(attrs.get(IFLA.ifname)) ?? '',
    kind: KINDS.includes(kind) ? kind : 'other',
    mac: mac?.length === 6 ? macFromBytes(mac) : undefined,
    mtu: readU32(attrs.get(IFLA.mtu)) ?? 0,
    up: (message.readUInt32LE(8) & IFF_UP) !== 0,
    master: readU32(attrs.get(IFLA.master)),
    isolated: port && port[0] === 1,
  };
}

const info = (kind: string, ...data: readonly Uint8Array[]): Buffer =>
  nest(IFLA.linkinfo, text(INFO.kind, kind), ...(data.length > 0 ? [nest(INFO.data, ...data)] : []));

const port = (isolated: boolean): Buffer =>
  nest(
    IFLA.linkinfo,
    text(INFO.slaveKind, 'bridge'),
    nest(INFO.slaveData, u8(BRPORT_ISOLATED, Number(isolated))),
  );

/** Absent fields leave the link as it is. */
function changeAttrs(change: LinkChange): Buffer[] {
  return [
    ...(change.mac === undefined ? [] : [attr(IFLA.address, macToBytes(change.mac))]),
    ...(change.mtu === undefined ? [] : [u32(IFLA.mtu, change.mtu)]),
    ...(change.master === undefined ? [] : [u32(IFLA.master, change.master)]),
  ];
}

const upFlags = (up: boolean | undefined): readonly [number, number] =>
  up === undefined ? [0, 0] : [up ? IFF_UP : 0, IFF_UP];

/** Changes by index, without a look at the link first. */
export async function changeLink(rt: Rtnl, index: number, change: LinkChange): Promise<void> {
  const payload = [head(index, ...upFlags(change.up)), ...changeAttrs(change)];
  // A port's flags exist only once it is a port; the kernel works one socket's messages off in order.
  await Promise.all([
    rt.change(`change link ${index}`, RTM.newLink, 0, payload),
    ...(change.isolated === undefined
      ? []
      : [rt.change(`isolate port ${index}`, RTM.newLink, 0, [head(index), port(change.isolated)])]),
  ]);
}

export type VethSpec = {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Of both ends, chosen: whoever knows them need not ask before the next message. EBUSY where one is taken. */
  readonly index: number;
  readonly peerIndex: number;
  /** Bridge of which this end becomes a port. EINVAL where there is none of that index. */
  readonly master: number;
  readonly peerName: string;
  readonly peerMac: string;
  /** A descriptor of the process that owns the socket. */
  readonly peerNetnsFd: number;
};

/**
 * A veth has one queue anyway; but unless it is asked for, the kernel first makes one a CPU, takes the others away
 * again, and waits for all CPUs to have noticed.
 */
const ONE_QUEUE = [u32(IFLA.txQueues, 1), u32(IFLA.rxQueues, 1)];

/** This end is born in the socket's namespace, the peer in the descriptor's: nothing is moved afterwards. */
export const createVeth = (rt: Rtnl, spec: VethSpec): Promise<void> =>
  rt.change(`create veth ${spec.name}`, RTM.newLink, FLAG.create | FLAG.excl, [
    head(spec.index),
    text(IFLA.ifname, spec.name),
    attr(IFLA.address, macToBytes(spec.mac)),
    u32(IFLA.mtu, spec.mtu),
    u32(IFLA.master, spec.master),
    ...ONE_QUEUE,
    info(
      'veth',
      nest(
        VETH_PEER,
        head(spec.peerIndex),
        text(IFLA.ifname, spec.peerName),
        attr(IFLA.address, macToBytes(spec.peerMac)),
        u32(IFLA.mtu, spec.mtu),
        u32(IFLA.netNsFd, spec.peerNetnsFd),
        ...ONE_QUEUE,
      ),
    ),
  ]);

/** Opens a port that is one already to the others of its bridge only by way of the node: isolated, then up, in one message. */
export const openPort = (rt: Rtnl, index: number): Promise<void> =>
  rt.change(`open port ${index}`, RTM.newLink, 0, [head(index, IFF_UP, IFF_UP), port(true)]);

const kindInfo = (kind: LinkSpec['kind']): Buffer =>
  // Snooping would learn from pods' queries and then keep neighbour solicitations from ports.
  kind === 'bridge' ? info(kind, u8(BR.mcastSnooping, 0)) : info(kind);

const lean = u32(IFLA.extMask, SKIP_STATS);

async function get(rt: Rtnl, what: string, payload: readonly Buffer[]): Promise<Link | undefined> {
  try {
    const message = await rt.get(`get link ${what}`, RTM.getLink, [...payload, lean]);
    return message && parseLink(message);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const byName = (rt: Rtnl, name: string): Promise<Link | undefined> =>
  get(rt, name, [head(0), text(IFLA.ifname, name)]);

/** Index 0 would ask for no link in particular. */
const byIndex = async (rt: Rtnl, index: number): Promise<Link | undefined> =>
  index > 0 ? get(rt, String(index), [head(index)]) : undefined;

async function must(rt: Rtnl, name: string): Promise<Link> {
  const link = await byName(rt, name);
  if (link === undefined) throw new LinuxError('ENODEV', `there is no link ${name}`);
  return link;
}

/** Links of the socket's namespace. */
export const linksOn = (rt: Rtnl): Links => ({
  list: async () => (await rt.dump('list links', RTM.getLink, [head(0), lean])).map(parseLink),
  get: name => byName(rt, name),
  at: index => byIndex(rt, index),
  add: spec =>
    rt.change(`add link ${spec.name}`, RTM.newLink, FLAG.create | FLAG.excl, [
      head(0),
      text(IFLA.ifname, spec.name),
      ...changeAttrs(spec),
      kindInfo(spec.kind),
    ]),
  change: async (name, change) => changeLink(rt, (await must(rt, name)).index, change),
  remove: async name =>
    rt.change(`remove link ${name}`, RTM.delLink, 0, [head((await must(rt, name)).index)]),
});
