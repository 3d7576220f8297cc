/**
 * State of one peer, measured on the data path. Pure: what was seen and when comes in, a value comes out.
 *
 *   connecting ──first answer──► established ──3 lost and 10 s without an answer──► pending or retrying
 *        │                            ▲                                                   │
 *        └── 5 min ──► failed ────────┴──────────── 2 answers in a row ───────────────────┘
 *
 * Times are of a monotonic clock, in milliseconds.
 */
import type { Endpoint } from '../types.ts';
import { FRESH_MS } from './endpoint.ts';

/**
 * Best first. established: probes inside the tunnel are answered;
 * pending: packets of the peer arrive, but it answers no probe; connecting: there was no answer yet;
 * retrying: there were answers, and now nothing comes; failed: so for five minutes (it goes on being tried),
 * or there is nothing to try.
 */
export const STATES = ['established', 'pending', 'connecting', 'retrying', 'failed'] as const;

export type PeerState = (typeof STATES)[number];

export type PeerMeasure = {
  readonly state: PeerState;
  /** When it took this state. */
  readonly since: number;
  /** The last answer while it was established, or when it was first known: trouble is as old as this. */
  readonly wellAt: number;
  readonly wasEstablished: boolean;
  readonly answeredAt: number | undefined;
  /** Probes in a row that were answered, or that were lost; one of the two is 0. */
  readonly answers: number;
  readonly lost: number;
  /** The last WINDOW probes, newest last: answered or not. */
  readonly outcomes: readonly boolean[];
  /** Smoothed. */
  readonly rttMs: number | undefined;
  /** When bytes of the peer were last seen to arrive. */
  readonly receivedAt: number | undefined;
  readonly handshakeAt: number | undefined;
  /** As the device says it, to see a new one. */
  readonly handshakeStamp: number;
  readonly lookedAt: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Last probe of the peer's own agent, and how long it has had no answer of ours; Infinity: never had. */
  readonly heard: { readonly at: number; readonly unansweredMs: number } | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly endpointChanges: number;
  /** There is an endpoint to try, or the peer has called us. */
  readonly tryable: boolean;
};

/** What the device says of a peer. */
export type Look = {
  readonly endpoint: Endpoint | undefined;
  /** Milliseconds since the epoch; 0: never. Its age by the wall clock, which may jump. */
  readonly handshakeStamp: number;
  readonly handshakeAgeMs: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly candidates: number;
};

/** Probes in a row, and time since the last answer, before an established peer is not believed any more. */
const LOST_LIMIT = 3;
const DOUBT_MS = 10_000;

/** A WireGuard that gets our probes sends something within KEEPALIVE_TIMEOUT, 10 s, whatever its agent does. */
const SILENT_MS = 15_000;

/** Trouble as old as this is for a person. */
export const FAILED_MS = 300_000;

const WINDOW = 20;
const SMOOTHING = 0.25;

export const newMeasure = (now: number): PeerMeasure => ({
  state: 'connecting',
  since: now,
  wellAt: now,
  wasEstablished: false,
  answeredAt: undefined,
  answers: 0,
  lost: 0,
  outcomes: [],
  rttMs: undefined,
  receivedAt: undefined,
  handshakeAt: undefined,
  handshakeStamp: 0,
  lookedAt: undefined,
  rxBytes: 0,
  txBytes: 0,
  heard: undefined,
  endpoint: undefined,
  endpointChanges: 0,
  tryable: true,
});

const within = (at: number | undefined, ms: number, now: number): boolean =>
  at !== undefined && now - at <= ms;

const believed = (m: PeerMeasure, now: number): boolean =>
  m.lost < LOST_LIMIT || within(m.answeredAt, DOUBT_MS, now);

/** One answer makes a new peer established; one that was lost must answer twice. */
const recovered = (m: PeerMeasure): boolean => m.answers >= (m.wasEstablished ? 2 : 1);

/** There was a session once, and it has ended. */
const lapsed = (m: PeerMeasure, now: number): boolean =>
  m.wasEstablished || (m.handshakeAt !== undefined && !within(m.handshakeAt, FRESH_MS, now));

function verdict(m: PeerMeasure, now: number): PeerState {
  if (m.state === 'established' ? believed(m, now) : recovered(m)) return 'established';
  if (!m.tryable && m.handshakeAt === undefined) return 'failed';
  if (now - m.wellAt >= FAILED_MS) return 'failed';
  const doubted = m.wasEstablished || m.lost >= LOST_LIMIT;
  if (doubted && within(m.receivedAt, SILENT_MS, now)) return 'pending';
  return lapsed(m, now) ? 'retrying' : 'connecting';
}

/** The state as it is now: time alone changes it too. */
export function settle(m: PeerMeasure, now: number): PeerMeasure {
  const state = verdict(m, now);
  const well = state === 'established';
  const wellAt = well ? (m.answeredAt ?? now) : m.wellAt;
  const wasEstablished = m.wasEstablished || well;
  // Of a thousand peers nearly all are what they were.
  if (state === m.state && wellAt === m.wellAt && wasEstablished === m.wasEstablished) return m;
  return { ...m, state, since: state === m.state ? m.since : now, wellAt, wasEstablished };
}

const smoothed = (before: number | undefined, rttMs: number): number =>
  before === undefined ? rttMs : before + SMOOTHING * (rttMs - before);

/** A probe of ours was answered, after `rttMs`; undefined: it was lost. */
export function probed(m: PeerMeasure, rttMs: number | undefined, now: number): PeerMeasure {
  const outcomes = [...m.outcomes, rttMs !== undefined].slice(-WINDOW);
  if (rttMs === undefined) return settle({ ...m, outcomes, answers: 0, lost: m.lost + 1 }, now);
  return settle(
    {
      ...m,
      outcomes,
      answers: m.answers + 1,
      lost: 0,
      answeredAt: now,
      receivedAt: now,
      // The first answer of a session has waited for the handshake.
      rttMs: smoothed(m.answers < 2 ? undefined : m.rttMs, rttMs),
    },
    now,
  );
}

/** A probe of the peer's own agent has arrived. */
export const heardFrom = (m: PeerMeasure, unansweredMs: number | undefined, now: number): PeerMeasure =>
  settle(
    {
      ...m,
      receivedAt: now,
      heard: unansweredMs === undefined ? m.heard : { at: now, unansweredMs },
    },
    now,
  );

function handshakeAt(m: PeerMeasure, look: Look, now: number): number | undefined {
  if (look.handshakeStamp === 0) return undefined;
  if (look.handshakeStamp === m.handshakeStamp) return m.handshakeAt;
  const age = Math.max(0, look.handshakeAgeMs);
  // A new one is no older than the last look, whatever the wall clock says.
  return now - (m.lookedAt === undefined ? age : Math.min(age, now - m.lookedAt));
}

/** What the device says now. */
export function looked(m: PeerMeasure, look: Look, now: number): PeerMeasure {
  const handshake = handshakeAt(m, look, now);
  const grown = look.rxBytes !== m.rxBytes && look.rxBytes > 0;
  // At the first look bytes may be as old as the device; a session is fresh or not.
  const receivedAt = m.lookedAt === undefined ? handshake : grown ? now : m.receivedAt;
  const moved = m.endpoint !== undefined && look.endpoint !== undefined && look.endpoint !== m.endpoint;
  return settle(
    {
      ...m,
      receivedAt: receivedAt ?? m.receivedAt,
      handshakeAt: handshake,
      handshakeStamp: look.handshakeStamp,
      lookedAt: now,
      rxBytes: look.rxBytes,
      txBytes: look.txBytes,
      endpoint: look.endpoint,
      endpointChanges: m.endpointChanges + (moved ? 1 : 0),
      tryable: look.candidates > 0 || look.endpoint !== undefined,
    },
    now,
  );
}

/** Share of the last probes that were lost, 0 to 1; undefined: none was sent yet. */
export const lossOf = (m: PeerMeasure): number | undefined =>
  m.outcomes.length === 0 ? undefined : m.outcomes.filter(answered => !answered).length / m.outcomes.length;
