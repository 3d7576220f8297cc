/**
 * Which endpoint a peer should be given now, if any. Pure: durations come in, no clock.
 *
 * WireGuard follows a peer by itself (roaming), so an endpoint is set only where there is no
 * living session, where the peer has withdrawn the very address in use, or where no way leads there any more:
 *
 *   new peer ──patience──► best candidate ──6 s without handshake──► next candidate … ──► first again
 *   handshake fresh (< 180 s): hands off, but for an endpoint of our own choice from which nothing has come for 12 s
 *   handshake stale: as a new peer, beginning with the best candidate that is not in use
 */
import type { Endpoint } from '../types.ts';

/** WireGuard's REJECT_AFTER_TIME: a session older than this carries nothing. */
export const FRESH_MS = 180_000;

/** Above WireGuard's REKEY_TIMEOUT of 5 s, so that each candidate sees at least one initiation. */
export const TRY_MS = 6_000;

/** A peer whose agent is dead says that it got our probe after WireGuard's KEEPALIVE_TIMEOUT, 10 s. */
export const DEAF_MS = 12_000;

export type EndpointFacts = {
  /** Ranked, best first. */
  readonly candidates: readonly Endpoint[];
  /** All that the peer has published since we know it, in that order, also what it no longer does. */
  readonly published: readonly Endpoint[];
  /** What the device has now, set by us or learnt by it. */
  readonly current: Endpoint | undefined;
  /** Milliseconds since the last handshake; undefined: never. */
  readonly handshakeAge: number | undefined;
  /** The endpoint that we set last, how long ago, and whether anything has come from the peer since. */
  readonly lastSet:
    | { readonly endpoint: Endpoint; readonly age: number; readonly heard: boolean }
    | undefined;
  /** Milliseconds since we know this peer. */
  readonly knownFor: number;
  /** Milliseconds that the other end has the first word; see `initiative`. */
  readonly patience: number;
  /** Endpoints to which nothing can be sent from here, since this node has moved. */
  readonly deadEnds: ReadonlySet<Endpoint>;
};

export type EndpointChoice =
  | { readonly kind: 'keep' }
  /** Look again after so many milliseconds. */
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'set'; readonly endpoint: Endpoint };

const keep: EndpointChoice = { kind: 'keep' };

/** In use, once published, and published no more. An address learnt by roaming was never published and is left alone. */
const withdrawn = ({ candidates, published, current }: EndpointFacts): boolean =>
  current !== undefined && published.includes(current) && !candidates.includes(current);

/** What a peer publishes after the address that it has left is where it is now; what it published before may be as old. */
const newest = ({ candidates, published, current }: EndpointFacts): Endpoint | undefined =>
  candidates.find(
    candidate => current !== undefined && published.indexOf(candidate) > published.indexOf(current),
  );

/** In use by our own choice, and nothing has come by it. */
const deaf = ({ current, lastSet }: EndpointFacts): boolean =>
  lastSet !== undefined && lastSet.endpoint === current && !lastSet.heard;

/** Where this node cannot send to the endpoint in use, the peer would never learn where we are. */
const wayOut = ({ candidates, current, deadEnds }: EndpointFacts): Endpoint | undefined =>
  current !== undefined && deadEnds.has(current)
    ? candidates.find(candidate => !deadEnds.has(candidate))
    : undefined;

const after = (candidates: readonly Endpoint[], endpoint: Endpoint | undefined): Endpoint | undefined =>
  candidates[(endpoint === undefined ? 0 : candidates.indexOf(endpoint) + 1) % candidates.length];

/** The decision for one peer. */
export function chooseEndpoint(facts: EndpointFacts): EndpointChoice {
  const { candidates, handshakeAge, lastSet, knownFor, patience } = facts;
  const best = candidates[0];
  if (best === undefined) return keep;
  const other = wayOut(facts);
  if (other !== undefined) return { kind: 'set', endpoint: other };
  if (withdrawn(facts)) return { kind: 'set', endpoint: newest(facts) ?? best };
  const fresh = handshakeAge !== undefined && handshakeAge < FRESH_MS;
  if (fresh && !deaf(facts)) return keep;
  if (lastSet === undefined && knownFor < patience) return { kind: 'wait', ms: patience - knownFor };
  if (lastSet === undefined) return { kind: 'set', endpoint: best };
  const tryMs = fresh ? DEAF_MS : TRY_MS;
  if (lastSet.age < tryMs) return { kind: 'wait', ms: tryMs - lastSet.age };
  const next = after(candidates, lastSet.endpoint) ?? best;
  return next === lastSet.endpoint && next === facts.current ? keep : { kind: 'set', endpoint: next };
}

export type InitiativeFacts = {
  readonly ownKey: string;
  readonly peerKey: string;
  /** Our key was on our Node already when this agent started, and so was the peer's. */
  readonly bothKnewBefore: boolean;
  /** Milliseconds between our publication and the peer's appearance; undefined: the peer was there first. */
  readonly appearedAfter: number | undefined;
};

/** Two keys that appear within this time may each have been published without knowledge of the other. */
const TOGETHER_MS = 3_000;

/**
 * Milliseconds that this end leaves the first word to the other. Two ends that begin within
 * one round trip cut each other's handshake off, for tens of seconds in bad cases; and an
 * initiation that comes before the other end knows us is lost, and repeated only after 5 s.
 * So the end that learns last begins: it was told of a peer that knows it already.
 */
export function initiative({ ownKey, peerKey, bothKnewBefore, appearedAfter }: InitiativeFacts): number {
  const smaller = ownKey < peerKey;
  if (bothKnewBefore) return smaller ? 0 : 1_500;
  if (appearedAfter === undefined) return smaller ? 2_500 : 4_000;
  return smaller || appearedAfter > TOGETHER_MS ? 0 : 500;
}
