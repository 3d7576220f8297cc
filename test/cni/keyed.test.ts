import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newKeyed } from '../../cni/keyed.ts';

test('work on one key takes turns in the order of asking, also after a failure; other keys do not wait', async () => {
  const keyed = newKeyed();
  const said: string[] = [];
  const first = Promise.withResolvers<void>();
  const a1 = keyed.run('a', async () => {
    said.push('a1 begins');
    await first.promise;
    said.push('a1 ends');
    throw new Error('a1 failed');
  });
  const a2 = keyed.run('a', async () => void said.push('a2'));
  await keyed.run('b', async () => void said.push('b'));
  assert.deepEqual(said, ['a1 begins', 'b']);
  assert.equal(keyed.busy('a'), true);
  first.resolve();
  await assert.rejects(a1, /a1 failed/);
  await a2;
  assert.deepEqual(said, ['a1 begins', 'b', 'a1 ends', 'a2']);
});

test('a key is free again when nothing waits for it', async () => {
  const keyed = newKeyed();
  assert.equal(await keyed.run('a', async () => 7), 7);
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(keyed.busy('a'), false);
});
