import assert from 'node:assert/strict';
import { test } from 'node:test';
import { givenUp } from '../../mesh/heirs.ts';
import { plan } from '../../mesh/plan.ts';
import { type MeshMemory, nextRound, remembering } from '../../mesh/rounds.ts';
import type { WgDevice, WgPeer } from '../../platform/linux/types.ts';
import type { Endpoint } from '../../types.ts';
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

const round = (memory: MeshMemory, there: WgDevice, now: number) =>
  nextRound(meshed, key(1), there, memory, publication, true, now);

test('a device that lost the endpoint, as a new wireguard-go has, gets the best one at once', () => {
  const first = round(remembering([]), device(), 1_000);
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

test('a node with a new key is called at once where its old self is, which goes a second later', () => {
  const ROAMED = '203.0.113.9:4500' as Endpoint;
  const again = plan(facts([node(1), node(2, { publicKey: key(22), endpoints: [{ t: 'host', a: NEXT }] })]));
  const old = peer({
    endpoint: ROAMED,
    latestHandshake: 900,
    allowedIps: again.peers[0]?.allowedIps ?? [],
  });
  const look = (memory: MeshMemory, there: WgDevice, now: number) =>
    nextRound(again, key(1), there, memory, publication, false, now);
  const before = round(remembering([]), device(old), 1_000).memory;
  const first = look(before, device(old), 2_000);
  assert.deepEqual([...first.endpoints], [[key(22), ROAMED]]);
  assert.deepEqual([...first.memory.retiring.keys()], [key(2)]);
  const heir = peer({
    publicKey: key(22),
    endpoint: ROAMED,
    latestHandshake: 2_000,
    allowedIps: old.allowedIps,
  });
  const both = device({ ...old, allowedIps: [] }, heir);
  const soon = look(first.memory, both, 2_400);
  assert.deepEqual([soon.endpoints.size, [...soon.memory.retiring.keys()], soon.again], [0, [key(2)], 600]);
  assert.equal(look(soon.memory, both, 3_000).memory.retiring.size, 0);
  // Of another node that has come to its networks nobody knows that it is there.
  const other = plan(facts([node(1), node(3, { publicKey: key(33), podCidrs: old.allowedIps })]));
  const moved = nextRound(other, key(1), device(old), before, publication, false, 2_000);
  assert.deepEqual([...moved.endpoints], [[key(33), '192.0.2.3:51820']]);
});

test('a Node that shows its key no more is given up when its tunnel is dead, and others never', () => {
  const nodes = [node(1), node(2, { keyGone: true }), node(3)];
  const alive = peer({ latestHandshake: 1_000 });
  assert.deepEqual(givenUp(nodes, device(alive), 180_999), []);
  assert.deepEqual(givenUp(nodes, device(alive), 181_000), ['uid-2']);
  assert.deepEqual(givenUp(nodes, device(peer({})), 181_000), ['uid-2'], 'never a handshake');
  assert.deepEqual(givenUp(nodes, device(), 181_000), ['uid-2'], 'no such peer');
  assert.deepEqual(givenUp([node(1), node(2), node(3)], device(alive), 1e9), []);
});

test('a peer that moved between two agents is followed: what it had published before is known', () => {
  const OLD = '192.0.2.102:51820' as Endpoint;
  const there = device(peer({ endpoint: OLD, latestHandshake: 900 }));
  assert.equal(round(remembering([]), there, 1_000).endpoints.size, 0, 'an address that was learnt is kept');
  const known = remembering([
    node(2, {
      endpoints: [
        { t: 'host', a: BEST },
        { t: 'host', a: OLD },
      ],
    }),
  ]);
  assert.deepEqual([...round(known, there, 1_000).endpoints], [[key(2), NEXT]]);
});

test('what comes from a peer after its endpoint was set speaks for it, however old its handshake', () => {
  const OLD = '192.0.2.102:51820' as Endpoint;
  const known = remembering([node(2, { endpoints: [{ t: 'host', a: OLD }] })]);
  const before = { latestHandshake: 900, rxBytes: 500 };
  const { memory } = round(known, device(peer({ ...before, endpoint: OLD })), 1_000);
  const later = (rxBytes: number) =>
    round(memory, device(peer({ ...before, endpoint: BEST, rxBytes })), 13_000);
  assert.equal(later(600).endpoints.size, 0);
  assert.deepEqual([...later(500).endpoints], [[key(2), NEXT]]);
});
