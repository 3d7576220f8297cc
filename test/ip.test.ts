import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Address6 } from 'ip-address';
import {
  compareCidrs,
  compareIps,
  containsCidr,
  containsIp,
  familyOf,
  hostCidr,
  ipFromBytes,
  ipFromNumber,
  ipToBytes,
  ipToNumber,
  nthAddress,
  overlaps,
  parseCidr,
  parseEndpoint,
  parseIp,
  toEndpoint,
} from '../ip.ts';
import type { Ip } from '../types.ts';
import { anyIp, cidr, ip, nearCidr, nearIp, value, width } from './addresses.ts';

describe('parsing', () => {
  const spellings: readonly (readonly [string, string])[] = [
    ['10.42.0.1', '10.42.0.1'],
    ['FD42:0:0:0::0001', 'fd42::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::', '::'],
  ];
  for (const [text, canonical] of spellings)
    test(`${text} is ${canonical}`, () => assert.equal(ip(text), canonical));

  const refused = [
    '',
    '10.42.0',
    '10.42.0.256',
    '010.1.1.1',
    '10.42.0.1/32',
    'fe80::1%eth0',
    '1::2::3',
    'fd42::g',
    ' ::1',
  ];
  for (const text of refused)
    test(`${JSON.stringify(text)} is no address`, () => assert.equal(parseIp(text).ok, false));

  test('an IPv4-mapped address is its IPv4 address', () => {
    assert.equal(ip('::ffff:10.1.2.3'), '10.1.2.3');
    assert.equal(ip('::ffff:a01:203'), '10.1.2.3');
  });

  test('a network with host bits names the network', () => {
    const result = parseCidr('10.42.3.7/16');
    assert.match(result.ok ? '' : result.error, /its network is 10\.42\.0\.0\/16/);
    assert.equal(cidr('FD42::/48'), 'fd42::/48');
    for (const text of ['10.42.0.0', '10.0.0.0/33', '10.0.0.0/', 'fd42::/129', '/24'])
      assert.equal(parseCidr(text).ok, false, text);
  });

  test('agrees with node:net on what is an address', () => {
    fc.assert(
      fc.property(anyIp, x => {
        assert.equal(familyOf(x) === 4 ? isIPv4(x) : isIPv6(x), true);
        assert.equal(ip(x), x);
        assert.equal(ip(x.toUpperCase()), x);
      }),
    );
  });
});

describe('numbers and bytes', () => {
  test('round trips', () => {
    fc.assert(
      fc.property(anyIp, x => {
        assert.equal(ipFromNumber(familyOf(x), ipToNumber(x)), x);
        assert.equal(ipFromBytes(ipToBytes(x)), x);
        assert.equal(ipToBytes(x).length, width(familyOf(x)) / 8);
      }),
    );
  });
  test('IPv6 reads and writes as the library does, with zeros anywhere', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), groups => {
        const long = groups.map(n => n.toString(16)).join(':');
        const theirs = new Address6(long);
        const number = theirs.bigInt();
        assert.equal(ipFromNumber(6, number), theirs.correctForm());
        assert.equal(ipToNumber(theirs.correctForm() as Ip), number);
      }),
    );
  });
  test('known bytes', () => {
    assert.equal(ipToBytes(ip('10.42.0.1')).toString('hex'), '0a2a0001');
    assert.equal(ipToBytes(ip('fd42::1')).toString('hex'), 'fd420000000000000000000000000001');
  });
  test('nth address', () => {
    assert.equal(nthAddress(cidr('10.42.0.0/24'), 1n), '10.42.0.1');
    assert.equal(nthAddress(cidr('10.42.0.0/24'), 255n), '10.42.0.255');
    assert.equal(nthAddress(cidr('fd42::/64'), 1n << 63n), 'fd42::8000:0:0:0');
    assert.throws(() => nthAddress(cidr('10.42.0.0/24'), 256n), /10\.42\.0\.0\/24 has no address number 256/);
  });
});

describe('relations', () => {
  test('containment, overlap and their examples', () => {
    assert.equal(containsCidr(cidr('10.0.0.0/8'), cidr('10.42.0.0/24')), true);
    assert.equal(containsCidr(cidr('10.42.0.0/24'), cidr('10.0.0.0/8')), false);
    assert.equal(overlaps(cidr('10.0.0.0/8'), cidr('10.42.0.0/24')), true);
    assert.equal(overlaps(cidr('::/0'), cidr('0.0.0.0/0')), false);
    assert.equal(containsIp(cidr('::/0'), ip('1.2.3.4')), false);
    assert.equal(hostCidr(ip('fd42::1')), 'fd42::1/128');
  });
  test('two networks overlap only where one contains the other', () => {
    fc.assert(
      fc.property(nearCidr, nearCidr, (a, b) => {
        assert.equal(overlaps(a, b), containsCidr(a, b) || containsCidr(b, a));
        assert.equal(overlaps(a, b), overlaps(b, a));
      }),
    );
  });
  test('order is IPv4 first, then numeric', () => {
    const sorted = [
      '10.9.0.0/16',
      '10.10.0.0/16',
      '10.10.0.0/24',
      'fd42::/48',
      'fd42::/64',
      'fd42:0:0:10::/64',
    ].map(cidr);
    fc.assert(
      fc.property(fc.shuffledSubarray(sorted, { minLength: sorted.length }), mixed =>
        assert.deepEqual([...mixed].sort(compareCidrs), sorted),
      ),
    );
    assert.deepEqual(['::1', '10.0.0.10', '10.0.0.9'].map(ip).sort(compareIps), [
      '10.0.0.9',
      '10.0.0.10',
      '::1',
    ]);
  });
});

/** Antisymmetric, transitive, total, and 0 only for the same text. */
function totalOrder<T>(any: fc.Arbitrary<T>, compare: (a: T, b: T) => number): void {
  fc.assert(
    fc.property(any, any, any, (a, b, c) => {
      assert.equal(Math.sign(compare(a, b)), -Math.sign(compare(b, a)) + 0);
      assert.equal(compare(a, b) === 0, a === b);
      if (compare(a, b) <= 0 && compare(b, c) <= 0) assert.ok(compare(a, c) <= 0);
    }),
  );
}

describe('orders', () => {
  test('compareIps is a total order', () => totalOrder(fc.oneof(nearIp, anyIp), compareIps));
  test('compareCidrs is a total order', () => totalOrder(nearCidr, compareCidrs));
  test('a network comes before what it contains', () => {
    fc.assert(
      fc.property(nearCidr, nearCidr, (a, b) => {
        if (a !== b && containsCidr(a, b)) assert.ok(compareCidrs(a, b) < 0);
      }),
    );
  });
});

describe('endpoints', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(anyIp, fc.integer({ min: 1, max: 65535 }), (x, port) => {
        assert.deepEqual(value(parseEndpoint(toEndpoint(x, port))), { ip: x, port });
      }),
    );
  });
  const refused = [
    '',
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    'fd42::1:51820',
    '[10.0.0.1]:1',
    '[fe80::1%2]:1',
    'host:1',
  ];
  for (const text of refused)
    test(`${JSON.stringify(text)} is no endpoint`, () => assert.equal(parseEndpoint(text).ok, false));
});
