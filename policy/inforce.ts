/** What the kernel has of the rules, and every change of it: one of the whole at a time, or pods put into their places. */
import type { Ip } from '../types.ts';
import type { Applied, Applier } from './apply.ts';
import type { Looks } from './looks.ts';
import { type Compiled, placed, placeFor } from './place.ts';
import type { Pod, RuleSet } from './types.ts';

export type InForce = {
  /** Undefined: not known, or being changed. */
  readonly rules: () => Compiled | undefined;
  /** There is no table, and none is wanted. */
  readonly tableless: () => boolean;
  /** Others may have touched it: it is read before it is changed. */
  readonly forget: () => void;
  /** Rejects where the kernel refuses; what is there is not known then. */
  readonly put: (rules: Compiled, empty: boolean) => Promise<Applied>;
  /** Closes those that have just come, and leaves everything else of an earlier life as it is. */
  readonly hold: (rules: RuleSet) => Promise<Applied>;
  /** Resolves when no change of the whole is under way. */
  readonly still: () => Promise<void> | undefined;
  /** Binds a pod that was awaited; false where it was not, or the kernel refuses. */
  readonly place: (pod: Pod, ips: readonly Ip[]) => Promise<boolean>;
};

const NOTHING: Applied = { how: 'nothing', operations: 0 };

export function openInForce(applier: Applier, looks: Looks): InForce {
  let inForce: Compiled | undefined;
  let tableless = false;
  /** While nothing is known: the pods closed so far. */
  let held: RuleSet | undefined;
  let changing: Promise<void> | undefined;
  const placing = new Set<Promise<unknown>>();

  /** Either work reads the table first. */
  const look = async (work: () => Promise<Applied>): Promise<Applied> => {
    looks.begin(performance.now());
    const applied = await work();
    looks.end(performance.now());
    return applied;
  };

  const apply = (before: RuleSet | undefined, rules: RuleSet, empty: boolean): Promise<Applied> | Applied => {
    if (empty) return tableless ? NOTHING : look(applier.remove);
    if (before === undefined || tableless) return look(() => applier.adopt(rules));
    return applier.change(before, rules);
  };

  const putAlone = async (rules: Compiled, empty: boolean): Promise<Applied> => {
    if (placing.size > 0) await Promise.allSettled(placing);
    const before = inForce;
    // Until it is done, nobody knows what is there.
    inForce = undefined;
    const applied = await apply(before, rules, empty);
    inForce = rules;
    tableless = empty;
    held = undefined;
    return applied;
  };

  const put: InForce['put'] = async (rules, empty) => {
    const work = putAlone(rules, empty);
    changing = work.then(
      () => {},
      () => {},
    );
    try {
      return await work;
    } finally {
      changing = undefined;
    }
  };

  const place: InForce['place'] = async (pod, ips) => {
    const bound = inForce && placeFor(inForce, pod, ips);
    if (inForce === undefined || bound === undefined || changing !== undefined) return false;
    if (bound.ingress === undefined && bound.egress === undefined) return true;
    inForce = placed(inForce, ips, bound);
    const work = applier.place(ips, bound);
    placing.add(work);
    try {
      await work;
      return true;
    } catch {
      inForce = undefined;
      return false;
    } finally {
      placing.delete(work);
    }
  };

  return {
    rules: () => inForce,
    tableless: () => tableless,
    forget: () => {
      inForce = undefined;
      tableless = false;
    },
    put,
    hold: async rules => {
      const applied = await applier.hold(held, rules);
      held = rules;
      return applied;
    },
    still: () => changing,
    place,
  };
}
