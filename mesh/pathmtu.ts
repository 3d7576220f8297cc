/**
 * How large a packet the path to a peer carries, where that is less than the tunnel's MTU. Pure: sizes of packets
 * inside the tunnel, headers included; times come as arguments, in milliseconds of a monotonic clock.
 *
 * Two things lower it. The underlay's own word: the link by which the endpoint is reached, or a router that said
 * "too big". And a black hole: a router that drops large packets without a word, found by probes.
 */
import { WG_OVERHEAD } from '../constants.ts';
import type { Endpoint } from '../types.ts';
import type { PathLimit } from './types.ts';

/** IPv6 needs it; where even this does not pass, nothing is judged. */
export const LEAST_MTU = 1280;

export type PathMemory = {
  /** The path that this is known of: another one may carry more. */
  readonly endpoint: Endpoint | undefined;
  /** What the underlay itself says; undefined: as much as the tunnel. */
  readonly underlay: number | undefined;
  /** What passed at most when a black hole was found; undefined: none. */
  readonly hole: number | undefined;
  /** When the path is to be tested again as it is, and when upward. */
  readonly testAt: number;
  readonly riseAt: number;
  /** The last test: when, and what had been sent to the peer by then. */
  readonly last: { readonly at: number; readonly txBytes: number } | undefined;
};

/** A path that works is tested so often, less where there are many. */
const TEST_MS = 60_000;
const TEST_EACH_MS = 250;

/** A test that could not tell is made again so soon. */
const SOON_MS = 5_000;

/** A black hole is believed in for so long. */
const RISE_MS = 600_000;

export const newPath = (now: number, hole?: number): PathMemory => ({
  endpoint: undefined,
  underlay: undefined,
  hole,
  testAt: now,
  riseAt: now,
  last: undefined,
});

/** Tested at once where the peer is reached by another endpoint. */
export const reachedBy = (path: PathMemory, endpoint: Endpoint | undefined, now: number): PathMemory =>
  endpoint === path.endpoint ? path : { ...path, endpoint, testAt: now, riseAt: now };

/** Tested at once: the tunnel's MTU has changed. */
export const anew = (path: PathMemory, now: number): PathMemory => ({ ...path, testAt: now, riseAt: now });

/** `link` and `route` in bytes of the underlay; undefined: they say nothing. */
export function underlayLimit(
  tunnel: number,
  link: number | undefined,
  route: number | undefined,
): number | undefined {
  const outer = Math.min(link ?? Number.POSITIVE_INFINITY, route ?? Number.POSITIVE_INFINITY);
  const inner = Math.max(LEAST_MTU, outer - WG_OVERHEAD);
  return inner < tunnel ? inner : undefined;
}

/** The most that may pass, black holes apart. */
export const ceiling = (path: PathMemory, tunnel: number): number =>
  Math.min(tunnel, path.underlay ?? tunnel);

/** What the route must say; undefined: nothing, the tunnel's MTU is right. */
export function limitOf(path: PathMemory, tunnel: number): PathLimit | undefined {
  const most = ceiling(path, tunnel);
  if (path.hole !== undefined && path.hole < most) return { mtu: path.hole, why: 'black hole' };
  return most < tunnel ? { mtu: most, why: 'underlay' } : undefined;
}

/** A path in use is tested more often, by one packet more in seven: somebody waits where it has become a black hole. */
const BUSY_MS = 10_000;
const BUSY_BYTES = 10_000;

/** `txBytes`: sent to the peer so far. */
export const isDue = ({ testAt, last }: PathMemory, txBytes: number, now: number): boolean =>
  testAt <= now || (last !== undefined && now - last.at >= BUSY_MS && txBytes - last.txBytes >= BUSY_BYTES);

/** After a test; `peers`: how many there are. `txBytes`: sent to this one so far. */
export const tested = (path: PathMemory, peers: number, txBytes: number, now: number): PathMemory => ({
  ...path,
  testAt: now + Math.max(TEST_MS, peers * TEST_EACH_MS),
  last: { at: now, txBytes },
});

export const soon = (path: PathMemory, now: number): PathMemory => ({ ...path, testAt: now + SOON_MS });

/** A black hole was measured, or measured again: `hole` passes, more does not. */
export const fallen = (path: PathMemory, hole: number, now: number): PathMemory => ({
  ...path,
  hole,
  riseAt: now + RISE_MS,
});

export const risen = (path: PathMemory): PathMemory => ({ ...path, hole: undefined });

/** Sizes are told apart so far. */
const STEP = 8;

/** The largest size that passes, within STEP: `low` does, `high` does not. */
export async function largest(
  low: number,
  high: number,
  passes: (size: number) => Promise<boolean>,
): Promise<number> {
  let [good, bad] = [low, high];
  while (bad - good > STEP) {
    const middle = good + ((bad - good) >> 1);
    if (await passes(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
