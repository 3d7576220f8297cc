/** Checklist of the CNI contract, 18 to 33: ADD. The real binary, a real server, real links. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BRIDGE, BRIDGE_MAC } from '../../constants.ts';
import { enterLab } from '../lab/reenter.ts';
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
  makeBridge,
  newId,
  newNetns,
} from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

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

for (const version of VERSIONS) {
  test(`18 the result has the request's version, ${version}`, async () => {
    assert.equal((await addPod({ version })).result.cniVersion, version);
  });

  test(`19 ips[].version is there before 1.0.0 and not after, ${version}`, async () => {
    const { result } = await addPod({ version });
    const expected = version < '1.0.0' ? ['4', '6'] : [undefined, undefined];
    assert.deepEqual(
      result.ips?.map(one => one.version),
      expected,
    );
  });

  test(`20 interfaces are the host's end and the container's, ${version}`, async () => {
    const pod = await addPod({ version });
    const [host, own] = pod.result.interfaces ?? [];
    assert.equal(pod.result.interfaces?.length, 2);
    assert.match(host?.name ?? '', /^wv/);
    assert.equal(host?.sandbox, undefined);
    assert.equal(own?.name, 'eth0');
    assert.equal(own?.sandbox, pod.netns);
    const [link] = await inPodJson(pod.netns, 'ip', '-j', 'link', 'show', 'eth0');
    assert.equal(own?.mac, link?.address);
    const mtu = version >= '1.1.0' ? CONFIG.mtu : undefined;
    assert.deepEqual([host?.mtu, own?.mtu], [mtu, mtu]);
  });
}

test('21 and 22 addresses are CIDRs with gateway and point at the container interface', async () => {
  const { result } = await addPod();
  assert.equal(result.ips?.length, 2);
  for (const [n, one] of (result.ips ?? []).entries()) {
    assert.match(one.address, n === 0 ? /^10\.42\.1\.\d+\/32$/ : /^fd42:0:0:1::[0-9a-f]+\/128$/);
    assert.equal(one.gateway, CONFIG.gateways[n]);
    assert.equal(result.interfaces?.[one.interface ?? -1]?.name, 'eth0');
  }
});

test('23 link, addresses, routes and neighbours are really there, on both sides', async () => {
  const pod = await addPod();
  const [link] = await inPodJson(pod.netns, 'ip', '-j', 'addr', 'show', 'eth0');
  const own = (link?.addr_info ?? []).map(a => `${a.local}/${a.prefixlen}`);
  assert.ok(link?.flags.includes('UP'));
  assert.equal(link?.mtu, CONFIG.mtu);
  for (const one of pod.result.ips ?? []) assert.ok(own.includes(one.address), own.join());
  const [v4] = await inPodJson(pod.netns, 'ip', '-j', 'route', 'show', 'default');
  const [v6] = await inPodJson(pod.netns, 'ip', '-6', '-j', 'route', 'show', 'default');
  assert.deepEqual([v4?.gateway, v6?.gateway], [...CONFIG.gateways]);
  const neighbours = await inPodJson(pod.netns, 'ip', '-j', 'neigh', 'show', 'nud', 'permanent');
  assert.deepEqual(
    neighbours.map(n => `${n.dst} ${n.lladdr}`).sort(),
    CONFIG.gateways.map(g => `${g} ${BRIDGE_MAC}`).sort(),
  );
  const [port] = await json(['ip', '-d', '-j', 'link', 'show', pod.link]);
  const info = port?.linkinfo as { info_slave_data: { isolated: boolean } };
  assert.equal(port?.master, 'weft0');
  assert.equal(info.info_slave_data.isolated, true);
  const lines = await remains();
  for (const address of [pod.v4, pod.v6]) {
    assert.ok(
      lines.some(l => l.startsWith(`route ${pod.link} ${address}`)),
      lines.join('\n'),
    );
    assert.ok(lines.includes(`neighbour ${pod.link} ${address}`));
    assert.ok(lines.includes(`element ${pod.link} ${address}`));
  }
});

test('23 node and pod, and pod and pod, reach each other by both families', async () => {
  const a = await addPod();
  const b = await addPod();
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const)
    for (const to of [y.v4, y.v6, ...CONFIG.gateways]) await inPod(x.netns, 'ping', '-n', '-c1', '-W1', to);
  for (const to of [a.v4, a.v6, b.v4, b.v6]) await inPod('/proc/self/ns/net', 'ping', '-n', '-c1', '-W1', to);
});

test('24 an interface of that name in the pod is an error, and nothing is changed', async () => {
  const netns = await newNetns();
  await inPod(netns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
  const before = await inPod(netns, 'ip', '-d', 'addr');
  const answer = await call('ADD', { id: newId(), netns });
  assert.ok((answer.json?.code ?? 0) >= 100, answer.stdout);
  assert.match(answer.json?.msg ?? '', /eth0/);
  assert.equal(await inPod(netns, 'ip', '-d', 'addr'), before);
  assert.deepEqual(await remains(), []);
});

test('25 ADD again without DEL is an error, takes no second address and leaves the pod as it is', async () => {
  const pod = await addPod();
  const before = await remains();
  const answer = await call('ADD', { id: pod.id, netns: pod.netns });
  assert.ok((answer.json?.code ?? 0) >= 100, answer.stdout);
  assert.deepEqual(await remains(), before);
  assert.equal((await callPod('CHECK', pod)).code, 0);
  assert.equal(bed.cni.stats().pools[0]?.used, 1);
});

test('25 ADD of a second container into a namespace that has eth0 leaves the first alone', async () => {
  const pod = await addPod();
  const before = await remains();
  assert.ok(((await call('ADD', { id: newId(), netns: pod.netns })).json?.code ?? 0) >= 100);
  assert.deepEqual(await remains(), before);
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('a second interface in the same pod is an attachment of its own', async () => {
  const pod = await addPod();
  const second = await call('ADD', { id: pod.id, netns: pod.netns, ifname: 'net1' });
  assert.equal(second.code, 0, second.stdout);
  // The default route is the first interface's and stays so.
  assert.deepEqual(second.json?.routes, []);
  assert.equal((await callPod('CHECK', pod)).code, 0);
  assert.equal((await call('DEL', { id: pod.id, netns: pod.netns, ifname: 'net1' })).code, 0);
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('26 a namespace that does not exist is an error without a leak', async () => {
  for (const netns of ['/run/netns/none', '/etc/hostname', '/run'])
    assert.equal((await call('ADD', { id: newId(), netns })).json?.code, 5, netns);
  assert.deepEqual(await remains(), []);
  assert.equal(bed.cni.stats().pools[0]?.used, 0);
});

test('27 the host’s own namespace is code 8 and nothing is changed', async () => {
  // The bridge's own link-local address becomes a valid one in its first seconds.
  const look = async () => (await ip('addr')).replaceAll(' tentative', '');
  const before = await look();
  assert.equal((await call('ADD', { id: newId(), netns: '/proc/self/ns/net' })).json?.code, 8);
  assert.equal(await look(), before);
  assert.deepEqual(await remains(), []);
});

test('28 a failure after the address was taken gives it back and leaves nothing', async () => {
  const netns = await newNetns();
  await bed.restart({ beforeAnswer: () => Promise.reject(new Error('the policy cannot be programmed')) });
  const answer = await call('ADD', { id: newId(), netns });
  assert.equal(answer.json?.code, 5);
  assert.match(answer.json?.msg ?? '', /policy cannot be programmed/);
  assert.deepEqual(await remains(), []);
  assert.equal(bed.cni.stats().pools[0]?.used, 0);
  assert.doesNotMatch(await inPod(netns, 'ip', 'link'), /eth0/);
});

test('30 a binary that is killed in mid-ADD leaves nothing, and DEL after it succeeds', async () => {
  let reached = (): void => {};
  const there = new Promise<void>(resolve => {
    reached = resolve;
  });
  const beforeAnswer = async (): Promise<void> => {
    reached();
    await sleep(200);
  };
  await bed.restart({ beforeAnswer });
  const options = { id: newId(), netns: await newNetns() };
  const child = spawn(BINARY, [], { env: envOf(options, 'ADD'), stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.end(configOf(options));
  await there;
  child.kill('SIGKILL');
  const answer = await call('DEL', options);
  assert.equal(answer.code, 0, answer.stdout);
  await untilNothingRemains();
  assert.equal(bed.cni.stats().pools[0]?.used, 0);
});

test('31 behind another plugin its result is passed on, and ours added', async () => {
  const prevResult = {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'net7', sandbox: '/x' }],
    ips: [{ address: '192.0.2.9/24', interface: 0 }],
    routes: [{ dst: '198.51.100.0/24' }],
    dns: { nameservers: ['192.0.2.53'] },
  };
  const { result } = await addPod({ version: '1.0.0', config: { prevResult } });
  assert.deepEqual(
    result.interfaces?.map(i => i.name.replace(/^wv.*/, 'wv')),
    ['net7', 'wv', 'eth0'],
  );
  assert.equal(result.ips?.[0]?.address, '192.0.2.9/24');
  for (const one of result.ips?.slice(1) ?? [])
    assert.equal(result.interfaces?.[one.interface ?? 0]?.name, 'eth0');
  assert.equal(result.routes?.[0]?.dst, '198.51.100.0/24');
  assert.deepEqual((result as { dns?: unknown }).dns, prevResult.dns);
});

test('32 forty ADDs at once get forty addresses, and forty DELs leave nothing', async () => {
  const all = await Promise.all(Array.from({ length: 40 }, () => newNetns()));
  const pods = await Promise.all(all.map(netns => addPod({ netns })));
  assert.equal(new Set(pods.map(pod => pod.v4)).size, 40);
  assert.equal(new Set(pods.map(pod => pod.v6)).size, 40);
  const answers = await Promise.all(pods.map(pod => callPod('DEL', pod)));
  assert.deepEqual(
    answers.map(a => a.code),
    pods.map(() => 0),
  );
  await untilNothingRemains();
});

test('33 without an agent ADD waits 15 s and says try again later', async () => {
  await bed.stop();
  const netns = await newNetns();
  const answer = await call('ADD', { id: newId(), netns, version: '0.4.0' });
  assert.equal(answer.json?.code, 11);
  assert.equal(answer.json?.cniVersion, '0.4.0');
  assert.match(answer.json?.details ?? '', /kubectl/);
  assert.ok(answer.ms > 14_000 && answer.ms < 60_000, `${answer.ms}`);
  await bed.start();
});

test('33 an agent that comes back within that time serves the ADD that waits', async () => {
  await bed.stop();
  const waiting = addPod();
  await sleep(600);
  await bed.start({}, { reason: 'the Node is not known yet' });
  await sleep(300);
  bed.cni.configure(CONFIG);
  await bed.cni.sweep();
  assert.match((await waiting).v4, /^10\.42\.1\./);
});

test('a bridge that was made anew, with another index, is found', async () => {
  const before = await addPod();
  await ip('link', 'del', BRIDGE);
  await makeBridge();
  const pod = await addPod();
  const [link] = await json<{ master?: string }[]>([
    'ip',
    '-j',
    'link',
    'show',
    pod.result.interfaces?.[0]?.name ?? '',
  ]);
  assert.equal(link?.master, BRIDGE);
  await inPod(pod.netns, 'ping', '-n', '-c1', '-W1', CONFIG.gateways[0] ?? '');
  for (const one of [before, pod]) assert.equal((await callPod('DEL', one)).code, 0);
  await untilNothingRemains();
});
