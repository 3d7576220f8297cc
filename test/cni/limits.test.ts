import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CniError } from '../../cni/errors.ts';
import { parseLimits } from '../../cni/limits.ts';

test('bits as runtimes give them become bytes', () => {
  const both = { ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 80_000_000, egressBurst: 0 };
  assert.deepEqual(parseLimits(both), {
    ingress: { rate: 1_000_000, burst: 1_000_000 },
    egress: { rate: 10_000_000, burst: 200_000 },
  });
});

test('as containerd spells it', () => {
  const spelt = { IngressRate: 8_000_000, IngressBurst: 0xffff_ffff, EgressRate: 0, EgressBurst: 0 };
  assert.deepEqual(parseLimits(spelt), { ingress: { rate: 1_000_000, burst: 65_536 } });
});

test('a burst that nobody has set is chosen, one that is too small is raised', () => {
  for (const egressBurst of [0, 1, 0x7fff_ffff, 0xffff_ffff])
    assert.deepEqual(parseLimits({ egressRate: 1_000_000, egressBurst }), {
      egress: { rate: 125_000, burst: 65_536 },
    });
});

test('nothing asked for is nothing', () => {
  for (const value of [undefined, null, {}, { ingressRate: 0, egressRate: 0, ingressBurst: 5 }])
    assert.equal(parseLimits(value), undefined);
});

test('whatever it is, it is read, left out, or refused as a CNI error', () => {
  const number = fc.oneof(fc.anything(), fc.integer(), fc.double());
  const value = fc.oneof(
    fc.anything(),
    fc.record({ ingressRate: number, ingressBurst: number, egressRate: number }, { requiredKeys: [] }),
  );
  fc.assert(
    fc.property(value, given => {
      try {
        const limits = parseLimits(given);
        for (const one of [limits?.ingress, limits?.egress])
          assert.ok(
            one === undefined || (one.rate >= 125 && one.burst >= 65_536 && one.burst <= 0xffff_ffff),
          );
      } catch (error) {
        assert.ok(error instanceof CniError, String(error));
        assert.equal(error.code, 7);
      }
    }),
  );
});
