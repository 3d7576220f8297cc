/**
 * Own pods → their classes, one a direction. Remembers the pods and policies it has seen, so that
 * only pods whose labels or whose namespace's policies changed are looked at.
 */
import { familyOf } from '../ip.ts';
import { identityOf } from './identity.ts';
import { type Class, classKey, classOf } from './parts.ts';
import { matches } from './select.ts';
import type { Direction, Pod, Policy } from './types.ts';

/** `class` is undefined where the policies let everything pass. */
type Known = { readonly policies: readonly Policy[]; readonly class: Class | undefined };

/** Absent: no policy isolates the pod, or the policies let everything pass. */
export type Bound = {
  readonly pod: Pod;
  readonly ingress: Class | undefined;
  readonly egress: Class | undefined;
};

type Memory = {
  readonly pod: Pod;
  readonly policies: readonly Policy[];
  readonly ingress: Known | undefined;
  readonly egress: Known | undefined;
};

const byKey = <T extends { readonly key: string }>(a: T, b: T): number =>
  a.key < b.key ? -1 : a.key > b.key ? 1 : 0;

export const sameList = <T>(a: readonly T[] | undefined, b: readonly T[]): a is readonly T[] =>
  a?.length === b.length && b.every((item, n) => item === a[n]);

const NONE: readonly Policy[] = [];

/** Gives them in the order of `own`, which decides where two have one address. */
export type Classes = (own: readonly Pod[], policies: readonly Policy[]) => readonly Bound[];

export function newClasses(): Classes {
  let byNamespace: ReadonlyMap<string, readonly Policy[]> = new Map();
  let last: readonly Policy[] = [];
  let pods: ReadonlyMap<string, Memory> = new Map();
  const classes = new Map<string, Known>();

  const learn = (policies: readonly Policy[]): void => {
    if (sameList(last, policies)) return;
    last = policies;
    const old = byNamespace;
    byNamespace = new Map(
      [...Map.groupBy(policies, policy => policy.namespace)].map(([namespace, list]) => {
        const sorted = list.toSorted(byKey);
        const before = old.get(namespace);
        return [namespace, sameList(before, sorted) ? before : sorted];
      }),
    );
  };

  const classFor = (direction: Direction, pod: Pod, selecting: readonly Policy[]): Known | undefined => {
    const policies = selecting.filter(policy => policy[direction] !== undefined);
    if (policies.length === 0) return undefined;
    const families = [...new Set(pod.ips.map(familyOf))].sort((a, b) => a - b);
    const draft = { direction, families, policies, ports: pod.ports };
    const key = classKey(draft);
    const old = classes.get(key);
    if (old !== undefined && sameList(old.policies, policies)) return old;
    const known = { policies, class: classOf(draft, key) };
    classes.set(key, known);
    return known;
  };

  const look = (pod: Pod, policies: readonly Policy[]): Memory => {
    const selecting = policies.filter(policy => matches(policy.pods, pod.labels));
    return {
      pod,
      policies,
      ingress: classFor('ingress', pod, selecting),
      egress: classFor('egress', pod, selecting),
    };
  };

  const remember = (pod: Pod): Memory => {
    const policies = byNamespace.get(pod.namespace) ?? NONE;
    const old = pods.get(identityOf(pod));
    return old?.pod === pod && old.policies === policies ? old : look(pod, policies);
  };

  const forgetUnused = (): void => {
    const used = new Set([...pods.values()].flatMap(({ ingress, egress }) => [ingress, egress]));
    for (const [key, known] of classes) if (!used.has(known)) classes.delete(key);
  };

  return (own, policies) => {
    learn(policies);
    pods = new Map(own.map(pod => [identityOf(pod), remember(pod)]));
    forgetUnused();
    return [...pods.values()].map(({ pod, ingress, egress }) => ({
      pod,
      ingress: ingress?.class,
      egress: egress?.class,
    }));
  };
}
