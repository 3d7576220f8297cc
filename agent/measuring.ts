/** After each pass: peers are measured as they are planned now, and whom nobody has reached for long is told to the user. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Discovery } from '../discovery/discovery.ts';
import { reasonOf } from '../mesh/reasons.ts';
import type { Outcome } from '../mesh/reconcile.ts';
import type { PeerMeasure } from '../mesh/state.ts';
import type { MeshPlan } from '../mesh/types.ts';
import type { Prober } from './prober.ts';
import { openUnreached } from './unreached.ts';

type Deps = { readonly prober: Prober; readonly discovery: Discovery };

type Measures = ReadonlyMap<string, PeerMeasure>;

/** Peers by a DNS name that are silent may have moved. Our own Node and those left out have no measure. */
function lookNamesUp(discovery: Discovery, measures: Measures): void {
  for (const { name, forceEndpoint } of discovery.facts()) {
    const state = measures.get(name)?.state;
    if (forceEndpoint !== undefined && state !== undefined && state !== 'established')
      discovery.lookAgain(forceEndpoint.host);
  }
}

const reasonIn =
  (plan: MeshPlan, measures: Measures, now: number) =>
  (node: string): string | undefined => {
    const [measure, peer] = [measures.get(node), plan.peers.find(one => one.node === node)];
    return measure && peer && reasonOf(measure, peer, now);
  };

/** With pauses in which the event loop turns: each part takes milliseconds where there are a thousand peers. */
export function openMeasuring({ prober, discovery }: Deps): (outcome: Outcome) => Promise<void> {
  const unreached = openUnreached();
  return async ({ plan, device }) => {
    await turn();
    prober.follow(plan);
    await turn();
    if (device !== undefined) prober.look(device);
    await turn();
    const measures = prober.measures();
    lookNamesUp(discovery, measures);
    const peers = plan.peers.map(({ node }) => ({ node, state: measures.get(node)?.state ?? 'connecting' }));
    const sentence = unreached(peers, reasonIn(plan, measures, prober.now()));
    if (sentence !== undefined) discovery.event('PeersUnreachable', sentence);
    await turn();
  };
}
