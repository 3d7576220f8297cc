/** Long lists, worked off with pauses in which the event loop turns: pods must not wait for a thousand routes. */
import { setImmediate as turn } from 'node:timers/promises';

/** A few hundred microseconds' worth. */
const SLICE = 200;

export async function flatMapInSlices<T, U>(
  items: readonly T[],
  each: (item: T) => readonly U[] | U,
): Promise<readonly U[]> {
  const all: U[] = [];
  for (let at = 0; at < items.length; at += SLICE) {
    if (at > 0) await turn();
    all.push(...items.slice(at, at + SLICE).flatMap(each));
  }
  return all;
}
