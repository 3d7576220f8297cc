/** Plan, device and probes → what people and programs are told of the mesh. Pure. */
import type { WgDevice, WgPeer } from '../platform/linux/types.ts';
import type { Endpoint } from '../types.ts';
import { FRESH_MS } from './endpoint.ts';
import type { MeshPlan, PeerPlan } from './types.ts';

/**
 * established: the data path answers, or a session is fresh and nothing says otherwise;
 * pending: a session, but probes go unanswered; connecting: tried, no session yet;
 * retrying: there was a session, it has gone stale; failed: there is nothing to try.
 */
export type PeerState = 'established' | 'pending' | 'connecting' | 'retrying' | 'failed';

export type ProbeFact = {
  /** Milliseconds; undefined: no answer yet. */
  readonly rttMs: number | undefined;
  /** Unanswered since the last answer. */
  readonly lost: number;
};

export type PeerStatus = {
  readonly node: string;
  readonly publicKey: string;
  readonly state: PeerState;
  /** Why it is not established, in words a user can act on. */
  readonly reason: string | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly path: string;
  readonly podCidrs: readonly string[];
  /** Milliseconds since the last handshake. */
  readonly handshakeAgeMs: number | undefined;
  readonly rttMs: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
};

/** Unanswered probes in a row before a fresh session is not believed any more. */
const LOST_LIMIT = 3;

type Facts = {
  readonly peer: PeerPlan;
  readonly actual: WgPeer | undefined;
  readonly age: number | undefined;
  readonly probe: ProbeFact | undefined;
};

function judge({ peer, actual, age, probe }: Facts): { state: PeerState; reason: string | undefined } {
  const at = actual?.endpoint ?? 'no endpoint';
  if (age !== undefined && age < FRESH_MS) {
    if ((probe?.lost ?? 0) < LOST_LIMIT) return { state: 'established', reason: undefined };
    return {
      state: 'pending',
      reason: `there is a session over ${at}, but ${probe?.lost} probes inside the tunnel got no answer: is the agent on ${peer.node} running, or does a firewall there drop what comes from the tunnel?`,
    };
  }
  if (age !== undefined)
    return {
      state: 'retrying',
      reason: `no answer from ${at} for ${Math.round(age / 1000)} s: is ${peer.node} up, and is its UDP port open?`,
    };
  if (peer.endpoints.length === 0 && actual?.endpoint === undefined)
    return {
      state: 'failed',
      reason: `${peer.node} publishes no endpoint that can be tried: set weft.network/force-endpoint on it, or let it reach this node`,
    };
  return {
    state: 'connecting',
    reason: `no handshake yet; trying ${peer.endpoints.join(', ') || at}: is the UDP port open on ${peer.node}?`,
  };
}

/** One line a peer, in the plan's order. `now` in ms since the epoch. */
export function peerStatuses(
  plan: MeshPlan,
  device: WgDevice | undefined,
  probes: ReadonlyMap<string, ProbeFact>,
  now: number,
): readonly PeerStatus[] {
  const there = new Map(device?.peers.map(peer => [peer.publicKey, peer]));
  return plan.peers.map(peer => {
    const actual = there.get(peer.publicKey);
    const age = actual?.latestHandshake ? Math.max(0, now - actual.latestHandshake) : undefined;
    const probe = probes.get(peer.node);
    return {
      node: peer.node,
      publicKey: peer.publicKey,
      ...judge({ peer, actual, age, probe }),
      endpoint: actual?.endpoint,
      path: peer.path.kind,
      podCidrs: peer.allowedIps,
      handshakeAgeMs: age,
      rttMs: probe?.rttMs,
      rxBytes: actual?.rxBytes ?? 0,
      txBytes: actual?.txBytes ?? 0,
    };
  });
}
