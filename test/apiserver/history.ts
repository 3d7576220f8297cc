/** What has changed of late: for watches that begin in the past, and for lists of a moment that has gone. */
import type { KubeObject } from './object.ts';

export type Change = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly plural: string;
  readonly version: number;
  readonly object: KubeObject;
  /** Before the change, so that a watch with a selector sees what left it. */
  readonly before: KubeObject | undefined;
};

export type History = {
  /** Versions below this one are forgotten: a watch that begins there is told 410. */
  readonly oldest: () => number;
  readonly add: (change: Change) => void;
  /** Of one resource, after a version, in order. */
  readonly since: (plural: string, version: number) => readonly Change[];
  readonly forget: (version: number) => void;
};

/** At most `limit` changes of all resources together are remembered. */
export function newHistory(limit: number, from: number): History {
  let changes: Change[] = [];
  let oldest = from;
  return {
    oldest: () => oldest,
    add: change => {
      changes.push(change);
      // In one go now and then, so that each change costs little.
      if (changes.length <= limit * 2) return;
      oldest = changes[changes.length - limit - 1]?.version ?? oldest;
      changes = changes.slice(-limit);
    },
    since: (plural, version) =>
      changes.filter(change => change.plural === plural && change.version > version),
    forget: version => {
      changes = [];
      oldest = version;
    },
  };
}

/** Objects by key as they were before the changes given, which are in order. */
export function undone(
  objects: ReadonlyMap<string, KubeObject>,
  changes: readonly Change[],
  keyOf: (object: KubeObject) => string,
): ReadonlyMap<string, KubeObject> {
  const then = new Map(objects);
  for (const { object, before } of changes.toReversed()) {
    if (before === undefined) then.delete(keyOf(object));
    else then.set(keyOf(object), before);
  }
  return then;
}
