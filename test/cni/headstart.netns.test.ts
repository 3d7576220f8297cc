/** Links are begun before a call is read: what is refused after all leaves nothing, and a prepared wire is never another's. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { conflist } from '../../cni/install.ts';
import { BRIDGE } from '../../constants.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import {
  addPod,
  BINARY,
  CONFIG,
  call,
  callPod,
  configOf,
  envOf,
  inPod,
  ip,
  json,
  newId,
  newNetns,
} from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
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

/** What the kernel tells of links while this is done. */
async function linkNews(work: () => Promise<unknown>): Promise<string> {
  const monitor = spawn('ip', ['monitor', 'link'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  monitor.stdout.on('data', chunk => {
    said += chunk;
  });
  try {
    await ip('link', 'add', 'begun', 'type', 'bridge');
    await until('the monitor', async () => {
      await ip('link', 'set', 'begun', said === '' ? 'up' : 'down');
      return said.includes('begun') || undefined;
    });
    await work();
    await ip('link', 'del', 'begun');
    await until('the last news', () => /Deleted.*begun/.test(said) || undefined);
  } finally {
    monitor.kill();
  }
  return said;
}

test('links are begun for a call as a runtime makes it by the configuration that weft installs', async () => {
  const [plugin] = (JSON.parse(conflist()) as { plugins: [object] }).plugins;
  const config = { ...plugin, runtimeConfig: { ips: ['192.0.2.9'] } };
  const netns = await newNetns();
  const news = await linkNews(async () => {
    assert.equal((await call('ADD', { id: newId(), netns, config })).code, 1);
  });
  assert.match(news, / wv/, 'nothing was begun before the call was read');
});

test('a MAC asked for in words that are not seen at once is given all the same', async () => {
  const config = { runtimeConfig: { mac: '02:00:00:00:00:78' } };
  const stdin = configOf({ config }).replace('"mac"', '"\\u006dac"');
  assert.doesNotMatch(stdin, /"mac"/);
  const pod = await addPod({ stdin });
  const [link] = JSON.parse(await inPod(pod.netns, 'ip', '-j', 'link', 'show', 'eth0')) as [
    { address: string },
  ];
  assert.equal(link.address, '02:00:00:00:00:78');
  await inPod(pod.netns, 'ping', '-n', '-c', '1', '-W', '2', CONFIG.gateways[0] as string);
});

test('a binary that is killed while its wire is waited for leaves no lease when the waiting ends', async () => {
  const there = Promise.withResolvers<void>();
  const guarding = Promise.withResolvers<boolean>();
  const beforeWire = (): Promise<boolean> => {
    there.resolve();
    return guarding.promise;
  };
  await bed.restart({ beforeWire });
  const options = { id: newId(), netns: await newNetns() };
  const child = spawn(BINARY, [], { env: envOf(options, 'ADD'), stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.end(configOf(options));
  await there.promise;
  child.kill('SIGKILL');
  await until('the ADD to be undone', () => bed.cni.stats().pools[0]?.used === 0 || undefined);
  guarding.resolve(true);
  await sleep(100);
  assert.deepEqual(bed.cni.leases(), []);
  await untilNothingRemains();
});

test('a gateway address that somebody took off the bridge: the call fails by that name and leaves no link', async () => {
  const [gateway] = CONFIG.gateways;
  const [{ local, prefixlen } = { local: '', prefixlen: 0 }] = (
    (await json(['ip', '-j', '-4', 'addr', 'show', BRIDGE])) as {
      addr_info: { local: string; prefixlen: number }[];
    }[]
  ).flatMap(link => link.addr_info);
  assert.equal(local, gateway);
  await ip('addr', 'del', `${local}/${prefixlen}`, 'dev', BRIDGE);
  try {
    const netns = await newNetns();
    const answer = await call('ADD', { id: newId(), netns });
    assert.equal(answer.code, 1);
    assert.doesNotMatch(answer.json?.msg ?? '', /already/);
    assert.deepEqual([await wires(), await links(netns), await remains()], [[], ['lo'], []]);
  } finally {
    await ip('addr', 'add', `${local}/${prefixlen}`, 'dev', BRIDGE);
  }
});
