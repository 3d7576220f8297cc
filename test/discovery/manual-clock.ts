/** A clock that stands still until it is told to move. */
import type { Clock } from '../../discovery/clock.ts';

export type ManualClock = Clock & {
  /** Runs what falls due within the next `ms`, in order, and lets promises settle in between. */
  readonly advance: (ms: number) => Promise<void>;
};

const settle = async (): Promise<void> => {
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
};

export function manualClock(start = 1_000_000): ManualClock {
  let now = start;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const nextDue = (end: number) => [...timers].filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    wall: () => now,
    random: () => 0,
    set: (ms, run) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance: async ms => {
      const end = now + ms;
      await settle();
      for (let timer = nextDue(end); timer !== undefined; timer = nextDue(end)) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.run();
        await settle();
      }
      now = end;
    },
  };
}
