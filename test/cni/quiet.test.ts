import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allGone } from '../../cni/quiet.ts';

/** Milliseconds that it took. */
async function timed(work: Promise<void>): Promise<number> {
  const begin = performance.now();
  await work;
  return performance.now() - begin;
}

test('links that are being removed are waited for, whatever comes of it, and those that never go for half a second', async () => {
  assert.ok((await timed(allGone(new Set()))) < 100);
  const failing = sleep(20).then(() => Promise.reject(new Error('no')));
  const brief = await timed(allGone(new Set([sleep(50), failing])));
  assert.ok(brief >= 45 && brief < 400, `${brief} ms`);
  const never = await timed(allGone(new Set([new Promise(() => {})])));
  assert.ok(never >= 490 && never < 2_000, `${never} ms`);
});
