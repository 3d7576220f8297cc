/** Checklist of the CNI contract, 45 to 60: CHECK, STATUS and GC. The real binary, a real server, real links. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { READY_MARKER } from '../../constants.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { type Added, addPod, CONFIG, call, callPod, inPod, ip, newId, newNetns } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const bed = useBed();

test('45 CHECK below 0.4.0 is code 1', async () => {
  const pod = await addPod({ version: '0.3.1' });
  const answer = await callPod('CHECK', pod, { version: '0.3.1' });
  assert.equal(answer.json?.code, 1);
  assert.equal(answer.json?.cniVersion, '0.3.1');
});

for (const version of ['0.4.0', '1.0.0', '1.1.0'])
  test(`46 CHECK right after ADD succeeds, ${version}`, async () => {
    const pod = await addPod({ version });
    const answer = await callPod('CHECK', pod, { version });
    assert.deepEqual([answer.code, answer.stdout], [0, '']);
  });

const drop = (set: string, pod: Added): Promise<string> =>
  here([
    'sh',
    '-c',
    `nft -j list set bridge weft ${set} >/dev/null && nft flush set bridge weft ${set}`,
  ]).then(() => pod.id);

const damages: Readonly<Record<string, (pod: Added) => Promise<unknown>>> = {
  'the interface is gone': pod => inPod(pod.netns, 'ip', 'link', 'del', 'eth0'),
  'the interface is down': pod => inPod(pod.netns, 'ip', 'link', 'set', 'eth0', 'down'),
  'the IPv4 address is gone': pod => inPod(pod.netns, 'ip', 'addr', 'del', `${pod.v4}/32`, 'dev', 'eth0'),
  'the IPv6 address is gone': pod => inPod(pod.netns, 'ip', 'addr', 'del', `${pod.v6}/128`, 'dev', 'eth0'),
  'the default route is gone': pod => inPod(pod.netns, 'ip', 'route', 'del', 'default'),
  'the IPv6 default route is gone': pod => inPod(pod.netns, 'ip', '-6', 'route', 'del', 'default'),
  'the node’s route is gone': pod => ip('route', 'del', `${pod.v4}/32`),
  'the node’s IPv6 route is gone': pod => ip('-6', 'route', 'del', `${pod.v6}/128`),
  'the node’s neighbour entry is gone': pod => ip('neigh', 'del', pod.v4, 'dev', pod.link),
  'the port is out of the bridge': pod => ip('link', 'set', pod.link, 'nomaster'),
  'the port is down': pod => ip('link', 'set', pod.link, 'down'),
  'the port is not isolated': pod => here(['bridge', 'link', 'set', 'dev', pod.link, 'isolated', 'off']),
  'its entries against spoofing are gone': pod => drop('pod4', pod),
};

for (const [what, damage] of Object.entries(damages))
  test(`47 CHECK fails when ${what}`, async () => {
    const pod = await addPod();
    await damage(pod);
    const answer = await callPod('CHECK', pod);
    assert.ok((answer.json?.code ?? 0) >= 100, answer.stdout);
    assert.match(answer.json?.msg ?? '', /missing|down|port|isolated/);
  });

const mendable = Object.keys(damages).filter(what => /node’s|port|spoofing/.test(what));

for (const what of mendable)
  test(`the sweep mends it when ${what}, and then changes nothing`, async () => {
    const pod = await addPod();
    const before = await remains();
    await damages[what]?.(pod);
    assert.ok((await bed.cni.sweep()) > 0);
    assert.equal((await callPod('CHECK', pod)).code, 0);
    assert.deepEqual(await remains(), before);
    const { changes } = bed.kernel.counts();
    assert.equal(await bed.cni.sweep(), 0);
    assert.equal(bed.kernel.counts().changes, changes);
    await inPod(pod.netns, 'ping', '-n', '-c1', '-W1', CONFIG.gateways[0] ?? '');
  });

test('47 CHECK fails without prevResult, with another’s, in another namespace and of an unknown container', async () => {
  const pod = await addPod();
  const other = await addPod();
  const check = (options: Parameters<typeof call>[1]) => call('CHECK', options).then(a => a.json?.code);
  assert.equal(await check({ id: pod.id, netns: pod.netns }), 7);
  assert.ok(
    ((await check({ id: pod.id, netns: pod.netns, config: { prevResult: other.result } })) ?? 0) >= 100,
  );
  assert.ok(
    ((await check({ id: pod.id, netns: await newNetns(), config: { prevResult: pod.result } })) ?? 0) >= 100,
  );
  assert.equal(await check({ id: newId(), netns: pod.netns, config: { prevResult: pod.result } }), 3);
});

test('48 CHECK succeeds when a later plugin has added routes, addresses and interfaces', async () => {
  const pod = await addPod();
  await inPod(pod.netns, 'ip', 'route', 'add', '198.51.100.0/24', 'dev', 'eth0');
  await inPod(pod.netns, 'ip', 'addr', 'add', '192.0.2.7/32', 'dev', 'eth0');
  await inPod(pod.netns, 'ip', 'link', 'add', 'net1', 'type', 'veth', 'peer', 'name', 'net2');
  const prevResult = {
    ...pod.result,
    interfaces: [...(pod.result.interfaces ?? []), { name: 'net1', sandbox: pod.netns }],
    ips: [...(pod.result.ips ?? []), { address: '192.0.2.7/32' }],
  };
  assert.equal((await callPod('CHECK', pod, { config: { prevResult } })).code, 0);
});

const changeMac = (netns: string, mac: string): Promise<string> =>
  inPod(netns, 'ip', 'link', 'set', 'eth0', 'address', mac);

const answers = (netns: string, to: string): Promise<boolean> =>
  inPod(netns, 'ping', '-n', '-c1', '-W1', to).then(
    () => true,
    () => false,
  );

test('48 CHECK succeeds when a later plugin has changed the MAC, and the pod is reached from then on', async () => {
  const pod = await addPod();
  const mac = '02:00:00:00:00:77';
  await changeMac(pod.netns, mac);
  assert.equal(await answers(pod.netns, CONFIG.gateways[0] ?? ''), false);
  const interfaces = pod.result.interfaces?.map(one => (one.name === 'eth0' ? { ...one, mac } : one));
  const prevResult = { ...pod.result, interfaces };
  assert.equal((await callPod('CHECK', pod, { config: { prevResult } })).code, 0);
  for (const gateway of CONFIG.gateways) assert.ok(await answers(pod.netns, gateway));
  assert.ok(await answers('/proc/self/ns/net', pod.v6));
  assert.equal(await bed.cni.sweep(), 0);
  await bed.restart();
  assert.ok(await answers(pod.netns, CONFIG.gateways[0] ?? ''), 'an agent that starts again knows it');
  // The one of before is nobody's now.
  await changeMac(pod.netns, pod.result.interfaces?.find(one => one.name === 'eth0')?.mac ?? '');
  assert.equal(await answers(pod.netns, CONFIG.gateways[0] ?? ''), false);
  assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
});

test('a MAC that the pod took for itself is an error of CHECK, and told once, with the cure', async () => {
  const pod = await addPod({ env: { CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart' } });
  await changeMac(pod.netns, '02:00:00:00:00:78');
  const { json } = await callPod('CHECK', pod);
  assert.equal(json?.code, 100);
  assert.match(json?.msg ?? '', /has the MAC 02:00:00:00:00:78.*have weft give it/);
  assert.equal(await answers(pod.netns, CONFIG.gateways[0] ?? ''), false);
  for (let n = 0; n < 2; n++) assert.equal(await bed.cni.sweep(), 0);
  const [stranger, ...others] = bed.cni.stats().strangers;
  assert.deepEqual(others, []);
  assert.deepEqual([stranger?.pod, stranger?.mac], ['shop/cart', '02:00:00:00:00:78']);
  assert.equal(bed.lines.filter(line => line.message.includes('not its own')).length, 1);
});

test('49 without an agent CHECK is code 11', async () => {
  const pod = await addPod();
  await bed.stop();
  const answer = await callPod('CHECK', pod);
  assert.equal(answer.json?.code, 11);
  await bed.start();
});

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
