/** Boxes: disjoint, and the same packets as before, for every overlap. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ANY_PORT,
  ANY_PROTOCOL,
  boxText,
  disjoint,
  networkWithout,
  subtract,
  unite,
} from '../../policy/boxes.ts';
import type { Box } from '../../policy/types.ts';
import type { Cidr } from '../../types.ts';

const TOP = { 4: (1n << 32n) - 1n, 6: (1n << 128n) - 1n } as const;

const box = (first: number, size: number, protocol: number, port: number, ports: number): Box => ({
  family: 4,
  first: BigInt(first),
  last: BigInt(first + size),
  protocols: protocol === 0 ? ANY_PROTOCOL : { first: protocol, last: protocol },
  ports: protocol === 0 ? ANY_PORT : { first: port, last: port + ports },
});

/** A small world, so that boxes meet in every way: 12 addresses, 8 ports. */
const boxes = fc.array(
  fc
    .tuple(fc.nat(8), fc.nat(4), fc.constantFrom(0, 6, 6, 17), fc.nat(5), fc.nat(3))
    .map(([first, size, protocol, port, ports]) => box(first, size, protocol, port, ports)),
  { maxLength: 12 },
);

const inside = (b: Box, address: number, protocol: number, port: number): boolean =>
  b.first <= address &&
  b.last >= address &&
  b.protocols.first <= protocol &&
  b.protocols.last >= protocol &&
  b.ports.first <= port &&
  b.ports.last >= port;

function* points(): Generator<[number, number, number]> {
  for (let address = 0; address < 14; address += 1)
    for (const protocol of [1, 6, 17])
      for (let port = 0; port < 10; port += 1) yield [address, protocol, port];
}

test('the same packets, each in one box', () =>
  fc.assert(
    fc.property(boxes, input => {
      const output = disjoint(input);
      for (const point of points()) {
        const hits = output.filter(b => inside(b, ...point)).length;
        assert.equal(
          hits,
          input.some(b => inside(b, ...point)) ? 1 : 0,
          `${point.join()} in ${output.map(boxText).join(', ')}`,
        );
      }
    }),
    { numRuns: 200 },
  ));

test('the order of boxes does not matter, nor does saying one twice', () =>
  fc.assert(
    fc.property(boxes, input => {
      const texts = (list: readonly Box[]): string[] => disjoint(list).map(boxText);
      assert.deepEqual(texts([...input, ...input].reverse()), texts(input));
    }),
    { numRuns: 100 },
  ));

test('one port over everything and a thousand networks stay about a thousand boxes', () => {
  const everywhere: Box = { ...box(0, 0, 6, 80, 0), last: TOP[4] };
  const networks = Array.from({ length: 1000 }, (_, n) => box(n * 512, 255, 6, 443, 0));
  assert.equal(disjoint([everywhere, ...networks]).length, 1001);
});

test('many ports inside networks that have all ports are cut by address', () => {
  const networks = Array.from({ length: 100 }, (_, n) => ({
    ...box(n * 512, 255, 6, 0, 0),
    ports: ANY_PORT,
  }));
  const ports = Array.from({ length: 100 }, (_, n) => box(1_000_000, 0, 6, 2 * n, 0));
  assert.equal(disjoint([...networks, ...ports]).length, 200);
});

test('a network without exceptions, /0 and both families', () => {
  const text = (cidr: string, ...excepts: string[]): string =>
    networkWithout(cidr as Cidr, excepts as Cidr[])
      .map(({ first, last }) =>
        boxText({
          family: cidr.includes(':') ? 6 : 4,
          first,
          last,
          protocols: ANY_PROTOCOL,
          ports: ANY_PORT,
        }),
      )
      .join(', ');
  const rest = ' . 0-255 . 0-65535';
  assert.equal(text('0.0.0.0/0'), `0.0.0.0/0${rest}`);
  assert.equal(text('::/0'), `::/0${rest}`);
  assert.equal(text('10.0.0.0/8', '10.0.0.0/9'), `10.128.0.0/9${rest}`);
  assert.equal(text('10.0.0.0/30', '10.0.0.1/32'), `10.0.0.0${rest}, 10.0.0.2/31${rest}`);
  assert.equal(
    text('0.0.0.0/0', '10.0.0.0/8', '10.2.0.0/16', '11.0.0.0/8', 'fd00::/8'),
    `0.0.0.0-9.255.255.255${rest}, 12.0.0.0-255.255.255.255${rest}`,
  );
  assert.equal(text('::/0', '8000::/1'), `::/1${rest}`);
  assert.equal(text('::/0', '::/1'), `8000::/1${rest}`);
  assert.equal(text('10.0.0.0/8', '0.0.0.0/0'), '');
  assert.equal(text('255.255.255.254/31', '255.255.255.255/32'), `255.255.255.254${rest}`);
});

test('intervals: union and difference are those of sets', () => {
  const intervals = fc.array(
    fc.tuple(fc.nat(20), fc.nat(5)).map(([a, n]) => ({ first: BigInt(a), last: BigInt(a + n) })),
    { maxLength: 8 },
  );
  const has = (list: readonly { first: bigint; last: bigint }[], n: number): boolean =>
    list.some(i => i.first <= n && i.last >= n);
  fc.assert(
    fc.property(intervals, intervals, (a, b) => {
      const left = subtract(unite(a), unite(b));
      for (let n = 0; n < 30; n += 1) {
        assert.equal(has(unite(a), n), has(a, n));
        assert.equal(has(left, n), has(a, n) && !has(b, n));
      }
    }),
  );
});
