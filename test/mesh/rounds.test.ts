import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plan } from '../../mesh/plan.ts';
import { nextRound, type PeerMemory } from '../../mesh/rounds.ts';
import type { WgDevice, WgPeer } from '../../platform/linux/types.ts';
import type { Endpoint, PublicKey } from '../../types.ts';
import { facts, key, node } from './facts.ts';

const BEST = '192.0.2.2:51820' as Endpoint;
const NEXT = '[2001:db8::2]:51820' as Endpoint;

const meshed = plan(
  facts([
    node(1),
    node(2, {
      endpoints: [
        { t: 'host', a: BEST },
        { t: 'host', a: NEXT },
      ],
    }),
  ]),
);

const peer = (given: Partial<WgPeer>): WgPeer => ({
  publicKey: key(2),
  endpoint: undefined,
  allowedIps: [],
  latestHandshake: 0,
  rxBytes: 0,
  txBytes: 0,
  keepalive: 0,
  ...given,
});

const device = (...peers: readonly WgPeer[]): WgDevice => ({
  publicKey: key(1),
  listenPort: 51820,
  peers,
});

const publication = { before: true, at: 0 };

const round = (memory: ReadonlyMap<PublicKey, PeerMemory>, there: WgDevice, now: number) =>
  nextRound(meshed, key(1), there, memory, publication, true, now);

test('a device that lost the endpoint, as a new wireguard-go has, gets the best one at once', () => {
  const first = round(new Map(), device(), 1_000);
  assert.equal(first.endpoints.get(key(2)), BEST);
  const up = peer({ endpoint: BEST, latestHandshake: 1_100 });
  const second = round(first.memory, device(up), 2_000);
  assert.equal(second.endpoints.size, 0);
  for (const there of [device(), device(peer({}))])
    assert.equal(round(second.memory, there, 3_000).endpoints.get(key(2)), BEST);
  // Without its loss the next candidate has its turn, and not before the first had its time.
  const silent = device(peer({ endpoint: BEST }));
  assert.equal(round(second.memory, silent, 3_000).endpoints.size, 0);
  assert.equal(round(second.memory, silent, 9_000).endpoints.get(key(2)), NEXT);
});
