import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newGate } from '../../cni/gate.ts';

type Value = { readonly n: number };

test('a value that is there is given at once', async () => {
  const gate = newGate<Value>('not yet');
  gate.set({ n: 1 });
  assert.deepEqual(await gate.within(60_000), { n: 1 });
  assert.deepEqual(gate.now(), { n: 1 });
});

test('those who wait are woken by the value and not by another reason', async () => {
  const gate = newGate<Value>('first reason');
  const waiting = [gate.within(60_000), gate.within(60_000)];
  gate.set({ reason: 'second reason' });
  gate.set({ n: 2 });
  assert.deepEqual(await Promise.all(waiting), [{ n: 2 }, { n: 2 }]);
});

test('after its time a call has the reason of then', async () => {
  const gate = newGate<Value>('first reason');
  const waiting = gate.within(20);
  gate.set({ reason: 'second reason' });
  assert.deepEqual(await waiting, { reason: 'second reason' });
  assert.deepEqual(await gate.within(0), { reason: 'second reason' });
});

test('the end wakes all', async () => {
  const gate = newGate<Value>('first reason');
  const waiting = gate.within(60_000);
  gate.end('stopping');
  assert.deepEqual(await waiting, { reason: 'stopping' });
});
