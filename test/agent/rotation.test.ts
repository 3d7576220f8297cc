/** A change of the key whose disk, device or peers fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRotation } from '../../agent/rotation.ts';
import type { LoadedKey } from '../../discovery/keystore.ts';
import type { WgDevice, WgPeer } from '../../platform/linux/types.ts';
import { memoryLog } from '../discovery/helpers.ts';
import { key } from '../mesh/facts.ts';

const OLD = key(1);
const NEXT = key(2);
const PEER = key(3);

const peer = (latestHandshake: number): WgPeer =>
  ({ publicKey: PEER, latestHandshake, allowedIps: ['10.42.3.0/24'] }) as unknown as WgPeer;

/** `handshake`: milliseconds since the peer's last one. */
function bed(start: { readonly next: boolean; readonly handshake?: number }) {
  const world = {
    disk: true,
    shown: OLD,
    handshakeAt: Date.now() - (start.handshake ?? 5_000),
    dump: true,
    asked: start.next ? undefined : 'token',
  };
  let own = { publicKey: OLD, ...(start.next && { next: { publicKey: NEXT } }) } as unknown as LoadedKey;
  const write = (to: LoadedKey): void => {
    if (!world.disk) throw new Error('ENOSPC: no space left on device');
    own = to;
  };
  const log = memoryLog();
  const rotation = openRotation({
    identity: {
      key: () => own,
      renew: () => false,
      prepare: token => write({ ...own, next: { publicKey: NEXT, token } } as unknown as LoadedKey),
      takeNext: () => write({ publicKey: NEXT, rotated: 'token' } as unknown as LoadedKey),
    },
    discovery: {
      shown: () => ({ key: world.shown, age: 0 }) as never,
      busyFor: () => 0,
      rotation: () => ({ asked: world.asked, done: undefined }) as never,
      state: () => ({ connected: true }) as never,
      lookAtOwn: () => {},
    },
    device: async () =>
      world.dump ? ({ publicKey: OLD, peers: [peer(world.handshakeAt)] } as unknown as WgDevice) : undefined,
    measures: () => new Map(),
    mark: () => {},
    log,
  });
  return { rotation, world, log };
}

/** Prepared, published, and the new key taken: peers are awaited now. */
async function taken(one: ReturnType<typeof bed>): Promise<void> {
  await one.rotation.next();
  one.world.shown = NEXT;
  await one.rotation.next();
}

test('a disk that takes no next key leaves the pass its old one, and it is tried again', async () => {
  const { rotation, world, log } = bed({ next: false });
  world.disk = false;
  const order = await rotation.next();
  assert.deepEqual([order.key.publicKey, order.change], [OLD, undefined]);
  assert.ok((order.again ?? 0) > 0);
  assert.deepEqual(rotation.status(), {
    state: 'waiting',
    reason: 'the next key cannot be written to disk',
    rotated: undefined,
  });
  assert.ok(log.lines.some(line => line.level === 'error' && /cannot be written/.test(line.message)));
  world.disk = true;
  assert.equal((await rotation.next()).change?.publicKey, NEXT);
});

test('a disk that cannot forget the old key keeps no pass up: the next key that our Node shows is used', async () => {
  const { rotation, world } = bed({ next: true });
  world.shown = NEXT;
  world.disk = false;
  const first = await rotation.next();
  assert.equal((first.change ?? first.key).publicKey, NEXT);
  assert.equal((await rotation.next()).key.publicKey, NEXT);
  world.disk = true;
  const last = await rotation.next();
  assert.deepEqual([last.key.publicKey, last.accepted], [NEXT, []]);
});

test('peers are awaited until they have a new session; a dump that fails confirms nobody', async () => {
  const one = bed({ next: false });
  await taken(one);
  assert.equal(one.rotation.status().state, 'confirming');
  one.world.dump = false;
  assert.equal((await one.rotation.next()).rotated, undefined);
  assert.equal(one.rotation.status().state, 'confirming');
  one.world.dump = true;
  one.world.handshakeAt = Date.now();
  assert.equal((await one.rotation.next()).rotated, 'token');
  assert.equal(one.rotation.status().state, 'idle');
});

test('a peer that died just before is awaited only while its old session could live', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  const one = bed({ next: false });
  await taken(one);
  t.mock.timers.setTime(1_700_000_000_000 + 170_000);
  assert.equal((await one.rotation.next()).rotated, undefined);
  t.mock.timers.setTime(1_700_000_000_000 + 181_000);
  assert.equal((await one.rotation.next()).rotated, 'token');
});
