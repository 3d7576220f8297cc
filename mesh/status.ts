/** Plan, device and measures → what people and programs are told of the mesh. Pure. */
import type { CandidateType, NodeFact } from '../discovery/types.ts';
import type { WgDevice } from '../platform/linux/types.ts';
import type { Endpoint } from '../types.ts';
import { reasonOf } from './reasons.ts';
import { lossOf, type PeerMeasure, type PeerState } from './state.ts';
import type { MeshPlan, PathLimit, PeerPlan } from './types.ts';

export type { PeerState } from './state.ts';

/** How the endpoint in use was found: published by the peer (of which kind), forced by an annotation, or learnt from its packets. */
export type EndpointSource = CandidateType | 'forced' | 'learnt';

/** Times are durations in milliseconds until now; undefined: it never happened. */
export type PeerStatus = {
  readonly node: string;
  readonly publicKey: string;
  readonly state: PeerState;
  /** Why it is not established, in words a user can act on. */
  readonly reason: string | undefined;
  /** How long it has had this state. */
  readonly stateAgeMs: number | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly endpointSource: EndpointSource | undefined;
  /** How often the endpoint has changed since the agent's start. */
  readonly endpointChanges: number;
  /** What is tried, best first. */
  readonly candidates: readonly Endpoint[];
  readonly path: string;
  readonly podCidrs: readonly string[];
  /** Largest packet inside the tunnel, and what keeps it below the tunnel's own MTU. */
  readonly mtu: number;
  readonly mtuLimit: PathLimit['why'] | undefined;
  readonly handshakeAgeMs: number | undefined;
  /** Since bytes of the peer last arrived; looked at every ten seconds. */
  readonly receivedAgeMs: number | undefined;
  /** Since a probe inside the tunnel was last answered. */
  readonly answeredAgeMs: number | undefined;
  readonly rttMs: number | undefined;
  /** Share of the last 20 probes that were lost, 0 to 1. */
  readonly loss: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
};

function sourceOf(
  peer: PeerPlan,
  fact: NodeFact | undefined,
  endpoint: Endpoint | undefined,
): EndpointSource | undefined {
  if (endpoint === undefined) return undefined;
  if (!peer.endpoints.includes(endpoint)) return 'learnt';
  if (fact?.forceEndpoint !== undefined) return 'forced';
  return fact?.endpoints.find(candidate => candidate.a === endpoint)?.t ?? 'learnt';
}

const since = (at: number | undefined, now: number): number | undefined =>
  at === undefined ? undefined : Math.max(0, Math.round(now - at));

/** One line a peer, in the plan's order. `now` on the clock of the measures. */
export function peerStatuses(
  plan: MeshPlan,
  device: WgDevice | undefined,
  measures: ReadonlyMap<string, PeerMeasure>,
  facts: readonly NodeFact[],
  now: number,
): readonly PeerStatus[] {
  const there = new Map(device?.peers.map(peer => [peer.publicKey, peer]));
  const nodes = new Map(facts.map(fact => [fact.name, fact]));
  return plan.peers.map(peer => {
    const actual = there.get(peer.publicKey);
    const m = measures.get(peer.node);
    return {
      node: peer.node,
      publicKey: peer.publicKey,
      state: m?.state ?? 'connecting',
      reason: m === undefined ? 'this peer has just been added' : reasonOf(m, peer, now),
      stateAgeMs: since(m?.since, now),
      endpoint: actual?.endpoint,
      endpointSource: sourceOf(peer, nodes.get(peer.node), actual?.endpoint),
      endpointChanges: m?.endpointChanges ?? 0,
      candidates: peer.endpoints,
      path: peer.path.kind,
      podCidrs: peer.allowedIps,
      mtu: peer.limit?.mtu ?? plan.settings.mtu,
      mtuLimit: peer.limit?.why,
      handshakeAgeMs: since(m?.handshakeAt, now),
      receivedAgeMs: since(m?.receivedAt, now),
      answeredAgeMs: since(m?.answeredAt, now),
      rttMs: m?.rttMs === undefined ? undefined : Math.round(m.rttMs * 1_000) / 1_000,
      loss: m === undefined ? undefined : lossOf(m),
      rxBytes: actual?.rxBytes ?? 0,
      txBytes: actual?.txBytes ?? 0,
    };
  });
}
