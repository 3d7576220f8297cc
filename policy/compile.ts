/**
 * Policies, pods, namespaces and nodes → the rule set of one node. A compiler remembers: what it
 * gives depends on the cluster alone, in any order, and parts that did not change are the same
 * objects as before, so that a pod's change costs only what it changes. No clock, no I/O.
 */
import { familyOf, ipToNumber } from '../ip.ts';
import type { Ip } from '../types.ts';
import { boxesOf, disjoint, type Interval, networkWithout, pointOf } from './boxes.ts';
import { type Bound, byKey, newClasses, sameList } from './classes.ts';
import { type Groups, newGroups } from './groups.ts';
import type { Class, Part } from './parts.ts';
import type {
  Box,
  Chain,
  ChainId,
  Cluster,
  Direction,
  Entry,
  Group,
  NodeFacts,
  RuleSet,
  Target,
} from './types.ts';

const covers = (inside: readonly Interval[], ip: Ip): boolean => {
  const number = ipToNumber(ip);
  return inside.some(({ first, last }) => first <= number && number <= last);
};

/**
 * A node's own traffic comes with its gateway address: a network that covers an address of the
 * node covers that traffic.
 */
function blockBoxes(part: Part & { kind: 'block' }, nodes: readonly NodeFacts[]): readonly Box[] {
  const family = familyOf(part.cidr);
  const inside = networkWithout(part.cidr, part.excepts);
  const ofFamily = (ips: readonly Ip[]): readonly Ip[] => ips.filter(ip => familyOf(ip) === family);
  const gateways = nodes
    .filter(node => ofFamily(node.addresses).some(ip => covers(inside, ip)))
    .flatMap(node => ofFamily(node.gateways).map(pointOf));
  return part.spans.flatMap(({ protocols, ports }) =>
    boxesOf(family, [...inside, ...gateways], protocols, ports),
  );
}

const boxes = (one: Class, nodes: readonly NodeFacts[]): readonly Box[] =>
  disjoint(
    one.parts
      .flatMap(part => (part.kind === 'block' ? blockBoxes(part, nodes) : []))
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
  readonly nodes: readonly NodeFacts[];
  readonly groups: readonly Group[];
  readonly chain: Chain;
};

function build(one: Class, nodes: readonly NodeFacts[], groups: Groups, old: Built | undefined): Built {
  const now = groupsOf(one, groups);
  const sameBoxes = old?.class === one && old.nodes === nodes;
  if (sameBoxes && sameList(old.groups, now)) return old;
  const { parts: _, ...rest } = one;
  const chain = {
    ...rest,
    entries: entriesOf(one, groups),
    boxes: sameBoxes ? old.chain.boxes : boxes(one, nodes),
  };
  return { class: one, nodes, groups: now, chain };
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

/** One compiler for one node; each call with the whole cluster as it is now. */
export function newCompiler(): (cluster: Cluster) => RuleSet {
  const groups = newGroups();
  const classes = newClasses();
  let built: ReadonlyMap<ChainId, Built> = new Map();
  let nodes: readonly NodeFacts[] = [];

  const learnNodes = ({ nodes: list, self }: Cluster): void => {
    const others = list.filter(node => node.name !== self);
    const sorted = others.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    if (JSON.stringify(sorted) !== JSON.stringify(nodes)) nodes = sorted;
  };

  const forgetGroups = (used: readonly Class[]): void =>
    groups.keep(
      new Set(used.flatMap(({ parts }) => parts.flatMap(part => ('group' in part ? [part.group.key] : [])))),
    );

  return cluster => {
    learnNodes(cluster);
    groups.update(cluster.pods, cluster.namespaces);
    const own = [...groups.pods.values()].filter(pod => pod.node === cluster.self).sort(byKey);
    const bound = classes(own, cluster.policies);
    const used = distinct(bound);
    const old = built;
    built = new Map(used.map(one => [one.id, build(one, nodes, groups, old.get(one.id))]));
    if (used.some(one => old.get(one.id)?.class !== one) || old.size !== built.size) forgetGroups(used);
    return {
      chains: new Map([...built].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, { chain }]) => [id, chain])),
      ingress: targets(bound, 'ingress', cluster.unknown),
      egress: targets(bound, 'egress', cluster.unknown),
      own: new Set(bound.flatMap(({ pod }) => pod.ips)),
    };
  };
}
