/**
 * When the kernel's table is read: after news that another hand may have been in it, and now and then without
 * any. Reading a large table takes seconds of a processor, and most news are our own doing, so it is read for
 * no more than a twentieth of the time. No clock of its own; milliseconds.
 */
export type Looks = {
  /** Somebody's hand was in nftables. */
  readonly suspect: (now: number) => void;
  readonly due: (now: number) => boolean;
  /** It is being read. News from now on are not in it. */
  readonly begin: (now: number) => void;
  readonly end: (now: number) => void;
  /** Until news that wait may be looked at; undefined where none wait. */
  readonly wait: (now: number) => number | undefined;
};

/** Without news the table is read so often. */
export const LOOK_MS = 60_000;
const SUSPECT_MS = 500;
const SHARE = 20;

export function newLooks(): Looks {
  let suspectedAt = Number.NEGATIVE_INFINITY;
  let beganAt = Number.NEGATIVE_INFINITY;
  let tookMs = 0;

  const next = (least: number): number => beganAt + Math.max(least, tookMs * SHARE);
  const isSuspect = (): boolean => suspectedAt > beganAt;

  return {
    suspect: now => {
      suspectedAt = now;
    },
    due: now => now >= next(isSuspect() ? SUSPECT_MS : LOOK_MS),
    begin: now => {
      beganAt = now;
    },
    end: now => {
      tookMs = now - beganAt;
    },
    wait: now => (isSuspect() ? Math.max(0, next(SUSPECT_MS) - now) : undefined),
  };
}
