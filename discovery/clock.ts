/** Time and chance as arguments, so that tests own both. */
import { setTimeout as delay } from 'node:timers/promises';

export type Clock = {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Resolves after so many milliseconds, at once when aborted; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
};

export const systemClock: Clock = {
  now: Date.now,
  random: Math.random,
  sleep: async (ms, signal) => {
    await delay(ms, undefined, { signal }).catch(() => {});
  },
};

export type BackoffLimits = { readonly firstMs: number; readonly maxMs: number };

/**
 * Pause before try number `failures` (1, 2, …): doubles from firstMs to maxMs, of which a random
 * half is taken off, so that a thousand agents do not come back to a restarted server at once.
 */
export function backoff(failures: number, limits: BackoffLimits, random: number): number {
  const full = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * random;
}
