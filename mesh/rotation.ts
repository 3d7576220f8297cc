/**
 * How a node changes its key while packets flow. Pure: ages come in, no clock.
 *
 * A peer must not know the new key before our device has it: it would answer with a session that drops all we send
 * until AllowedIPs have moved. From the device's change until a peer has moved we cannot send, but what comes in goes
 * on, and the engine keeps our packets, 128 a peer. So:
 *
 *   next key on disk ──► on the device ──► published ──► own Node shows it: the old key is forgotten
 *                             └── not shown within 2 s: the old key on the device again, the next one waits on disk
 *
 * Whether a patch without answer has been done nobody can know. Until our Node has been read again the key stays
 * that gets answers through the tunnels; where neither does, they take turns.
 */

/** The API server answers a patch within this, or the old key comes back. */
export const PUBLISH_MS = 2_000;

/** A read of our Node so recent shows that the API server is there. */
const RECENT_MS = 2_000;

/**
 * So long a key is tried that may be unknown to our peers. Below the 15 s after which they would begin a handshake of
 * their own: two that begin together cut each other off.
 */
export const TURN_MS = 7_000;

/** Peers whose agents are silent cannot move; so long they are waited for. */
const AWAIT_MS = 300_000;

const RETRY_MS = 3_000;
const REREAD_MS = 500;
const SLACK_MS = 50;

const FIRST_REST_MS = 10_000;
const MAX_REST_MS = 300_000;

export type Side = 'old' | 'next';

export type RotationFacts = {
  /** Somebody asks for a new key. */
  readonly asked: boolean;
  /** Milliseconds since that is known. */
  readonly askedFor: number;
  /** A next key is on disk. */
  readonly prepared: boolean;
  /** The key that our Node shows. */
  readonly shown: Side | 'other' | 'unknown';
  /** Milliseconds since our Node was read or written; undefined: not in this life. */
  readonly shownAge: number | undefined;
  readonly connected: boolean;
  /** Milliseconds until our Node may be written: an agent that writes often slows down. */
  readonly busyFor: number;
  /** The attempt under way or the last one, and how many there were. */
  readonly attempt: { readonly age: number; readonly count: number } | undefined;
  /** Which key the device has; old where it has neither. */
  readonly side: Side;
  /** Milliseconds that it has it, as far as this life knows. */
  readonly sideAge: number;
  /** A peer has answered through the tunnel since. */
  readonly answered: boolean;
  /** Peers with a session whose agents do not answer. */
  readonly silent: readonly string[];
};

export type Turn =
  /** Nothing is asked for. */
  | { readonly kind: 'idle' }
  /** The old key stays; look again after `ms`. `reread`: our Node must be read first. */
  | { readonly kind: 'wait'; readonly ms: number; readonly reason: string; readonly reread: boolean }
  /** Make the next key, put it on disk, then as `try`. */
  | { readonly kind: 'prepare' }
  /** The next key on the device, then publish; a new attempt where `begin`. */
  | { readonly kind: 'try'; readonly begin: boolean; readonly ms: number }
  /** Our Node shows the next key: it is the key now. */
  | { readonly kind: 'commit' }
  /** Not sure which key our peers have: `side` on the device, neither is published anew. */
  | { readonly kind: 'doubt'; readonly side: Side; readonly ms: number; readonly reason: string };

const restMs = (count: number): number => Math.min(MAX_REST_MS, FIRST_REST_MS * 2 ** Math.min(count - 1, 10));

const wait = (ms: number, reason: string, reread = false): Turn => ({ kind: 'wait', ms, reason, reread });

/** Undefined: an attempt may begin. */
function hindrance(facts: RotationFacts): Turn | undefined {
  const { connected, shownAge, silent, askedFor, attempt, busyFor } = facts;
  const rest = attempt === undefined ? 0 : restMs(attempt.count) - attempt.age;
  if (rest > 0) return wait(rest, 'the API server did not take the new key in time; trying again later');
  if (!connected) return wait(RETRY_MS, 'the API server cannot be reached');
  if (busyFor > 0) return wait(busyFor + SLACK_MS, 'our Node was written often in the last minute');
  if (shownAge === undefined || shownAge > RECENT_MS)
    return wait(REREAD_MS, 'our Node must be read before', true);
  if (silent.length > 0 && askedFor < AWAIT_MS)
    return wait(
      RETRY_MS,
      `the agents of ${silent.join(', ')} do not answer, and could not take the new key`,
      true,
    );
  return undefined;
}

/** Our Node was read after the last attempt, so what it shows is what our peers have or will have. */
const sure = ({ shown, shownAge, attempt }: RotationFacts): boolean =>
  shown !== 'unknown' &&
  shownAge !== undefined &&
  (attempt === undefined || shownAge < attempt.age - PUBLISH_MS);

const DOUBT = 'whether our Node shows the new key is not known while the API server does not answer';

/** An attempt that ends without any answer leaves the old key, and then each has its turn. */
function doubt({ side, sideAge, answered, attempt }: RotationFacts): Turn {
  const stay = (ms: number): Turn => ({ kind: 'doubt', side, ms, reason: DOUBT });
  if (answered) return stay(TURN_MS);
  const ofAttempt = side === 'next' && attempt !== undefined && sideAge >= attempt.age;
  if (!ofAttempt && sideAge < TURN_MS) return stay(TURN_MS - sideAge);
  return { kind: 'doubt', side: side === 'old' ? 'next' : 'old', ms: TURN_MS, reason: DOUBT };
}

/** What to do now. */
export function turn(facts: RotationFacts): Turn {
  const { asked, prepared, shown, attempt } = facts;
  if (!prepared) return asked ? (hindrance(facts) ?? { kind: 'prepare' }) : { kind: 'idle' };
  if (shown === 'next') return { kind: 'commit' };
  if (attempt !== undefined && attempt.age < PUBLISH_MS)
    return { kind: 'try', begin: false, ms: PUBLISH_MS - attempt.age };
  if (!sure(facts)) return doubt(facts);
  return hindrance(facts) ?? { kind: 'try', begin: true, ms: PUBLISH_MS };
}
