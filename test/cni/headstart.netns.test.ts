/** Links are begun before a call is read: what is refused after all leaves nothing, and a prepared wire is never another's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { addPod, CONFIG, call, callPod, inPod, ip, json, newId, newNetns } from './bed.ts';
import { remains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

/** The first pod tells the server what the next one is like. */
const bed = useBed({ made: async () => void (await callPod('DEL', await addPod())) });

const wires = async (): Promise<string[]> =>
  (await json<{ ifname: string }[]>(['ip', '-j', 'link'])).map(l => l.ifname).filter(n => n.startsWith('wv'));

const links = async (netns: string): Promise<string[]> =>
  (JSON.parse(await inPod(netns, 'ip', '-j', 'link')) as { ifname: string }[]).map(l => l.ifname);

const refusals = {
  'a version that nobody speaks': { version: '9.9.9' },
  'no configuration': { stdin: '{"name": "weft"' },
  'an address of others': { config: { runtimeConfig: { ips: ['192.0.2.9'] } } },
  'a container of no possible name': { id: 'no such name' },
} as const;

for (const [what, options] of Object.entries(refusals))
  test(`refused for ${what}: no link is left, and the next ADD is served`, async () => {
    const netns = await newNetns();
    const answer = await call('ADD', { id: newId(), netns, ...options });
    assert.equal(answer.code, 1, answer.stdout);
    assert.deepEqual(await wires(), []);
    assert.deepEqual(await links(netns), ['lo']);
    assert.deepEqual(await remains(), []);
    await addPod({ netns });
  });

test('refused by what must be so before the wire: no link is left, and no address is held', async () => {
  await bed.restart({ beforeWire: () => Promise.reject(new Error('it cannot be closed')) });
  const netns = await newNetns();
  const answer = await call('ADD', { id: newId(), netns });
  assert.match(answer.json?.msg ?? '', /cannot be closed/);
  assert.deepEqual([await wires(), await links(netns), await remains()], [[], ['lo'], []]);
  assert.equal(bed.cni.stats().pools[0]?.used, 0);
});

test('links stand still while what must be so before the wire is awaited', async () => {
  let seen: readonly string[] = [];
  const beforeWire = async (): Promise<boolean> => {
    const up = await json<{ ifname: string; flags: string[] }[]>(['ip', '-j', 'link']);
    seen = up.filter(l => l.ifname.startsWith('wv') && l.flags.includes('UP')).map(l => l.ifname);
    return true;
  };
  await bed.restart({ beforeWire });
  await addPod();
  assert.deepEqual(seen, []);
});

test('an interface of others is in the pod already: the call is refused, and theirs stays', async () => {
  const netns = await newNetns();
  await inPod(netns, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
  const answer = await call('ADD', { id: newId(), netns });
  assert.match(answer.json?.msg ?? '', /eth0 is already in the pod/);
  assert.deepEqual((await links(netns)).sort(), ['eth0', 'lo']);
  assert.deepEqual(await wires(), []);
});

test('two ADDs of one container at once: one is served, and its pod lives on', async () => {
  const options = { id: newId(), netns: await newNetns() };
  const both = await Promise.all([call('ADD', options), call('ADD', options)]);
  assert.deepEqual(new Set(both.map(one => one.code)), new Set([0, 1]));
  const served = both.find(one => one.code === 0)?.json;
  for (const one of served?.ips ?? []) await ip('-c', 'route', 'get', one.address.split('/')[0] as string);
  assert.equal((await wires()).length, 1);
  for (const one of served?.ips ?? [])
    await inPod(options.netns, 'ping', '-n', '-c', '1', '-W', '2', one.gateway as string);
});

const others = {
  'another address': { config: { runtimeConfig: { ips: ['10.42.1.77'] } } },
  'another interface': { ifname: 'net1' },
  'a MAC of its own': { config: { runtimeConfig: { mac: '02:00:00:00:00:77' } } },
} as const;

for (const [what, options] of Object.entries(others))
  test(`a pod that is not like the last one, with ${what}, gets its own wire`, async () => {
    const pod = await addPod(options);
    const ifname = 'ifname' in options ? options.ifname : 'eth0';
    const [link] = JSON.parse(await inPod(pod.netns, 'ip', '-j', 'addr', 'show', ifname)) as [
      { address: string; addr_info: { local: string }[] },
    ];
    const has = link.addr_info.map(a => a.local);
    assert.ok(has.includes(pod.v4) && has.includes(pod.v6), has.join());
    if (what === 'another address') assert.equal(pod.v4, '10.42.1.77');
    if (what === 'a MAC of its own') assert.equal(link.address, '02:00:00:00:00:77');
    assert.equal(pod.result.interfaces?.[1]?.mac, link.address);
    await inPod(pod.netns, 'ping', '-n', '-c', '1', '-W', '2', CONFIG.gateways[0] as string);
    await inPod(pod.netns, 'ping', '-n', '-c', '1', '-W', '2', CONFIG.gateways[1] as string);
  });

test('the host’s end has no IPv6 of its own', async () => {
  const pod = await addPod();
  const [link] = await json<{ addr_info: unknown[] }[]>(['ip', '-j', 'addr', 'show', pod.link]);
  assert.deepEqual(link?.addr_info, []);
});
