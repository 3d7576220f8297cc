/**
 * Live pods and namespaces in indexes, and the groups of pods that rules mean, kept right change
 * by change. The only part of the room with a memory; what it answers depends on the last cluster
 * alone. Groups that did not change stay the same objects.
 */
import { ipToNumber } from '../ip.ts';
import type { Ip } from '../types.ts';
import { networkWithout } from './boxes.ts';
import { byIdentity, identityOf } from './identity.ts';
import type { GroupSpec as AnySpec } from './parts.ts';
import { addToIndex, candidates, type LabelIndex, matches, removeFromIndex } from './select.ts';
import type { Group, Labels, Namespace, Pod } from './types.ts';

/** A pod that was, is, or both. */
type Change = { readonly old: Pod | undefined; readonly now: Pod | undefined };

type GroupSpec = Exclude<AnySpec, { readonly kind: 'nodes' }>;

type PodGroup = Group & { readonly members: ReadonlyMap<Ip, readonly Pod[]> };

type Entry = { readonly spec: GroupSpec; group: PodGroup };

export type Groups = {
  /** Says what there is now; lists in any order. */
  readonly update: (pods: readonly Pod[], namespaces: readonly Namespace[]) => void;
  /** Live pods with an address of their own, by identity. */
  readonly pods: ReadonlyMap<string, Pod>;
  readonly get: (spec: GroupSpec) => Group;
  /** Forgets groups that are not among these keys. */
  readonly keep: (keys: ReadonlySet<string>) => void;
};

/** hostNetwork pods are traffic of their node; the address of a pod that is done is another's. */
const isPeer = (pod: Pod): boolean => !pod.done && !pod.hostNetwork && pod.ips.length > 0;

function sameLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [label, value] of a) if (b.get(label) !== value) return false;
  return true;
}

/** Of one identity. */
const samePod = (a: Pod, b: Pod): boolean =>
  a.node === b.node && sameLabels(a.labels, b.labels) && JSON.stringify(a.ports) === JSON.stringify(b.ports);

type Members = Map<Ip, readonly Pod[]>;

function without(members: Members, pod: Pod): void {
  for (const ip of pod.ips) {
    const left = members.get(ip)?.filter(other => other !== pod) ?? [];
    if (left.length > 0) members.set(ip, left);
    else members.delete(ip);
  }
}

function withPod(members: Members, pod: Pod, ips: readonly Ip[]): void {
  for (const ip of ips) members.set(ip, [...(members.get(ip) ?? []), pod].sort(byIdentity));
}

const isMember = (members: ReadonlyMap<Ip, readonly Pod[]>, pod: Pod): boolean =>
  pod.ips.some(ip => members.get(ip)?.includes(pod) === true);

export function newGroups(): Groups {
  const pods = new Map<string, Pod>();
  const byNamespace = new Map<string, Set<Pod>>();
  const byLabel: LabelIndex<Pod> = new Map();
  let namespaces: ReadonlyMap<string, Namespace> = new Map();
  const groups = new Map<string, Entry>();
  const ofNamespace = new Map<string, Set<Entry>>();
  const clusterwide = new Set<Entry>();
  let lastPods: readonly Pod[] | undefined;
  let lastSpaces: readonly Namespace[] | undefined;

  const forget = (pod: Pod): void => {
    pods.delete(identityOf(pod));
    const own = byNamespace.get(pod.namespace);
    own?.delete(pod);
    if (own?.size === 0) byNamespace.delete(pod.namespace);
    removeFromIndex(byLabel, pod.labels, pod);
  };

  const learn = (pod: Pod): void => {
    pods.set(identityOf(pod), pod);
    byNamespace.set(pod.namespace, (byNamespace.get(pod.namespace) ?? new Set()).add(pod));
    addToIndex(byLabel, pod.labels, pod);
  };

  /** A namespace that the API does not show (yet) is selected by nothing. */
  const inNamespaces = (spec: GroupSpec & { kind: 'pods' }, name: string): boolean => {
    if (spec.namespaces === undefined) return spec.namespace === name;
    const namespace = namespaces.get(name);
    return namespace !== undefined && matches(spec.namespaces, namespace.labels);
  };

  /** Addresses with which the pod is a member. */
  const ipsIn = (spec: GroupSpec, pod: Pod): readonly Ip[] => {
    if (spec.kind === 'pods')
      return inNamespaces(spec, pod.namespace) && matches(spec.pods, pod.labels) ? pod.ips : [];
    const inside = networkWithout(spec.cidr, spec.excepts);
    const family = spec.cidr.includes(':');
    return pod.ips
      .filter(ip => ip.includes(':') === family)
      .filter(ip => inside.some(({ first, last }) => first <= ipToNumber(ip) && ipToNumber(ip) <= last));
  };

  const possible = (spec: GroupSpec): Iterable<Pod> => {
    if (spec.kind === 'block') return pods.values();
    if (spec.namespace !== undefined) return byNamespace.get(spec.namespace) ?? [];
    return candidates(byLabel, spec.pods) ?? pods.values();
  };

  const build = (spec: GroupSpec): PodGroup => {
    const members: Members = new Map();
    const known = new Map<string, boolean>();
    const mayBeIn = (name: string): boolean => {
      if (spec.kind === 'block') return true;
      const old = known.get(name);
      if (old !== undefined) return old;
      const answer = inNamespaces(spec, name);
      known.set(name, answer);
      return answer;
    };
    for (const pod of possible(spec)) if (mayBeIn(pod.namespace)) withPod(members, pod, ipsIn(spec, pod));
    return { key: spec.key, members };
  };

  const change = (entry: Entry, changes: readonly Change[]): void => {
    let members: Members | undefined;
    for (const { old, now } of changes) {
      const was = old !== undefined && isMember(members ?? entry.group.members, old);
      const ips = now === undefined ? [] : ipsIn(entry.spec, now);
      if (!was && ips.length === 0) continue;
      members ??= new Map(entry.group.members);
      if (was) without(members, old);
      if (now !== undefined) withPod(members, now, ips);
    }
    if (members !== undefined) entry.group = { key: entry.spec.key, members };
  };

  const podChanges = (list: readonly Pod[]): readonly Change[] => {
    const changes: Change[] = [];
    const seen = new Map<string, Pod>();
    for (const pod of list) if (isPeer(pod)) seen.set(identityOf(pod), pod);
    for (const [id, pod] of seen) {
      const old = pods.get(id);
      if (old !== pod && (old === undefined || !samePod(old, pod))) changes.push({ old, now: pod });
    }
    if (pods.size + changes.length > seen.size)
      for (const [id, old] of pods) if (!seen.has(id)) changes.push({ old, now: undefined });
    return changes;
  };

  const changedNamespaces = (next: ReadonlyMap<string, Namespace>): readonly string[] =>
    [...new Set([...namespaces.keys(), ...next.keys()])].filter(name => {
      const [old, now] = [namespaces.get(name), next.get(name)];
      return old !== now && (old === undefined || now === undefined || !sameLabels(old.labels, now.labels));
    });

  const changePods = (changes: readonly Change[]): void => {
    for (const entry of clusterwide) change(entry, changes);
    const spaces = Map.groupBy(changes, ({ old, now }) => (now ?? old)?.namespace ?? '');
    for (const [name, own] of spaces) for (const entry of ofNamespace.get(name) ?? []) change(entry, own);
  };

  const changeNamespaces = (next: ReadonlyMap<string, Namespace>): void => {
    const names = changedNamespaces(next);
    const matching = (spec: GroupSpec): string =>
      spec.kind === 'pods' ? names.map(name => inNamespaces(spec, name)).join() : '';
    const touched = names.length === 0 ? [] : [...clusterwide];
    const before = touched.map(({ spec }) => matching(spec));
    namespaces = next;
    touched.forEach((entry, n) => {
      if (matching(entry.spec) !== before[n]) entry.group = build(entry.spec);
    });
  };

  const placeOf = (spec: GroupSpec): Set<Entry> => {
    if (spec.kind === 'block' || spec.namespace === undefined) return clusterwide;
    const place = ofNamespace.get(spec.namespace) ?? new Set<Entry>();
    ofNamespace.set(spec.namespace, place);
    return place;
  };

  return {
    pods,
    update: (list, spaces) => {
      if (spaces !== lastSpaces)
        changeNamespaces(new Map(spaces.map(namespace => [namespace.name, namespace])));
      const changes = list === lastPods ? [] : podChanges(list);
      lastSpaces = spaces;
      lastPods = list;
      for (const { old } of changes) if (old !== undefined) forget(old);
      for (const { now } of changes) if (now !== undefined) learn(now);
      if (changes.length > 0) changePods(changes);
    },
    get: spec => {
      const known = groups.get(spec.key);
      if (known !== undefined) return known.group;
      const entry = { spec, group: build(spec) };
      groups.set(spec.key, entry);
      placeOf(spec).add(entry);
      return entry.group;
    },
    keep: keys => {
      for (const [key, entry] of groups)
        if (!keys.has(key)) {
          groups.delete(key);
          placeOf(entry.spec).delete(entry);
        }
    },
  };
}
