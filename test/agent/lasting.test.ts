import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLasting } from '../../agent/lasting.ts';

test('a sentence counts when it has held for the time, and begins anew after a break', () => {
  let now = 100;
  const lasting = openLasting(5_000, () => now);
  const at = (time: number, ...current: readonly string[]): readonly string[] => {
    now = time;
    return lasting(current);
  };
  assert.deepEqual(at(100, 'a'), []);
  assert.deepEqual(at(5_000, 'a', 'b'), []);
  assert.deepEqual(at(5_100, 'a', 'b'), ['a']);
  assert.deepEqual(at(9_000, 'b'), []);
  assert.deepEqual(at(10_000, 'a', 'b'), ['b']);
  assert.deepEqual(at(15_000, 'a'), ['a']);
});
