/** After each pass: peers are measured as they are planned now, and whom nobody has reached for long is told to the user. */
import type { Discovery } from '../discovery/discovery.ts';
import type { Outcome } from '../mesh/reconcile.ts';
import { type PeerStatus, peerStatuses } from '../mesh/status.ts';
import type { Prober } from './prober.ts';
import { openUnreached } from './unreached.ts';

type Deps = { readonly prober: Prober; readonly discovery: Discovery };

/** Peers by a DNS name that are silent may have moved. */
function lookNamesUp(discovery: Discovery, peers: readonly PeerStatus[]): void {
  const silent = new Set(peers.filter(peer => peer.state !== 'established').map(peer => peer.node));
  if (silent.size === 0) return;
  for (const { name, forceEndpoint } of discovery.facts())
    if (forceEndpoint !== undefined && silent.has(name)) discovery.lookAgain(forceEndpoint.host);
}

export function openMeasuring({ prober, discovery }: Deps): (outcome: Outcome) => void {
  const unreached = openUnreached();
  return ({ plan, device }) => {
    prober.follow(plan);
    if (device !== undefined) prober.look(device);
    const peers = peerStatuses(plan, device, prober.measures(), discovery.facts(), prober.now());
    lookNamesUp(discovery, peers);
    const sentence = unreached(peers);
    if (sentence !== undefined) discovery.event('PeersUnreachable', sentence);
  };
}
