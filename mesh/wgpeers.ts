/** Plan and device → the changes for `wg set`, and the device's configuration as text. Pure. */
import type { WgChange, WgDevice, WgPeer } from '../platform/linux/types.ts';
import type { Endpoint, PublicKey } from '../types.ts';
import { sameSet } from './diff.ts';
import { leaving } from './heirs.ts';
import type { MeshPlan, PeerPlan } from './types.ts';

/**
 * The one change that a peer needs, if any. The keepalive comes with the endpoint or later:
 * before, it would spend WireGuard's one initiation in 5 s on nowhere.
 */
function peerChange(
  peer: PeerPlan,
  actual: WgPeer | undefined,
  endpoint: Endpoint | undefined,
): WgChange | undefined {
  const allowed = actual === undefined || !sameSet(actual.allowedIps, peer.allowedIps);
  const hasEndpoint = endpoint !== undefined || actual?.endpoint !== undefined;
  const keepalive = hasEndpoint && peer.keepalive !== (actual?.keepalive ?? 0);
  if (!allowed && endpoint === undefined && !keepalive) return undefined;
  return {
    kind: 'peer',
    publicKey: peer.publicKey,
    ...(endpoint !== undefined && { endpoint }),
    ...(allowed && { allowedIps: peer.allowedIps }),
    ...(keepalive && { keepalive: peer.keepalive }),
  };
}

/**
 * A peer that was given traffic before it had an endpoint, or the wrong one, has spent WireGuard's one initiation in
 * 5 s. Without a session there is nothing to lose: it is made anew, and its first initiation goes at once.
 */
const madeAnew = (peer: PeerPlan, endpoint: Endpoint): readonly WgChange[] => [
  { kind: 'remove', publicKey: peer.publicKey },
  {
    kind: 'peer',
    publicKey: peer.publicKey,
    endpoint,
    allowedIps: peer.allowedIps,
    keepalive: peer.keepalive,
  },
];

/** Changes to reach the plan, in the plan's order. `endpoints`: those to set now, by key. Takes no peer away for good. */
export function peerChanges(
  plan: MeshPlan,
  device: WgDevice,
  endpoints: ReadonlyMap<PublicKey, Endpoint>,
): readonly WgChange[] {
  const there = new Map(device.peers.map(peer => [peer.publicKey, peer]));
  return plan.peers.flatMap((peer): readonly WgChange[] => {
    const actual = there.get(peer.publicKey);
    const endpoint = endpoints.get(peer.publicKey);
    if (actual !== undefined && actual.latestHandshake === 0 && endpoint !== undefined)
      return madeAnew(peer, endpoint);
    const change = peerChange(peer, actual, endpoint);
    return change === undefined ? [] : [change];
  });
}

/** Peers of the device that the plan does not have, without those that are `held` a little longer. */
export const peerRemovals = (
  plan: MeshPlan,
  device: WgDevice,
  held: ReadonlyMap<PublicKey, number>,
): readonly WgChange[] =>
  leaving(plan, device)
    .filter(peer => !held.has(peer.publicKey))
    .map(peer => ({ kind: 'remove', publicKey: peer.publicKey }));

const peerText = (peer: PeerPlan): string =>
  [
    `# ${peer.node}`,
    '[Peer]',
    `PublicKey = ${peer.publicKey}`,
    `AllowedIPs = ${peer.allowedIps.join(', ')}`,
    ...(peer.endpoints[0] === undefined ? [] : [`Endpoint = ${peer.endpoints[0]}`]),
    `PersistentKeepalive = ${peer.keepalive}`,
    '',
  ].join('\n');

/** The mesh as `wg showconf` would print it, without the private key: for people and golden files. */
export const wgText = (plan: MeshPlan): string =>
  [`[Interface]\nListenPort = ${plan.settings.listenPort}\n`, ...plan.peers.map(peerText)].join('\n');
