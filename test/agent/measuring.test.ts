/** What follows from peers that nobody has reached: one Event, once, and names that are looked up again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMeasuring } from '../../agent/measuring.ts';
import type { Prober } from '../../agent/prober.ts';
import type { Discovery } from '../../discovery/discovery.ts';
import type { Outcome } from '../../mesh/reconcile.ts';
import { FAILED_MS, newMeasure, type PeerMeasure, settle } from '../../mesh/state.ts';
import type { MeshPlan } from '../../mesh/types.ts';

const plan = {
  peers: [
    {
      node: 'node2',
      publicKey: 'key2',
      endpoints: ['192.0.2.2:51820'],
      allowedIps: [],
      path: { kind: 'direct' },
    },
  ],
  settings: { mtu: 1420 },
} as unknown as MeshPlan;

test('a peer that was never reached is an Event after five minutes, and the same one at each later pass', async () => {
  let now = 0;
  const events: string[][] = [];
  const prober = {
    follow: () => {},
    look: () => {},
    now: () => now,
    measures: () => new Map([['node2', settle(newMeasure(0), now)]]),
  } as unknown as Prober;
  const discovery = {
    facts: () => [],
    event: (...event: string[]) => events.push(event),
  } as unknown as Discovery;
  const measure = openMeasuring({ prober, discovery });
  const pass = async (at: number): Promise<void> => {
    now = at;
    await measure({ plan, device: undefined } as unknown as Outcome);
  };
  await pass(FAILED_MS - 1);
  assert.equal(events.length, 0);
  await pass(FAILED_MS);
  await pass(FAILED_MS + 60_000);
  assert.equal(events.length, 2);
  assert.deepEqual(events[0], events[1]);
  assert.match(
    events[0]?.join(' ') ?? '',
    /^PeersUnreachable node2 cannot be reached: no handshake with node2 yet, for 5 min; tried 192\.0\.2\.2:51820/,
  );
});

test('of Nodes by name only silent peers are looked up again, not our own Node nor one that is left out', async () => {
  const looked: string[] = [];
  const silent = newMeasure(0);
  const prober = {
    follow: () => {},
    look: () => {},
    now: () => 0,
    measures: () =>
      new Map<string, PeerMeasure>([
        ['node2', silent],
        ['node3', { ...silent, state: 'established' }],
      ]),
  } as unknown as Prober;
  const discovery = {
    facts: () =>
      ['self', 'node2', 'node3', 'excluded'].map(name => ({
        name,
        forceEndpoint: { host: `${name}.example`, port: 51820 },
      })),
    lookAgain: (host: string) => looked.push(host),
    event: () => {},
  } as unknown as Discovery;
  await openMeasuring({ prober, discovery })({ plan, device: undefined } as unknown as Outcome);
  assert.deepEqual(looked, ['node2.example']);
});
