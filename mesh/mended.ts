/**
 * What foreign hands undid and we put back. Where facts are what they were and the last pass was whole, nothing but a
 * foreign hand makes work for an applier. Pure.
 */
import type { WgDevice } from '../platform/linux/types.ts';
import type { PublicKey } from '../types.ts';
import { sameSet } from './diff.ts';
import { leaving } from './heirs.ts';
import type { MeshMemory } from './rounds.ts';
import type { MeshFacts, MeshPlan } from './types.ts';

export type MendedKind =
  | 'rules'
  | 'routes'
  | 'tunnel'
  | 'links'
  | 'addresses'
  | 'sysctls'
  | 'peers'
  | 'pods'
  | 'anti-spoofing'
  | 'files';

export type Mended = Readonly<Partial<Record<MendedKind, number>>>;

const print = (value: unknown): string =>
  JSON.stringify(value instanceof Map ? [...(value as ReadonlyMap<unknown, unknown>)] : value);

/** Nodes are compared by identity: discovery gives the same array until something changes. */
export const sameFacts = (a: MeshFacts, b: MeshFacts | undefined): boolean =>
  b !== undefined &&
  a.nodes === b.nodes &&
  [
    [a.self, b.self],
    [a.settings, b.settings],
    [a.resolved, b.resolved],
    [a.limits, b.limits],
  ].every(([x, y]) => x === y || print(x) === print(y));

/** Peers that were as planned once and are not now, and peers that nobody planned. */
export function undonePeers(plan: MeshPlan, device: WgDevice, { peers, retiring }: MeshMemory): number {
  const there = new Map(device.peers.map(peer => [peer.publicKey, peer]));
  const undone = plan.peers.filter(({ publicKey, allowedIps }) => {
    const actual = there.get(publicKey);
    return peers.has(publicKey) && (actual === undefined || !sameSet(actual.allowedIps, allowedIps));
  });
  const strange = leaving(plan, device).filter(peer => !retiring.has(peer.publicKey));
  return undone.length + strange.length;
}

/** Both, kind by kind; zeros are left out. */
export function addMended(a: Mended, b: Mended): Mended {
  const sum = new Map(Object.entries(a) as [MendedKind, number][]);
  for (const [kind, count] of Object.entries(b) as [MendedKind, number][])
    if (count > 0) sum.set(kind, (sum.get(kind) ?? 0) + count);
  return Object.fromEntries(sum);
}

/** Networks as the device has them, against the plan: whether somebody has changed a peer. */
export const peersAsPlanned = (plan: MeshPlan, actual: ReadonlyMap<PublicKey, readonly string[]>): boolean =>
  actual.size === plan.peers.length &&
  plan.peers.every(peer => sameSet(actual.get(peer.publicKey) ?? [], peer.allowedIps));
