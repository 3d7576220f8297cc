/** Whether a pod that comes has nothing to wait for, from what the API shows. Pure. */
import { matches } from './select.ts';
import type { Policy } from './types.ts';
import { type Shown, shows, type Wired } from './wired.ts';

/** No policy is in its namespace, or it is shown and none selects it. */
export function isUnselected(
  pod: NonNullable<Wired['pod']>,
  ownPods: readonly Shown[],
  policies: readonly Policy[],
): boolean {
  const near = policies.filter(policy => policy.namespace === pod.namespace);
  if (near.length === 0) return true;
  const shown = ownPods.find(one => shows(one, pod))?.pod;
  return shown !== undefined && !near.some(policy => matches(policy.pods, shown.labels));
}
