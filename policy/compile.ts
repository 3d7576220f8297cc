/**
 * Policies, pods, namespaces and nodes → the rule set of one node. A compiler remembers: what it
 * gives depends on the cluster alone, in any order, and parts that did not change are the same
 * objects as before, so that a pod's change costs only what it changes. No clock, no I/O.
 */
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { type Blocks, blockKey, newBlocks } from './blocks.ts';
import { boxesOf, disjoint, type Interval } from './boxes.ts';
import { type Bound, byKey, newClasses, sameList } from './classes.ts';
import { type Groups, newGroups } from './groups.ts';
import type { Class, Part } from './parts.ts';
import type { Box, Chain, ChainId, Cluster, Direction, Entry, Group, RuleSet, Target } from './types.ts';

type Blocked = Part & { readonly kind: 'block' };

const blocksOf = (one: Class): readonly Blocked[] => one.parts.filter(part => part.kind === 'block');

/** `addresses` are those of the class's blocks, in order. */
const boxesFrom = (one: Class, addresses: readonly (readonly Interval[])[]): readonly Box[] =>
  disjoint(
    blocksOf(one)
      .flatMap(({ cidr, spans }, n) =>
        spans.flatMap(({ protocols, ports }) =>
          boxesOf(familyOf(cidr), addresses[n] ?? [], protocols, ports),
        ),
      )
      .filter(box => one.families.includes(box.family)),
  );

const entriesOf = (one: Class, groups: Groups): readonly Entry[] =>
  one.parts.flatMap((part): readonly Entry[] => {
    if (part.kind === 'port') return [part];
    return part.kind === 'pods' ? [{ kind: 'pods', group: groups.get(part.group), ports: part.ports }] : [];
  });

const groupsOf = (one: Class, groups: Groups): readonly Group[] =>
  one.parts.flatMap(part => (part.kind === 'pods' ? [groups.get(part.group)] : []));

/** A chain with all that it was made from. */
type Built = {
  readonly class: Class;
  readonly groups: readonly Group[];
  readonly blocks: readonly (readonly Interval[])[];
  readonly chain: Chain;
};

function build(one: Class, groups: Groups, blocks: Blocks, old: Built | undefined): Built {
  const members = groupsOf(one, groups);
  const addresses = blocksOf(one).map(blocks.get);
  const sameBoxes = old?.class === one && sameList(old.blocks, addresses);
  if (sameBoxes && sameList(old.groups, members)) return old;
  const { parts: _, ...rest } = one;
  const chain = {
    ...rest,
    entries: entriesOf(one, groups),
    boxes: sameBoxes ? old.chain.boxes : boxesFrom(one, addresses),
  };
  return { class: one, groups: members, blocks: addresses, chain };
}

/** Of two pods with one address the later name wins; what is not known wins over both. */
function targets(
  bound: readonly Bound[],
  direction: Direction,
  unknown: readonly Ip[],
): ReadonlyMap<Ip, Target> {
  const map = new Map<Ip, Target>();
  for (const one of bound)
    for (const ip of one.pod.ips) {
      const id = one[direction]?.id;
      if (id === undefined) map.delete(ip);
      else map.set(ip, id);
    }
  for (const ip of unknown) map.set(ip, 'pending');
  return map;
}

const distinct = (bound: readonly Bound[]): readonly Class[] => [
  ...new Set(bound.flatMap(({ ingress = [], egress = [] }) => [ingress, egress].flat())),
];

const keysOf = (used: readonly Class[], key: (part: Part) => string | undefined): ReadonlySet<string> =>
  new Set(used.flatMap(({ parts }) => parts.map(key)).filter(text => text !== undefined));

/** One compiler for one node; each call with the whole cluster as it is now. */
export function newCompiler(): (cluster: Cluster) => RuleSet {
  const groups = newGroups();
  const blocks = newBlocks();
  const classes = newClasses();
  let built: ReadonlyMap<ChainId, Built> = new Map();

  const forget = (used: readonly Class[]): void => {
    groups.keep(keysOf(used, part => (part.kind === 'pods' ? part.group.key : undefined)));
    blocks.keep(keysOf(used, part => (part.kind === 'block' ? blockKey(part) : undefined)));
  };

  return cluster => {
    blocks.update(cluster.nodes, cluster.self);
    groups.update(cluster.pods, cluster.namespaces);
    const own = [...groups.pods.values()].filter(pod => pod.node === cluster.self).sort(byKey);
    const bound = classes(own, cluster.policies);
    const used = distinct(bound);
    const old = built;
    built = new Map(used.map(one => [one.id, build(one, groups, blocks, old.get(one.id))]));
    if (used.some(one => old.get(one.id)?.class !== one) || old.size !== built.size) forget(used);
    return {
      chains: new Map([...built].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, { chain }]) => [id, chain])),
      ingress: targets(bound, 'ingress', cluster.unknown),
      egress: targets(bound, 'egress', cluster.unknown),
      own: new Set(bound.flatMap(({ pod }) => pod.ips)),
    };
  };
}
