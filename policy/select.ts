/** Label selectors: parsed, printed canonically, matched, and looked up in an index. Pure. */
import type { Labels, Requirement, Selector } from './types.ts';

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const print = (requirement: Requirement): string =>
  JSON.stringify(
    'values' in requirement
      ? [requirement.kind, requirement.label, ...[...requirement.values].sort(order)]
      : [requirement.kind, requirement.label],
  );

/** Sorts and removes what is said twice, so that equal text is equal meaning for all but odd selectors. */
export function selectorOf(requirements: readonly Requirement[]): Selector {
  const byText = new Map(requirements.map(requirement => [print(requirement), requirement]));
  const sorted = [...byText].sort(([a], [b]) => order(a, b));
  return { requirements: sorted.map(([, r]) => r), text: sorted.map(([text]) => text).join('') };
}

/** Selects everything. */
export const EVERYTHING: Selector = selectorOf([]);

/** As Kubernetes has it, `notIn` holds too where the label is missing. */
function holds(requirement: Requirement, labels: Labels): boolean {
  const value = labels.get(requirement.label);
  switch (requirement.kind) {
    case 'in':
      return value !== undefined && requirement.values.has(value);
    case 'notIn':
      return value === undefined || !requirement.values.has(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
  }
}

export function matches(selector: Selector, labels: Labels): boolean {
  for (const requirement of selector.requirements) if (!holds(requirement, labels)) return false;
  return true;
}

/** Things by label and value. Mutable: its owner adds and removes. */
export type LabelIndex<T> = Map<string, Map<string, Set<T>>>;

export function addToIndex<T>(index: LabelIndex<T>, labels: Labels, thing: T): void {
  for (const [label, value] of labels) {
    const values = index.get(label) ?? new Map<string, Set<T>>();
    const things = values.get(value) ?? new Set<T>();
    index.set(label, values.set(value, things.add(thing)));
  }
}

export function removeFromIndex<T>(index: LabelIndex<T>, labels: Labels, thing: T): void {
  for (const [label, value] of labels) {
    const values = index.get(label);
    const things = values?.get(value);
    things?.delete(thing);
    if (things?.size === 0) values?.delete(value);
    if (values?.size === 0) index.delete(label);
  }
}

/** A superset of what the selector matches, from its narrowest requirement; undefined: only all would do. */
export function candidates<T>(index: LabelIndex<T>, selector: Selector): readonly T[] | undefined {
  let best: readonly Set<T>[] | undefined;
  let size = Number.POSITIVE_INFINITY;
  for (const requirement of selector.requirements) {
    if (requirement.kind !== 'in') continue;
    const values = index.get(requirement.label);
    const sets = [...requirement.values].flatMap(value => values?.get(value) ?? []);
    const total = sets.reduce((sum, set) => sum + set.size, 0);
    if (total >= size) continue;
    best = sets;
    size = total;
  }
  return best?.flatMap(set => [...set]);
}
