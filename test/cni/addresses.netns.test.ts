/** Which addresses pods get: full ranges, one family, addresses and MACs that are asked for. */
import assert from 'node:assert/strict';

import { test } from 'node:test';

import { enterLab } from '../lab/reenter.ts';
import { addPod, CONFIG, call, callPod, inPod, newId, newNetns } from './bed.ts';
import { remains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const bed = useBed();

type IpJson = Readonly<
  Record<string, string> & {
    readonly flags: string[];
    readonly mtu: number;
    readonly addr_info: { local: string; prefixlen: number }[];
  }
>[];

const inPodJson = async (netns: string, ...argv: readonly string[]): Promise<IpJson> =>
  JSON.parse((await inPod(netns, ...argv)) || '[]') as IpJson;

test('29 a full pool names range, size, holders and what to do, and leaves no veth', async () => {
  const podCidrs = ['10.42.1.0/29', 'fd42:0:0:1::/64'] as unknown as typeof CONFIG.podCidrs;
  await bed.restart({}, { ...CONFIG, podCidrs });
  const env = { CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart' };
  for (let n = 0; n < 5; n++) await addPod({ env });
  const before = await remains();
  const answer = await call('ADD', { id: newId(), netns: await newNetns() });
  assert.ok((answer.json?.code ?? 0) >= 100, answer.stdout);
  for (const part of [/10\.42\.1\.0\/29/, /5 for pods/, /5 held/, /shop\/cart/, /cooling/])
    assert.match(answer.json?.msg ?? '', part);
  assert.deepEqual(await remains(), before);
});

test('29 when all others are held, an address that has just been freed is used at once', async () => {
  const podCidrs = ['10.42.1.0/30'] as unknown as typeof CONFIG.podCidrs;
  await bed.restart({}, { ...CONFIG, podCidrs });
  for (let n = 0; n < 4; n++) {
    const pod = await addPod();
    assert.equal(pod.v4, '10.42.1.2');
    assert.equal((await callPod('DEL', pod)).code, 0);
  }
});

test('a node with one family gives pods one family', async () => {
  const one = { podCidrs: CONFIG.podCidrs.slice(1), gateways: CONFIG.gateways.slice(1) };
  await bed.restart({}, { ...CONFIG, ...one });
  const pod = await addPod();
  assert.deepEqual([pod.v4, pod.result.ips?.length], ['', 1]);
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('an address asked for that is taken, outside or reserved is refused with the reason', async () => {
  const pod = await addPod();
  for (const [wanted, reason] of [
    [pod.v4, /held by/],
    ['10.42.9.9', /no podCIDR/],
    ['10.42.1.1', /gateway/],
    ['10.42.1.255', /broadcast/],
    ['nonsense', /nonsense/],
    ['10.42.1.60,10.42.1.61', /more than one address/],
  ] as const) {
    const answer = await call('ADD', {
      id: newId(),
      netns: await newNetns(),
      env: { CNI_ARGS: `IP=${wanted}` },
    });
    assert.equal(answer.json?.code, 7, answer.stdout);
    assert.match(answer.json?.msg ?? '', reason);
  }
  assert.equal((await addPod({ env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.42.1.99' } })).v4, '10.42.1.99');
});

test('a MAC asked for is the pod’s, on the link, in the result and for the node', async () => {
  const mac = 'c2:b0:57:49:47:f1';
  const pod = await addPod({ config: { runtimeConfig: { mac } } });
  assert.equal(pod.result.interfaces?.find(one => one.name === 'eth0')?.mac, mac);
  assert.equal((await inPodJson(pod.netns, 'ip', '-j', 'link', 'show', 'eth0'))[0]?.address, mac);
  await inPod('/proc/self/ns/net', 'ping', '-n', '-c1', '-W1', pod.v4);
});

test('refusals are told to whoever watches', async () => {
  const told: string[] = [];
  const podCidrs = ['10.42.1.0/30'] as unknown as typeof CONFIG.podCidrs;
  await bed.restart(
    { failed: (verb, error) => void told.push(`${verb} ${error.code}`) },
    { ...CONFIG, podCidrs },
  );
  await addPod();
  await call('ADD', { id: newId(), netns: await newNetns() });
  assert.deepEqual(told, ['ADD 101']);
});
