/**
 * A node with a new key: which peer of the device is its old self. Told by AllowedIPs alone, since
 * those belong to one peer, and so known after a restart too. And a node whose key is shown no more. Pure.
 */
import type { NodeFact } from '../discovery/types.ts';
import type { WgDevice, WgPeer } from '../platform/linux/types.ts';
import type { PublicKey } from '../types.ts';
import { FRESH_MS } from './endpoint.ts';
import type { MeshPlan } from './types.ts';

/** Peers of the device that the plan does not have. */
export function leaving(plan: MeshPlan, device: WgDevice): readonly WgPeer[] {
  const wanted = new Set(plan.peers.map(peer => peer.publicKey));
  return device.peers.filter(peer => !wanted.has(peer.publicKey));
}

/** Key of a planned peer that the device lacks → the peer that has one of its networks and is to go. */
export function predecessors(plan: MeshPlan, device: WgDevice): ReadonlyMap<PublicKey, WgPeer> {
  const there = new Set(device.peers.map(peer => peer.publicKey));
  const holders = new Map(
    leaving(plan, device).flatMap(peer => peer.allowedIps.map(cidr => [cidr, peer] as const)),
  );
  return new Map(
    plan.peers.flatMap(({ publicKey, allowedIps }) => {
      if (there.has(publicKey)) return [];
      const holder = allowedIps.map(cidr => holders.get(cidr)).find(peer => peer !== undefined);
      return holder === undefined ? [] : [[publicKey, holder] as const];
    }),
  );
}

/**
 * The plan of facts from disk, which may be older than the device: a peer that would take the networks of one with a
 * living session is left out until the API server has told. `now` in ms since the epoch.
 */
export function deferringTo(device: WgDevice, plan: MeshPlan, now: number): MeshPlan {
  const olds = predecessors(plan, device);
  const alive = (key: PublicKey): boolean => now - (olds.get(key)?.latestHandshake ?? 0) < FRESH_MS;
  return { ...plan, peers: plan.peers.filter(peer => !alive(peer.publicKey)) };
}

/**
 * Nodes that have ceased to show a key, and whose tunnel is dead: a peer that lives is not cut off by whoever took its
 * annotation away, and a node that is gone must not stay for ever. `now` in ms since the epoch; UIDs.
 */
export function givenUp(nodes: readonly NodeFact[], device: WgDevice, now: number): readonly string[] {
  const gone = nodes.filter(node => node.keyGone);
  if (gone.length === 0) return [];
  const handshakes = new Map(device.peers.map(peer => [peer.publicKey, peer.latestHandshake]));
  const dead = (key: PublicKey | undefined): boolean => now - ((key && handshakes.get(key)) ?? 0) >= FRESH_MS;
  return gone.filter(node => dead(node.publicKey)).map(node => node.uid);
}

/** A peer whose networks have gone to its heir is kept so long: packets under way still go out by it. */
const RETIRE_MS = 1_000;

export type Retiring = {
  /** Peers that stay for now, and since when they are to go, in ms since the epoch. */
  readonly held: ReadonlyMap<PublicKey, number>;
  /** Milliseconds until the first of them may go. */
  readonly again: number | undefined;
};

/** Of the peers that are to go, those with an heir stay a little longer; the others, of nodes that left, go at once. */
export function retiring(
  plan: MeshPlan,
  device: WgDevice,
  before: ReadonlyMap<PublicKey, number>,
  now: number,
): Retiring {
  const old = new Set([...predecessors(plan, device).values()].map(peer => peer.publicKey));
  const held = new Map(
    leaving(plan, device)
      .filter(({ publicKey }) => old.has(publicKey) || before.has(publicKey))
      .map(({ publicKey }) => [publicKey, before.get(publicKey) ?? now] as const)
      .filter(([key, since]) => old.has(key) || now - since < RETIRE_MS),
  );
  const waits = [...held.values()].map(since => Math.max(0, since + RETIRE_MS - now));
  return { held, again: waits.length > 0 ? Math.min(...waits) : undefined };
}
