/** The facts by Node UID, in memory. Every change answers whether it was one. */
import { textOrder } from '../ip.ts';
import { annotations, withPodCidrs } from './annotations.ts';
import type { NodeFact } from './types.ts';

export type FactStore = {
  /** Sorted by name; the same array until something changes. */
  readonly facts: () => readonly NodeFact[];
  readonly byName: (name: string) => NodeFact | undefined;
  readonly ids: () => ReadonlySet<string>;
  /** Metadata of a Node; its podCIDRs are kept where they are known. */
  readonly put: (fact: NodeFact) => boolean;
  /** `whole`: what is not listed is removed. */
  readonly list: (facts: readonly NodeFact[], whole: boolean) => boolean;
  readonly remove: (uid: string) => boolean;
  /** Holds the key no longer that this Node has ceased to show. */
  readonly letGo: (uid: string) => boolean;
  /** spec.podCIDRs as they are written there. */
  readonly setPodCidrs: (uid: string, podCidrs: readonly string[]) => boolean;
};

const same = (a: NodeFact | undefined, b: NodeFact): boolean =>
  a !== undefined && JSON.stringify(a) === JSON.stringify(b);

const byName = (a: NodeFact, b: NodeFact): number => textOrder(a.name, b.name);

/**
 * A key that does not parse, or that somebody took away, is no reason to cut a living peer off: the last good one of
 * the same Node stays.
 */
function withKnownKey(fact: NodeFact, before: NodeFact | undefined): NodeFact {
  if (fact.publicKey !== undefined || fact.left || before?.publicKey === undefined) return fact;
  const garbled = fact.errors.some(error => error.annotation === annotations.publicKey.name);
  return { ...fact, publicKey: before.publicKey, ...(!garbled && { keyGone: true }) };
}

export function openStore(initial: readonly NodeFact[]): FactStore {
  const byId = new Map<string, NodeFact>();
  const names = new Map<string, string>();
  const cidrs = new Map<string, readonly string[]>();
  let sorted: readonly NodeFact[] | undefined;

  const remove = (uid: string): boolean => {
    const fact = byId.get(uid);
    if (fact === undefined) return false;
    byId.delete(uid);
    cidrs.delete(uid);
    if (names.get(fact.name) === uid) names.delete(fact.name);
    sorted = undefined;
    return true;
  };

  const set = (fact: NodeFact): boolean => {
    if (same(byId.get(fact.uid), fact)) return false;
    byId.set(fact.uid, fact);
    names.set(fact.name, fact.uid);
    sorted = undefined;
    return true;
  };

  const put = (fact: NodeFact): boolean => {
    // A Node that was deleted and made again has a new UID, and its name is nobody else's.
    const namesake = names.get(fact.name);
    if (namesake !== undefined && namesake !== fact.uid) remove(namesake);
    if (fact.podCidrs.length > 0) cidrs.set(fact.uid, fact.podCidrs);
    const known = withKnownKey(fact, byId.get(fact.uid));
    return set(withPodCidrs(known, cidrs.get(fact.uid) ?? []));
  };

  for (const fact of initial) put(fact);
  return {
    facts: () => {
      sorted ??= [...byId.values()].sort(byName);
      return sorted;
    },
    byName: name => byId.get(names.get(name) ?? ''),
    ids: () => new Set(byId.keys()),
    put,
    list: (facts, whole) => {
      const listed = new Set(facts.map(fact => fact.uid));
      const gone = whole ? [...byId.keys()].filter(uid => !listed.has(uid)) : [];
      const removed = gone.map(remove);
      return [...removed, ...facts.map(put)].some(changed => changed);
    },
    remove,
    letGo: uid => {
      const { keyGone, ...fact } = byId.get(uid) ?? {};
      return keyGone === true && set({ ...(fact as NodeFact), publicKey: undefined });
    },
    setPodCidrs: (uid, podCidrs) => {
      const fact = byId.get(uid);
      if (fact === undefined) return false;
      cidrs.set(uid, podCidrs);
      return set(withPodCidrs(fact, podCidrs));
    },
  };
}
