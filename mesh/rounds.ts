/**
 * What the mesh remembers of each peer between two reconciles: since when it is known, and
 * which endpoint was set when. A value in, a value out; the clock comes as an argument.
 */
import type { NodeFact } from '../discovery/types.ts';
import type { WgDevice, WgPeer } from '../platform/linux/types.ts';
import type { Endpoint, PublicKey } from '../types.ts';
import { chooseEndpoint, type EndpointChoice, initiative, TRY_MS } from './endpoint.ts';
import { predecessors, retiring } from './heirs.ts';
import type { MeshPlan, PeerPlan } from './types.ts';

export type PeerMemory = {
  readonly node: string;
  readonly knownSince: number;
  /** Milliseconds that the peer has the first word, fixed when it appears. */
  readonly patience: number;
  /** `rxBytes`: what had come from the peer by then. */
  readonly lastSet:
    | { readonly endpoint: Endpoint; readonly at: number; readonly rxBytes: number }
    | undefined;
  /** The latest of all endpoints that the peer has published, in that order. */
  readonly published: readonly Endpoint[];
};

export type Publication = {
  /** Our key was on our Node before this agent started. */
  readonly before: boolean;
  /** When it was published, in ms since the epoch (0 where it was before we started); undefined: not yet. */
  readonly at: number | undefined;
};

export type MeshMemory = {
  readonly peers: ReadonlyMap<PublicKey, PeerMemory>;
  /** Peers whose networks an heir has, and since when. */
  readonly retiring: ReadonlyMap<PublicKey, number>;
  /** What an agent before this one knew to be published: a peer may have moved between the two. */
  readonly earlier: ReadonlyMap<PublicKey, readonly Endpoint[]>;
};

/** `nodes`: as an agent before this one knew them. */
export const remembering = (nodes: readonly NodeFact[]): MeshMemory => ({
  peers: new Map(),
  retiring: new Map(),
  earlier: new Map(
    nodes.flatMap(({ publicKey, endpoints }) =>
      publicKey === undefined ? [] : [[publicKey, endpoints.map(({ a }) => a)]],
    ),
  ),
});

export type Round = {
  readonly memory: MeshMemory;
  readonly endpoints: ReadonlyMap<PublicKey, Endpoint>;
  /** When to look again, in milliseconds from now; undefined: nothing is pending. */
  readonly again: number | undefined;
};

const firstSight = (
  ownKey: PublicKey,
  peer: PeerPlan,
  publication: Publication,
  initial: boolean,
  now: number,
  published: readonly Endpoint[] = [],
): PeerMemory => ({
  node: peer.node,
  knownSince: now,
  patience: initiative({
    ownKey,
    peerKey: peer.publicKey,
    bothKnewBefore: publication.before && initial,
    appearedAfter: publication.at === undefined ? undefined : now - publication.at,
  }),
  lastSet: undefined,
  published,
});

/** Enough for a peer that moves a few times between two networks of many addresses. */
const PUBLISHED = 32;

const withCandidates = (memory: PeerMemory, peer: PeerPlan): PeerMemory =>
  peer.endpoints.every(endpoint => memory.published.includes(endpoint))
    ? memory
    : { ...memory, published: [...new Set([...memory.published, ...peer.endpoints])].slice(-PUBLISHED) };

/** What we set is not there: another device, as after the end of wireguard-go. Nobody else will begin, so begin anew. */
const forgetLost = (memory: PeerMemory, actual: WgPeer | undefined): PeerMemory =>
  memory.lastSet !== undefined && actual?.endpoint === undefined
    ? { ...memory, lastSet: undefined, patience: 0 }
    : memory;

/** A peer of the device that is to go, and what is remembered of it. */
type Old = { readonly actual: WgPeer; readonly memory: PeerMemory | undefined };

/** A node with a new key is waiting for us: it cannot begin by itself, see mesh/rotation.ts. */
const heirOf = (fresh: PeerMemory, old: Old): PeerMemory => ({
  ...fresh,
  patience: 0,
  published: old.memory?.node === fresh.node ? old.memory.published : [],
});

/** Where its old self is reached, the heir is, unless another node has come to its networks. */
function inherit(choice: EndpointChoice, peer: PeerPlan, old: Old | undefined): EndpointChoice {
  const endpoint = old?.actual.endpoint;
  if (choice.kind !== 'keep' || endpoint === undefined) return choice;
  if (old?.memory?.node === peer.node || peer.endpoints.includes(endpoint)) return { kind: 'set', endpoint };
  return peer.endpoints[0] === undefined ? choice : { kind: 'set', endpoint: peer.endpoints[0] };
}

const choose = (
  peer: PeerPlan,
  memory: PeerMemory,
  actual: WgPeer | undefined,
  now: number,
  deadEnds: ReadonlySet<Endpoint>,
): EndpointChoice =>
  chooseEndpoint({
    candidates: peer.endpoints,
    published: memory.published,
    current: actual?.endpoint,
    handshakeAge: actual?.latestHandshake ? now - actual.latestHandshake : undefined,
    lastSet: memory.lastSet && {
      endpoint: memory.lastSet.endpoint,
      age: now - memory.lastSet.at,
      heard: (actual?.rxBytes ?? 0) > memory.lastSet.rxBytes,
    },
    knownFor: now - memory.knownSince,
    patience: memory.patience,
    deadEnds,
  });

const withSet = (
  memory: PeerMemory,
  endpoint: Endpoint,
  actual: WgPeer | undefined,
  at: number,
): PeerMemory => ({ ...memory, lastSet: { endpoint, at, rxBytes: actual?.rxBytes ?? 0 } });

/** One look at all peers. `initial`: the peers come from the first list or from disk. `now` in ms since the epoch. */
export function nextRound(
  plan: MeshPlan,
  ownKey: PublicKey,
  device: WgDevice,
  before: MeshMemory,
  publication: Publication,
  initial: boolean,
  now: number,
  deadEnds: ReadonlySet<Endpoint> = new Set(),
): Round {
  const there = new Map(device.peers.map(peer => [peer.publicKey, peer]));
  const olds = predecessors(plan, device);
  const peers = new Map<PublicKey, PeerMemory>();
  const endpoints = new Map<PublicKey, Endpoint>();
  const waits: number[] = [];
  for (const peer of plan.peers) {
    const oldPeer = olds.get(peer.publicKey);
    const old = oldPeer && { actual: oldPeer, memory: before.peers.get(oldPeer.publicKey) };
    const first = (): PeerMemory =>
      firstSight(ownKey, peer, publication, initial, now, before.earlier.get(peer.publicKey));
    const known = before.peers.get(peer.publicKey) ?? (old ? heirOf(first(), old) : first());
    const actual = there.get(peer.publicKey);
    const seen = forgetLost(withCandidates(known, peer), actual);
    const choice = inherit(choose(peer, seen, actual ?? oldPeer, now, deadEnds), peer, old);
    if (choice.kind === 'wait') waits.push(choice.ms);
    if (choice.kind === 'set') {
      endpoints.set(peer.publicKey, choice.endpoint);
      waits.push(TRY_MS);
    }
    peers.set(peer.publicKey, choice.kind === 'set' ? withSet(seen, choice.endpoint, actual, now) : seen);
  }
  const { held, again } = retiring(plan, device, before.retiring, now);
  if (again !== undefined) waits.push(again);
  return {
    memory: { peers, retiring: held, earlier: before.earlier },
    endpoints,
    again: waits.length > 0 ? Math.min(...waits) : undefined,
  };
}
