/** Addresses that have no holder any more, passed on together: each call costs processes. */
import type { Ip } from '../types.ts';

export type Releases = {
  readonly add: (ips: readonly Ip[]) => void;
  /** Passes on what waits. */
  readonly flush: () => void;
};

/** Up to `ms` late. */
export function openReleases(pass: (ips: readonly Ip[]) => void, ms: number): Releases {
  let waiting: Ip[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const all = waiting;
    waiting = [];
    if (all.length > 0) pass(all);
  };
  return {
    flush,
    add: ips => {
      waiting.push(...ips);
      timer ??= setTimeout(flush, ms);
    },
  };
}
