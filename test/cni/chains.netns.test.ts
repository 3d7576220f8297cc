/** weft in one list with upstream's plugins, before and behind it, by upstream's cnitool. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import type { CniResult } from '../lab/runtime.ts';
import { CONFIG, inPod, newNetns } from './bed.ts';
import { add, chain, skip, tool, useChains, WEFT } from './chain.ts';
import { untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

const bed = useChains();

test('before tuning: both work, CHECK passes, DEL takes both away', { skip }, async () => {
  const key = 'net.ipv4.conf.eth0.arp_filter';
  chain('1.1.0', WEFT, { type: 'tuning', sysctl: { [key]: '1' } });
  const netns = await newNetns();
  const result = await add(netns);
  assert.equal(result.interfaces.find(one => one.sandbox === netns)?.name, 'eth0');
  assert.equal((await inPod(netns, 'sysctl', '-n', key)).trim(), '1');
  assert.equal(await tool('check', netns), '');
  await inPod(netns, 'ip', 'route', 'del', 'default');
  await assert.rejects(tool('check', netns), /the route 0\.0\.0\.0\/0 by eth0 is missing in the pod/);
  await tool('del', netns);
  await untilNothingRemains();
});

test('in a chain with portmap as k3s has it', { skip }, async () => {
  chain('1.0.0', WEFT, { type: 'portmap', capabilities: { portMappings: true }, backend: 'nftables' });
  const netns = await newNetns();
  const ports = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
  const env = { CAP_ARGS: JSON.stringify(ports) };
  const result = await add(netns, env);
  assert.equal(result.ips.length, 2);
  assert.match(await here(['nft', 'list', 'ruleset']), /8080/);
  await tool('del', netns, env);
  await untilNothingRemains();
});

/** Upstream's plugin that does as told, and writes down what it was called with. */
const noop = (name: string, ReportResult: string) => {
  const debugFile = `/mnt/${name}.json`;
  writeFileSync(debugFile, JSON.stringify({ ReportResult }));
  return { type: 'noop', debugFile };
};

type Seen = { readonly Command: string; readonly prevResult: CniResult | undefined };

/** What it was called with last. */
function seen(plugin: { readonly debugFile: string }): Seen {
  const { Command, CmdArgs } = JSON.parse(readFileSync(plugin.debugFile, 'utf8')) as {
    Command: string;
    CmdArgs: { StdinData: string };
  };
  const { prevResult } = JSON.parse(Buffer.from(CmdArgs.StdinData, 'base64').toString()) as {
    prevResult?: CniResult;
  };
  return { Command, prevResult };
}

const DUMMY = {
  interfaces: [{ name: 'dummy7', sandbox: '/x' }],
  ips: [{ address: '192.0.2.9/24', interface: 0 }],
  dns: { nameservers: ['192.0.2.53'] },
} as const;

for (const version of ['1.0.0', '1.1.0'])
  test(`between noop and noop: results go through, CHECK and DEL too, ${version}`, { skip }, async () => {
    const before = noop('before', JSON.stringify({ cniVersion: version, ...DUMMY }));
    const behind = noop('behind', 'PASSTHROUGH');
    chain(version, before, WEFT, behind);
    const netns = await newNetns();
    const result = await add(netns);
    assert.deepEqual(
      result.interfaces.map(one => one.name.replace(/^wv.*/, 'wv')),
      ['dummy7', 'wv', 'eth0'],
    );
    assert.equal(result.ips[0]?.address, '192.0.2.9/24');
    assert.equal(result.ips.length, 3);
    assert.deepEqual((result as { dns?: unknown }).dns, DUMMY.dns);
    assert.equal(seen(before).prevResult, undefined);
    assert.deepEqual(seen(behind), { Command: 'ADD', prevResult: result });
    await tool('check', netns);
    assert.deepEqual(seen(behind), { Command: 'CHECK', prevResult: result });
    await tool('del', netns);
    assert.equal(seen(before).Command, 'DEL');
    await untilNothingRemains();
  });

test('a plugin behind weft that fails: libcni says so, and its DEL takes the pod away', {
  skip,
}, async () => {
  const debugFile = '/mnt/failing.json';
  writeFileSync(debugFile, JSON.stringify({ ReportError: 'no more', ReportErrorCode: 123 }));
  chain('1.1.0', WEFT, { type: 'noop', debugFile });
  const netns = await newNetns();
  await assert.rejects(tool('add', netns), /no more/);
  writeFileSync(debugFile, JSON.stringify({ ReportResult: '{}' }));
  await tool('del', netns);
  await untilNothingRemains();
});

test('before bandwidth: both work, and DEL takes both away', { skip }, async () => {
  const rates = {
    ingressRate: 8_000_000,
    ingressBurst: 8_000_000,
    egressRate: 8_000_000,
    egressBurst: 8_000_000,
  };
  chain('1.0.0', WEFT, { type: 'bandwidth', ...rates });
  const netns = await newNetns();
  const result = await add(netns);
  const link = result.interfaces.find(one => one.name.startsWith('wv'))?.name ?? '';
  assert.match(await here(['tc', 'qdisc', 'show', 'dev', link]), /tbf|htb/);
  await inPod(netns, 'ping', '-n', '-c1', '-W1', CONFIG.gateways[0] ?? '');
  await tool('check', netns);
  await tool('del', netns);
  await untilNothingRemains();
  assert.doesNotMatch(await here(['ip', '-o', 'link']), /bwp/);
});

const MAC = 'c2:b0:57:49:47:f1';

const reaches = (netns: string): Promise<boolean> =>
  inPod(netns, 'ping', '-n', '-c1', '-W1', CONFIG.gateways[0] ?? '').then(
    () => true,
    () => false,
  );

test('a MAC asked for by CNI_ARGS or the capability is weft’s and tuning’s, and the pod is reached', {
  skip,
}, async () => {
  chain('1.1.0', { ...WEFT, capabilities: { mac: true } }, { type: 'tuning', capabilities: { mac: true } });
  for (const env of [{ CNI_ARGS: `MAC=${MAC}` }, { CAP_ARGS: JSON.stringify({ mac: MAC }) }]) {
    const netns = await newNetns();
    const result = await add(netns, { IgnoreUnknown: '1', ...env });
    assert.equal(result.interfaces.find(one => one.name === 'eth0')?.mac, MAC);
    assert.ok(await reaches(netns));
    await tool('check', netns);
    await tool('del', netns);
    await untilNothingRemains();
  }
});

test('a MAC that tuning gives on its own cuts the pod off, which is said, until CHECK brings the record of it', {
  skip,
}, async () => {
  chain('1.1.0', WEFT, { type: 'tuning', mac: MAC });
  const netns = await newNetns();
  const result = await add(netns);
  assert.equal(result.interfaces.find(one => one.name === 'eth0')?.mac, MAC);
  assert.equal(await reaches(netns), false);
  await bed.cni.sweep();
  assert.match(bed.lines.findLast(line => line.mac === MAC)?.message ?? '', /have weft give it/);
  await tool('check', netns);
  assert.ok(await reaches(netns));
  await bed.cni.sweep();
  assert.deepEqual(bed.cni.stats().strangers, []);
  await tool('del', netns);
  await untilNothingRemains();
});
