/**
 * Random verbs, restarts, vanished namespaces and killed binaries against a model: who lives, and
 * that nobody else holds anything. The pool is smaller than the number of pods, so it is often full.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { LEASE_DIR } from '../../constants.ts';
import type { Cidr } from '../../types.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import {
  type Added,
  addPod,
  type Bed,
  BINARY,
  CONFIG,
  call,
  callPod,
  clean,
  configOf,
  envOf,
  ip,
  makeBridge,
  newId,
  newNetns,
  startBed,
} from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

const SLOTS = 8;
const SIZE = 5;
const SMALL = { ...CONFIG, podCidrs: ['10.42.1.0/29', 'fd42:0:0:1::/125'] as unknown as readonly Cidr[] };

type Model = { readonly living: Set<number> };
type Real = { bed: Bed; readonly pods: Map<number, Added> };
type Command = fc.AsyncCommand<Model, Real>;

const podOf = (real: Real, slot: number): Added | undefined => real.pods.get(slot);

/** After each command: exactly those who live hold something, each something of their own. */
async function verify(model: Model, real: Real): Promise<void> {
  const wanted = [...model.living].map(slot => podOf(real, slot)?.id ?? '').sort();
  await until('the leases to be those of the living', () => {
    const held = real.bed.cni.leases().map(lease => lease.containerId);
    return held.sort().join() === wanted.join() || undefined;
  });
  const pods = [...model.living].map(slot => podOf(real, slot) as Added);
  for (const family of ['v4', 'v6'] as const)
    assert.equal(new Set(pods.map(pod => pod[family])).size, pods.length);
  assert.deepEqual(
    real.bed.cni.stats().pools.map(pool => pool.used),
    [pods.length, pods.length],
  );
  await until('the kernel to agree', async () => {
    const lines = await remains();
    return lines.length === pods.length * 9 || undefined;
  });
}

const command = (
  name: string,
  slot: number,
  run: (model: Model, real: Real) => Promise<void>,
  check: (model: Readonly<Model>) => boolean = () => true,
): Command => ({
  check,
  run: async (model, real) => {
    await run(model, real);
    await verify(model, real);
  },
  toString: () => `${name}(${slot})`,
});

const restart = async (real: Real, meanwhile: () => Promise<void> = async () => {}): Promise<void> => {
  await real.bed.stop();
  await meanwhile();
  real.bed = await startBed({}, SMALL);
};

const add = (slot: number): Command =>
  command(
    'add',
    slot,
    async (model, real) => {
      const netns = await newNetns();
      if (model.living.size === SIZE) {
        assert.equal((await call('ADD', { id: newId(), netns })).json?.code, 101);
        return;
      }
      real.pods.set(slot, await addPod({ netns }));
      model.living.add(slot);
    },
    model => !model.living.has(slot),
  );

const addAgain = (slot: number): Command =>
  command(
    'addAgain',
    slot,
    async (_model, real) => {
      const pod = podOf(real, slot) as Added;
      assert.ok(((await call('ADD', { id: pod.id, netns: pod.netns })).json?.code ?? 0) >= 100);
    },
    model => model.living.has(slot),
  );

const del = (slot: number, times: number, netns: boolean): Command =>
  command('del', slot, async (model, real) => {
    const pod = podOf(real, slot);
    if (pod === undefined) return;
    const options = netns ? {} : { netns: '' };
    const answers = await Promise.all(Array.from({ length: times }, () => callPod('DEL', pod, options)));
    assert.deepEqual(
      answers.map(answer => answer.code),
      answers.map(() => 0),
    );
    model.living.delete(slot);
  });

const check = (slot: number): Command =>
  command('check', slot, async (model, real) => {
    const pod = podOf(real, slot);
    if (pod === undefined) return;
    const answer = await callPod('CHECK', pod);
    assert.equal(answer.json?.code, model.living.has(slot) ? undefined : 3, answer.stdout);
  });

const vanish = (slot: number): Command =>
  command(
    'vanish',
    slot,
    async (model, real) => {
      const pod = podOf(real, slot) as Added;
      await ip('netns', 'del', pod.netns.replace('/run/netns/', ''));
      real.pods.delete(slot);
      model.living.delete(slot);
      await until('its link to be gone', async () => !(await ip('link')).includes(pod.link) || undefined);
      await real.bed.cni.sweep();
    },
    model => model.living.has(slot),
  );

const gc = (slot: number, keep: number): Command =>
  command('gc', slot, async (model, real) => {
    const kept = [...model.living].filter(living => (keep >> living) & 1);
    const valid = kept.map(living => ({ containerID: podOf(real, living)?.id, ifname: 'eth0' }));
    assert.equal((await call('GC', { config: { 'cni.dev/valid-attachments': valid } })).code, 0);
    for (const living of model.living) if (!kept.includes(living)) model.living.delete(living);
    for (const gone of real.pods.keys()) if (!model.living.has(gone)) real.pods.delete(gone);
  });

const killed = (slot: number, ms: number): Command =>
  command('killed', slot, async (_model, real) => {
    const options = { id: newId(), netns: await newNetns() };
    const child = spawn(BINARY, [], { env: envOf(options, 'ADD'), stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.on('error', () => {});
    child.stdin.end(configOf(options));
    await sleep(ms);
    child.kill('SIGKILL');
    assert.equal((await call('DEL', options)).code, 0);
    void real;
  });

const restarted = (slot: number): Command => command('restarted', slot, (_model, real) => restart(real));

const delWhileAway = (slot: number): Command =>
  command('delWhileAway', slot, async (model, real) => {
    const pod = podOf(real, slot);
    await restart(real, async () => {
      if (pod !== undefined) assert.equal((await callPod('DEL', pod)).code, 0);
    });
    model.living.delete(slot);
  });

const leaseDamaged = (slot: number): Command =>
  command(
    'leaseDamaged',
    slot,
    async (model, real) => {
      const pod = podOf(real, slot) as Added;
      await restart(real, async () => writeFileSync(`${LEASE_DIR}/${pod.id}:eth0`, '{"half":'));
      // It lives on without a lease; its address is nobody else's, and DEL still takes it away.
      assert.deepEqual(
        real.bed.cni.stats().pools.map(pool => pool.used),
        [model.living.size, model.living.size],
      );
      assert.equal((await callPod('DEL', pod)).code, 0);
      model.living.delete(slot);
      await until('its link to be gone', async () => !(await ip('link')).includes(pod.link) || undefined);
      await real.bed.cni.sweep();
    },
    model => model.living.has(slot),
  );

const slot = fc.nat({ max: SLOTS - 1 });

const commands = fc.commands(
  [
    slot.map(add),
    slot.map(add),
    slot.map(add),
    slot.map(addAgain),
    fc.tuple(slot, fc.integer({ min: 1, max: 3 }), fc.boolean()).map(args => del(...args)),
    slot.map(check),
    slot.map(vanish),
    fc.tuple(slot, fc.nat({ max: 255 })).map(args => gc(...args)),
    fc.tuple(slot, fc.nat({ max: 12 })).map(args => killed(...args)),
    slot.map(restarted),
    slot.map(delWhileAway),
    slot.map(leaseDamaged),
  ],
  { maxCommands: 40, size: 'max' },
);

before(() => makeBridge());
after(clean);

test('random verbs, crashes and restarts agree with the model', async () => {
  const property = fc.asyncProperty(commands, async list => {
    const real: Real = { bed: await startBed({}, SMALL), pods: new Map() };
    const model: Model = { living: new Set() };
    try {
      await fc.asyncModelRun(() => ({ model, real }), list);
      assert.equal((await call('GC', { config: { 'cni.dev/valid-attachments': [] } })).code, 0);
      await untilNothingRemains();
    } finally {
      await real.bed.stop();
      await clean();
    }
  });
  await fc.assert(property, { numRuns: 12, seed: 20261124, endOnFailure: true });
});
