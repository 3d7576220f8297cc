/** Changes this node's key when somebody asks for it: mesh/rotation.ts decides, this does. */
import type { Discovery } from '../discovery/discovery.ts';
import type { OwnKey } from '../mesh/apply.ts';
import { FRESH_MS } from '../mesh/endpoint.ts';
import { PUBLISH_MS, type RotationFacts, type Side, type Turn, turn } from '../mesh/rotation.ts';
import type { PeerMeasure } from '../mesh/state.ts';
import type { WgDevice } from '../platform/linux/types.ts';
import type { PublicKey } from '../types.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';

export type RotationDeps = {
  readonly identity: Identity;
  readonly discovery: Pick<Discovery, 'shown' | 'busyFor' | 'rotation' | 'state' | 'lookAtOwn'>;
  /** The device as it is now; asked for only while a key is being changed. */
  readonly device: () => Promise<WgDevice | undefined>;
  /** Peers as the prober has measured them, by node, on the clock of performance.now(). */
  readonly measures: () => ReadonlyMap<string, PeerMeasure>;
  /** A pass shall come. */
  readonly mark: () => void;
  readonly log: Log;
};

/** What the pass is to do about the key. */
export type KeyOrder = {
  /** For the device, and then for our Node. */
  readonly key: OwnKey;
  /** Follows it at the end of this very pass. */
  readonly change: OwnKey | undefined;
  /** Each of these may stay on our Node. */
  readonly accepted: readonly PublicKey[];
  /** Token of the rotation that is done, for our Node. */
  readonly rotated: string | undefined;
  /** Milliseconds until the next look. */
  readonly again: number | undefined;
};

export type RotationStatus = {
  readonly state: 'idle' | 'waiting' | 'publishing' | 'in doubt' | 'confirming';
  readonly reason: string | undefined;
  /** Token of the last rotation that was done. */
  readonly rotated: string | undefined;
};

export type Rotation = {
  /** To be called at the beginning of each pass. */
  readonly next: () => Promise<KeyOrder>;
  /** Somebody on this node asks for a new key. */
  readonly ask: () => void;
  readonly status: () => RotationStatus;
};

type Attempt = { readonly at: number; readonly count: number };

/** Peers that had a session when the key was changed, and its time: each must have another one. */
type Awaited = ReadonlyMap<PublicKey, number>;

const CONFIRM_MS = 500;

const SAID: Readonly<Record<Turn['kind'], RotationStatus['state']>> = {
  idle: 'idle',
  wait: 'waiting',
  prepare: 'publishing',
  try: 'publishing',
  commit: 'idle',
  doubt: 'in doubt',
};

/** Handshakes are told in whole seconds: one of this very second could not be told from the next, and is not waited for. */
function living(device: WgDevice | undefined): Awaited {
  const second = Math.floor(Date.now() / 1_000) * 1_000;
  const peers = (device?.peers ?? []).filter(
    ({ allowedIps, latestHandshake }) =>
      allowedIps.length > 0 && latestHandshake < second && second - latestHandshake < FRESH_MS,
  );
  return new Map(peers.map(peer => [peer.publicKey, peer.latestHandshake]));
}

/** A session of before that has gone stale carries nothing: its peer is away, and another one may never come. */
const stillAwaited = (awaited: Awaited, device: WgDevice | undefined): Awaited =>
  new Map(
    [...awaited].filter(
      ([key, before]) =>
        Date.now() - before < FRESH_MS &&
        (device === undefined ||
          device.peers.some(peer => peer.publicKey === key && peer.latestHandshake === before)),
    ),
  );

const DISK_MS = 10_000;

/** Our Node shows the next key already where only its file is missing; else nothing has begun. */
const unwritten = (todo: Turn): Turn =>
  todo.kind === 'commit'
    ? { kind: 'try', begin: false, ms: DISK_MS }
    : { kind: 'wait', ms: DISK_MS, reason: 'the next key cannot be written to disk', reread: false };

/** Packets of theirs arrive, but their agents answer no probe: they could not take a new key of ours. */
const silentOf = (measures: ReadonlyMap<string, PeerMeasure>): readonly string[] =>
  [...measures].filter(([, measure]) => measure.state === 'pending').map(([node]) => node);

export function openRotation(deps: RotationDeps): Rotation {
  const { identity, discovery, log } = deps;
  let local = false;
  let askedAt: number | undefined;
  let attempt: Attempt | undefined;
  let awaited: Awaited = new Map();
  let side: Side | undefined;
  let sideAt = { mono: performance.now(), wall: Date.now() };
  let last: Turn = { kind: 'idle' };

  const asked = (): boolean => {
    const { asked: token, done } = discovery.rotation();
    const fresh = token !== undefined && token !== done && token !== identity.key().rotated;
    return local || fresh;
  };

  const shown = (): RotationFacts['shown'] => {
    const key = discovery.shown()?.key;
    const { publicKey, next } = identity.key();
    if (discovery.shown() === undefined) return 'unknown';
    return key === next?.publicKey ? 'next' : key === publicKey ? 'old' : 'other';
  };

  const setSide = (to: Side, now: number): void => {
    if (side !== to) sideAt = { mono: now, wall: Date.now() };
    side = to;
  };

  const answered = (device: WgDevice | undefined): boolean =>
    [...deps.measures().values()].some(m => (m.answeredAt ?? 0) > sideAt.mono) ||
    (device?.peers.some(peer => peer.latestHandshake > sideAt.wall) ?? false);

  const factsOf = (device: WgDevice | undefined, now: number): RotationFacts => {
    const { next } = identity.key();
    side ??= next !== undefined && device?.publicKey === next.publicKey ? 'next' : 'old';
    return {
      asked: asked(),
      askedFor: now - (askedAt ?? now),
      prepared: next !== undefined,
      shown: shown(),
      shownAge: discovery.shown()?.age,
      connected: discovery.state().connected,
      busyFor: discovery.busyFor(),
      attempt: attempt && { age: now - attempt.at, count: attempt.count },
      side,
      sideAge: now - sideAt.mono,
      answered: answered(device),
      silent: silentOf(deps.measures()),
    };
  };

  const begin = (device: WgDevice | undefined, now: number): void => {
    attempt = { at: now, count: (attempt?.count ?? 0) + 1 };
    awaited = living(device);
    const { publicKey, next } = identity.key();
    log.info({ from: publicKey, to: next?.publicKey, peers: awaited.size }, 'changing the key of this node');
  };

  const done = (): void => {
    identity.takeNext();
    attempt = undefined;
    askedAt = undefined;
    side = undefined;
    log.info({ publicKey: identity.key().publicKey }, 'the new key is published; the old one is forgotten');
  };

  /** Carries the decision out, but for the device and our Node, which are the pass's. */
  const act = (todo: Turn, device: WgDevice | undefined, now: number): void => {
    if (todo.kind === 'prepare') {
      identity.prepare(discovery.rotation().asked);
      local = false;
    }
    if (todo.kind === 'prepare' || (todo.kind === 'try' && todo.begin)) begin(device, now);
    if (todo.kind === 'commit') done();
    if (todo.kind === 'doubt' || (todo.kind === 'wait' && todo.reread)) discovery.lookAtOwn();
    if (todo.kind === 'doubt' && todo.kind !== last.kind) log.warn({ reason: todo.reason }, 'key in doubt');
    last = todo;
  };

  /** A disk that takes no key must not keep the pass from all else: the keys stay where they are, and it is tried again. */
  const carryOut = (todo: Turn, device: WgDevice | undefined, now: number): Turn => {
    try {
      act(todo, device, now);
      return todo;
    } catch (error) {
      log.error({ error: String(error) }, 'the file of this node’s key cannot be written; trying again');
      last = unwritten(todo);
      return last;
    }
  };

  const sideOf = (todo: Turn): Side =>
    todo.kind === 'doubt' ? todo.side : todo.kind === 'try' || todo.kind === 'prepare' ? 'next' : 'old';

  const order = (todo: Turn, before: Side): KeyOrder => {
    const key = identity.key();
    const { next, rotated } = key;
    const todoAgain = todo.kind === 'prepare' ? PUBLISH_MS : 'ms' in todo ? todo.ms : undefined;
    const confirming = awaited.size > 0 && next === undefined;
    const publishing = todo.kind === 'prepare' || todo.kind === 'try';
    const begins = publishing && before === 'old';
    return {
      key: sideOf(todo) === 'next' && next !== undefined && !begins ? next : key,
      change: begins ? next : undefined,
      accepted: next === undefined || publishing ? [] : [key.publicKey, next.publicKey],
      rotated: confirming ? undefined : rotated,
      again: confirming ? CONFIRM_MS : todoAgain,
    };
  };

  const nextOrder = async (): Promise<KeyOrder> => {
    const now = performance.now();
    const busy = asked() || identity.key().next !== undefined;
    if (asked()) askedAt ??= now;
    const device = busy || awaited.size > 0 ? await deps.device() : undefined;
    if (identity.key().next === undefined && awaited.size > 0) awaited = stillAwaited(awaited, device);
    const todo: Turn = busy ? turn(factsOf(device, now)) : { kind: 'idle' };
    const before = side ?? 'old';
    const did = carryOut(todo, device, now);
    if (busy) setSide(sideOf(did), now);
    if (did.kind === 'commit') side = undefined;
    return order(did, before);
  };

  const status = (): RotationStatus => {
    const confirming = awaited.size > 0 && identity.key().next === undefined;
    return {
      state: confirming ? 'confirming' : SAID[last.kind],
      reason: 'reason' in last ? last.reason : undefined,
      rotated: identity.key().rotated,
    };
  };

  return {
    next: nextOrder,
    ask: () => {
      local = true;
      deps.mark();
    },
    status,
  };
}
