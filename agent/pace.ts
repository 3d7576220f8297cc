/** How often a peer is asked for a round trip. Pure. */
import type { PeerMeasure } from '../mesh/state.ts';

/** A silent peer, one whose packets come anyway, one in doubt, and one that has been away for a while. */
const SILENT_MS = 5_000;
export const BUSY_MS = 30_000;
const DOUBT_MS = 1_000;
const AWAY_MS = 5_000;
const AWAY_AFTER_MS = 60_000;

/** The second answer, whose round trip is the first without a handshake in it. */
const SECOND_MS = 200;

/** Probes a second of all peers together: of this the regular ones take three quarters. */
const PER_SECOND = 20;
const SHARE = 0.75;

/** Milliseconds in which every one of so many silent peers is asked once: a figure of one may be as old as that. */
export const roundOf = (peers: number): number =>
  Math.round(Math.max(SILENT_MS, (peers / (PER_SECOND * SHARE)) * 1_000));

/** Milliseconds until a peer is to be asked again. `peers`: how many there are. */
export function paceOf(m: PeerMeasure, busy: boolean, peers: number, now: number): number {
  const regular = Math.max(busy ? BUSY_MS : 0, roundOf(peers));
  if (m.state === 'established' && m.lost === 0) return m.answers < 2 ? SECOND_MS : regular;
  if (m.answers > 0) return SECOND_MS;
  // When the first loss is seen, the last answer is a whole round old.
  return now - m.wellAt < regular + AWAY_AFTER_MS ? DOUBT_MS : Math.max(AWAY_MS, regular / 2);
}

/** Between two questions to anybody. */
export const SPACING_MS = 1_000 / PER_SECOND;
