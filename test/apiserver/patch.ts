/** JSON merge patch (RFC 7386). Pure. */
import { isObject } from './object.ts';

/** `null` removes a key, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, mergePatch(result.get(key), value));
  }
  // Not by assignment: a key may be called __proto__.
  return Object.fromEntries(result);
}
