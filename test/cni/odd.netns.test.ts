/** What runtimes should not do, and some do: calls that race, namespaces that are none, odd names, large configurations. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, BINARY, CONFIG, call, callPod, configOf, envOf, type Json, newId, newNetns } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const bed = useBed();

test('of eight ADDs of one attachment at once, one makes it and the others say that it is there', async () => {
  const pod = { id: newId(), netns: await newNetns() };
  const answers = await Promise.all(Array.from({ length: 8 }, () => call('ADD', pod)));
  const codes = answers.map(({ json }) => json?.code ?? 0).sort((a, b) => a - b);
  assert.deepEqual(codes, [0, 102, 102, 102, 102, 102, 102, 102]);
  assert.equal(bed.cni.leases().length, 1);
  assert.equal((await call('DEL', pod)).code, 0);
  await untilNothingRemains();
});

test('ADDs and DELs of one attachment, all at once: a DEL after them leaves nothing', async () => {
  const pod = { id: newId(), netns: await newNetns() };
  const verbs = ['ADD', 'DEL', 'ADD', 'DEL', 'ADD', 'DEL', 'CHECK', 'ADD'];
  const answers = await Promise.all(verbs.map(verb => call(verb, pod)));
  for (const [n, verb] of verbs.entries()) if (verb === 'DEL') assert.equal(answers[n]?.code, 0);
  assert.equal((await call('DEL', pod)).code, 0);
  await untilNothingRemains();
  assert.deepEqual(
    bed.cni.stats().pools.map(({ used }) => used),
    [0, 0],
  );
});

test('a CNI_NETNS that is a pipe, a folder, a file or a namespace of another kind: ADD says so at once, DEL succeeds', async () => {
  await here(['sh', '-c', 'mkfifo /mnt/pipe && echo x > /mnt/file']);
  for (const netns of [
    '/mnt/pipe',
    '/mnt',
    '/mnt/file',
    '/proc/self/ns/mnt',
    'relative',
    `/${'x'.repeat(5000)}`,
  ]) {
    const id = newId();
    const answer = await call('ADD', { id, netns });
    assert.equal(answer.json?.code, 5, answer.stdout);
    assert.match(answer.json?.msg ?? '', /cannot enter CNI_NETNS/);
    assert.equal((await call('DEL', { id, netns })).code, 0, netns);
    assert.equal((await call('ADD', { id, netns, ifname: 'lo', argv0: 'loopback' })).json?.code, 5, netns);
  }
  assert.deepEqual(await remains(), []);
});

test('DEL with the host’s own namespace, or another pod’s, takes away its own pod and nothing else', async () => {
  const [one, two, other] = [await addPod(), await addPod(), await addPod()];
  const links = async () => (await here(['ip', '-br', 'link'])).split('\n').length;
  const before = await links();
  assert.equal((await callPod('DEL', one, { netns: '/proc/self/ns/net' })).code, 0);
  assert.equal((await callPod('DEL', two, { netns: other.netns })).code, 0);
  assert.equal(await links(), before - 2);
  assert.equal((await callPod('CHECK', other)).code, 0);
  assert.equal((await callPod('DEL', other)).code, 0);
  await untilNothingRemains();
});

test('interface names that Linux takes: ADD, CHECK, and a DEL while the agent is away', async () => {
  for (const ifname of ['net@1', 'é', '-', 'a.b', '$x']) {
    const pod = await addPod({ ifname });
    assert.equal((await callPod('CHECK', pod, { ifname })).code, 0);
    await bed.stop();
    assert.equal((await callPod('DEL', pod, { ifname })).code, 0, ifname);
    await bed.start();
    await untilNothingRemains();
  }
});

test('a DEL of an id that is too long to be one succeeds, with the agent and without', async () => {
  const pod = { id: 'a'.repeat(300), netns: await newNetns() };
  assert.equal((await call('ADD', pod)).json?.code, 4);
  assert.equal((await call('DEL', pod)).code, 0);
  await bed.stop();
  assert.equal((await call('DEL', pod)).code, 0);
  await bed.start();
  assert.deepEqual(await remains(), []);
});

test('a configuration of megabytes from a file is code 5, not a lost agent', async () => {
  for (const size of [(1 << 20) + 1, 2 << 20, 5 << 20]) {
    writeFileSync('/mnt/large', configOf({ config: { padding: 'x'.repeat(size) } }));
    const env = envOf({ id: newId(), netns: '/x' }, 'CHECK') as Record<string, string>;
    const said = await here(['sh', '-c', `${BINARY} < /mnt/large; true`], { env });
    assert.equal((JSON.parse(said) as Json).code, 5, said);
  }
});

test('addresses of a family that the node has not are refused, and nothing is taken', async () => {
  const one = { podCidrs: CONFIG.podCidrs.slice(0, 1), gateways: CONFIG.gateways.slice(0, 1) };
  await bed.restart({}, { ...CONFIG, ...one });
  const config = { runtimeConfig: { ips: ['10.42.1.50/24', 'fd42:0:0:1::50/64'] } };
  const answer = await call('ADD', { id: newId(), netns: await newNetns(), config });
  assert.equal(answer.json?.code, 7);
  assert.match(answer.json?.msg ?? '', /fd42:0:0:1::50.*no podCIDR/);
  assert.deepEqual(await remains(), []);
});

test('DNS of the configuration is in the result', async () => {
  const dns = { nameservers: ['10.43.0.10'], search: ['cluster.local'] };
  const { result } = await addPod({ config: { dns } });
  assert.deepEqual((result as { dns?: unknown }).dns, dns);
});
