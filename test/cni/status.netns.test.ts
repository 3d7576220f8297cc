/** Checklist of the CNI contract, 50 to 60: STATUS and GC. The real binary, a real server, real links. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { READY_MARKER } from '../../constants.ts';
import { openKernel } from '../../platform/linux/kernel.ts';

import { enterLab } from '../lab/reenter.ts';
import { type Added, addPod, CONFIG, call, callPod, newId, newNetns } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const bed = useBed();

test('50 STATUS and GC below 1.1.0 are code 1', async () => {
  for (const command of ['STATUS', 'GC'])
    for (const version of ['0.3.1', '0.4.0', '1.0.0'])
      assert.equal((await call(command, { version })).json?.code, 1, `${command} ${version}`);
});

test('51 STATUS succeeds once weft has been ready, without output', async () => {
  writeFileSync(READY_MARKER, '');
  const answer = await call('STATUS');
  assert.deepEqual([answer.code, answer.stdout], [0, '']);
});

test('52 STATUS is code 50 until the first readiness since boot, with and without an agent', async () => {
  assert.equal((await call('STATUS')).json?.code, 50);
  await bed.stop();
  assert.equal((await call('STATUS')).json?.code, 50);
  await bed.start();
});

test('52 on purpose: after that STATUS succeeds without an agent, since an error takes the node’s pods out of service', async () => {
  writeFileSync(READY_MARKER, '');
  await bed.stop();
  assert.equal((await call('STATUS')).code, 0);
  await bed.start({}, { reason: 'the API server is away' });
  assert.equal((await call('STATUS')).code, 0);
});

test('53 on purpose: a full pool is an error of ADD and not of STATUS', async () => {
  writeFileSync(READY_MARKER, '');
  await bed.restart({}, { ...CONFIG, podCidrs: ['10.42.1.0/30'] as unknown as typeof CONFIG.podCidrs });
  await addPod();
  assert.equal((await call('ADD', { id: newId(), netns: await newNetns() })).json?.code, 101);
  assert.equal((await call('STATUS')).code, 0);
});

test('54 STATUS has no side effects and asks no agent, not even one that hangs', async () => {
  writeFileSync(READY_MARKER, '');
  const before = await remains();
  const { changes, spawns } = bed.kernel.counts();
  const answers = await Promise.all(Array.from({ length: 20 }, () => call('STATUS')));
  for (const { code, ms } of answers) assert.ok(code === 0 && ms < 1_000, `${code} ${ms}`);
  assert.deepEqual(await remains(), before);
  assert.deepEqual(bed.kernel.counts(), { changes, spawns });
  assert.equal(bed.cni.stats().verbs.STATUS, undefined);
});

const attachment = (pod: Added) => ({ containerID: pod.id, ifname: 'eth0' });

const gc = (valid: readonly unknown[] | null | undefined, config: Readonly<Record<string, unknown>> = {}) =>
  call('GC', { config: { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid, ...config } });

test('55 GC with the full list removes nothing', async () => {
  const pods = [await addPod(), await addPod()];
  const before = await remains();
  const answer = await gc(pods.map(attachment));
  assert.deepEqual([answer.code, answer.stdout], [0, '']);
  assert.deepEqual(await remains(), before);
});

test('56 GC with an empty list frees all of this network only', async () => {
  await addPod();
  await addPod();
  const other = await addPod({ config: { name: 'other-network' } });
  assert.equal((await gc([])).code, 0);
  assert.deepEqual(
    bed.cni.leases().map(lease => lease.containerId),
    [other.id],
  );
  assert.equal((await callPod('CHECK', other)).code, 0);
  assert.equal((await gc([], { name: 'other-network' })).code, 0);
  await untilNothingRemains();
});

test('57 GC with a part of the list frees the rest', async () => {
  const pods = [await addPod(), await addPod(), await addPod()] as const;
  assert.equal((await gc([attachment(pods[1])])).code, 0);
  assert.deepEqual(
    bed.cni.leases().map(lease => lease.containerId),
    [pods[1].id],
  );
  assert.equal((await callPod('CHECK', pods[1])).code, 0);
});

test('58 GC without the key, or with one that says nothing, deletes nothing', async () => {
  const pod = await addPod();
  assert.equal((await gc(undefined)).code, 0);
  assert.equal((await gc(null)).code, 0);
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('58 GC with a list that cannot be read is an error and deletes nothing', async () => {
  const pod = await addPod();
  assert.equal((await gc([{ containerId: pod.id }])).json?.code, 7);
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('59 GC goes on past an attachment that cannot be removed, and names it', async () => {
  await bed.stop();
  const kernel = openKernel();
  let stuck = '';
  const remove = (name: string): Promise<void> =>
    name === stuck ? Promise.reject(new Error('it is stuck')) : kernel.links.remove(name);
  await bed.start({ kernel: { ...kernel, links: { ...kernel.links, remove } } });
  const pods = [await addPod(), await addPod(), await addPod()] as const;
  stuck = pods[1].link;
  const answer = await gc([]);
  assert.equal(answer.json?.code, 5);
  assert.match(answer.json?.msg ?? '', /1 of 3/);
  assert.match(answer.json?.details ?? '', new RegExp(`${pods[1].id}.*stuck`));
  assert.deepEqual(
    bed.cni.leases().map(lease => lease.containerId),
    [pods[1].id],
  );
  stuck = '';
  assert.equal((await gc([])).code, 0);
  await untilNothingRemains();
});

test('60 GC under load does not hit ADDs that began before or after it', async () => {
  const stale = [await addPod(), await addPod()];
  const all = await Promise.all(Array.from({ length: 12 }, () => newNetns()));
  const ids = all.map(newId);
  const valid = ids.map(id => ({ containerID: id, ifname: 'eth0' }));
  const adding = all.map((netns, n) => addPod({ netns, id: ids[n] as string }));
  const answers = await Promise.all(Array.from({ length: 4 }, () => gc(valid)));
  const pods = await Promise.all(adding);
  assert.deepEqual(
    answers.map(a => a.code),
    [0, 0, 0, 0],
  );
  for (const pod of pods) assert.equal((await callPod('CHECK', pod)).code, 0);
  assert.equal(new Set(pods.map(pod => pod.v4)).size, pods.length);
  for (const pod of stale)
    assert.equal(
      bed.cni.leases().some(lease => lease.containerId === pod.id),
      false,
    );
});

test('GC without an agent succeeds: the sweep of its start does the same', async () => {
  await bed.stop();
  assert.equal((await gc([])).code, 0);
  await bed.start();
});
