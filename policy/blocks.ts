/**
 * Addresses that an ipBlock means: its network without the exceptions, and the gateway addresses of
 * nodes that it covers, since what a node itself sends through the mesh carries its gateway address.
 * Remembers: a block whose addresses did not change stays the same object.
 */
import { familyOf } from '../ip.ts';
import type { Cidr } from '../types.ts';
import { type Interval, networkWithout, pointOf, unite } from './boxes.ts';
import type { NodeFacts } from './types.ts';

export type Block = { readonly cidr: Cidr; readonly excepts: readonly Cidr[] };

export type Blocks = {
  /** In any order; the own node's traffic is never asked, and is left out. */
  readonly update: (nodes: readonly NodeFacts[], self: string) => void;
  readonly get: (block: Block) => readonly Interval[];
  /** Forgets blocks that are not among these keys. */
  readonly keep: (keys: ReadonlySet<string>) => void;
};

export const blockKey = ({ cidr, excepts }: Block): string => `${cidr} ${excepts.toSorted().join()}`;

/** An address of a node, with the node's gateway addresses of that family. */
type Place = { readonly at: bigint; readonly gateways: readonly Interval[] };
type Places = Readonly<Record<4 | 6, readonly Place[]>>;

function placesOf(nodes: readonly NodeFacts[], family: 4 | 6): readonly Place[] {
  return nodes
    .flatMap(({ addresses, gateways }) => {
      const own = gateways.filter(ip => familyOf(ip) === family).map(pointOf);
      return addresses
        .filter(ip => familyOf(ip) === family)
        .map(ip => ({ at: pointOf(ip).first, gateways: own }));
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

function gatewaysIn(places: readonly Place[], inside: readonly Interval[]): readonly Interval[] {
  return inside.flatMap(({ first, last }) => {
    const found: Interval[] = [];
    for (let n = lowest(places, first); n < places.length; n += 1) {
      const place = places[n] as Place;
      if (place.at > last) break;
      found.push(...place.gateways);
    }
    return found;
  });
}

function addressesOf({ cidr, excepts }: Block, places: Places): readonly Interval[] {
  const inside = networkWithout(cidr, excepts);
  return unite([...inside, ...gatewaysIn(places[familyOf(cidr)], inside)]);
}

const same = (a: readonly Interval[], b: readonly Interval[]): boolean =>
  a.length === b.length && a.every(({ first, last }, n) => first === b[n]?.first && last === b[n]?.last);

export function newBlocks(): Blocks {
  const known = new Map<string, { readonly block: Block; addresses: readonly Interval[] }>();
  let text = '';
  let last: readonly NodeFacts[] | undefined;
  let places: Places = { 4: [], 6: [] };

  return {
    update: (nodes, self) => {
      if (nodes === last) return;
      last = nodes;
      const others = nodes.filter(node => node.name !== self);
      const now = JSON.stringify(others);
      if (now === text) return;
      text = now;
      places = { 4: placesOf(others, 4), 6: placesOf(others, 6) };
      for (const entry of known.values()) {
        const addresses = addressesOf(entry.block, places);
        if (!same(entry.addresses, addresses)) entry.addresses = addresses;
      }
    },
    get: block => {
      const key = blockKey(block);
      const entry = known.get(key) ?? { block, addresses: addressesOf(block, places) };
      known.set(key, entry);
      return entry.addresses;
    },
    keep: keys => {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    },
  };
}
