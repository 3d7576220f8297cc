/** Asks every peer for a round trip, evenly spread in time, and remembers the answers. */
import type { Probes } from '../mesh/probe.ts';
import type { ProbeFact } from '../mesh/status.ts';
import type { MeshPlan, PeerPlan } from '../mesh/types.ts';

/** Each peer once in this time, or slower where that would be more than PER_SECOND. */
const ROUND_MS = 5_000;
const PER_SECOND = 20;

export type Prober = {
  readonly facts: () => ReadonlyMap<string, ProbeFact>;
  /** Whom to ask from now on. New peers are asked at once. */
  readonly follow: (plan: MeshPlan) => void;
  /** Everybody once, now. */
  readonly askAll: () => void;
  readonly stop: () => void;
};

export function startProber(probes: Probes): Prober {
  const facts = new Map<string, ProbeFact>();
  let peers: readonly PeerPlan[] = [];
  let next = 0;
  let timer: NodeJS.Timeout | undefined;

  const ask = async (peer: PeerPlan): Promise<void> => {
    const gateway = peer.gateways[0];
    if (gateway === undefined) return;
    const rttMs = await probes.ask(gateway);
    const before = facts.get(peer.node);
    facts.set(
      peer.node,
      rttMs === undefined ? { rttMs: before?.rttMs, lost: (before?.lost ?? 0) + 1 } : { rttMs, lost: 0 },
    );
  };

  const tick = (): void => {
    const peer = peers[next % Math.max(peers.length, 1)];
    next += 1;
    if (peer !== undefined) void ask(peer);
    timer = setTimeout(tick, Math.max(ROUND_MS / Math.max(peers.length, 1), 1_000 / PER_SECOND));
    timer.unref();
  };

  const follow = (plan: MeshPlan): void => {
    probes.listen(plan.self.gateways);
    const known = new Set(peers.map(peer => peer.node));
    const fresh = plan.peers.filter(peer => !known.has(peer.node));
    for (const peer of peers) if (!plan.peers.some(p => p.node === peer.node)) facts.delete(peer.node);
    peers = plan.peers;
    // Twice: the first answer of a new peer has waited for the handshake.
    for (const peer of fresh.slice(0, PER_SECOND)) void ask(peer).then(() => ask(peer));
  };

  const askAll = (): void => {
    for (const peer of peers) void ask(peer);
  };

  tick();
  return { facts: () => facts, follow, askAll, stop: () => clearTimeout(timer) };
}
