import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DiscoveryOptions, startDiscovery } from '../../discovery/discovery.ts';
import { parseState } from '../../discovery/state.ts';
import { generateKey } from '../../mesh/key.ts';
import type { Endpoint } from '../../types.ts';
import { clientFor, fastClock, memoryLog, pause, quick, temporaryFolder, until } from './helpers.ts';
import { startServer } from './server.ts';

async function setUp(t: TestContext) {
  const server = await startServer();
  const folder = temporaryFolder();
  const log = memoryLog();
  const ends: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const end of ends.toReversed()) await end();
    await server.close().catch(() => {});
    folder.remove();
  });
  const start = async (change: Partial<DiscoveryOptions> = {}) => {
    const client = clientFor(server.url);
    const discovery = await startDiscovery({
      client,
      nodeName: 'a',
      stateDir: folder.path,
      log,
      onChange: () => {},
      clock: fastClock,
      limits: quick,
      ...change,
    });
    const end = async () => {
      await discovery.close();
      client.close();
    };
    ends.push(end);
    return { ...discovery, end };
  };
  return { server, folder, log, start };
}

const wanted = () => ({
  publicKey: generateKey().publicKey,
  endpoints: [{ t: 'host' as const, a: '192.168.1.7:51820' as Endpoint }],
});

test('a Node that appears is told with its podCIDRs, one that goes is gone', async t => {
  const { server, start } = await setUp(t);
  server.put('a', { podCIDRs: ['10.42.0.0/24', 'fd42::/64'] });
  const discovery = await start();
  await until(() => discovery.facts()[0]?.podCidrs.length === 2, 'own podCIDRs');
  server.put('b', {});
  await until(() => discovery.facts().length === 2, 'b');
  assert.deepEqual(discovery.facts()[1]?.podCidrs, []);
  server.put('b', { podCIDRs: ['10.42.1.0/24'], annotations: { 'weft.network/relay': 'false' } });
  await until(() => discovery.facts()[1]?.podCidrs[0] === '10.42.1.0/24', 'podCIDRs of b');
  assert.equal(discovery.facts()[1]?.relay, false);
  server.remove('b');
  await until(() => discovery.facts().length === 1, 'b gone');
  assert.deepEqual(discovery.state(), { synced: true, connected: true, error: undefined, restarts: 0 });
});

test('publishes once, says since when, and an idle agent writes nothing', async t => {
  const { server, start } = await setUp(t);
  server.put('a', {
    podCIDRs: ['10.42.0.0/24'],
    addresses: [{ type: 'InternalIP', address: '192.168.1.7' }],
  });
  const discovery = await start();
  const want = wanted();
  assert.deepEqual(discovery.publication(), { before: false, at: undefined });
  discovery.publish(want);
  await until(() => discovery.publication().at !== undefined, 'publication');
  const { before, at } = discovery.publication();
  assert.equal(before, false);
  assert.ok(at !== undefined && Math.abs(Date.now() - at) < 60_000);
  await until(() => discovery.facts()[0]?.publicKey === want.publicKey, 'own fact with key');
  for (let n = 0; n < 20; n += 1) discovery.publish({ ...want, endpoints: [...want.endpoints] });
  server.put('a', { annotations: { 'example.org/other': 'x' } });
  await until(() => discovery.own()?.addresses.internal[0] === '192.168.1.7', 'own addresses');
  await pause(200);
  assert.equal(server.requests.filter(r => r.startsWith('PATCH')).length, 1);
  assert.deepEqual(
    Object.keys((server.bodies[0] as { metadata: { annotations: object } }).metadata.annotations).sort(),
    ['weft.network/endpoints', 'weft.network/public-key'],
  );
});

test('only what differs is patched, and what somebody removes comes back', async t => {
  const { server, start } = await setUp(t);
  const want = wanted();
  server.put('a', { podCIDRs: ['10.42.0.0/24'], annotations: { 'weft.network/public-key': want.publicKey } });
  const discovery = await start();
  discovery.publish(want);
  await until(() => server.bodies.length === 1, 'a patch');
  assert.deepEqual(server.bodies[0], {
    metadata: { annotations: { 'weft.network/endpoints': '[{"t":"host","a":"192.168.1.7:51820"}]' } },
  });
  assert.deepEqual(discovery.publication(), { before: true, at: 0 });
  server.put('a', { annotations: { 'weft.network/public-key': null } });
  await until(
    () => server.nodes.get('a')?.metadata.annotations['weft.network/public-key'] === want.publicKey,
    'key back',
  );
});

test('without an API server the facts of the last run are there at once, and stay', async t => {
  const { server, folder, start } = await setUp(t);
  server.put('a', { podCIDRs: ['10.42.0.0/24'] });
  server.put('b', {
    podCIDRs: ['10.42.1.0/24'],
    annotations: { 'weft.network/force-endpoint': '203.0.113.9:1234' },
  });
  const first = await start();
  const want = wanted();
  first.publish(want);
  await until(
    () => first.facts()[0]?.publicKey === want.publicKey && first.facts()[1]?.podCidrs.length === 1,
    'all facts',
  );
  await first.end();
  const stored = parseState(readFileSync(join(folder.path, 'nodes.json'), 'utf8'));
  assert.ok(stored.ok);
  assert.deepEqual(stored.value, first.facts());
  await server.close();
  const second = await start();
  assert.deepEqual(second.facts(), first.facts());
  assert.deepEqual(second.resolved(), new Map([['203.0.113.9', ['203.0.113.9']]]));
  second.publish(want);
  assert.deepEqual(second.publication(), { before: true, at: 0 });
  await until(() => second.state().restarts > 2, 'some tries');
  assert.equal(second.state().synced, false);
  assert.match(second.state().error ?? '', /ECONNREFUSED/);
  assert.deepEqual(second.facts(), first.facts());
  await server.reopen();
  server.put('c', { podCIDRs: ['10.42.2.0/24'] });
  await until(
    () => second.facts().length === 3 && second.facts()[2]?.podCidrs.length === 1,
    'c after the return',
  );
});

test('a damaged state file is said and ignored', async t => {
  const { folder, log, start } = await setUp(t);
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(folder.path, 'nodes.json'), '{"version":1,"items":[{');
  const discovery = await start();
  assert.deepEqual(discovery.facts(), []);
  assert.ok(log.lines.some(line => line.level === 'warn' && /peers of the last run/.test(line.message)));
});

test('a bad annotation of the own Node becomes one Event, and the Node still counts', async t => {
  const { server, start } = await setUp(t);
  server.put('a', {
    podCIDRs: ['10.42.0.0/24'],
    annotations: { 'weft.network/persistent-keepalive': 'often' },
  });
  const discovery = await start();
  await until(() => server.events.length === 1, 'the Event');
  discovery.event('InvalidAnnotation', (server.events[0] as { message: string }).message);
  server.put('a', { annotations: { 'weft.network/location': 'home' } });
  await until(() => discovery.facts()[0]?.location === 'home', 'the change');
  await pause(100);
  assert.equal(server.events.length, 1);
  assert.match(
    (server.events[0] as { message: string }).message,
    /persistent-keepalive="often" is ignored: the value is not a number of seconds/,
  );
  assert.equal(discovery.facts()[0]?.podCidrs[0], '10.42.0.0/24');
});

test('many Nodes without known podCIDRs are read in pages, not one by one', async t => {
  const { server, start } = await setUp(t);
  server.put('a', { podCIDRs: ['10.42.0.0/24'] });
  for (let n = 1; n < 120; n += 1) server.put(`n${n}`, { podCIDRs: [`10.43.${n}.0/24`] });
  const discovery = await start();
  await until(
    () => discovery.facts().length === 120 && discovery.facts().every(f => f.podCidrs.length === 1),
    'all',
  );
  const single = server.requests.filter(r => r.startsWith('GET /api/v1/nodes/n'));
  assert.deepEqual(single, []);
});
