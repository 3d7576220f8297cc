import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ceiling,
  fallen,
  isDue,
  LEAST_MTU,
  largest,
  limitOf,
  newPath,
  reachedBy,
  risen,
  tested,
  underlayLimit,
} from '../../mesh/pathmtu.ts';
import { plan } from '../../mesh/plan.ts';
import { meshRoutes } from '../../mesh/routes.ts';
import type { Endpoint } from '../../types.ts';
import { facts, key, node } from './facts.ts';

test('the search ends at the largest size that passes, or a step below', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: LEAST_MTU, max: 9_000 }),
      fc.integer({ min: 0, max: 9_000 }),
      async (low, more) => {
        const high = low + more;
        await fc.assert(
          fc.asyncProperty(fc.integer({ min: low, max: high }), async truth => {
            const found = await largest(low, high, async size => size <= truth);
            assert.ok(found <= truth && truth - found <= 8);
          }),
          { numRuns: 5 },
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('the underlay lowers a path by its link or by a router’s word, never below what IPv6 needs', () => {
  assert.equal(underlayLimit(1420, 1500, undefined), undefined);
  assert.equal(underlayLimit(8920, 1500, undefined), 1420);
  assert.equal(underlayLimit(1420, 1500, 1400), 1320);
  assert.equal(underlayLimit(1420, 1280, undefined), LEAST_MTU);
  assert.equal(underlayLimit(1420, undefined, undefined), undefined);
});

test('the smaller of underlay and black hole counts, and neither where the tunnel is smaller still', () => {
  const path = { ...newPath(0), underlay: 1400 };
  assert.deepEqual(limitOf(path, 1420), { mtu: 1400, why: 'underlay' });
  assert.deepEqual(limitOf(fallen(path, 1320, 0), 1420), { mtu: 1320, why: 'black hole' });
  assert.equal(limitOf(fallen(path, 1320, 0), 1300), undefined);
  assert.deepEqual(limitOf(risen(fallen(path, 1320, 0)), 1420), { mtu: 1400, why: 'underlay' });
  assert.equal(ceiling(path, 1420), 1400);
});

test('a path is tested seldom once it is known, and at once by another endpoint', () => {
  const first = reachedBy(newPath(0), '192.0.2.1:1' as Endpoint, 10);
  assert.equal(first.testAt, 10);
  const known = tested(fallen(first, 1300, 20), 2, 0, 20);
  assert.ok(known.testAt >= 60_000 && known.riseAt >= 600_000);
  assert.ok(tested(first, 1_000, 0, 0).testAt > 200_000, 'less often where there are many');
  assert.equal(reachedBy(known, '192.0.2.1:1' as Endpoint, 30), known);
  const moved = reachedBy(known, '192.0.2.9:1' as Endpoint, 30);
  assert.deepEqual([moved.testAt, moved.riseAt, moved.hole], [30, 30, 1300], 'believed until it is tested');
});

test('a path in use is due ten seconds after its test, and no other is', () => {
  const path = tested(newPath(0), 2, 5_000, 0);
  const due = (txBytes: number, now: number): boolean => isDue(path, txBytes, now);
  assert.deepEqual([due(15_000, 10_000), due(15_000, 9_999), due(14_999, 59_999)], [true, false, false]);
  assert.equal(due(0, 59_999), false, 'a device made anew counts from 0');
  assert.equal(due(5_000, 60_000), true);
  assert.equal(isDue(newPath(7), 0, 7), true);
});

test('the routes to a limited peer say so, and no others', () => {
  const limits = new Map([[key(2), { mtu: 1320, why: 'black hole' as const }]]);
  const nodes = [node(1), node(2), node(3)];
  const routes = meshRoutes(plan({ ...facts(nodes), limits })).filter(route => route.kind === 'unicast');
  assert.deepEqual(
    routes.map(route => [route.dst, route.mtu]),
    [
      ['10.42.2.0/24', 1320],
      ['10.42.3.0/24', undefined],
      ['fd42:0:0:2::/64', 1320],
      ['fd42:0:0:3::/64', undefined],
    ],
  );
});
