/** Checklist of the CNI contract, 36 to 44: DEL. The real binary, a real server, real links. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { DEL_QUEUE_DIR } from '../../constants.ts';
import { forgetAddresses } from '../../platform/linux/conntrack.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { addPod, CONFIG, call, callPod, inPod, ip, newId } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

let released: string[] = [];

const bed = useBed({
  start: () => [{ released: ips => void released.push(...ips) }],
  cleaned: async () => {
    released = [];
  },
});

const used = (): number[] => bed.cni.stats().pools.map(pool => pool.used);

test('36 and 44 DEL succeeds without output and leaves no link, route, neighbour, element or lease', async () => {
  const pod = await addPod();
  assert.equal((await remains()).length, 9);
  const answer = await callPod('DEL', pod);
  assert.deepEqual([answer.code, answer.stdout], [0, '']);
  await untilNothingRemains();
  assert.doesNotMatch(await inPod(pod.netns, 'ip', 'link'), /eth0/);
  await until('the addresses to be told free', () => released.length === 2 || undefined);
  assert.deepEqual(released, [pod.v4, pod.v6]);
});

test('44 what can be seen of the pod is gone when DEL has answered', async () => {
  const pod = await addPod();
  assert.equal((await callPod('DEL', pod)).code, 0);
  // The kernel works the removal off before it answers anybody who looks.
  assert.doesNotMatch(await ip('link'), new RegExp(pod.link));
  assert.doesNotMatch(await inPod(pod.netns, 'ip', 'link'), /eth0/);
});

test('37 several DELs succeed, one after the other and at once', async () => {
  const pod = await addPod();
  const at = await Promise.all([1, 2, 3].map(() => callPod('DEL', pod)));
  const after = [await callPod('DEL', pod), await callPod('DEL', pod, { netns: '' })];
  assert.deepEqual(
    [...at, ...after].map(a => a.code),
    [0, 0, 0, 0, 0],
  );
  await untilNothingRemains();
  assert.deepEqual(used(), [0, 0]);
});

test('38 DEL of an unknown container succeeds', async () => {
  const answer = await call('DEL', { id: newId(), netns: '/run/netns/none' });
  assert.deepEqual([answer.code, answer.stdout], [0, '']);
});

for (const [what, netns] of [
  ['39 with an empty CNI_NETNS', ''],
  ['40 with a path that does not exist', '/run/netns/none'],
  ['40 with a path that is no namespace', '/etc/hostname'],
] as const)
  test(`${what} DEL succeeds and the address is free`, async () => {
    const pod = await addPod();
    assert.equal((await callPod('DEL', pod, { netns })).code, 0);
    await untilNothingRemains();
    assert.deepEqual(used(), [0, 0]);
  });

test('39 without CNI_NETNS at all', async () => {
  const pod = await addPod();
  assert.equal((await callPod('DEL', pod, { env: { CNI_NETNS: undefined } })).code, 0);
  await untilNothingRemains();
});

test('40 DEL after the namespace is gone', async () => {
  const pod = await addPod();
  await ip('netns', 'del', pod.netns.replace('/run/netns/', ''));
  assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
});

test('40 a pod that went without DEL is found by the sweep', async () => {
  const pod = await addPod();
  const other = await addPod();
  await ip('netns', 'del', pod.netns.replace('/run/netns/', ''));
  await until('the sweep to free it', async () => {
    await bed.cni.sweep();
    return bed.cni.leases().length === 1 || undefined;
  });
  assert.deepEqual(used(), [1, 1]);
  await until('the addresses to be told free', () => released.length === 2 || undefined);
  assert.deepEqual(released, [pod.v4, pod.v6]);
  assert.equal((await callPod('CHECK', other)).code, 0);
});

test('41 DEL needs no prevResult', async () => {
  const pod = await addPod();
  assert.equal((await call('DEL', { id: pod.id, netns: pod.netns })).code, 0);
  await untilNothingRemains();
});

for (const version of ['0.3.0', '0.3.1', '0.4.0', '1.0.0'])
  test(`DEL in version ${version}`, async () => {
    const pod = await addPod({ version });
    assert.equal((await callPod('DEL', pod, { version })).code, 0);
    await untilNothingRemains();
  });

test('42 without an agent DEL succeeds at once and is carried out later', async () => {
  const pod = await addPod();
  const living = await addPod();
  await bed.stop();
  const answers = [await callPod('DEL', pod), await callPod('DEL', pod), await call('DEL', { id: newId() })];
  assert.deepEqual(
    answers.map(a => `${a.code}${a.stdout}`),
    ['0', '0', '0'],
  );
  for (const { ms } of answers) assert.ok(ms < 5_000, `${ms}`);
  await bed.start();
  assert.equal((await callPod('CHECK', living)).code, 0);
  assert.equal((await callPod('DEL', living)).code, 0);
  await untilNothingRemains();
});

test('42 ids and names with dots are kept apart in the queue', async () => {
  const a = await addPod({ id: 'x.y', ifname: 'z' });
  const b = await addPod({ id: 'x', ifname: 'y.z' });
  await bed.stop();
  for (const [pod, ifname] of [
    [a, 'z'],
    [b, 'y.z'],
  ] as const)
    assert.equal((await callPod('DEL', pod, { ifname })).code, 0);
  assert.equal(readdirSync(DEL_QUEUE_DIR).length, 2);
  await bed.start();
  await untilNothingRemains();
});

test('42 ADD of the same name carries a DEL out that still waits, and is not hit by it afterwards', async () => {
  const pod = await addPod();
  await bed.stop();
  assert.equal((await callPod('DEL', pod)).code, 0);
  // As after a start, before the first sweep has come to it.
  await bed.start({}, { reason: 'not yet' });
  bed.cni.configure(CONFIG);
  const sweeping = bed.cni.sweep();
  const again = await addPod({ id: pod.id, netns: pod.netns });
  await sweeping;
  await bed.cni.sweep();
  assert.equal((await callPod('CHECK', again)).code, 0);
  assert.deepEqual(readdirSync(DEL_QUEUE_DIR), []);
});

test('42 a damaged file in the queue stops nobody', async () => {
  const pod = await addPod();
  await bed.stop();
  assert.equal((await callPod('DEL', pod)).code, 0);
  writeFileSync(`${DEL_QUEUE_DIR}/a:damaged`, 'x');
  writeFileSync(`${DEL_QUEUE_DIR}/.half-written`, 'x');
  await bed.start();
  await until(
    'the damaged file to be dropped',
    () => !readdirSync(DEL_QUEUE_DIR).includes('a:damaged') || undefined,
  );
  await until('the DEL', () => bed.cni.leases().length === 0 || undefined);
});

test('connections of a freed address are forgotten, so that its next holder does not get their packets', async () => {
  await bed.restart({ released: ips => void forgetAddresses(bed.kernel.flows, ips) });
  await here(['nft', '-f', '-'], {
    stdin:
      'table inet tracked {\n chain c {\n type filter hook output priority 0;\n ct state new counter\n }\n}\n',
  });
  const [gone, other] = [await addPod(), await addPod()];
  const node = '/proc/self/ns/net';
  for (const to of [gone.v4, gone.v6, other.v4, other.v6]) await inPod(node, 'ping', '-n', '-c1', '-W1', to);
  const flows = () => here(['sh', '-c', 'conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null']);
  for (const one of [gone, other])
    for (const ip of [one.v4, one.v6]) assert.ok((await flows()).includes(`dst=${ip} `), ip);
  assert.equal((await callPod('DEL', gone)).code, 0);
  await until('the connections to be forgotten', async () => {
    const now = await flows();
    return ![gone.v4, gone.v6].some(ip => now.includes(`=${ip} `)) || undefined;
  });
  for (const ip of [other.v4, other.v6]) assert.ok((await flows()).includes(`dst=${ip} `), ip);
  await here(['nft', 'delete', 'table', 'inet', 'tracked']);
});

test('43 a late DEL of A does not touch B, which has its address now', async () => {
  const config = { runtimeConfig: { ips: ['10.42.1.50'] } };
  const a = await addPod({ config });
  assert.equal((await callPod('DEL', a)).code, 0);
  await untilNothingRemains();
  const b = await addPod({ config });
  const before = await remains();
  assert.equal((await callPod('DEL', a)).code, 0);
  assert.equal((await callPod('DEL', a, { netns: '' })).code, 0);
  assert.deepEqual(await remains(), before);
  assert.equal((await callPod('CHECK', b)).code, 0);
  assert.deepEqual(used(), [1, 1]);
});

test('43 DEL of A with B’s namespace removes nothing of B', async () => {
  const a = await addPod();
  const b = await addPod();
  assert.equal((await callPod('DEL', a, { netns: b.netns })).code, 0);
  assert.equal((await callPod('CHECK', b)).code, 0);
  assert.deepEqual(used(), [1, 1]);
});

test('DEL waits for an ADD of the same attachment that is still under way', async () => {
  const pod = await addPod();
  const id = newId();
  assert.equal((await callPod('DEL', pod)).code, 0);
  const [added, deleted] = await Promise.all([
    call('ADD', { id, netns: pod.netns }),
    new Promise(resolve => setTimeout(resolve, 3)).then(() => call('DEL', { id, netns: pod.netns })),
  ]);
  assert.equal(deleted.code, 0);
  if (added.code === 0) await call('DEL', { id, netns: pod.netns });
  await untilNothingRemains();
});
