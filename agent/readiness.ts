/** Whether the agent can serve, part by part, each with its reason. Pure. */
import type { WatchState } from '../discovery/types.ts';
import type { Outcome } from '../mesh/reconcile.ts';

export type Part = { readonly part: string; readonly ready: boolean; readonly reason: string | undefined };

const part = (name: string, reason: string | undefined): Part => ({
  part: name,
  ready: reason === undefined,
  reason,
});

const networkReason = (node: string, outcome: Outcome | undefined): string | undefined => {
  if (outcome === undefined) return 'the first pass over this node has not ended yet';
  const excluded = outcome.plan.excluded.find(e => e.node === node);
  if (excluded !== undefined) return `this Node ${excluded.reason}`;
  return outcome.plan.self.podCidrs.length > 0
    ? undefined
    : `the API server has no Node ${node}, or it cannot be reached and nothing is known from before`;
};

const engineReason = (outcome: Outcome | undefined): string | undefined =>
  outcome?.engine.kind === 'none' ? outcome.engine.reason : undefined;

/** What engineReason says already is not said twice. */
function stepsReason(outcome: Outcome | undefined): string | undefined {
  const said = engineReason(outcome);
  const errors = (outcome?.errors ?? []).filter(e => e.message !== said);
  return errors.length === 0 ? undefined : errors.map(e => `${e.step}: ${e.message}`).join('; ');
}

/**
 * Parts of readiness. A lost API server is told but holds nothing up: pods can be wired without it.
 * `installed`: why binary and conflist are not in place yet.
 */
export const readiness = (
  node: string,
  outcome: Outcome | undefined,
  watch: WatchState,
  installed: string | undefined,
): readonly Part[] => [
  part('pod network', networkReason(node, outcome)),
  part('wireguard', engineReason(outcome)),
  part('kernel', stepsReason(outcome)),
  part('cni', installed),
  {
    part: 'api server (not needed to serve)',
    ready: true,
    reason: watch.connected ? undefined : (watch.error ?? 'not connected yet'),
  },
];

export const isReady = (parts: readonly Part[]): boolean => parts.every(p => p.ready);
