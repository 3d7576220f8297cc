/**
 * Where an own pod belongs that is still to come: its chains are in the kernel before it is, so that it is put there by
 * elements alone, without another look at everything. Pure.
 */
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import type { Bound } from './classes.ts';
import type { Class } from './parts.ts';
import type { Pod, RuleSet, Target } from './types.ts';

/** A rule set, and those that it awaits, as the API shows them, with stand-ins of the families that they will have. */
export type Compiled = RuleSet & { readonly awaited: ReadonlyMap<Pod, Bound> };

const familiesOf = (ips: readonly Ip[]): string =>
  ips
    .map(familyOf)
    .sort((a, b) => a - b)
    .join();

/** The one before on an address of these was isolated, and its end is not in the rules yet. */
export const isTaken = ({ ingress, egress }: RuleSet, ips: readonly Ip[]): boolean =>
  ips.some(ip => ingress.has(ip) || egress.has(ip));

/** What its addresses are bound to; undefined where it is not awaited so, or one of them is taken. */
export function placeFor(rules: Compiled, pod: Pod, ips: readonly Ip[]): Bound | undefined {
  const bound = rules.awaited.get(pod);
  if (bound === undefined || familiesOf(ips) !== familiesOf(bound.pod.ips)) return undefined;
  return isTaken(rules, ips) ? undefined : bound;
}

type Targets = ReadonlyMap<Ip, Target>;

function withTarget(targets: Targets, ips: readonly Ip[], target: Class | undefined): Targets {
  if (target === undefined) return targets;
  const all = new Map(targets);
  for (const ip of ips) all.set(ip, target.id);
  return all;
}

/** With the addresses bound as the compiler will bind them. */
export function placed(rules: Compiled, ips: readonly Ip[], { ingress, egress }: Bound): Compiled {
  const own = new Set(rules.own);
  for (const ip of ips) own.add(ip);
  return {
    ...rules,
    ingress: withTarget(rules.ingress, ips, ingress),
    egress: withTarget(rules.egress, ips, egress),
    own,
  };
}
