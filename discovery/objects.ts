/** Objects of one kind by id, as a watch tells them; the list is the same until something changes. */
import type { KubeObject } from './watchevent.ts';

/** A value with what it was parsed from: small JSON, by which two are compared and which goes to disk. */
export type Kept<T> = { readonly id: string; readonly value: T; readonly source: string };

export type Objects<T> = {
  /** In no order; the same array until something changes, and in it the same values that did not. */
  readonly all: () => readonly T[];
  readonly sources: () => readonly string[];
  readonly ids: () => ReadonlySet<string>;
  /** True where it differs from what was there. */
  readonly put: (item: Kept<T>) => boolean;
  /** `whole`: what is not listed is removed. True where anything changed. */
  readonly list: (items: readonly Kept<T>[], whole: boolean) => boolean;
  readonly remove: (id: string) => boolean;
  /** True where there were any. */
  readonly clear: () => boolean;
};

export function openObjects<T>(initial: readonly Kept<T>[] = []): Objects<T> {
  const byId = new Map(initial.map(item => [item.id, item]));
  let all: readonly T[] | undefined;

  const put = (item: Kept<T>): boolean => {
    if (byId.get(item.id)?.source === item.source) return false;
    byId.set(item.id, item);
    all = undefined;
    return true;
  };

  const remove = (id: string): boolean => {
    const there = byId.delete(id);
    if (there) all = undefined;
    return there;
  };

  const list = (items: readonly Kept<T>[], whole: boolean): boolean => {
    const listed = new Set(items.map(item => item.id));
    const gone = whole ? [...byId.keys()].filter(id => !listed.has(id)) : [];
    const removed = gone.map(remove);
    return [...removed, ...items.map(put)].some(changed => changed);
  };

  return {
    all: () => {
      all ??= [...byId.values()].map(item => item.value);
      return all;
    },
    sources: () => [...byId.values()].map(item => item.source),
    ids: () => new Set(byId.keys()),
    put,
    list,
    remove,
    clear: () => {
      const any = byId.size > 0;
      byId.clear();
      all = undefined;
      return any;
    },
  };
}

/** How objects of a kind are read: to what is kept of them, and that to a value. */
export type Reader<T> = (object: KubeObject) => Kept<T> | { readonly error: string };
