/**
 * Whether a list of Nodes may take known ones away. A server that starts with an empty or half
 * restored store answers with a list as well; believing it would tear the mesh down. Pure.
 */

export type Verdict =
  /** The list is the truth. */
  | { readonly kind: 'accept' }
  /** Add and change what it has, take nothing away; list again after `ms`. */
  | { readonly kind: 'hold'; readonly since: number; readonly ms: number; readonly gone: number };

/**
 * `heldSince`: when a list was held first, since which none was accepted. Held is a list in which
 * fewer than half of the known Nodes are left; it is believed when another one, at least `confirmMs`
 * later, says the same.
 */
export function judgeList(
  known: ReadonlySet<string>,
  listed: ReadonlySet<string>,
  heldSince: number | undefined,
  now: number,
  confirmMs: number,
): Verdict {
  const left = [...known].filter(id => listed.has(id)).length;
  if (left * 2 >= known.size) return { kind: 'accept' };
  if (heldSince !== undefined && now - heldSince >= confirmMs) return { kind: 'accept' };
  const since = heldSince ?? now;
  return { kind: 'hold', since, ms: confirmMs - (now - since), gone: known.size - left };
}
