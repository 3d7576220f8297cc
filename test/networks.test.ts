import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  aggregate,
  cidrRange,
  compareCidrs,
  containsCidr,
  containsIp,
  familyOf,
  hostCidr,
  ipFromNumber,
  ipToNumber,
  overlaps,
  prefixLength,
} from '../ip.ts';
import { anyFamily, around, cidr, inAny, nearCidr, nearCidrs, nearIp, probes } from './addresses.ts';

describe('membership', () => {
  test('a network holds exactly the addresses from its first to its last', () => {
    fc.assert(
      fc.property(nearCidr, nearIp, (c, x) => {
        const { family, first, last } = cidrRange(c);
        const number = ipToNumber(x);
        assert.equal(containsIp(c, x), family === familyOf(x) && first <= number && number <= last);
        assert.equal(containsIp(c, x), containsCidr(c, hostCidr(x)));
      }),
    );
  });
  test('containment is by addresses', () => {
    fc.assert(
      fc.property(nearCidr, nearCidr, (a, b) => {
        const inside = probes([b]).filter(x => containsIp(b, x));
        assert.equal(
          containsCidr(a, b),
          inside.every(x => containsIp(a, x)),
        );
      }),
    );
  });
  test('a run of single addresses becomes networks of just these', () => {
    fc.assert(
      fc.property(
        anyFamily,
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 1, max: 64 }),
        (family, at, n) => {
          const hosts = Array.from({ length: n }, (_, i) => hostCidr(ipFromNumber(family, BigInt(at + i))));
          const ranges = aggregate(hosts).map(cidrRange);
          assert.equal(ranges[0]?.first, BigInt(at));
          assert.equal(ranges.at(-1)?.last, BigInt(at + n - 1));
          assert.equal(
            ranges.reduce((sum, r) => sum + r.last - r.first + 1n, 0n),
            BigInt(n),
          );
        },
      ),
    );
  });
});

describe('sets of networks', () => {
  test('examples', () => {
    assert.deepEqual(
      aggregate(['10.42.1.0/24', '10.42.0.0/24', '10.42.0.128/25', 'fd42:0:0:1::/64', 'fd42::/64'].map(cidr)),
      ['10.42.0.0/23', 'fd42::/63'],
    );
    assert.deepEqual(aggregate(['0.0.0.0/1', '128.0.0.0/1'].map(cidr)), ['0.0.0.0/0']);
  });
  test('aggregate keeps the addresses, sorted, disjoint, and cannot be merged further', () => {
    fc.assert(
      fc.property(nearCidrs, cidrs => {
        const merged = aggregate(cidrs);
        for (const x of probes([...cidrs, ...merged])) assert.equal(inAny(merged, x), inAny(cidrs, x), x);
        assert.deepEqual([...merged].sort(compareCidrs), merged);
        for (const [i, a] of merged.entries())
          for (const b of merged.slice(i + 1)) assert.equal(overlaps(a, b), false);
        for (const [i, a] of merged.entries()) {
          const b = merged[i + 1];
          if (b === undefined || prefixLength(a) !== prefixLength(b) || prefixLength(a) === 0) continue;
          const [ra, rb] = [cidrRange(a), cidrRange(b)];
          const siblings = ra.family === rb.family && ra.last + 1n === rb.first;
          const parent = around(ipFromNumber(ra.family, ra.first), prefixLength(a) - 1);
          assert.equal(siblings && containsCidr(parent, b), false, `${a} ${b}`);
        }
        assert.deepEqual(aggregate(merged), merged);
      }),
    );
  });
});
