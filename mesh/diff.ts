/** What is wanted against what is there. Pure and generic; used by every applier. */

export type Diff<T> = {
  readonly add: readonly T[];
  readonly change: readonly T[];
  readonly remove: readonly T[];
};

/** Items by key: absent ones to add, unequal ones to change, and those that nobody wants to remove. */
export function diff<T>(
  wanted: readonly T[],
  actual: readonly T[],
  key: (item: T) => string,
  equal: (wanted: T, actual: T) => boolean,
): Diff<T> {
  const there = new Map<string, T>();
  for (const item of actual) there.set(key(item), item);
  const want = new Set<string>();
  const add: T[] = [];
  const change: T[] = [];
  for (const item of wanted) {
    const name = key(item);
    want.add(name);
    const now = there.get(name);
    if (now === undefined) add.push(item);
    else if (!equal(item, now)) change.push(item);
  }
  return { add, change, remove: actual.filter(item => !want.has(key(item))) };
}

/** Of items without repetition, in whatever order. */
export const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, n) => item === b[n] || b.includes(item));
