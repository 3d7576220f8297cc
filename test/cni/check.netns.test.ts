/** Checklist of the CNI contract, 45 to 49: CHECK. The real binary, a real server, real links. */
import assert from 'node:assert/strict';

import { test } from 'node:test';

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

/** Three times: a question for the gateway's MAC that was dropped a moment ago is repeated only a second later. */
const answers = (netns: string, to: string): Promise<boolean> =>
  inPod(netns, 'ping', '-n', '-c3', '-i0.6', '-W1', to).then(
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
