/** What this process knows of itself, for a scrape. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ProcessFacts } from './samples.ts';

const NANO = 1e-9;
/** Each is a wake-up of a machine that may have nothing else to do. */
const RESOLUTION_MS = 250;

const delays = (histogram: ReturnType<typeof monitorEventLoopDelay>): Readonly<Record<string, number>> => {
  // A timer of RESOLUTION_MS is late by the rest.
  const late = (ns: number): number => Math.max(0, ns * NANO - RESOLUTION_MS / 1_000);
  const found = {
    0.5: late(histogram.percentile(50)),
    0.99: late(histogram.percentile(99)),
    1: late(histogram.max),
  };
  histogram.reset();
  return found;
};

export function openProcessFacts(runningMs: () => number): {
  readonly read: () => ProcessFacts;
  readonly close: () => void;
} {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const read = (): ProcessFacts => {
    const { user, system } = process.cpuUsage();
    return {
      nodeVersion: process.version,
      arch: process.arch,
      residentBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      startSeconds: Math.round(performance.timeOrigin) / 1_000,
      loopDelay: delays(histogram),
      runningSeconds: runningMs() / 1_000,
    };
  };
  return { read, close: () => void histogram.disable() };
}
