/** The pod networks of all nodes together. Pure but for its memory: sorting those of a thousand nodes takes milliseconds. */
import { aggregate } from '../ip.ts';
import type { Cidr } from '../types.ts';

type WithNetworks = { readonly podCidrs: readonly Cidr[] };

const same = (a: readonly Cidr[], b: readonly Cidr[] | undefined): boolean =>
  a === b || (a.length === b?.length && a.every((cidr, n) => cidr === b[n]));

let last: { readonly lists: readonly (readonly Cidr[])[]; readonly networks: readonly Cidr[] } = {
  lists: [],
  networks: [],
};

/** As the fewest CIDRs, sorted; the same array until a node's networks change. */
export function networksOf(nodes: readonly WithNetworks[]): readonly Cidr[] {
  const lists = nodes.map(node => node.podCidrs);
  const known = lists.length === last.lists.length && lists.every((list, n) => same(list, last.lists[n]));
  last = { lists, networks: known ? last.networks : aggregate(lists.flat()) };
  return last.networks;
}
