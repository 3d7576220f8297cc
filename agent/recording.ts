/** What rooms tell of themselves → the metrics that are recorded as things happen. */
import type { Outcome } from '../mesh/reconcile.ts';
import type { Metrics } from '../metrics/registry.ts';

/** Whatever a caller of the CNI binary puts into CNI_COMMAND, the series stay few. */
const VERBS = new Set(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION']);

export const recordCni =
  (metrics: Metrics) =>
  (verb: string, ms: number, code: number): void =>
    metrics.record('weft_cni_duration_seconds', ms / 1_000, {
      verb: VERBS.has(verb) ? verb : 'other',
      result: code === 0 ? 'ok' : 'error',
    });

/** Milliseconds of each change of the policies' rules. */
export const recordPolicy =
  (metrics: Metrics) =>
  (ms: number): void =>
    metrics.record('weft_policy_program_seconds', ms / 1_000);

type Run = () => Promise<number | undefined>;

/** The same pass, timed; steps that failed are counted. */
export const timed =
  (metrics: Metrics, run: Run, outcome: () => Outcome | undefined): Run =>
  async () => {
    const began = performance.now();
    try {
      return await run();
    } finally {
      metrics.record('weft_reconcile_duration_seconds', (performance.now() - began) / 1_000);
      for (const { step } of outcome()?.errors ?? [])
        metrics.record('weft_reconcile_errors_total', 1, { step });
    }
  };
