/** Clears NetworkUnavailable when it is set and pods can be wired, and never otherwise. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '../../discovery/api-error.ts';
import type { Client } from '../../discovery/client.ts';
import { clearing, startCondition } from '../../discovery/condition.ts';
import { memoryLog } from './helpers.ts';
import { manualClock } from './manual-clock.ts';

function setUp(t: TestContext) {
  const clock = manualClock();
  const log = memoryLog();
  const patches: { readonly path: string; readonly body: unknown; readonly strategic: unknown }[] = [];
  let failure: ApiError | undefined;
  const client: Client = {
    server: 'test',
    get: () => Promise.reject(new Error('unused')),
    stream: () => Promise.reject(new Error('unused')),
    post: () => Promise.reject(new Error('unused')),
    patch: async (path, body, options) => {
      await Promise.resolve();
      if (failure) throw failure;
      patches.push({ path, body, strategic: options?.strategic });
      return {};
    },
    reconnect: () => {},
    close: () => {},
  };
  const condition = startCondition({ client, path: '/api/v1/nodes', nodeName: 'a', log, clock });
  t.after(() => condition.close());
  const fail = (error?: ApiError): void => {
    failure = error;
  };
  return { clock, log, patches, condition, fail };
}

test('clearing says whose condition it was and since when, to the second', () => {
  const [condition] = (clearing(1_700_000_000_123) as { status: { conditions: Record<string, string>[] } })
    .status.conditions;
  assert.equal(condition?.status, 'False');
  assert.equal(condition?.lastTransitionTime, '2023-11-14T22:13:20Z');
});

test('both must hold: the condition is set, and pods can be wired', async t => {
  const { clock, patches, condition } = setUp(t);
  condition.saw(false);
  condition.ready();
  await clock.advance(120_000);
  assert.equal(patches.length, 0);
  condition.saw(true);
  await clock.advance(1_000);
  assert.deepEqual(
    patches.map(({ path, strategic }) => [path, strategic]),
    [['/api/v1/nodes/a/status', true]],
  );
  condition.saw(false);
  await clock.advance(120_000);
  assert.equal(patches.length, 1);
});

test('not before pods can be wired, and a controller that insists is answered seldom', async t => {
  const { clock, patches, condition } = setUp(t);
  condition.saw(true);
  await clock.advance(120_000);
  assert.equal(patches.length, 0);
  condition.ready();
  for (let second = 0; second < 60; second += 1) {
    condition.saw(true);
    await clock.advance(1_000);
  }
  assert.ok(patches.length >= 3 && patches.length <= 7, `${patches.length} in a minute`);
});

test('a refusal is said once with what to do, and tried again', async t => {
  const { clock, log, patches, condition, fail } = setUp(t);
  fail(new ApiError('no', { status: 403, reason: 'Forbidden' }));
  condition.ready();
  condition.saw(true);
  await clock.advance(200_000);
  assert.equal(log.lines.filter(line => line.level === 'warn').length, 1);
  fail(undefined);
  await clock.advance(100_000);
  assert.equal(patches.length, 1);
});
