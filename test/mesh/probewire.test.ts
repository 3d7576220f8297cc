/** Probe datagrams, there and back, and what is no probe. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeProbe, encodeProbe, type Probe } from '../../mesh/probewire.ts';

const probe = fc.record({
  kind: fc.constantFrom('question' as const, 'answer' as const),
  nonce: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  unansweredMs: fc.oneof(
    fc.integer({ min: 0, max: 0xfffe }).map(s => s * 1_000),
    fc.constant(Number.POSITIVE_INFINITY),
  ),
  size: fc.integer({ min: 15, max: 9_000 }),
});

test('what is written is read, and a datagram has the size that was asked for', () => {
  fc.assert(
    fc.property(probe, (given: Probe) => {
      const bytes = encodeProbe(given);
      assert.equal(bytes.length, given.size);
      assert.deepEqual({ ...decodeProbe(bytes) }, { ...given });
    }),
  );
});

test('the short form of the first version is read, and its answer is as short', () => {
  const short = encodeProbe({ kind: 'question', nonce: 7n, unansweredMs: undefined, size: 0 });
  assert.equal(short.toString('hex'), '776566740000000000000000' + '07');
  const seen = decodeProbe(short);
  assert.deepEqual(seen, { kind: 'question', nonce: 7n, unansweredMs: undefined, size: 13 });
  assert.equal(encodeProbe({ ...(seen as Probe), kind: 'answer' }).length, 13);
});

test('anything else is no probe', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      const buffer = Buffer.from(bytes);
      if (!buffer.subarray(0, 4).equals(Buffer.from('weft'))) assert.equal(decodeProbe(buffer), undefined);
    }),
  );
  assert.equal(decodeProbe(Buffer.from('weft')), undefined);
  assert.equal(
    decodeProbe(Buffer.concat([Buffer.from('weft'), Buffer.from([9]), Buffer.alloc(10)])),
    undefined,
  );
});
