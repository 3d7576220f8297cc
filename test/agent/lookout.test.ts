/** When the look for what has no news brings a pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLookout } from '../../agent/lookout.ts';
import { nodeSysctls } from '../../mesh/links.ts';
import { plan } from '../../mesh/plan.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { openFake } from '../../platform/linux/fake.ts';
import type { Wg } from '../../platform/linux/types.ts';
import { facts, node } from '../mesh/facts.ts';

const PLAN = plan(facts([node(1), node(2)]));
const AS_PLANNED = new Map(PLAN.peers.map(peer => [peer.publicKey, peer.allowedIps]));

/** Passes that are asked for in some looks at a device that answers so, and at the plugin's files. */
async function asked(allowed: Wg['allowed'], untouched = () => true, enough = 3): Promise<number> {
  const fake = openFake();
  for (const { key, value } of nodeSysctls(PLAN))
    if ((await fake.sysctls.read(key)) !== undefined) await fake.sysctls.write(key, value);
  let looks = 0;
  let marks = 0;
  const wg = {
    ...fake.wg,
    allowed: (link: string) => {
      looks += 1;
      return allowed(link);
    },
  };
  const lookout = startLookout({
    kernel: { ...fake, wg },
    plan: () => PLAN,
    untouched: () => {
      const well = untouched();
      if (!well) looks += 1;
      return well;
    },
    mark: () => {
      marks += 1;
    },
    lookMs: 1,
  });
  for (const end = performance.now() + 5_000; looks < enough && performance.now() < end; ) await sleep(2);
  lookout.stop();
  return marks;
}

test('none while all is as planned, or where there is no device, of which passes know', async () => {
  assert.equal(await asked(async () => AS_PLANNED), 0);
  assert.equal(await asked(async () => undefined), 0);
});

test('one where a peer is missing', async () => {
  assert.ok((await asked(async () => new Map())) > 0);
});

test('one where a file of the CNI plugin is not as it was left', async () => {
  assert.ok(
    (await asked(
      async () => AS_PLANNED,
      () => false,
    )) > 0,
  );
});

test('no fourth at once where three did not help, but for something else', async () => {
  let looks = 0;
  const spoilt = () => ++looks > 6;
  assert.equal(
    await asked(
      async () => AS_PLANNED,
      () => false,
      8,
    ),
    3,
  );
  assert.equal(await asked(async () => new Map(), spoilt, 12), 6);
});

test('one where the engine hangs: nothing else may happen on this node that would bring it', async () => {
  const hung = (): Promise<never> => Promise.reject(new LinuxError('ETIMEDOUT', 'no answer'));
  assert.ok((await asked(hung)) > 0);
});
