/** Whether a pod that comes has nothing to wait for, from what the API shows. Pure. */
import { matches } from './select.ts';
import type { Pod, Policy } from './types.ts';

/** No policy is in its namespace, or it is shown and none selects it. */
export function isUnselected(
  namespace: string,
  shown: Pod | undefined,
  policies: readonly Policy[],
): boolean {
  const near = policies.filter(policy => policy.namespace === namespace);
  if (near.length === 0) return true;
  return shown !== undefined && !near.some(policy => matches(policy.pods, shown.labels));
}
