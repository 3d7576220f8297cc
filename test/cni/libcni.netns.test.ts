/** libcni as the client: upstream's cnitool with its caches. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conflist } from '../../cni/install.ts';
import { READY_MARKER } from '../../constants.ts';
import { RunError } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import type { CniResult } from '../lab/runtime.ts';
import { ip, newNetns } from './bed.ts';
import { add, CACHE, chain, configure, skip, tool, useChains, WEFT } from './chain.ts';
import { remains, untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

const bed = useChains();

const cached = (): readonly string[] => readdirSync(CACHE);

test('add, check, status and del with the configuration that weft installs', { skip }, async () => {
  configure(conflist());
  const netns = await newNetns();
  writeFileSync(READY_MARKER, '');
  assert.equal(await tool('status', netns), '');
  const result = await add(netns);
  assert.equal(result.cniVersion, '1.1.0', 'the newest that both speak');
  assert.equal(result.ips.length, 2);
  assert.equal(await tool('check', netns), '');
  assert.equal(cached().length, 1);
  await tool('del', netns);
  await untilNothingRemains();
  assert.deepEqual(cached(), []);
});

test('status is an error before weft was ever ready', { skip }, async () => {
  configure(conflist());
  await assert.rejects(tool('status', await newNetns()), /has not been ready on this node since it booted/);
});

for (const version of ['0.3.1', '0.4.0', '1.0.0', '1.1.0'])
  test(`a list in version ${version}`, { skip }, async () => {
    chain(version, WEFT);
    const netns = await newNetns();
    const result = await add(netns);
    assert.equal(result.cniVersion, version);
    if (version !== '0.3.1') assert.equal(await tool('check', netns), '');
    await tool('del', netns);
    await untilNothingRemains();
  });

test('an address asked for through the capability ips', { skip }, async () => {
  chain('1.1.0', { ...WEFT, capabilities: { ips: true } });
  const result = await add(await newNetns(), { CAP_ARGS: JSON.stringify({ ips: ['10.42.1.77/24'] }) });
  assert.equal(result.ips[0]?.address, '10.42.1.77/32');
});

test('add twice is an error that libcni passes on, and the pod keeps what it had', { skip }, async () => {
  configure(conflist());
  const netns = await newNetns();
  await add(netns);
  const before = await remains();
  await assert.rejects(tool('add', netns), /already has eth0, with 10\.42\.1\.\d+/);
  assert.deepEqual(await remains(), before);
});

test('gc: DEL for what libcni remembers, then GC, and nothing remains', { skip }, async () => {
  configure(chain110());
  const [one, two] = [await newNetns(), await newNetns()];
  await add(one);
  await add(two);
  await ip('netns', 'del', two.replace('/run/netns/', ''));
  assert.equal(cached().length, 2);
  await tool('gc', one);
  await untilNothingRemains();
  assert.deepEqual(cached(), []);
});

const chain110 = (): string => JSON.stringify({ cniVersion: '1.1.0', name: 'weft', plugins: [WEFT] });

test('gc without a list, when libcni has forgotten all, deletes nothing', { skip }, async () => {
  configure(chain110());
  const netns = await newNetns();
  await add(netns);
  rmSync(CACHE, { recursive: true });
  const before = await remains();
  await tool('gc', netns);
  assert.deepEqual(await remains(), before);
});

test('del while the agent is away, and again when it is back', { skip }, async () => {
  configure(conflist());
  const netns = await newNetns();
  await add(netns);
  await bed.stop();
  await tool('del', netns);
  await bed.start();
  await untilNothingRemains();
  await tool('del', netns);
});

test('what libcni keeps of a result can be used for CHECK after the agent’s restart', { skip }, async () => {
  configure(conflist());
  const netns = await newNetns();
  const result = await add(netns);
  await bed.restart();
  assert.equal(await tool('check', netns), '');
  const file = join(CACHE, cached()[0] ?? '');
  assert.deepEqual((JSON.parse(readFileSync(file, 'utf8')) as { result: CniResult }).result.ips, result.ips);
});

test('an error is shown with its details', { skip }, async () => {
  configure(conflist());
  await assert.rejects(tool('add', '/run/netns/none'), (error: RunError) => {
    assert.ok(error instanceof RunError);
    assert.match(error.stderr, /cannot enter CNI_NETNS: ENOENT; is the sandbox gone\?/);
    return true;
  });
});
