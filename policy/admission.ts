/**
 * Pods whose ADD waits for its policies: wired when they are closed at least, and answered when they are
 * known. A pod that the API does not show in time starts closed, and opens when it is known; one that
 * cannot even be closed is refused.
 */
import type { Ip } from '../types.ts';

/** How a pod stands after a run: `ready` in its class, `closed` until it is known, `open` where nothing closes it. */
export type Standing = 'ready' | 'closed' | 'open';

export type Admission = {
  /** Resolves when it stands so, or has waited long enough, with whether it is ready; rejects where it is still open then. */
  readonly wait: (ip: Ip, until: 'closed' | 'ready') => Promise<boolean>;
  /** After a run that looked at these. */
  readonly settle: (standing: (ip: Ip) => Standing | undefined) => void;
  /** Addresses of those that have just come, until they are retained no more. */
  readonly fresh: () => ReadonlySet<Ip>;
  /** All others are forgotten, but for those that still wait. */
  readonly retain: (living: ReadonlySet<Ip>) => void;
  /** Whoever waits, waits no longer: closed pods start, others are refused. */
  readonly end: () => void;
};

type Waiting = {
  readonly until: 'closed' | 'ready';
  readonly done: () => void;
  /** No longer waited for: as it stands. */
  readonly expire: () => void;
  standing: Standing;
};

const refused = (): Error =>
  new Error(
    'the pod’s NetworkPolicies cannot be put into the kernel, and it must not start without them; the agent’s log says why',
  );

/** `patienceMs`: how long a pod that is not known is waited for. */
export function newAdmission(patienceMs: number): Admission {
  const waiting = new Map<Ip, Waiting>();
  let ended = false;
  const fresh = new Set<Ip>();

  const wait: Admission['wait'] = (ip, until) =>
    new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer);
        if (waiting.get(ip) === mine) waiting.delete(ip);
        if (error === undefined) resolve(mine.standing === 'ready');
        else reject(error);
      };
      const expire = (): void => end(mine.standing === 'open' ? refused() : undefined);
      const timer = setTimeout(expire, ended ? 0 : patienceMs);
      const mine: Waiting = { until, done: () => end(), expire, standing: 'open' };
      waiting.get(ip)?.done();
      waiting.set(ip, mine);
      fresh.add(ip);
    });

  return {
    wait,
    settle: standing => {
      for (const [ip, one] of waiting) {
        one.standing = standing(ip) ?? one.standing;
        if (one.standing === 'ready' || one.standing === one.until) one.done();
      }
    },
    fresh: () => fresh,
    retain: living => {
      for (const ip of fresh) if (!living.has(ip) && !waiting.has(ip)) fresh.delete(ip);
    },
    end: () => {
      ended = true;
      for (const one of waiting.values()) one.expire();
    },
  };
}
