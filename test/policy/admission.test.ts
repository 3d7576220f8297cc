/** Pods whose ADD waits for its policies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newAdmission, type Standing } from '../../policy/admission.ts';
import type { Ip } from '../../types.ts';

const IP = '10.42.1.2' as Ip;

/** `pending` until it is decided. */
const stateOf = async (promise: Promise<unknown>): Promise<string> => {
  const settled = promise.then(
    () => 'starts',
    () => 'refused',
  );
  return Promise.race([settled, new Promise<string>(resolve => setImmediate(() => resolve('pending')))]);
};

const always = (standing: Standing | undefined) => () => standing;

test('a pod is wired when it is closed, and starts when it is known', async () => {
  const admission = newAdmission(60_000);
  const wire = admission.wait(IP, 'closed');
  assert.equal(await stateOf(wire), 'pending');
  admission.settle(always(undefined));
  assert.equal(await stateOf(wire), 'pending', 'a run that did not see it says nothing');
  admission.settle(always('closed'));
  assert.equal(await stateOf(wire), 'starts');
  const start = admission.wait(IP, 'ready');
  admission.settle(always('closed'));
  assert.equal(await stateOf(start), 'pending');
  admission.settle(always('ready'));
  assert.equal(await stateOf(start), 'starts');
});

test('after its patience a closed pod starts, and one that nothing closes is refused', async () => {
  const admission = newAdmission(20);
  const closed = admission.wait(IP, 'ready');
  admission.settle(always('closed'));
  await closed;
  await assert.rejects(admission.wait(IP, 'ready'), /must not start without them/);
});

test('an agent that stops refuses those that are open, at once', async () => {
  const admission = newAdmission(60_000);
  const open = admission.wait(IP, 'closed');
  admission.end();
  await assert.rejects(open);
  await assert.rejects(admission.wait(IP, 'closed'));
});

test('it remembers who came in this life until their lease is gone', async () => {
  const admission = newAdmission(60_000);
  const wait = admission.wait(IP, 'closed');
  admission.settle(always('closed'));
  await wait;
  assert.deepEqual([...admission.fresh()], [IP]);
  admission.retain(new Set([IP]));
  assert.deepEqual([...admission.fresh()], [IP]);
  admission.retain(new Set());
  assert.deepEqual([...admission.fresh()], []);
});
