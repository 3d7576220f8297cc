/**
 * What a pod is told apart by. Its name is not enough: the next pod of that name starts while the last
 * one still ends, which may be on this node, and a pod may have two wires. Pure.
 */
import type { Pod } from './types.ts';

/** All pods are asked at every change, and nearly all of them are the objects of before. */
const known = new WeakMap<Pod, string>();

/** Equal only for one pod with the same addresses. */
export function identityOf(pod: Pod): string {
  const old = known.get(pod);
  if (old !== undefined) return old;
  const text = `${pod.key} ${pod.uid} ${pod.ips.join()}`;
  known.set(pod, text);
  return text;
}

/** By name first; the same order whatever the order was. */
export function byIdentity(a: Pod, b: Pod): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  const [left, right] = [identityOf(a), identityOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
