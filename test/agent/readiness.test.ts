/** Parts of readiness, each reason once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReady, readiness } from '../../agent/readiness.ts';
import type { Outcome } from '../../mesh/reconcile.ts';

const outcome = (change: object): Outcome =>
  ({
    plan: { self: { podCidrs: ['10.42.1.0/24'] }, excluded: [] },
    engine: { kind: 'kernel' },
    errors: [],
    ...change,
  }) as unknown as Outcome;

const WATCH = { synced: true, connected: true, error: undefined, restarts: 0 };

const reasons = (of: Outcome): readonly string[] =>
  readiness('n', of, WATCH, undefined).flatMap(p =>
    p.reason === undefined ? [] : [`${p.part}: ${p.reason}`],
  );

test('all is well, and a lost API server holds nothing up', () => {
  assert.ok(isReady(readiness('n', outcome({}), { ...WATCH, connected: false }, undefined)));
  assert.deepEqual(reasons(outcome({})), []);
});

test('a missing WireGuard is said by its own part alone; other steps that fail by theirs', () => {
  const engine = { kind: 'none', reason: 'no module' };
  const errors = [
    { step: 'wireguard', message: 'no module' },
    { step: 'tunnel routes', message: 'there is no link weft-wg' },
  ];
  assert.deepEqual(reasons(outcome({ engine, errors })), [
    'wireguard: no module',
    'kernel: tunnel routes: there is no link weft-wg',
  ]);
});
