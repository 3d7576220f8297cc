/** Time and chance as arguments, so that tests own both. */
import { systemTimers, type Timers } from '../agent/runner.ts';

/** `now` is monotonic, in milliseconds: for pauses. `wall` is Date.now: for what others read. */
export type Clock = Timers & {
  readonly wall: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
};

export const systemClock: Clock = { ...systemTimers, wall: Date.now, random: Math.random };

/** Resolves after so many milliseconds, at once when aborted; never rejects. */
export const sleep = (clock: Clock, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.set(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });

/** Timers that come up to a quarter late by chance: a thousand agents must not retry in step. */
export const jittered = (clock: Clock): Timers => ({
  now: clock.now,
  set: (ms, run) => clock.set(ms * (1 + clock.random() / 4), run),
});

export type BackoffLimits = { readonly firstMs: number; readonly maxMs: number };

/**
 * Pause before try number `failures` (1, 2, …): doubles from firstMs to maxMs, of which a random
 * part of up to a half is taken off. `random`: 0 ≤ x < 1.
 */
export function backoff(failures: number, limits: BackoffLimits, random: number): number {
  const full = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * random;
}
