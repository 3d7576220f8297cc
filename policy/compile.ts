/**
 * Policies, pods, namespaces and nodes → the rule set of one node. A compiler remembers: what it
 * gives depends on the cluster alone, in any order, and parts that did not change are the same
 * objects as before, so that a pod's change costs only what it changes. No clock, no I/O.
 */
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { boxesOf, disjoint, networkWithout } from './boxes.ts';
import { type Bound, newClasses, sameList } from './classes.ts';
import { newComing } from './coming.ts';
import { newGroups } from './groups.ts';
import { byIdentity } from './identity.ts';
import { newNodes } from './nodes.ts';
import type { Class, GroupSpec } from './parts.ts';
import type { Compiled } from './place.ts';
import type { Box, Chain, ChainId, Cluster, Direction, Entry, Group, Pod, Target } from './types.ts';

const boxesFrom = ({ parts, families }: Class): readonly Box[] =>
  disjoint(
    parts
      .flatMap(part => {
        if (part.kind !== 'block') return [];
        const inside = networkWithout(part.cidr, part.excepts);
        return part.spans.flatMap(({ protocols, ports }) =>
          boxesOf(familyOf(part.cidr), inside, protocols, ports),
        );
      })
      .filter(box => families.includes(box.family)),
  );

type GroupOf = (spec: GroupSpec) => Group;

const entriesOf = (one: Class, groupOf: GroupOf): readonly Entry[] =>
  one.parts.flatMap((part): readonly Entry[] => {
    if (part.kind === 'port') return [part];
    return part.kind === 'pods' ? [{ kind: 'pods', group: groupOf(part.group), ports: part.ports }] : [];
  });

const groupsOf = (one: Class, groupOf: GroupOf): readonly Group[] =>
  one.parts.flatMap(part => (part.kind === 'pods' ? [groupOf(part.group)] : []));

/** A chain with all that it was made from. */
type Built = { readonly class: Class; readonly groups: readonly Group[]; readonly chain: Chain };

function build(one: Class, groupOf: GroupOf, old: Built | undefined): Built {
  const groups = groupsOf(one, groupOf);
  const sameClass = old?.class === one;
  if (sameClass && sameList(old.groups, groups)) return old;
  const { parts: _, ...rest } = one;
  const chain = {
    ...rest,
    entries: entriesOf(one, groupOf),
    boxes: sameClass ? old.chain.boxes : boxesFrom(one),
  };
  return { class: one, groups, chain };
}

/** Of two pods with one address the later identity wins; what is not known wins over both. */
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

/** Whom no class drops anything of needs no leave to reach itself. */
function classed(...directions: readonly ReadonlyMap<Ip, Target>[]): ReadonlySet<Ip> {
  const ips = new Set<Ip>();
  for (const targets of directions) for (const [ip, target] of targets) if (target !== 'pending') ips.add(ip);
  return ips;
}

function distinct(bound: readonly Bound[]): readonly Class[] {
  const classes = new Set<Class>();
  for (const { ingress, egress } of bound) {
    if (ingress !== undefined) classes.add(ingress);
    if (egress !== undefined) classes.add(egress);
  }
  return [...classes];
}

const keysOf = (used: readonly Class[]): ReadonlySet<string> =>
  new Set(used.flatMap(({ parts }) => parts.flatMap(part => (part.kind === 'pods' ? [part.group.key] : []))));

function awaitedOf(all: readonly Bound[], awaited: ReadonlyMap<Pod, Pod>): ReadonlyMap<Pod, Bound> {
  const bound = new Map<Pod, Bound>();
  for (const one of all) {
    const pod = awaited.get(one.pod);
    if (pod !== undefined) bound.set(pod, one);
  }
  return bound;
}

/** One compiler for one node; each call with the whole cluster as it is now. */
export function newCompiler(): (cluster: Cluster) => Compiled {
  const pods = newGroups();
  const nodes = newNodes();
  const classes = newClasses();
  const coming = newComing();
  let built: ReadonlyMap<ChainId, Built> = new Map();

  const groupOf: GroupOf = spec => (spec.kind === 'nodes' ? nodes.get(spec) : pods.get(spec));

  const forget = (used: readonly Class[]): void => {
    const keys = keysOf(used);
    pods.keep(keys);
    nodes.keep(keys);
  };

  return cluster => {
    nodes.update(cluster.nodes, cluster.self);
    pods.update(cluster.pods, cluster.namespaces);
    const own = [...pods.pods.values()].filter(pod => pod.node === cluster.self).sort(byIdentity);
    const awaited = coming(cluster);
    const all = classes([...own, ...awaited.keys()], cluster.policies);
    const bound = awaited.size === 0 ? all : all.filter(one => !awaited.has(one.pod));
    const used = distinct(all);
    const old = built;
    built = new Map(used.map(one => [one.id, build(one, groupOf, old.get(one.id))]));
    if (used.some(one => old.get(one.id)?.class !== one) || old.size !== built.size) forget(used);
    const ingress = targets(bound, 'ingress', cluster.unknown);
    const egress = targets(bound, 'egress', cluster.unknown);
    return {
      chains: new Map([...built].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, { chain }]) => [id, chain])),
      ingress,
      egress,
      own: classed(ingress, egress),
      awaited: awaitedOf(all, awaited),
    };
  };
}
