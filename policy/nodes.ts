/**
 * Nodes behind an ipBlock: what a node itself sends through the mesh carries its gateway address, so
 * a network that covers an address of a node means its gateway addresses of that family too. They
 * are members of a group as pods are. Remembers: a group that did not change stays the same object.
 */
import { familyOf } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { type Interval, networkWithout, pointOf } from './boxes.ts';
import type { Group, Member, NodeFacts } from './types.ts';

export type Block = { readonly key: string; readonly cidr: Cidr; readonly excepts: readonly Cidr[] };

export type Nodes = {
  /** In any order; the own node's traffic is never asked, and is left out. */
  readonly update: (nodes: readonly NodeFacts[], self: string) => void;
  readonly get: (block: Block) => Group;
  /** Forgets blocks that are not among these keys. */
  readonly keep: (keys: ReadonlySet<string>) => void;
};

/** An address of a node, with the node's gateway addresses of that family. */
type Place = { readonly at: bigint; readonly gateways: readonly Ip[] };
type Places = Readonly<Record<4 | 6, readonly Place[]>>;

function placesOf(nodes: readonly NodeFacts[], family: 4 | 6): readonly Place[] {
  const ofFamily = (ips: readonly Ip[]): readonly Ip[] => ips.filter(ip => familyOf(ip) === family);
  return nodes
    .flatMap(({ addresses, gateways }) => {
      const own = ofFamily(gateways);
      return ofFamily(addresses).map(ip => ({ at: pointOf(ip).first, gateways: own }));
    })
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** Index of the first place at or above. */
function lowest(places: readonly Place[], at: bigint): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] as Place).at < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Nodes have no named ports. */
const NODE: readonly Member[] = [{ ports: [] }];

/** Without those that are in the network themselves: it lets them in anyway. */
function membersOf({ cidr, excepts }: Block, places: Places): ReadonlyMap<Ip, readonly Member[]> {
  const inside = networkWithout(cidr, excepts);
  const covers = (ip: Ip): boolean => {
    const { first: at } = pointOf(ip);
    return inside.some(({ first, last }: Interval) => first <= at && at <= last);
  };
  const all = places[familyOf(cidr)];
  const members = new Map<Ip, readonly Member[]>();
  for (const { first, last } of inside)
    for (let n = lowest(all, first); n < all.length && (all[n] as Place).at <= last; n += 1)
      for (const ip of (all[n] as Place).gateways) if (!covers(ip)) members.set(ip, NODE);
  return members;
}

const same = (a: ReadonlyMap<Ip, unknown>, b: ReadonlyMap<Ip, unknown>): boolean =>
  a.size === b.size && [...a.keys()].every(ip => b.has(ip));

/** Those that did not change are the same objects mostly. */
const sameNodes = (a: readonly NodeFacts[], b: readonly NodeFacts[]): boolean =>
  a.length === b.length &&
  a.every((node, n) => node === b[n] || JSON.stringify(node) === JSON.stringify(b[n]));

export function newNodes(): Nodes {
  const known = new Map<string, { readonly block: Block; group: Group }>();
  let last: readonly NodeFacts[] | undefined;
  let others: readonly NodeFacts[] = [];
  let sorted: Places | undefined;
  /** Only where a policy has a block: a large cluster's nodes move all the time. */
  const places = (): Places => {
    sorted ??= { 4: placesOf(others, 4), 6: placesOf(others, 6) };
    return sorted;
  };
  const build = (block: Block): Group => ({ key: block.key, members: membersOf(block, places()) });

  return {
    update: (nodes, self) => {
      if (nodes === last) return;
      last = nodes;
      const now = nodes.filter(node => node.name !== self);
      if (sameNodes(now, others)) return;
      others = now;
      sorted = undefined;
      for (const entry of known.values()) {
        const group = build(entry.block);
        if (!same(entry.group.members, group.members)) entry.group = group;
      }
    },
    get: block => {
      const entry = known.get(block.key) ?? { block, group: build(block) };
      known.set(block.key, entry);
      return entry.group;
    },
    keep: keys => {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    },
  };
}
