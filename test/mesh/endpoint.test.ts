import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  chooseEndpoint,
  DEAF_MS,
  type EndpointFacts,
  FRESH_MS,
  initiative,
  TRY_MS,
} from '../../mesh/endpoint.ts';
import type { Endpoint } from '../../types.ts';

const a = '192.0.2.1:51820' as Endpoint;
const b = '203.0.113.1:51820' as Endpoint;
const roamed = '198.51.100.9:40000' as Endpoint;

const choose = (facts: Partial<EndpointFacts>) =>
  chooseEndpoint({
    candidates: [a, b],
    published: [a, b],
    current: undefined,
    handshakeAge: undefined,
    lastSet: undefined,
    knownFor: 0,
    patience: 0,
    deadEnds: new Set(),
    ...facts,
  });

test('a new peer gets its best candidate, after the patience of this end', () => {
  assert.deepEqual(choose({}), { kind: 'set', endpoint: a });
  assert.deepEqual(choose({ patience: 1500, knownFor: 400 }), { kind: 'wait', ms: 1100 });
  assert.deepEqual(choose({ patience: 1500, knownFor: 1500 }), { kind: 'set', endpoint: a });
});

test('without an answer the next candidate follows, and the first again after the last', () => {
  assert.deepEqual(choose({ current: a, lastSet: { endpoint: a, age: TRY_MS - 1, heard: false } }), {
    kind: 'wait',
    ms: 1,
  });
  assert.deepEqual(choose({ current: a, lastSet: { endpoint: a, age: TRY_MS, heard: false } }), {
    kind: 'set',
    endpoint: b,
  });
  assert.deepEqual(choose({ current: b, lastSet: { endpoint: b, age: TRY_MS, heard: false } }), {
    kind: 'set',
    endpoint: a,
  });
});

test('a single candidate that is set already is not set again', () => {
  assert.deepEqual(
    choose({ candidates: [a], current: a, lastSet: { endpoint: a, age: 60_000, heard: false } }),
    {
      kind: 'keep',
    },
  );
});

test('an address that the peer has withdrawn is left at once, however fresh the handshake', () => {
  const moved = choose({
    candidates: [b],
    current: a,
    lastSet: { endpoint: a, age: 90_000, heard: false },
    handshakeAge: 1_000,
  });
  assert.deepEqual(moved, { kind: 'set', endpoint: b });
});

test('in its place comes what the peer published later, which may not be its best one', () => {
  const left = { current: roamed, handshakeAge: 1_000 };
  const choice = choose({ ...left, candidates: [a, b], published: [a, roamed, b] });
  assert.deepEqual(choice, { kind: 'set', endpoint: b });
  const none = choose({ ...left, candidates: [a, b], published: [a, b, roamed] });
  assert.deepEqual(none, { kind: 'set', endpoint: a });
});

test('an endpoint that this end chose while the handshake was fresh is left for the next where nothing comes by it', () => {
  const chosen = (age: number, heard = false, current = a) =>
    choose({ current, handshakeAge: 60_000, lastSet: { endpoint: a, age, heard } });
  assert.deepEqual(chosen(DEAF_MS - 1), { kind: 'wait', ms: 1 });
  assert.deepEqual(chosen(DEAF_MS), { kind: 'set', endpoint: b });
  assert.deepEqual(chosen(DEAF_MS, true), { kind: 'keep' });
  assert.deepEqual(chosen(DEAF_MS, false, roamed), { kind: 'keep' });
});

test('an endpoint to which no way leads from here any more is left for one that can be reached, if there is one', () => {
  const stuck = { current: roamed, handshakeAge: 1_000, lastSet: { endpoint: a, age: 1_000, heard: false } };
  assert.deepEqual(choose({ ...stuck, deadEnds: new Set([roamed]) }), { kind: 'set', endpoint: a });
  assert.deepEqual(choose({ ...stuck, deadEnds: new Set([roamed, a]) }), { kind: 'set', endpoint: b });
  assert.deepEqual(choose({ ...stuck, deadEnds: new Set([roamed, a, b]) }), { kind: 'keep' });
  assert.deepEqual(choose({ ...stuck, deadEnds: new Set([a, b]) }), { kind: 'keep' });
});

test('while the handshake is fresh a learnt endpoint is never put back', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: FRESH_MS - 1 }),
      fc.nat(1_000_000),
      fc.constantFrom([a], [a, b], [b]),
      (handshakeAge, age, candidates) => {
        const choice = choose({
          candidates,
          current: roamed,
          lastSet: { endpoint: a, age, heard: false },
          handshakeAge,
          knownFor: age,
        });
        assert.deepEqual(choice, { kind: 'keep' });
      },
    ),
  );
});

test('a stale session is tried again from the candidates', () => {
  const stale = choose({ current: roamed, lastSet: undefined, handshakeAge: FRESH_MS, knownFor: 10_000 });
  assert.deepEqual(stale, { kind: 'set', endpoint: a });
});

test('of two ends at most one begins within the time that glare needs', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.nat(10_000), fc.boolean(), (left, right, sawFirst) => {
      // Two nodes publish at `left` and `right`; the later one has seen the earlier one's key before, or not.
      const later = Math.max(left, right) - Math.min(left, right);
      const early = initiative({ ownKey: 'a', peerKey: 'b', bothKnewBefore: false, appearedAfter: later });
      const late = initiative({
        ownKey: 'b',
        peerKey: 'a',
        bothKnewBefore: false,
        appearedAfter: sawFirst ? undefined : 0,
      });
      assert.ok(Math.abs(early - late) >= 500, `${early} and ${late}`);
    }),
  );
  assert.notEqual(
    initiative({ ownKey: 'a', peerKey: 'b', bothKnewBefore: true, appearedAfter: undefined }),
    initiative({ ownKey: 'b', peerKey: 'a', bothKnewBefore: true, appearedAfter: undefined }),
  );
});
