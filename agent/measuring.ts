/** After each pass: peers are measured as they are planned now, and whom nobody has reached for long is told to the user. */
import type { Discovery } from '../discovery/discovery.ts';
import type { Outcome } from '../mesh/reconcile.ts';
import { peerStatuses } from '../mesh/status.ts';
import type { Prober } from './prober.ts';
import { openUnreached } from './unreached.ts';

type Deps = { readonly prober: Prober; readonly discovery: Discovery };

export function openMeasuring({ prober, discovery }: Deps): (outcome: Outcome) => void {
  const unreached = openUnreached();
  return ({ plan, device }) => {
    prober.follow(plan);
    if (device !== undefined) prober.look(device);
    const peers = peerStatuses(plan, device, prober.measures(), discovery.facts(), prober.now());
    const sentence = unreached(peers);
    if (sentence !== undefined) discovery.event('PeersUnreachable', sentence);
  };
}
