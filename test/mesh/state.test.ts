/** A peer's state as a function of what was seen and when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  FAILED_MS,
  heardFrom,
  type Look,
  looked,
  lossOf,
  newMeasure,
  type PeerMeasure,
  probed,
  settle,
} from '../../mesh/state.ts';
import type { Endpoint } from '../../types.ts';

const look = (change: Partial<Look> = {}): Look => ({
  endpoint: '192.0.2.2:51820' as Endpoint,
  handshakeStamp: 0,
  handshakeAgeMs: 0,
  rxBytes: 0,
  txBytes: 0,
  candidates: 1,
  ...change,
});

/** Probes, one a second, from `at` on. */
const asked = (m: PeerMeasure, at: number, ...answers: (number | undefined)[]): PeerMeasure =>
  answers.reduce((before, rtt, i) => probed(before, rtt, at + i * 1_000), m);

const lost = (n: number): undefined[] => Array.from({ length: n }, () => undefined);

const established = (at: number): PeerMeasure =>
  asked(looked(newMeasure(at), look({ handshakeStamp: 1, rxBytes: 100 }), at), at, 5, 5);

test('the first answer makes a new peer established, and its round trip is that of the second', () => {
  const one = probed(newMeasure(0), 900, 100);
  assert.equal(one.state, 'established');
  assert.equal(one.since, 100);
  assert.equal(probed(one, 4, 300).rttMs, 4);
  assert.ok((asked(one, 300, 4, 8).rttMs ?? 0) > 4);
});

test('a session alone is not yet established', () => {
  const m = looked(newMeasure(0), look({ handshakeStamp: 1, rxBytes: 92 }), 10);
  assert.equal(m.state, 'connecting');
});

test('three lost probes within ten seconds of an answer, as in a restart of the agent there, change nothing', () => {
  const m = asked(established(0), 2_000, ...lost(5));
  assert.equal(m.state, 'established');
  assert.equal(probed(m, 5, 9_000).state, 'established');
  assert.equal(lossOf(m), 5 / 7);
});

test('nothing comes any more: retrying, and failed after five minutes', () => {
  const m = asked(established(0), 15_000, ...lost(3));
  assert.equal(m.state, 'retrying');
  assert.equal(m.since, 17_000);
  assert.equal(settle(m, 1_000 + FAILED_MS).state, 'failed');
});

test('packets come and nothing is answered: pending', () => {
  const m = looked(
    asked(established(0), 14_000, ...lost(2)),
    look({ handshakeStamp: 1, rxBytes: 500 }),
    16_000,
  );
  assert.equal(m.state, 'established');
  assert.equal(probed(m, undefined, 17_000).state, 'pending');
  assert.equal(heardFrom(asked(m, 17_000, ...lost(20)), 9_000, 37_000).state, 'pending');
});

test('one that was lost is back after two answers in a row, not one', () => {
  const down = asked(established(0), 15_000, ...lost(3));
  const once = probed(down, 5, 20_000);
  assert.equal(once.state, 'pending');
  assert.equal(probed(once, undefined, 21_000).state, 'pending');
  const twice = probed(once, 5, 21_000);
  assert.equal(twice.state, 'established');
  assert.equal(twice.since, 21_000);
});

test('never an answer: connecting, then failed; nothing to try: failed at once; a dead session: retrying', () => {
  const never = asked(looked(newMeasure(0), look(), 0), 0, ...lost(10));
  assert.equal(never.state, 'connecting');
  assert.equal(settle(never, FAILED_MS).state, 'failed');
  assert.equal(looked(newMeasure(0), look({ endpoint: undefined, candidates: 0 }), 0).state, 'failed');
  const old = looked(newMeasure(0), look({ handshakeStamp: 1, handshakeAgeMs: 3_600_000, rxBytes: 9 }), 0);
  assert.equal(old.state, 'retrying');
});

test('a wall clock that jumps makes no handshake older than the last look, and none younger than now', () => {
  const first = looked(newMeasure(0), look({ handshakeStamp: 1, handshakeAgeMs: -9e9 }), 1_000);
  assert.equal(first.handshakeAt, 1_000);
  const second = looked(first, look({ handshakeStamp: 2, handshakeAgeMs: 9e9 }), 11_000);
  assert.equal(second.handshakeAt, 1_000);
  assert.equal(looked(second, look({ handshakeStamp: 2, handshakeAgeMs: 0 }), 21_000).handshakeAt, 1_000);
});

test('changes of the endpoint are counted, its first appearance is not', () => {
  const other = look({ endpoint: '192.0.2.9:51820' as Endpoint });
  const m = [look(), look(), other, look({ endpoint: undefined }), other].reduce(
    (before, next, i) => looked(before, next, i),
    newMeasure(0),
  );
  assert.equal(m.endpointChanges, 1);
});

type Event =
  | { readonly kind: 'probe'; readonly rtt: number | undefined }
  | { readonly kind: 'heard'; readonly ms: number }
  | { readonly kind: 'look'; readonly look: Look }
  | { readonly kind: 'time' };

const events = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 40_000 }),
    event: fc.oneof(
      fc.record({
        kind: fc.constant('probe' as const),
        rtt: fc.option(fc.integer({ min: 0, max: 1_999 }), { nil: undefined }),
      }),
      fc.record({ kind: fc.constant('heard' as const), ms: fc.integer({ min: 0, max: 65_000 }) }),
      fc.record({
        kind: fc.constant('look' as const),
        look: fc.record({
          endpoint: fc.option(fc.constant('192.0.2.2:51820' as Endpoint), { nil: undefined }),
          handshakeStamp: fc.nat(3),
          handshakeAgeMs: fc.integer({ min: -1_000, max: 400_000 }),
          rxBytes: fc.nat(3),
          txBytes: fc.nat(3),
          candidates: fc.nat(1),
        }),
      }),
      fc.record({ kind: fc.constant('time' as const) }),
    ),
  }),
  { maxLength: 120 },
);

function next(m: PeerMeasure, event: Event, now: number): PeerMeasure {
  if (event.kind === 'probe') return probed(m, event.rtt, now);
  if (event.kind === 'heard') return heardFrom(m, event.ms, now);
  return event.kind === 'look' ? looked(m, event.look, now) : settle(m, now);
}

test('whatever happens: established only with an answer, lost only after three, and never older than time', () => {
  fc.assert(
    fc.property(events, story => {
      let [m, now] = [newMeasure(0), 0];
      for (const { after, event } of story) {
        now += after;
        const before = m;
        m = next(m, event, now);
        assert.ok(m.outcomes.length <= 20);
        assert.ok(m.since <= now && m.wellAt <= now && (m.receivedAt ?? 0) <= now);
        assert.equal(m.answers > 0 && m.lost > 0, false);
        assert.equal(m.since !== before.since && m.state === before.state, false);
        if (m.state === 'established') assert.ok(m.answeredAt !== undefined);
        if (before.state === 'established' && m.state !== 'established') {
          assert.ok(m.lost >= 3);
          assert.ok(now - (m.answeredAt ?? 0) > 10_000);
        }
        if (before.state !== 'established' && m.state === 'established')
          assert.ok(event.kind === 'probe' && m.answers >= (before.wasEstablished ? 2 : 1));
      }
      assert.equal(asked(m, now, 1, 1).state, 'established');
      const down = asked(asked(m, now, 1, 1), now + 12_000, ...lost(3));
      assert.notEqual(down.state, 'established');
      assert.equal(settle(down, now + 14_001 + FAILED_MS).state, 'failed');
    }),
  );
});
