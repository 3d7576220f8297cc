/**
 * What a pod is told apart by. Its name is not enough: the next pod of that name starts while the last
 * one still ends, which may be on this node, and a pod may have two wires. Pure.
 */
import type { Pod } from './types.ts';

/** Equal only for one pod with the same addresses. */
export const identityOf = ({ key, uid, ips }: Pick<Pod, 'key' | 'uid' | 'ips'>): string =>
  `${key} ${uid} ${ips.join()}`;

/** By name first; the same order whatever the order was. */
export function byIdentity(a: Pod, b: Pod): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  const [left, right] = [identityOf(a), identityOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
