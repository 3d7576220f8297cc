/** Small pure pieces: backoff, edit distance, the own Node, what a list and a watch line may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../discovery/api-error.ts';
import { backoff } from '../../discovery/clock.ts';
import { parseOwnNode } from '../../discovery/own.ts';
import { isPublic, isReachable } from '../../discovery/scope.ts';
import { openStore } from '../../discovery/store.ts';
import type { NodeFact } from '../../discovery/types.ts';
import { distance, meant } from '../../discovery/typo.ts';
import { parseListPage, parseWatchLine } from '../../discovery/watchevent.ts';
import type { Ip, PublicKey } from '../../types.ts';

test('backoff doubles, is bounded, and never falls under half', () => {
  const limits = { firstMs: 500, maxMs: 15_000 };
  assert.deepEqual(
    [1, 2, 3, 6, 7, 1_000].map(n => backoff(n, limits, 1)),
    [500, 1_000, 2_000, 15_000, 15_000, 15_000],
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, random) => {
      const full = backoff(n, limits, 1);
      const ms = backoff(n, limits, random);
      assert.ok(ms >= full / 2 && ms <= full);
    }),
  );
});

test('edit distance is a metric that counts single letters', () => {
  assert.equal(distance('kitten', 'sitting'), 3);
  const word = fc.string({ maxLength: 12 });
  fc.assert(fc.property(word, word, (a, b) => assert.equal(distance(a, b), distance(b, a))));
  fc.assert(
    fc.property(word, fc.nat(11), (a, n) =>
      assert.equal(distance(a, a.slice(0, n) + a.slice(n + 1)), n < a.length ? 1 : 0),
    ),
  );
  assert.equal(meant('relya', ['relay', 'location']), 'relay');
  assert.equal(meant('relay', ['relay']), undefined);
  assert.equal(meant('next-public-key', ['public-key']), undefined);
});

test('scope of addresses', () => {
  const rows: readonly (readonly [string, boolean, boolean])[] = [
    ['127.0.0.1', false, false],
    ['169.254.1.1', false, false],
    ['224.0.0.1', false, false],
    ['255.255.255.255', false, false],
    ['::', false, false],
    ['::1', false, false],
    ['fe80::1', false, false],
    ['ff02::1', false, false],
    ['10.0.0.1', true, false],
    ['100.127.255.255', true, false],
    ['172.31.0.1', true, false],
    ['fd00::1', true, false],
    ['172.32.0.1', true, true],
    ['100.128.0.1', true, true],
    ['203.0.113.7', true, true],
    ['2001:db8::1', true, true],
  ];
  for (const [ip, reachable, open] of rows)
    assert.deepEqual([isReachable(ip as Ip), isPublic(ip as Ip)], [reachable, open], ip);
});

test('the own Node: addresses of both kinds and of k3s, once each; nothing throws', () => {
  const own = parseOwnNode({
    metadata: { uid: 'u', annotations: { 'k3s.io/external-ip': '203.0.113.7, 2001:db8::7,junk', n: 1 } },
    spec: { podCIDRs: ['10.42.0.0/24'] },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.168.1.7' },
        { type: 'InternalIP', address: '192.168.1.7' },
        { type: 'ExternalIP', address: '203.0.113.7' },
        { type: 'Hostname', address: 'node1' },
        null,
      ],
    },
  });
  assert.deepEqual(own.addresses, { internal: ['192.168.1.7'], external: ['203.0.113.7', '2001:db8::7'] });
  assert.equal(own.networkUnavailable, false);
  const conditions = (...list: readonly object[]) =>
    parseOwnNode({ status: { conditions: list } }).networkUnavailable;
  assert.equal(conditions({ type: 'NetworkUnavailable', status: 'True' }), true);
  assert.equal(conditions({ type: 'NetworkUnavailable', status: 'False' }), false);
  assert.equal(conditions({ type: 'MemoryPressure', status: 'True' }), false);
  assert.deepEqual(own.podCidrs, ['10.42.0.0/24']);
  assert.deepEqual(Object.keys(own.annotations), ['k3s.io/external-ip']);
  fc.assert(fc.property(fc.anything(), value => void parseOwnNode(value)));
});

test('anything in place of a list or a watch line: ApiError, never another', () => {
  const onlyApiErrors = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof ApiError);
    }
  };
  const objectLike = fc.record(
    {
      type: fc.constantFrom('ADDED', 'ERROR', 'BOOKMARK', 'x'),
      object: fc.jsonValue(),
      metadata: fc.jsonValue(),
      items: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), objectLike), json => {
      onlyApiErrors(() => parseListPage(json));
      onlyApiErrors(() => parseWatchLine(JSON.stringify(json)));
    }),
  );
  fc.assert(fc.property(fc.string(), line => onlyApiErrors(() => parseWatchLine(line))));
});

const fact = (name: string, uid: string): NodeFact => ({
  name,
  uid,
  createdAt: '2026-01-01T00:00:00Z',
  podCidrs: [],
  publicKey: undefined,
  endpoints: [],
  forceEndpoint: undefined,
  location: undefined,
  keepalive: undefined,
  relay: true,
  errors: [],
});

test('store: a key that does not parse leaves the last good one of the same Node, and only of that', () => {
  const [good, other] = ['good', 'other'] as unknown as readonly [PublicKey, PublicKey];
  const garbled: Partial<NodeFact> = {
    publicKey: undefined,
    errors: [{ annotation: 'weft.network/public-key', value: 'x', message: 'is none' }],
  };
  const store = openStore([{ ...fact('a', '1'), publicKey: good }]);
  store.put({ ...fact('a', '1'), ...garbled });
  assert.equal(store.byName('a')?.publicKey, good);
  assert.equal(store.byName('a')?.errors.length, 1);
  assert.equal(store.letGo('1'), false, 'a key that does not parse is held as long as it stands there');
  store.put({ ...fact('a', '1'), publicKey: other });
  store.put({ ...fact('a', '2'), ...garbled });
  assert.equal(store.byName('a')?.publicKey, undefined, 'another Node of that name');
});

test('store: a key that is gone is held until it is let go, comes back, or the Node says that it leaves', () => {
  const [good, other] = ['good', 'other'] as unknown as readonly [PublicKey, PublicKey];
  const store = openStore([{ ...fact('a', '1'), publicKey: good }]);
  const held = (): unknown => [store.byName('a')?.publicKey, store.byName('a')?.keyGone];
  assert.equal(store.letGo('1'), false);
  assert.equal(store.list([fact('a', '1')], true), true);
  assert.deepEqual(held(), [good, true]);
  assert.equal(store.put(fact('a', '1')), false);
  store.put({ ...fact('a', '1'), publicKey: other });
  assert.deepEqual(held(), [other, undefined]);
  store.put(fact('a', '1'));
  assert.deepEqual(held(), [other, true]);
  assert.equal(store.letGo('1'), true);
  assert.equal(store.letGo('1'), false);
  assert.deepEqual(held(), [undefined, undefined]);
  assert.equal(store.put(fact('a', '1')), false, 'and does not come back by itself');
  store.put({ ...fact('a', '1'), publicKey: good });
  store.put({ ...fact('a', '1'), left: true });
  assert.deepEqual(held(), [undefined, undefined]);
  store.put(fact('a', '1'));
  assert.deepEqual(held(), [undefined, undefined]);
});

test('store: says what is a change, keeps podCIDRs, sorts, and lets a name go to its new Node', () => {
  const store = openStore([]);
  assert.equal(store.put(fact('b', '2')), true);
  assert.equal(store.put(fact('a', '1')), true);
  assert.equal(store.put(fact('a', '1')), false);
  assert.equal(store.setPodCidrs('1', ['10.42.0.0/24']), true);
  assert.equal(store.setPodCidrs('1', ['10.42.0.0/24']), false);
  assert.equal(store.setPodCidrs('9', ['10.42.0.0/24']), false);
  assert.equal(store.put(fact('a', '1')), false, 'metadata without podCIDRs takes none away');
  assert.deepEqual(
    store.facts().map(f => `${f.name} ${f.podCidrs.join()}`),
    ['a 10.42.0.0/24', 'b '],
  );
  assert.equal(store.facts(), store.facts());
  store.put(fact('a', '3'));
  assert.deepEqual(
    store.facts().map(f => f.uid),
    ['3', '2'],
  );
  assert.deepEqual(store.byName('a')?.podCidrs, []);
  assert.equal(store.list([fact('b', '2')], false), false);
  assert.equal(store.list([fact('b', '2')], true), true);
  assert.equal(store.byName('a'), undefined);
  assert.equal(store.remove('2'), true);
  assert.equal(store.remove('2'), false);
  assert.deepEqual(store.facts(), []);
});
