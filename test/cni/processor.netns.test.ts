/** Agent and binary on the processors that there are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, callPod } from './bed.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

useBed();

test('where there is one processor for agent and binary they take turns', async () => {
  const allowed = (await here(['taskset', '-cp', `${process.pid}`])).split(': ').at(-1)?.trim() ?? '';
  const only = /^\d+/.exec(allowed)?.[0] ?? '0';
  await here(['taskset', '-cp', only, `${process.pid}`]);
  try {
    const pod = await addPod();
    assert.equal((await callPod('CHECK', pod)).code, 0);
    assert.equal((await callPod('DEL', pod)).code, 0);
  } finally {
    await here(['taskset', '-cp', allowed, `${process.pid}`]);
  }
});
