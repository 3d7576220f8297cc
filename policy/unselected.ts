/** Whether a pod that comes has nothing to wait for, from what the API shows. Pure. */
import { matches } from './select.ts';
import type { Policy } from './types.ts';
import { type Shown, shows, type Wired } from './wired.ts';

/** The pod is shown, and no policy selects it. */
export function isUnselected(
  pod: NonNullable<Wired['pod']>,
  ownPods: readonly Shown[],
  policies: readonly Policy[],
): boolean {
  const shown = ownPods.find(one => shows(one, pod))?.pod;
  return (
    shown !== undefined &&
    !policies.some(policy => policy.namespace === shown.namespace && matches(policy.pods, shown.labels))
  );
}
